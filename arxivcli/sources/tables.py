"""Papers from CSV, TSV and parquet: tables whose columns are recognised by name."""

from __future__ import annotations

import csv
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from arxivcli.errors import InputError, UsageError
from arxivcli.sources import fields
from arxivcli.sources.lines import line_blocks
from arxivcli.sources.readings import EMPTY_LINE, PaperRows, Reading
from arxivcli.sources.streams import Stream, spooled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arxivcli.sources.fields import Columns

_CELL_CAP = 1 << 20
_ROW_LINES = 1_000
"""No row has more: behind a quote that nobody closed, the rest of the table would be one cell."""

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
    first = lines.header()
    if not first.strip():
        raise InputError(f"{stream.name} is empty", "give a file with papers")
    _require_text(first, stream.name)
    line_end = "\r\n" if first.endswith("\r\n") else "\n"
    if columns.headed:
        delimiter, names = header_of(first.encode(), columns)
        header = tuple(name.strip() for name in names)
        _require_text_column(header, columns, stream.name)
        rows = _numbered(lines, delimiter)
    else:
        delimiter = "\t" if format == "tsv" else max(",;\t", key=lambda sign: len(_cells(first.encode(), sign)))
        lines.begin_again(behind=0)
        header, columns, rows = _without_header(_numbered(lines, delimiter), columns, stream.name)
    gathered = PaperRows(stream.name, format, columns, header, delimiter, line_end, headed=columns.headed)
    for row in rows:
        if row and (row.failure != EMPTY_LINE or len(header) == 1):
            _add_row(gathered, header, row, delimiter)
        if len(gathered) >= batch_size or (len(gathered) and not row):
            yield gathered.take()
    if len(gathered):
        yield gathered.take()


def _without_header(
    rows: Iterator[_Row | None], columns: Columns, source: str
) -> tuple[tuple[str, ...], Columns, Iterator[_Row | None]]:
    """Numbers for the columns of a table whose first row is a paper, the column of titles named, and all its rows.

    Raises UsageError when nobody said which of several columns that is.
    """
    first = next((row for row in rows if row is not None and row.failure != EMPTY_LINE), None)
    header = tuple(str(number) for number in range(1, 1 + len(first.cells if first else ())))
    if len(header) == 1:
        columns = replace(columns, title=columns.title or "1")
    if columns.title is None and columns.abstract is None:
        raise UsageError(
            f"{source} has {len(header)} columns and no header to tell which are titles",
            "name one by its number (--title-column 2), or --from txt for one title per line",
        )
    fields.require_columns(header, columns)
    return header, columns, chain([first], rows)


def _require_text(first: str, name: str) -> None:
    """Raises InputError for a header that is not UTF-8, or whose lines end as no reader today expects."""
    if any("\ud800" <= sign <= "\udfff" for sign in first):
        raise InputError(f"{name}:1 is not UTF-8", "save it as UTF-8 (iconv -f LATIN1 -t UTF-8)")
    if "\r" in first.rstrip("\r\n"):
        raise InputError(f"{name}:1 ends its lines with carriage returns alone", "convert it (tr '\\r' '\\n')")


class _PausedError(Exception):
    """The next line is not here yet."""


class _EndlessError(Exception):
    """A row has more lines than any row should."""


class _Lines:
    """The lines of a stream as text, those of the current row to be had again; no UTF-8 comes as lone surrogates.

    Raises _PausedError once when the sender pauses, and waits for the line when asked again.
    """

    def __init__(self, stream: Stream) -> None:
        self._blocks = line_blocks(stream.read)
        self._soon = stream.soon
        self._block: Iterator[bytes | None] = iter(())
        self._again: list[str] = []
        self._row: list[str] = []
        self._may_wait = True
        self.count = 0
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else self._fresh()
        self.count += 1
        self._row.append(line)
        if len(self._row) > _ROW_LINES:
            raise _EndlessError
        return line

    def _fresh(self) -> str:
        for line in self._block:
            return _TOO_LONG if line is None else line.decode("utf-8", "surrogateescape") + "\n"
        if not self._may_wait and not self._soon():
            self._may_wait = True
            raise _PausedError
        self._may_wait = False
        for block in self._blocks:
            self._block = iter(block)
            return self._fresh()
        self.ended = True
        raise StopIteration

    def header(self) -> str:
        """The first line that is not empty; empty when there is none."""
        while not self.ended:
            self.begin_row()
            with suppress(_PausedError, StopIteration):
                if (line := next(self)).strip():
                    return line
        return ""

    def begin_row(self) -> int:
        """The number of the next line, which begins a row."""
        self._row.clear()
        return self.count + 1

    def begin_again(self, behind: int) -> list[str]:
        """The first lines of the row, so many; those behind them will come again."""
        again = self._row[behind:]
        self._again += reversed(again)
        self.count -= len(again)
        self.ended = False
        return self._row[:behind]


@dataclass(frozen=True, slots=True)
class _Row:
    cells: tuple[str, ...]
    number: int
    failure: str | None = None


def _numbered(lines: _Lines, delimiter: str) -> Iterator[_Row | None]:
    """Rows with the number of their first line; None where the sender pauses.

    An empty line is a row of one empty cell, which tables of one column have. A quote that is never closed spoils its
    own line alone.
    """
    rows = csv.reader(lines, delimiter=delimiter)
    while True:
        number = lines.begin_row()
        try:
            cells = next(rows)
        except StopIteration:
            return
        except _PausedError:
            lines.begin_again(behind=0)
            yield None
        except (csv.Error, _EndlessError) as error:
            yield _spoilt(lines, number, delimiter, error)
        else:
            if lines.ended:  # the reader asked for more lines to finish this row
                yield _spoilt(lines, number, delimiter, None)
            elif _TOO_LONG in cells:
                yield _Row((), number, "line too long")
            elif cells:
                readable = tuple(_readable(cell) for cell in cells)
                yield _Row(readable, number, None if list(readable) == cells else "not UTF-8")
            else:
                yield _Row(("",), number, EMPTY_LINE)


def _spoilt(lines: _Lines, number: int, delimiter: str, error: Exception | None) -> _Row:
    """The row for a line no reader understands. Behind it all is read again, unless it is known where the row ends."""
    if isinstance(error, csv.Error) and "field limit" not in str(error):
        return _Row((), number, "a carriage return inside a row")
    several = lines.count > number
    [line] = lines.begin_again(behind=1)
    cells = tuple(_cells(line.encode("utf-8", "surrogateescape"), delimiter))
    return _Row(cells, number, "a quote is never closed" if several or error is None else "cell too long")


def _readable(cell: str) -> str:
    return cell if cell.isascii() else cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _add_row(gathered: PaperRows, header: tuple[str, ...], row: _Row, delimiter: str) -> None:
    if row.failure:
        gathered.fail(row.failure, row.number)
    elif len(header) == 1 and any(row.cells[1:]):  # as `cut` leaves them, without the quotes that commas asked for
        gathered.add({header[0]: delimiter.join(row.cells)}, row.number)
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
