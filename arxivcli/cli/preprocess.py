"""`arxivcli preprocess`: files of papers in, a corpus folder out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arxivcli.cli import console
from arxivcli.cli.options import EngineOption, JsonOption, LevelOption, RayAddressOption, require_ray, state
from arxivcli.errors import UsageError
from arxivcli.progress import Progress

if TYPE_CHECKING:
    from arxivcli.steps.preprocessing import Report, crew

Format = Literal["json", "jsonl", "csv", "tsv", "parquet", "txt"]
SplitRule = Literal["random", "time"]

READING, SPLITTING, CHOOSING = "What is read", "How it is split", "What is left out"


def preprocess(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Files or folders of papers; - is stdin.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Corpus folder to make.")] = Path("data/papers"),
    split: Annotated[
        SplitRule, typer.Option(help="By a hash of the abstract, or by date.", rich_help_panel=SPLITTING)
    ] = "random",
    shares: Annotated[
        str, typer.Option(help="Of train, validation, calibration, test.", rich_help_panel=SPLITTING)
    ] = "0.8,0.05,0.05,0.1",
    test_from: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="First month of the test split.", rich_help_panel=SPLITTING)
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another split.", rich_help_panel=SPLITTING)] = 0,
    labels: Annotated[
        str | None, typer.Option(help="Keep papers with these primaries: cs.LG,cs.CV,...", rich_help_panel=CHOOSING)
    ] = None,
    level: LevelOption = "category",
    sample: Annotated[
        float | None, typer.Option(help="Keep this share of the papers.", rich_help_panel=CHOOSING)
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Keep at most so many papers.", rich_help_panel=CHOOSING)] = None,
    max_per_category: Annotated[
        int | None, typer.Option(help="Keep at most so many papers of a label.", rich_help_panel=CHOOSING)
    ] = None,
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="Largest share of records that are no papers.", rich_help_panel=READING)
    ] = 0.001,
    format: Annotated[  # noqa: A002
        Format | None,
        typer.Option("--from", help="Format of the input.", show_default="detected", rich_help_panel=READING),
    ] = None,
    title_column: Annotated[
        str | None, typer.Option(help="Name of the titles' column.", rich_help_panel=READING)
    ] = None,
    abstract_column: Annotated[
        str | None, typer.Option(help="Name of the abstracts' column.", rich_help_panel=READING)
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Name of the ids' column.", rich_help_panel=READING)] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; any number makes the same corpus.")] = 2,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Also show what is in the corpus, on a page; without INPUT of a finished one."
        ),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget what an earlier run left in the folder.")] = False,
    json: JsonOption = False,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
) -> None:
    """Make a corpus to learn from: clean, deduplicate, split. The same command continues an interrupted run."""
    from arxivcli.sources import folders
    from arxivcli.sources.files import Columns
    from arxivcli.steps.preprocessing import Recipe, crew, names, numbers
    from arxivcli.steps.preprocessing import preprocess as step

    progress = console.progress(state(context))
    if report is not None:
        _require_page(report, inputs or [])
    if not inputs:
        return _show(_finished(context, output, report), report, json, progress)
    recipe = Recipe(
        split=split,
        shares=numbers(shares, "--shares"),
        test_from=test_from,
        max_per_category=max_per_category,
        limit=limit,
        sample=sample,
        labels=() if labels is None else names(labels, "--labels"),
        level=level,
        seed=seed,
        format=format,
        columns=Columns(title_column, abstract_column, id_column),
    )
    sources = [
        source for name in inputs for source in ([sys.stdin.buffer] if name == "-" else folders.spread([Path(name)]))
    ]
    spread = _elsewhere(ray_address, progress) if engine == "ray" else crew.run
    made = step(sources, output, recipe, workers, max_bad, restart, progress, spread)
    progress.note(f"{output} was finished before: nothing to do" if made.already else f"saved {output}")
    for bad in made.first_bad:
        progress.note(f"not a paper: {bad}")
    return _show(made, report, json, progress)


def _elsewhere(address: str | None, progress: Progress) -> crew.Spread:
    """A Ray cluster. Raises UsageError without Ray."""
    require_ray()
    from arxivcli.cli import preprocess_cluster

    return preprocess_cluster.Elsewhere(address, progress.note)


def _require_page(report: Path, inputs: list[str]) -> None:
    """Raises UsageError before anything is done when the report would not be a page, or would replace an input."""
    if report.suffix.lower() not in {".html", ".htm"} or report.is_dir():
        raise UsageError(f"--report {report}: the report is a page", "give it a name that ends in .html")
    if any(Path(name).exists() and report.exists() and report.samefile(name) for name in inputs):
        raise UsageError(f"--report {report} is an input", "choose another name")


def _finished(context: typer.Context, folder: Path, report: Path | None) -> Report:
    """The corpus that is there, when its report is all that is asked for."""
    from arxivcli.steps.preprocessing import finished

    if report is None:
        raise UsageError("Missing argument 'INPUT...'", "see arxivcli preprocess --help")
    known = {"inputs", "output", "report", "json"}
    other = [name for name in context.params if name not in known and _given(context, name)]
    if other:
        raise UsageError(f"--{other[0].replace('_', '-')} needs papers to read", "name an INPUT, or leave it out")
    return finished(folder)


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _show(made: Report, report: Path | None, as_json: bool, progress: Progress) -> None:
    """The page, when one is asked for, and the figures on stdout."""
    if report is not None:
        from arxivcli.reporting import corpus, folder
        from arxivcli.shards import Shards
        from arxivcli.steps.survey import survey

        name = made.folder.resolve().name
        folder.write_page(corpus.page(survey(Shards.open(made.folder), name, progress)), report)
        progress.note(f"saved {report}")
    console.show_json(made.figures()) if as_json else _show_table(made)


def _show_table(made: Report) -> None:
    manifest = made.manifest
    rows: list[tuple[str, str]] = [("read", f"{manifest.read:,}")]
    rows += [(f"  {reason}", f"-{papers:,}") for reason, papers in sorted(manifest.dropped.items())]
    rows += [("kept", f"{manifest.kept:,}")]
    rows += [(f"  {name}", f"{split.rows:,}") for name, split in manifest.splits.items()]
    console.show_table(("papers", "number"), rows, numbers={"number"})
