"""Answers for the eye: a few bars for one paper, a row each for several."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from arxivcli import taxonomy, text
from arxivcli.cli import console
from arxivcli.printable import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from rich.console import RenderableType

    from arxivcli.sources.files import Reading

MOMENT = 0.3
"""Seconds that one paper waits for another before it becomes the first row of a table."""

BAR = 24
TITLE, ID, SET, NARROW = 48, 10, 40, 8
"""Widths in columns of a full bar; in a table of a title, an arXiv id, a set, and the least any text has."""

NUMBERS = ("confidence",)

_ABSTAINED = "abstained: not sure enough"


@dataclass(frozen=True)
class Seen:
    """The answers to one reading, and the titles they are for."""

    titles: list[str]
    predictions: pa.RecordBatch


def shape(reading: Reading, predictions: pa.RecordBatch) -> Seen:
    """What the tables are drawn from."""
    return Seen(text.clean(reading.papers["title"]).to_pylist(), predictions)


def show(pages: Iterator[Seen], coverage: float | None, ready: Callable[[], bool]) -> None:
    """Draw all pages: bars when there is one paper in all, else one table, however many pages it has.

    Whether a page is all is known when the next one (or the end) is `ready`; it is not waited for much longer.
    """
    filled = (page for page in pages if page.titles)
    few = list(islice(filled, 1))
    if few and _comes(ready):
        few += islice(filled, 1)
        if len(few) == 1:
            return _show_all(few[0], coverage)
    columns = _columns(coverage)
    widths = _widths(few[0], columns) if few else []
    for number, page in enumerate(chain(few, filled)):
        console.show_table(columns, _rows(page, coverage), numbers=NUMBERS, widths=widths, header=number == 0)
    return None


def _show_all(page: Seen, coverage: float | None) -> None:
    if len(page.titles) == 1:
        console.show(_card(page.titles[0], page.predictions.to_pylist()[0], coverage))
    else:
        console.show_table(_columns(coverage), _rows(page, coverage), numbers=NUMBERS)


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

    head = [Text(escaped(title), style="bold")] if title else []
    if answer["error"]:
        return Group(*head, Text(f"no answer: {escaped(answer['error'])}", style="red"))
    foot = [Text(f"{100 * coverage:g}% sure to be one of: {', '.join(answer['set'])}")] if coverage else []
    if not answer["labels"]:
        return Group(*head, Text(_ABSTAINED, style="yellow"), *foot)
    grid = Table.grid(padding=(0, 2, 0, 0))
    for label, score in zip(answer["labels"], answer["scores"], strict=True):
        style = "green" if label == answer["labels"][0] else "dim"
        grid.add_row(
            Text(label, style="bold"), Text(taxonomy.name(label)), Text(_bar(score), style=style), _percent(score)
        )
    return Group(*head, grid, *foot)


def _columns(coverage: float | None) -> list[str]:
    return ["id", "title", "category", "name", "confidence", *(["set"] if coverage else [])]


def _widths(page: Seen, columns: list[str]) -> list[int]:
    """Widths for a table whose later pages nobody has seen: as wide as cells get, texts narrower if room is short."""
    names = taxonomy.labels("category")
    longest = max(len(identifier or "") for identifier in page.predictions["id"].to_pylist())
    widths = {
        "id": min(max(longest, ID), TITLE),
        "title": TITLE,
        "category": max(map(len, names)),
        "name": max(len(taxonomy.name(name)) for name in names),
        "confidence": len("confidence"),
        "set": SET,
    }
    texts = [column for column in ("title", "name", "set") if column in columns]
    wanted = sum(widths[column] for column in texts)
    fixed = sum(widths[column] for column in columns if column not in texts) + console.GAP * (len(columns) - 1)
    room = min(wanted, max(console.width() - fixed, NARROW * len(texts)))
    return [widths[column] * room // wanted if column in texts else widths[column] for column in columns]


def _rows(page: Seen, coverage: float | None) -> Iterator[list[str | None]]:
    for title, answer in zip(page.titles, page.predictions.to_pylist(), strict=True):
        short = title if len(title) <= TITLE else title[: TITLE - 1] + "…"
        if answer["error"]:
            cells = [None, f"no answer: {answer['error']}", None, None]
        elif not answer["labels"]:
            cells = [None, _ABSTAINED, None, " ".join(answer["set"] or [])]
        else:
            label, score = answer["labels"][0], answer["scores"][0]
            cells = [label, taxonomy.name(label), _percent(score), " ".join(answer["set"] or [])]
        yield [answer["id"], short, *cells][: len(_columns(coverage))]


def _bar(score: float) -> str:
    sign = "━" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    return sign * round(score * BAR)


def _percent(score: float) -> str:
    return f"{score:5.1%}"
