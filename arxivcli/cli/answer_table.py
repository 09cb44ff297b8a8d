"""Answers for the eye: a few bars for one paper, a row each for several."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from arxivcli import taxonomy, text
from arxivcli.cli import console, explaining
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
"""Widths in columns of a full bar; in a table of a title, an arXiv id, a set or words, and the least any text has."""

NUMBERS = ("confidence",)

_ABSTAINED = "abstained: not sure enough"


@dataclass(frozen=True)
class Seen:
    """The answers to one reading, and the titles they are for."""

    titles: list[str]
    predictions: pa.RecordBatch
    abstracts: list[str] | None = None
    """Only where the answers are explained."""


def shape(reading: Reading, predictions: pa.RecordBatch) -> Seen:
    """What the tables are drawn from."""
    titles = text.clean(reading.papers["title"]).to_pylist()
    explains = "explanation" in predictions.schema.names
    return Seen(titles, predictions, text.clean(reading.papers["abstract"]).to_pylist() if explains else None)


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
    columns = _columns(few[0], coverage) if few else _USUAL
    widths = _widths(few[0], columns) if few else []
    for number, page in enumerate(chain(few, filled)):
        console.show_table(columns, _rows(page, columns), numbers=NUMBERS, widths=widths, header=number == 0)
    return None


def _show_all(page: Seen, coverage: float | None) -> None:
    if len(page.titles) == 1:
        console.show(_card(page, page.predictions.to_pylist()[0], coverage))
    else:
        columns = _columns(page, coverage)
        console.show_table(columns, _rows(page, columns), numbers=NUMBERS)


def _comes(ready: Callable[[], bool]) -> bool:
    """Whether something is ready within a moment."""
    until = time.monotonic() + MOMENT
    while not ready() and time.monotonic() < until:
        time.sleep(MOMENT / 20)
    return ready()


def _card(page: Seen, answer: dict[str, Any], coverage: float | None) -> RenderableType:
    """One paper: its title, a bar for each label, and why, where somebody asked."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    title, why = page.titles[0], answer.get("explanation") or []
    head = [explaining.highlighted(title, why, "title", "bold")] if title else []
    if answer["error"]:
        return Group(*head, Text(f"no answer: {escaped(answer['error'])}", style="red"))
    foot = [Text(f"also: {', '.join(answer['cross_lists']) or 'none'}")] if "cross_lists" in answer else []
    foot += [Text(f"{100 * coverage:g}% sure to be one of: {', '.join(answer['set'])}")] if coverage else []
    foot += [Text(f"model: {escaped(answer['model'])}", style="dim")] if "model" in answer else []
    if not answer["labels"]:
        return Group(*head, Text(_ABSTAINED, style="yellow"), *foot)
    grid = Table.grid(padding=(0, 2, 0, 0))
    for label, score in zip(answer["labels"], answer["scores"], strict=True):
        style = "green" if label == answer["labels"][0] else "dim"
        grid.add_row(
            Text(label, style="bold"), Text(taxonomy.name(label)), Text(_bar(score), style=style), _percent(score)
        )
    if page.abstracts is not None:
        foot += [explaining.highlighted(page.abstracts[0], why, "abstract")] if page.abstracts[0] else []
        foot += [Text(explaining.FOR + (explaining.words(why, for_it=True) or "nothing in particular"))]
        foot += [Text(explaining.AGAINST + (explaining.words(why, for_it=False) or "nothing in particular"))]
    return Group(*head, grid, *foot)


_USUAL = ["id", "title", "category", "name", "confidence"]


def _columns(page: Seen, coverage: float | None) -> list[str]:
    """The usual columns, and those that were asked for."""
    names = page.predictions.schema.names
    also = {"set": coverage, "also": "cross_lists" in names, "for": "explanation" in names, "model": "model" in names}
    return [*_USUAL, *(column for column, asked in also.items() if asked)]


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
        "also": SET,
        "for": SET,
        "model": TITLE // 2,
    }
    texts = [column for column in ("title", "name", "set", "also", "for", "model") if column in columns]
    wanted = sum(widths[column] for column in texts)
    fixed = sum(widths[column] for column in columns if column not in texts) + console.GAP * (len(columns) - 1)
    room = min(wanted, max(console.width() - fixed, NARROW * len(texts)))
    return [widths[column] * room // wanted if column in texts else widths[column] for column in columns]


def _rows(page: Seen, columns: list[str]) -> Iterator[list[str | None]]:
    for title, answer in zip(page.titles, page.predictions.to_pylist(), strict=True):
        short = title if len(title) <= TITLE else title[: TITLE - 1] + "…"
        if answer["error"]:
            cells = [None, f"no answer: {answer['error']}", None]
        elif not answer["labels"]:
            cells = [None, _ABSTAINED, None]
        else:
            label, score = answer["labels"][0], answer["scores"][0]
            cells = [label, taxonomy.name(label), _percent(score)]
        yield [answer["id"], short, *cells, *(_asked(answer, column) for column in columns[len(_USUAL) :])]


def _asked(answer: dict[str, Any], column: str) -> str:
    if column == "for":
        return explaining.words(answer["explanation"], for_it=True)
    if column == "model":
        return answer["model"] or ""
    return " ".join(answer["cross_lists" if column == "also" else column] or [])


def _bar(score: float) -> str:
    sign = "━" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    return sign * round(score * BAR)


def _percent(score: float) -> str:
    return f"{score:5.1%}"
