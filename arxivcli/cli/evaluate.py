"""`arxivcli eval`: how good a model is on papers it has not seen."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arxivcli.cli import console
from arxivcli.cli.options import DeviceOption, JsonOption, state

if TYPE_CHECKING:
    from arxivcli.steps.evaluation import Evaluation


def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Name or folder of a model.")] = "builtin",
    data: Annotated[Path, typer.Option("--data", "-d", help="Corpus folder made by preprocess.")] = Path("data/papers"),
    split: Annotated[str, typer.Option(help="Which papers: train, validation, calibration or test.")] = "test",
    weights: Annotated[
        Literal["corpus", "arxiv"], typer.Option(help="Count papers alike, or weigh them to arXiv's own mix.")
    ] = "corpus",
    brief: Annotated[bool, typer.Option("--brief", help="Leave out the table of labels.")] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure a model on a split of a corpus: accuracy, calibration, every label, titles alone."""
    from arxivcli.models import shelf
    from arxivcli.steps import evaluation

    report = evaluation.evaluate(shelf.load(model, device), data, split, weights, console.progress(state(context)))
    if as_json:
        return console.show_json(report.as_json())
    if not brief:
        _show_labels(report)
    return _show_summary(report)


def _show_labels(report: Evaluation) -> None:
    columns = ("label", "papers", "precision", "recall", "F1")
    found = report.per_label
    rows = [
        (label, f"{found.support[i]:,.0f}", *(f"{share[i]:.3f}" for share in (found.precision, found.recall, found.f1)))
        for i, label in enumerate(report.labels)
    ]
    console.show_table(columns, rows, numbers=columns[1:])


def _show_summary(report: Evaluation) -> None:
    whole, title = asdict(report.whole), asdict(report.title_only)
    rows = [(name, _figure(name, whole[name]), _figure(name, title[name])) for name in whole]
    rows.insert(-1, ("ece uncalibrated", f"{report.uncalibrated_ece:.4f}", ""))
    title_line = f"{report.model} on {report.split}, papers weighted as in: {report.weights}"
    console.show_table(
        ("figure", "title and abstract", "title only"),
        rows,
        numbers={"title and abstract", "title only"},
        title=title_line,
    )


def _figure(name: str, value: float) -> str:
    """Shares as percentages; nll and ece as they are; papers as a count."""
    if name == "papers":
        return f"{value:,}"
    return f"{value:.4f}" if name in {"nll", "ece"} else f"{100 * value:.1f} %"
