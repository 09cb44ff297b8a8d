"""`arxivcli models`: which labels can be answered, and which models can be named."""

from __future__ import annotations

from typing import Annotated

import typer

from arxivcli.cli import console
from arxivcli.cli.options import JsonOption, Level, LevelOption
from arxivcli.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Show arXiv's categories and the models there are.")


@app.command("labels")
def labels(
    level: LevelOption = "category",
    every: Annotated[bool, typer.Option("--all", help="Also aliases, retired and test categories.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what can be answered: arXiv's categories, archives or groups, with estimated numbers of papers."""
    if every and level != "category":
        raise UsageError(f"--all lists categories, not {level}s", "leave out one of --all and --level")
    console.show_rows(_every_category() if every else _labels(level), as_json)


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models that `--model` knows by name; a folder made by `train` works as well."""
    from arxivcli.models import card, shelf

    rows: list[console.Row] = []
    for name in shelf.names():
        folder = shelf.folder(name)
        found = card.read(folder)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        rows.append(
            {"name": name, "kind": found.kind, "level": found.level, "labels": len(found.labels), "MB": round(size, 1)}
        )
    console.show_rows(rows, as_json)


def _labels(level: Level) -> list[console.Row]:
    """The labels of a level; papers of aliases and retired categories are counted with the label they fold to."""
    from arxivcli import taxonomy

    papers = taxonomy.papers_per_label(level)
    names: list[console.Row] = [
        {"id": label, "name": taxonomy.name(label), "papers": papers[label]} for label in papers
    ]
    if level != "category":
        return names
    known = taxonomy.categories()
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "archive": known[str(row["id"])].archive,
            "group": known[str(row["id"])].group.removeprefix("grp_"),
            "papers": row["papers"],
        }
        for row in names
    ]


def _every_category() -> list[console.Row]:
    """All ids arXiv ever used, each with its own number of papers and what it folds to."""
    from arxivcli import taxonomy

    return [
        {
            "id": category.id,
            "name": category.name,
            "archive": category.archive,
            "group": category.group.removeprefix("grp_"),
            "active": category.active,
            "alias_of": category.alias_of,
            "successor": category.successor,
            "papers": category.papers,
        }
        for category in taxonomy.categories().values()
    ]
