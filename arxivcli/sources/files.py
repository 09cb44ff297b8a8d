"""Papers from files: JSON, JSON lines, CSV, TSV, parquet and lists of titles, packed or not, named rightly or not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import orjson

from arxivcli.errors import InputError, UsageError
from arxivcli.sources import fields
from arxivcli.sources.fields import Columns
from arxivcli.sources.lines import Span, json_elements, line_blocks
from arxivcli.sources.readings import PaperRows, Reading
from arxivcli.sources.streams import Stream, opened, require_readable
from arxivcli.sources.tables import looks_like_table, read_csv, read_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FORMATS", "Columns", "Reading", "detect", "opened", "read", "read_span", "read_stream", "require_readable"]

FORMATS = ("json", "jsonl", "csv", "tsv", "parquet", "txt")
"""What `--from` takes; `txt` is one title per line."""

_SUFFIXES = {f".{name}": name for name in FORMATS} | {".ndjson": "jsonl"}
_PACKED = (".gz", ".zst", ".zip")
_MUCH_TEXT = 32 << 20
_NO_TITLE = re.compile(r"[,;|\x00-\x1f\x7f-\x9f]|^[A-Z][A-Z0-9]  - ")
"""What parts cells, controls something, or begins a RIS record."""


def read(
    source: Path | BinaryIO,
    format: str | None = None,  # noqa: A002
    columns: Columns = Columns(),  # noqa: B008
    batch_size: int = 4096,
) -> Iterator[Reading]:
    """The records of a file in its order, at most `batch_size` at once, in bounded memory.

    Every line of a list (JSON lines, titles, a table of one column) is a record, also an empty one, which is no paper;
    the nothing after the last newline is no line.

    Args:
        source: A path, or an open binary file such as `sys.stdin.buffer`.
        format: One of FORMATS; None looks at the name and, above all, at the first bytes.
        columns: Names given by hand for title, abstract and id.
        batch_size: The most records in one Reading.

    Raises:
        InputError: The source cannot be read or is no such format at all.
        UsageError: The format or a column named by hand does not exist.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"{format} is no format", f"choose one of {', '.join(FORMATS)}")
    with opened(source) as stream:
        yield from read_stream(stream, format or detect(stream, columns), columns, batch_size)


def read_stream(stream: Stream, format: str, columns: Columns, batch_size: int) -> Iterator[Reading]:  # noqa: A002
    """`read` for a stream that is open already and of a known format."""
    if format == "parquet":
        return read_parquet(stream, columns, batch_size)
    stream.drop_bom()
    if format in {"csv", "tsv"}:
        return read_csv(stream, format, columns, batch_size)
    return _read_records(stream, format, columns, batch_size)


def read_span(span: Span, source: str, columns: Columns, first: bool, batch_size: int = 4096) -> Iterator[Reading]:
    """Readings of a piece of a JSON-lines file, the `first` one or another; its lines are counted from 1."""
    stream = Stream(source, span)
    if first:
        stream.drop_bom()
    return _read_records(stream, "jsonl", columns, batch_size, first)


def _read_records(
    stream: Stream,
    format: str,  # noqa: A002
    columns: Columns,
    batch_size: int,
    first: bool = True,
) -> Iterator[Reading]:
    """Readings of JSON lines, JSON elements or lines of text; the `first` record must have the columns asked for."""
    gathered = PaperRows(stream.name, format, columns, must_have_columns=first and format != "txt")
    add = gathered.add_title if format == "txt" else gathered.add_json
    blocks = (
        ([element] for element in json_elements(stream.read, stream.name) if element.strip())
        if format == "json"
        else line_blocks(stream.read)
    )
    number = size = 0
    for block in blocks:
        for line in block:
            number += 1
            size += len(line or b"")
            add(line, number)
            if len(gathered) >= batch_size or size > _MUCH_TEXT:
                yield gathered.take()
                size = 0
        if len(gathered) and format != "json" and not stream.soon():
            yield gathered.take()
            size = 0
    if len(gathered):
        yield gathered.take()


def detect(
    stream: Stream,
    columns: Columns = Columns(),  # noqa: B008
    guessed: Callable[[str], None] | None = None,
) -> str:
    """The format of a stream: what its first bytes say, else what its name says. Raises InputError for neither.

    With `guessed`, which is then told so, lines under no telling name whose first one is nothing but words are titles.
    """
    stream.refuse_utf16()
    stream.look(_telling)
    named = _SUFFIXES.get(_suffix(stream.name))
    found = "txt" if named == "txt" else _sniffed(stream.head.removeprefix(b"\xef\xbb\xbf").lstrip(), columns)
    if found == "jsonl" and named == "json" and b"\n" not in stream.head.strip():
        found = "json"  # one object: the empty lines below it are no records
    if found is None and guessed and not _suffix(stream.name) and _looks_like_title(stream.head, columns):
        guessed(f"taking each line of {stream.name} as a title; --from names another format")
        return "txt"
    if found is None and named in {None, "parquet"}:
        if not stream.head:
            raise InputError(f"{stream.name} is empty", "give a file with papers")
        raise InputError(
            f"{stream.name} is none of {', '.join(FORMATS)}, as far as its first bytes show",
            "name the format with --from (txt: one title per line), or the column of titles with --title-column",
        )
    return found or str(named)


def _suffix(name: str) -> str:
    """The suffix that tells the format: `papers.jsonl.gz` -> `.jsonl`."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in _PACKED else path.suffix


def _sniffed(head: bytes, columns: Columns) -> str | None:
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"["):
        return "json"
    first, newline, rest = head.partition(b"\n")
    if head.startswith(b"{"):
        return "jsonl" if rest.lstrip().startswith(b"{") or (newline and _is_json(first)) else "json"
    return looks_like_table(first, columns) if head else None


def _looks_like_title(head: bytes, columns: Columns) -> bool:
    """Whether a first line is two words or more and nothing a table, markup or a record would begin with."""
    if columns.title or columns.abstract:
        return False
    try:
        line = head.strip().partition(b"\n")[0].decode().strip()
    except UnicodeDecodeError:
        return False
    before, colon, _ = line.partition(":")
    return (
        len(line.split()) > 1
        and (line[0].isalnum() or line[0] in "$(")
        and not _NO_TITLE.search(line)
        and not (colon and fields.resolve([before], columns).names)
    )


def _telling(head: bytes) -> bool:
    """Whether these first bytes show the format: a whole line, and of an object's text also where the next begins."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    first, newline, rest = text.partition(b"\n")
    if text.startswith(b"{"):
        return bool(newline) and (_is_json(first) or bool(rest.strip()))
    return bool(newline) or text.startswith((b"[", b"PAR1"))


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
