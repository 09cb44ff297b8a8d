"""Papers from files: JSON, tables, libraries, lists of titles (see FORMATS), packed or not, named rightly or not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import orjson

from arxivcli.errors import InputError, UsageError
from arxivcli.sources import fields
from arxivcli.sources.fields import Columns
from arxivcli.sources.lines import Span, json_elements, line_blocks
from arxivcli.sources.readers import reader
from arxivcli.sources.readings import PaperRows, Reading
from arxivcli.sources.streams import Stream, opened, require_readable
from arxivcli.sources.tables import looks_like_table, read_csv, read_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "FORMATS",
    "Columns",
    "Reading",
    "detect",
    "opened",
    "read",
    "read_span",
    "read_stream",
    "require_fitting",
    "require_readable",
]

FORMATS = ("json", "jsonl", "csv", "tsv", "parquet", "txt", "bib", "ris", "pdf", "sqlite")
"""What `--from` takes; `txt` is one title per line."""

SUFFIXES = {f".{name}": name for name in FORMATS} | {
    ".ndjson": "jsonl", ".bibtex": "bib", ".db": "sqlite", ".sqlite3": "sqlite",
}  # fmt: skip
_BINARY = {"parquet", "pdf", "sqlite"}
"""Formats that show in the first bytes, whatever the name."""

_PACKED = (".gz", ".zst", ".zip")
_MUCH_TEXT = 32 << 20
_NO_TITLE = re.compile(r'[\x00-\x08\x0a-\x1f\x7f-\x9f]|^[A-Z][A-Z0-9]  - |^"\w+": ')
"""What controls something, or begins a RIS record or a line of JSON."""

_BEGINS = re.compile(r"""[\w$("'\[\\]""")
"""How titles begin; markup, comments and BibTeX begin otherwise."""

_LIST = re.compile(rb"""\[\s*(?:[\[{"\]]|$)""")
"""How a list of records begins: `[CII] emission` is a title."""

_LINES = re.compile(rb"\{.*\n\{")
"""Two objects on lines of their own without a comma between them: no part of a list."""

_MAGIC = {b"PAR1": "parquet", b"SQLite format 3\0": "sqlite", b"%PDF-": "pdf", b"TY  - ": "ris"}
_BIB = re.compile(rb"@[A-Za-z]+[ \t]*[{(]")
_LATER = re.compile(rb"^[ \t]*(@[A-Za-z]+[ \t]*[{(][^\n]*[,=]|TY  - )", re.MULTILINE)
"""How an entry of BibTeX or RIS begins below what programs write above the first."""

_LOOKED_AT = 50


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


def require_fitting(name: str, format: str, columns: Columns) -> None:  # noqa: A002
    """Raises UsageError when something was said about the source that a format has not."""
    if columns.table is not None and format != "sqlite":
        raise UsageError(f"{name} is no SQLite, so it has no tables", "leave out --table")
    if not columns.headed and format not in {"csv", "tsv"}:
        raise UsageError(f"{name} is neither CSV nor TSV, and has no header anyway", "leave out --no-header")


def read_stream(stream: Stream, format: str, columns: Columns, batch_size: int) -> Iterator[Reading]:  # noqa: A002
    """`read` for a stream that is open already and of a known format."""
    if format == "parquet":
        return read_parquet(stream, columns, batch_size)
    stream.drop_bom()
    if special := reader(format):
        return special(stream, columns, batch_size)
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
    named = SUFFIXES.get(telling_suffix(stream.telling_name))
    if not columns.headed and named in {None, "txt", "csv", "tsv"}:
        return named if named in {"csv", "tsv"} else "tsv" if b"\t" in stream.head.partition(b"\n")[0] else "csv"
    found = "txt" if named == "txt" else _sniffed(stream.head.removeprefix(b"\xef\xbb\xbf").lstrip(), columns)
    if found == "jsonl" and named == "json" and b"\n" not in stream.head.strip():
        found = "json"  # one object: the empty lines below it are no records
    if found is None and guessed and not telling_suffix(stream.telling_name) and _looks_like_title(stream, columns):
        guessed(f"taking each line of {stream.name} as a title; --from names another format")
        return "txt"
    if found is None and named in {None, *_BINARY}:
        if not stream.head:
            raise InputError(f"{stream.name} is empty", "give a file with papers")
        raise InputError(
            f"{stream.name} is none of {', '.join(FORMATS)}, as far as its first bytes show",
            "name the format with --from (txt: one title per line), or the column of titles with --title-column",
        )
    return found or str(named)


def telling_suffix(name: str) -> str:
    """The suffix that tells the format: `papers.jsonl.gz` -> `.jsonl`."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in _PACKED else path.suffix


def _sniffed(head: bytes, columns: Columns) -> str | None:
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if _BIB.match(head):
        return "bib"
    first, newline, rest = head.partition(b"\n")
    if _LIST.match(head):
        return "jsonl" if _LINES.match(rest) and _is_json(rest.partition(b"\n")[0]) else "json"
    if head.startswith(b"{"):
        if _is_json(first):
            return "jsonl" if newline else "json"
        # One object over several lines goes on with a key; what else follows are lines of their own.
        return "json" if not rest.strip() or rest.lstrip().startswith((b'"', b"}")) else "jsonl"
    return looks_like_table(first, columns) or _entries(head) if head else None


def _entries(head: bytes) -> str | None:
    """`bib` or `ris` when an entry begins somewhere in the first bytes, else None."""
    found = _LATER.search(head)
    return found and ("bib" if found[1].startswith(b"@") else "ris")


def _looks_like_title(stream: Stream, columns: Columns) -> bool:
    """Whether the first lines are words, and not a table, markup or a record.

    Lines with equally many commas, semicolons or bars may be a table whose header we do not know, and so may be a line
    with some before the others have come.
    """
    if columns.title or columns.abstract:
        return False
    text = stream.head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    some = [line.strip() for line in text.split("\n") if line.strip()][:_LOOKED_AT]
    if not some or _NO_TITLE.search(some[0]) or not _BEGINS.match(some[0]):
        return False
    before, colon, _ = some[0].partition(":")
    if colon and fields.resolve([before], columns).names:
        return False
    if len(some[0].split()) == 1 < max(len(line.split()) for line in some):
        return False  # a header of one column
    for sign in ",;|\t":
        counts = {line.count(sign) for line in some}
        if counts != {0} and len(counts) == 1 and not (len(some) == 1 and stream.is_whole()):
            return False
    return "\ufffd" not in some[0]


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
