"""Papers to look at: the text, and what it is beside what the models say, misses and extras marked."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from arxivcli.cli import console
from arxivcli.printable import escaped

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from arxivcli.steps.evaluation.report import Evaluation, Shown

_ABSTRACT: Final = 400
"""Characters of an abstract that tell what a paper is about."""

_WIDEST: Final = 100
"""Columns beyond which a line of text is hard to read."""


def show(report: Evaluation) -> None:
    """Print all papers that were asked for."""
    for paper in report.shown:
        console.show(_card(paper, [model.name for model in report.models]))


def _card(paper: Shown, models: list[str]) -> RenderableType:
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.text import Text

    whole = paper.abstract
    abstract = whole if len(whole) <= _ABSTRACT else whole[: _ABSTRACT - 1] + "…"
    head = Text.assemble(escaped(paper.id), "  ", (escaped(paper.title), "bold"))
    return Constrain(Group(head, Text(escaped(abstract), style="dim"), _answers(paper, models), ""), _WIDEST)


def _answers(paper: Shown, models: list[str]) -> Table:
    """As many answers of each model as the paper has categories: what is missed and what is too much stands out."""
    from rich.table import Table
    from rich.text import Text

    count = max(1, len(paper.categories))
    answers = [found[:count] for found in paper.answers]
    said = {label for found in answers for label, _ in found}
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_row("true, - missed", *(f"{escaped(name)}, + extra" for name in models), style="italic")
    listed = [_true(label, label in said) for label in paper.categories]
    columns = [[_answered(label, score, label in paper.categories) for label, score in found] for found in answers]
    for row in zip_longest(listed, *columns, fillvalue=Text("")):
        table.add_row(*row)
    return table


def _true(label: str, found: bool) -> Text:
    from rich.text import Text

    return Text(f"  {label}") if found else Text(f"- {label}", style="red")


def _answered(label: str, score: float, right: bool) -> Text:
    from rich.text import Text

    text = f"{label} {score:.1%}"
    return Text(f"  {text}", style="green") if right else Text(f"+ {text}", style="yellow")
