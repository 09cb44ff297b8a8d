"""Papers from RIS, which reference managers and publishers export."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from rispy import RisParser

from arxivcli.sources import fields
from arxivcli.sources.lines import LINE_CAP, line_blocks
from arxivcli.sources.readings import PaperRows, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from arxivcli.sources.fields import Columns
    from arxivcli.sources.streams import Stream

_BEGIN, _END = re.compile(r"TY  -"), re.compile(r"ER  -")
_TITLES = ("title", "primary_title")
_ABSTRACTS = ("abstract", "notes_abstract")


def read_ris(stream: Stream, columns: Columns, batch_size: int) -> Iterator[Reading]:
    """Readings of a RIS file, one record for each `TY`; ids are its `ID`, else its DOI, lines numbers of records.

    Raises UsageError when none of the first records has a column named by hand.
    """
    gathered = PaperRows(stream.name, "ris", columns)
    keys: dict[str, None] = {}
    unchecked = True
    for number, lines in enumerate(chain(_records(stream), [None]), 1):
        if lines is not None:
            keys |= dict.fromkeys(_add(gathered, lines, number))
        if len(gathered) and (lines is None or len(gathered) >= batch_size or not stream.soon()):
            if unchecked:
                fields.require_columns(keys, columns)
                unchecked = False
            yield gathered.take()


def _records(stream: Stream) -> Iterator[list[str]]:
    """The lines of each record, without its `ER`; of one beyond LINE_CAP no more than shows that."""
    held: list[str] | None = None
    size = 0
    for line in (_readable(line) for block in line_blocks(stream.read) for line in block):
        begins, ends = _BEGIN.match(line), _END.match(line)
        if held is not None and (begins or ends):
            yield held
            held = None
        if begins:
            held, size = [], 0
        if held is not None and size <= LINE_CAP:
            held.append(line)
            size += len(line)
    if held is not None:
        yield held


def _readable(line: bytes | None) -> str:
    """The line as text, by Windows' Latin-1 where it is no UTF-8; one too long to keep is as long as shows that."""
    if line is None:
        return " " * (LINE_CAP + 1)
    try:
        return line.decode().rstrip("\r")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace").rstrip("\r")


def _add(gathered: PaperRows, lines: list[str], number: int) -> Iterable[str]:
    """What the record has, by the names of its parser."""
    if sum(map(len, lines)) > LINE_CAP:
        gathered.fail("record too long", number)
        return ()
    [record] = RisParser().parse_lines(iter([*lines, "ER  - "]))
    title, abstract = _first(record, _TITLES), _first(record, _ABSTRACTS)
    if title and not abstract:
        abstract = ", ".join(record.get("keywords", []))
    identifier = _first(record, ("id", "doi"))
    whole = {**record, "title": title, "abstract": abstract, "id": identifier}
    if not title and not abstract:
        gathered.fail("no title", number, identifier)
    else:
        gathered.add(whole, number)
    return whole


def _first(record: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((record[name] for name in names if record.get(name)), "")
