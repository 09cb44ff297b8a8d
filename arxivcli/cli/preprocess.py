"""`arxivcli preprocess`: files of papers in, a corpus folder out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arxivcli.cli import console
from arxivcli.cli.options import JsonOption, LevelOption, state

if TYPE_CHECKING:
    from arxivcli.steps.preprocessing import Report

Format = Literal["json", "jsonl", "csv", "tsv", "parquet", "txt"]
SplitRule = Literal["random", "time"]

READING, SPLITTING, CHOOSING = "What is read", "How it is split", "What is left out"


def preprocess(
    context: typer.Context,
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files or folders of papers; - is stdin.")],
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
    restart: Annotated[bool, typer.Option("--restart", help="Forget what an earlier run left in the folder.")] = False,
    json: JsonOption = False,
) -> None:
    """Make a corpus to learn from: clean, deduplicate, split. The same command continues an interrupted run."""
    from arxivcli.sources import folders
    from arxivcli.sources.files import Columns
    from arxivcli.steps.preprocessing import Recipe, names, numbers
    from arxivcli.steps.preprocessing import preprocess as step

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
    progress = console.progress(state(context))
    report = step(sources, output, recipe, workers, max_bad, restart, progress)
    progress.note(f"{output} was finished before: nothing to do" if report.already else f"saved {output}")
    for bad in report.first_bad:
        progress.note(f"not a paper: {bad}")
    console.show_json(report.figures()) if json else _show(report)


def _show(report: Report) -> None:
    manifest = report.manifest
    rows: list[tuple[str, str]] = [("read", f"{manifest.read:,}")]
    rows += [(f"  {reason}", f"-{papers:,}") for reason, papers in sorted(manifest.dropped.items())]
    rows += [("kept", f"{manifest.kept:,}")]
    rows += [(f"  {name}", f"{split.rows:,}") for name, split in manifest.splits.items()]
    console.show_table(("papers", "number"), rows, numbers={"number"})
