"""`arxivcli drift`: is a model still good on papers that came later?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arxivcli.cli import console
from arxivcli.cli.options import JsonOption, ScoringDeviceOption, state

if TYPE_CHECKING:
    from typing import BinaryIO

    from arxivcli.progress import Progress
    from arxivcli.steps.drift import Drift

_WHAT = "Corpus folder, file or folder of papers, or log of predictions"


def drift(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help=f"{_WHAT}: what is measured against.", show_default=False)],
    current: Annotated[
        str | None, typer.Argument(help="Likewise: what may have drifted; - is stdin.", show_default=False)
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Compare REFERENCE's papers before a month with those since.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Name or folder of a model.", show_default="builtin, or what both sides logged"
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Read this split of corpus folders.", show_default="all, but what the model learned from"),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, max=500_000, help="Papers of a side whose text is looked at.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another sample.")] = 0,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SOME:DRIFT",
            help="From where on it is some drift, and drift: psi, ks, oov, auc, mmd, accuracy; repeatable.",
        ),
    ] = None,
    fail_on: Annotated[
        Literal["some", "drift"] | None, typer.Option(help="Exit with 8 when the verdict is this, or worse.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for all of it: a page, figures, drift.json.")
    ] = None,
    device: ScoringDeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compare two sets of papers: labels, words, what a model makes of them, and how often its answers are right."""
    from arxivcli.cli import drift_tables
    from arxivcli.models import shelf
    from arxivcli.steps import drift as step

    if output is not None:
        step.require_ours(output)
    thresholds = step.Thresholds.of(threshold or ())
    other = None if current is None else _place(current)
    question = step.Question(_place(reference), other, before, split, sample, seed)
    progress = console.progress(state(context))
    report = step.drift(question, shelf.load(model or shelf.BUILTIN, device), model is not None, thresholds, progress)
    if output is not None:
        step.save(report, output, lambda report, folder: _draw(report, folder, progress))
        progress.note(f"saved {output}")
    console.show_json(report.as_json()) if as_json else drift_tables.show(report)
    if fail_on is not None:
        step.require(report, fail_on)


def _draw(report: Drift, folder: Path, progress: Progress) -> None:
    """The page and the figures; matplotlib is loaded for them alone."""
    from arxivcli.reporting import drift
    from arxivcli.reporting.folder import write_report

    write_report(drift.page(report), folder, progress)


def _place(name: str) -> Path | BinaryIO:
    return sys.stdin.buffer if name == "-" else Path(name)
