"""Answers for the eye: a few bars for one paper, a row each for several."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from arxivcli import taxonomy, text
from arxivcli.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from rich.console import RenderableType

    from arxivcli.sources.files import Reading

MOMENT = 0.3
"""Seconds that one paper waits for another before it becomes the first row of a table."""

BAR = 24
TITLE = 48
"""Widths in columns of a full bar, and of the titles in a table of many papers."""


@dataclass(frozen=True)
class Seen:
    """The answers to one reading, and the titles they are for."""

    titles: list[str]
    predictions: pa.RecordBatch


def shape(reading: Reading, predictions: pa.RecordBatch) -> Seen:
    """What the tables are drawn from."""
    return Seen(text.clean(reading.papers["title"]).to_pylist(), predictions)


def show(pages: Iterator[Seen], coverage: float | None, ready: Callable[[], bool]) -> None:
    """Draw all pages: bars when there is one paper in all, else a table a page.

    Whether one paper is all is known when the next page (or the end) is `ready`; it is not waited for much longer.
    """
    filled = (page for page in pages if page.titles)
    few = list(islice(filled, 1))
    if few and len(few[0].titles) == 1 and _comes(ready):
        few += islice(filled, 1)
        if len(few) == 1:
            console.show(_card(few[0].titles[0], few[0].predictions.to_pylist()[0], coverage))
            return
    for page in chain(few, filled):
        _show_many(page, coverage)


def _comes(ready: Callable[[], bool]) -> bool:
    """Whether something is ready within a moment."""
    until = time.monotonic() + MOMENT
    while not ready() and time.monotonic() < until:
        time.sleep(MOMENT / 20)
    return ready()


def _card(title: str, answer: dict[str, Any], coverage: float | None) -> RenderableType:
    """One paper: its title, and a bar for each label."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = [Text(console.escaped(title), style="bold")] if title else []
    if answer["error"]:
        return Group(*head, Text(f"no answer: {console.escaped(answer['error'])}", style="red"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    for label, score in zip(answer["labels"], answer["scores"], strict=True):
        style = "green" if label == answer["labels"][0] else "dim"
        grid.add_row(
            Text(label, style="bold"), Text(taxonomy.name(label)), Text(_bar(score), style=style), _percent(score)
        )
    foot = [Text(f"{100 * coverage:g}% sure to be one of: {', '.join(answer['set'])}")] if coverage else []
    return Group(*head, grid, *foot)


def _show_many(page: Seen, coverage: float | None) -> None:
    columns = ["id", "title", "category", "name", "confidence", *(["set"] if coverage else [])]
    rows = []
    for title, answer in zip(page.titles, page.predictions.to_pylist(), strict=True):
        short = title if len(title) <= TITLE else title[: TITLE - 1] + "…"
        if answer["error"]:
            cells = [None, f"no answer: {answer['error']}", None, None]
        else:
            label, score = answer["labels"][0], answer["scores"][0]
            cells = [label, taxonomy.name(label), _percent(score), " ".join(answer["set"] or [])]
        rows.append([answer["id"], short, *cells][: len(columns)])
    console.show_table(columns, rows, numbers={"confidence"})


def _bar(score: float) -> str:
    sign = "━" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    return sign * round(score * BAR)


def _percent(score: float) -> str:
    return f"{score:5.1%}"
