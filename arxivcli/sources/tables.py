"""Papers from CSV, TSV and parquet: tables whose columns are recognised by name."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from arxivcli.errors import InputError
from arxivcli.sources import fields
from arxivcli.sources.lines import line_blocks
from arxivcli.sources.readings import EMPTY_LINE, PaperRows, Reading
from arxivcli.sources.streams import Stream, spooled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arxivcli.sources.fields import Columns

_CELL_CAP = 1 << 20
_TOO_LONG = "\udcff" * 8
"""Stands for a line that was too long to keep; text that is UTF-8 has no lone surrogates."""


def header_of(line: bytes, columns: Columns) -> tuple[str, list[str]]:
    """The delimiter (one of `,` `;` TAB) that makes the most sense of a header line, and the names it gives."""

    def sense(delimiter: str) -> tuple[int, int]:
        names = _cells(line, delimiter)
        return len(fields.resolve(names, columns).names), len(names)

    best = max(",;\t", key=sense)
    return best, _cells(line, best)


def _cells(line: bytes, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8", "replace").rstrip("\r\n")], delimiter=delimiter), [])
    except csv.Error:  # a carriage return or a zero inside: no header of ours
        return []


def looks_like_table(line: bytes, columns: Columns) -> str | None:
    """`csv` or `tsv` when a first line names a title or an abstract, else None."""
    delimiter, names = header_of(line, columns)
    known = fields.resolve(names, columns)
    if known.title is None and known.abstract is None:
        return None
    return "tsv" if delimiter == "\t" else "csv"


def read_csv(stream: Stream, format: str, columns: Columns, batch_size: int) -> Iterator[Reading]:  # noqa: A002
    """Readings of a table with a header. Raises InputError when no column can be a title or an abstract."""
    csv.field_size_limit(_CELL_CAP)
    lines = _Lines(stream)
    first = next((line for line in lines if line.strip()), "")
    _require_text(first, stream.name)
    delimiter, names = header_of(first.encode(), columns)
    rows = csv.reader(lines, delimiter=delimiter)
    header = tuple(name.strip() for name in names)
    _require_text_column(header, columns, stream.name)
    gathered = PaperRows(stream.name, format, columns, header, delimiter)
    for row in _numbered(rows, lines, len(header)):
        _add_row(gathered, header, row)
        if len(gathered) >= batch_size:
            yield gathered.take()
    if len(gathered):
        yield gathered.take()


def _require_text(first: str, name: str) -> None:
    """Raises InputError for a header that is not UTF-8, or whose lines end as no reader today expects."""
    if any("\ud800" <= sign <= "\udfff" for sign in first):
        raise InputError(f"{name}:1 is not UTF-8", "save it as UTF-8 (iconv -f LATIN1 -t UTF-8)")
    if "\r" in first.rstrip("\r\n"):
        raise InputError(f"{name}:1 ends its lines with carriage returns alone", "convert it (tr '\\r' '\\n')")


class _Lines:
    """The lines of a stream as text; bytes that are not UTF-8 come as lone surrogates."""

    def __init__(self, stream: Stream) -> None:
        self._lines = (line for block in line_blocks(stream.read) for line in block)
        self.count = 0
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self.count += 1
        return _TOO_LONG if line is None else line.decode("utf-8", "surrogateescape") + "\n"


@dataclass(frozen=True, slots=True)
class _Row:
    cells: tuple[str, ...]
    number: int
    failure: str | None = None


def _numbered(rows: Iterator[list[str]], lines: _Lines, width: int) -> Iterator[_Row]:
    """Rows with the number of their first line. An empty line is a row of a single column, and no row of several."""
    while True:
        number = lines.count + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield _Row((), number, "cell too long (a quote that is never closed?)")
            continue
        if lines.ended:  # the reader asked for more lines to finish this row
            yield _Row(tuple(_readable(cell) for cell in cells), number, "a quote is never closed")
        elif _TOO_LONG in cells:
            yield _Row((), number, "line too long")
        elif cells:
            readable = tuple(_readable(cell) for cell in cells)
            yield _Row(readable, number, None if list(readable) == cells else "not UTF-8")
        elif width == 1:
            yield _Row(("",), number, EMPTY_LINE)


def _readable(cell: str) -> str:
    return cell if cell.isascii() else cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _add_row(gathered: PaperRows, header: tuple[str, ...], row: _Row) -> None:
    if row.failure:
        gathered.fail(row.failure, row.number)
    elif any(row.cells[len(header) :]):
        gathered.fail("more cells than columns", row.number)
    else:
        # Backwards, so that of two columns with one name the first counts.
        cells = row.cells[: len(header)]
        gathered.add(dict(zip(reversed(header[: len(cells)]), reversed(cells), strict=True)), row.number)
    gathered.keep_row(row.cells)


def _require_text_column(names: tuple[str, ...], columns: Columns, source: str) -> None:
    fields.require_columns(names, columns)
    known = fields.resolve(names, columns)
    if known.title is None and known.abstract is None:
        found = ", ".join(names) or "none"
        raise InputError(f"{source} has no column of titles; columns found: {found}", "name it with --title-column")


def read_parquet(stream: Stream, columns: Columns, batch_size: int) -> Iterator[Reading]:
    """Readings of a parquet file, whose bytes are copied to a temporary file where they cannot be searched."""
    with ExitStack() as stack:
        try:
            table = pq.ParquetFile(stream.searchable or spooled(stream, stack), pre_buffer=False)
            names = tuple(table.schema_arrow.names)
            _require_text_column(names, columns, stream.name)
            wanted = fields.resolve(names, columns).names
            gathered = PaperRows(stream.name, "parquet", columns)
            number = 0
            for batch in table.iter_batches(batch_size, columns=wanted, use_threads=False):
                for record in _records(batch):
                    number += 1
                    if record is None:
                        gathered.fail("not UTF-8", number)
                    else:
                        gathered.add(record, number)
                yield gathered.take()
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{stream.name} is a damaged parquet file: {error}", "get the file again") from error


def _records(batch: pa.RecordBatch) -> list[Any]:
    """Rows as dicts; a row with text that is not UTF-8 becomes None."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        return [_record(batch.slice(row, 1)) for row in range(batch.num_rows)]


def _record(row: pa.RecordBatch) -> Any:
    try:
        return row.to_pylist()[0]
    except UnicodeDecodeError:
        return None
