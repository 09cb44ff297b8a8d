"""`arxivcli eval`: how good models are on papers they have not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arxivcli.cli import console
from arxivcli.cli.options import JsonOption, ScoringDeviceOption, state
from arxivcli.errors import UsageError, unknown

if TYPE_CHECKING:
    from arxivcli.models.shelf import Model
    from arxivcli.progress import Progress
    from arxivcli.steps.evaluation import Evaluation

LOOKING, MEASURING = "What is shown", "How it is measured"

TABLES = ("category", "archive", "year", "month", "length", "listing", "coverage", "abstention", "confusion")


def evaluate(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="Names or folders of models.", show_default="builtin"),
    ] = None,
    data: Annotated[Path, typer.Option("--data", "-d", help="Corpus folder made by preprocess.")] = Path("data/papers"),
    split: Annotated[str, typer.Option(help="Which papers: train, validation, calibration or test.")] = "test",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the report, the predictions, a review list.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="FIGURE>=N,...", help='Exit with 8 unless it holds: "top1>=0.6,ece<=0.03".'),
    ] = None,
    weights: Annotated[
        Literal["corpus", "arxiv"],
        typer.Option(help="Count papers alike, or weigh them to arXiv's own mix.", rich_help_panel=MEASURING),
    ] = "corpus",
    coverage: Annotated[
        float, typer.Option(help="How often a set shall hold the truth.", rich_help_panel=MEASURING)
    ] = 0.9,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="uniform|arxiv|corpus|FILE",
            help="Probabilities for this mix of categories, as in classify; without sets.",
            show_default="the models' own",
            rich_help_panel=MEASURING,
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap.", rich_help_panel=MEASURING)] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap and of --show.", rich_help_panel=MEASURING)] = 0,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="TABLE", help=f"One more: {', '.join(TABLES)}.", rich_help_panel=LOOKING),
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="Show so many papers as well.", rich_help_panel=LOOKING)] = 0,
    show_what: Annotated[
        Literal["random", "wrong", "unsure", "suspect"],
        typer.Option(help="Any, those answered wrong, the least sure, likely label errors.", rich_help_panel=LOOKING),
    ] = "wrong",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="all cores")] = None,
    device: ScoringDeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure models on a split of a corpus: accuracy, calibration, sets, every slice, and which one is better."""
    from arxivcli import parallel
    from arxivcli.cli import evaluation_tables
    from arxivcli.steps import evaluation
    from arxivcli.steps.evaluation import gate

    tables = [name for text in by or () for name in text.split(",")]
    for name in tables:
        if name not in TABLES:
            raise unknown("table", name, TABLES)
    required = gate.requirements(require or ())
    report = evaluation.evaluate(
        _loaded(models or ["builtin"], device),
        data,
        evaluation.Question(split, weights, coverage, resamples, seed, show, show_what, prior),
        progress := console.progress(state(context)),
        output,
        workers or parallel.cores(),
        lambda report, folder: _draw(report, folder, progress),
    )
    for caveat in evaluation_tables.caveats(report):
        progress.note(caveat)
    console.show_json(report.as_json()) if as_json else evaluation_tables.show(report, tables)
    if output is not None:
        progress.note(f"saved {output}")
    gate.check(report, required)


def _draw(report: Evaluation, folder: Path, progress: Progress) -> None:
    """The page and the figures; matplotlib is loaded for them alone."""
    from arxivcli.reporting import evaluation, evaluation_results
    from arxivcli.reporting.folder import write_report

    write_report(evaluation.page(evaluation_results.results(report)), folder, progress)


def _loaded(names: list[str], device: str) -> dict[str, Model]:
    """Models under the names their makers gave them, or as they are named here where two are called alike."""
    from arxivcli.models import shelf

    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is named twice", "name each model once")
    loaded = {name: shelf.load(name, device) for name in names}
    called = [model.card.name for model in loaded.values()]
    return {model.card.name if called.count(model.card.name) == 1 else name: model for name, model in loaded.items()}
