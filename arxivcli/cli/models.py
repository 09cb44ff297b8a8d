"""`arxivcli models`: which labels can be answered, and which models can be named."""

from __future__ import annotations

from typing import Annotated

import typer

from arxivcli.cli import console
from arxivcli.cli.options import JsonOption, Level, LevelOption

app = typer.Typer(no_args_is_help=True, help="Show arXiv's categories and the models there are.")

Row = dict[str, str | int | bool | None]


@app.command("labels")
def labels(
    level: LevelOption = "category",
    every: Annotated[bool, typer.Option("--all", help="Also aliases, retired and test categories.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what can be answered: arXiv's categories, archives or groups, with estimated numbers of papers."""
    rows = _every_category() if every else _labels(level)
    if as_json:
        console.show_json(rows)
    else:
        columns = list(rows[0])
        console.show_table(columns, [[_cell(row[c]) for c in columns] for row in rows], numbers={"papers"})


def _labels(level: Level) -> list[Row]:
    """The labels of a level; papers of aliases and retired categories are counted with the label they fold to."""
    from arxivcli import taxonomy

    papers = taxonomy.papers_per_label(level)
    names: list[Row] = [{"id": label, "name": taxonomy.name(label), "papers": papers[label]} for label in papers]
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


def _every_category() -> list[Row]:
    """All ids arXiv ever used, each with its own number of papers and what it folds to."""
    from arxivcli import taxonomy

    return [
        {
            "id": category.id,
            "name": category.name,
            "archive": category.archive,
            "group": category.group.removeprefix("grp_"),
            "active": category.active,
            "alias of": category.alias_of,
            "successor": category.successor,
            "papers": category.papers,
        }
        for category in taxonomy.categories().values()
    ]


def _cell(field: str | int | bool | None) -> str | None:
    if isinstance(field, bool):
        return "yes" if field else "no"
    return f"{field:,}" if isinstance(field, int) else field
