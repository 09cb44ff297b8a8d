"""Answers as files and streams: which form fits whom, a header once, and never half a file."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import pyarrow as pa

from arxivcli import answer_fields, answers, storage
from arxivcli.errors import InputError, UsageError
from arxivcli.printable import tamed
from arxivcli.sources.readers import bib_marker
from arxivcli.steps import row_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arxivcli.sources.files import Reading
    from arxivcli.steps.classification import Shape

Format = Literal["table", "json", "jsonl", "csv", "tsv", "parquet", "bib"]

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_SUFFIXES: dict[str, Format] = {
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".bib": "bib",
}  # fmt: skip
_NOT_WRITTEN = {".gz", ".zst", ".zip"}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_BACK = ("csv", "tsv", "bib")
"""Inputs that come back as they were, with answers in them."""
_STREAMS = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}
_MOST_LINKS = 40

_UNTITLED = ("id", "title")
"""Columns of a table made from what was none."""


@dataclass(frozen=True)
class Page:
    """The answers to one reading as bytes; for tables their header, what parts the cells and what ends the lines.

    For parquet the bytes are an Arrow stream.
    """

    content: bytes
    header: tuple[str, ...] = ()
    delimiter: str = ""
    line_end: str = "\n"
    source: str = ""
    headed: bool = True
    """Whether the source had a header, so that the answers have one too."""


@dataclass(frozen=True)
class Layout:
    """What an answer contains, and beside what it stands in a table.

    Attributes:
        asked: those of `answer_fields.ASKED_FOR` that were.
        fields: the fields somebody chose, in that order; none for the usual ones.
        beside: whether a table keeps its own columns, the answer's cells after them.
        raw: whether cells may act as formulas.
    """

    asked: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    beside: bool = True
    raw: bool = False

    @property
    def fits_entries(self) -> bool:
        """Whether entries of BibTeX have a place for all of it."""
        return self.beside and not self.fields and {"set", "explanation"}.isdisjoint(self.asked)


def chosen(asked: str, output: Path | None, terminal: bool, source: str) -> Format:
    """The form of the answers when it was left to us: a table for a person, else what fits the file or the source.

    Raises:
        UsageError: the output's name asks for a form that is not written, or parquet would go to a terminal.
    """
    if asked == "parquet" and output is None and terminal:
        raise UsageError("parquet is not for a terminal", "name a file with --output, or choose another --format")
    if asked != "auto":
        return asked  # type: ignore[return-value]
    if output is None and terminal:
        return "table"
    suffix = output.suffix.lower() if output else ""
    if suffix in _NOT_WRITTEN:
        raise UsageError(
            f"{output}: answers are not written as {suffix[1:]}", "choose .jsonl, .json, .csv, .tsv, .parquet or .bib"
        )
    fitting: Format = source if source in _BACK else "jsonl"  # type: ignore[assignment]
    return _SUFFIXES.get(suffix, fitting)


def shape(format: Format, layout: Layout) -> Shape[Page]:  # noqa: A002
    """What turns readings and predictions into pages of that format. Raises UsageError for a layout it has not."""
    if format in _DELIMITERS:
        return CellPages(format, layout)
    if not layout.beside:
        raise UsageError(f"--only is for tables, not for {format}", "choose with --fields, or --format csv or tsv")
    if format == "bib":
        if not layout.fits_entries:
            raise UsageError(
                "BibTeX entries are given back with categories alone, without --fields, --coverage, --explain",
                "choose --format jsonl",
            )
        return BibPages()
    if format == "parquet":
        return ParquetPages(layout.fields or answer_fields.columns_of(layout.asked))
    return JsonPages(layout.fields)


@dataclass(frozen=True)
class JsonPages:
    """One JSON object a line: of the fields, or of all that was asked for."""

    fields: tuple[str, ...] = ()

    def __call__(self, reading: Reading, predictions: pa.RecordBatch) -> Page:
        """The lines."""
        if self.fields:
            return Page(answer_fields.json_lines(self.fields, reading.papers, predictions), source=reading.source)
        return Page(answers.json_lines(predictions), source=reading.source)


@dataclass(frozen=True)
class ParquetPages:
    """The fields as columns."""

    fields: tuple[str, ...]

    def __call__(self, reading: Reading, predictions: pa.RecordBatch) -> Page:
        """The rows."""
        rows = answer_fields.batch(self.fields, reading.papers, predictions)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_batch(rows)
        return Page(sink.getvalue().to_pybytes(), source=reading.source)


@dataclass(frozen=True)
class BibPages:
    """The entries of the source as they were, with their categories in them: those named, or the suggested ones."""

    def __call__(self, reading: Reading, predictions: pa.RecordBatch) -> Page:
        """The entries. Raises UsageError when there are none."""
        if reading.blocks is None:
            raise UsageError(f"{reading.source} is no BibTeX, whose entries could come back", "use --format jsonl")
        entries = map(bib_marker(), reading.blocks, _categories(predictions))
        return Page(b"".join((*entries, reading.rest)), source=reading.source)


def _categories(predictions: pa.RecordBatch) -> list[list[str]]:
    """The labels of each paper; where cross-lists were asked for, the first and these."""
    labels: list[list[str]] = predictions["labels"].to_pylist()
    if "cross_lists" not in predictions.schema.names:
        return labels
    suggested = predictions["cross_lists"].to_pylist()
    return [[*some[:1], *(more or [])] for some, more in zip(labels, suggested, strict=True)]


@dataclass(frozen=True)
class CellPages:
    """The rows of the source as they were, with the answer's cells after them; id and title where it had no rows."""

    format: Format
    layout: Layout

    def __call__(self, reading: Reading, predictions: pa.RecordBatch) -> Page:
        """The rows; the header is for `write`, which knows when it is due."""
        wanted = self.layout.fields or answer_fields.cells_of(self.layout.asked)
        added = answer_fields.cells(wanted, predictions, reading.papers)
        between, line_end = _DELIMITERS[self.format], "\n"
        known: tuple[str, ...] = ()
        rows: list[tuple[str, ...]] = [()] * len(added)
        if reading.header is not None and reading.rows is not None:
            if reading.format == self.format and reading.delimiter:
                between, line_end = reading.delimiter, reading.line_end
            if self.layout.beside:
                known, rows = reading.header, [_fitted(row, len(reading.header), between) for row in reading.rows]
        elif self.layout.beside and not self.layout.fields:
            known, rows = _UNTITLED, answer_fields.cells(_UNTITLED, predictions, reading.papers)
        if not self.layout.beside and not self.layout.fields:
            known, rows = ("id",), answer_fields.cells(("id",), predictions)
        lines = (row + cells for row, cells in zip(rows, added, strict=True))
        header = known + answer_fields.names_beside(known, wanted)
        content = answers.table(lines, between, raw=self.layout.raw, line_end=line_end)
        return Page(content, header, between, line_end, reading.source, reading.headed)


def _fitted(row: tuple[str, ...], width: int, between: str) -> tuple[str, ...]:
    """A row as wide as the header: what was cut off is empty, what is too much stays in the last cell."""
    if len(row) > width > 0:
        return (*row[: width - 1], between.join(row[width - 1 :]))
    return row + ("",) * (width - len(row))


def write(pages: Iterator[Page], format: Format, out: BinaryIO, raw: bool = False) -> None:  # noqa: A002
    """Write page after page, each flushed. JSON is an object for one paper, a list for several.

    On a terminal nothing in a table or in BibTeX acts, unless `raw`.

    Raises:
        InputError: tables of different columns were to become one.
        StorageError: the disk is full, ...
    """
    if format == "parquet":
        return row_groups.write((page.content for page in pages), out)
    parts = _tabled(pages, raw) if format in _DELIMITERS else (page.content for page in pages)
    shown: Callable[[bytes], bytes] = _tamed if format in _BACK and not raw and out.isatty() else bytes
    for part in _listed(parts) if format == "json" else parts:
        with storage.storage_errors("the output"):
            out.write(shown(part))
            out.flush()
    return None


def _tamed(part: bytes) -> bytes:
    return tamed(part.decode("utf-8", "replace")).encode()


def _tabled(pages: Iterator[Page], raw: bool) -> Iterator[bytes]:
    first: Page | None = None
    for page in pages:
        if first is None:
            first = page
            header = [page.header] if page.headed else []
            yield answers.table(header, page.delimiter, raw=raw, line_end=page.line_end) + page.content
        elif (page.header, page.delimiter) == (first.header, first.delimiter):
            yield page.content
        else:
            raise InputError(
                f"{page.source} has other columns than what came before it",
                "use --only, which leaves them out, or --format jsonl",
            )


def _listed(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of JSON as one value; the newlines in them are those that end lines, as JSON escapes all others."""
    filled = filter(None, parts)
    few = list(islice(filled, 1))
    if few and few[0].count(b"\n") == 1:
        few += islice(filled, 1)
        if len(few) == 1:
            yield few[0]
            return
    before = b"[\n"
    for part in chain(few, filled):
        if part:
            yield before + part.removesuffix(b"\n").replace(b"\n", b",\n")
            before = b",\n"
    yield b"\n]\n"


def descriptor(path: Path) -> int | None:
    """The number of the open descriptor that a name (`-`, `/dev/fd/3`, a link to it) means, None for other names."""
    for _ in range(_MOST_LINKS):
        if str(path) in _STREAMS:
            return _STREAMS[str(path)]
        if found := _DESCRIPTOR.fullmatch(str(path)):
            return int(found[1])
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / path.readlink()))
    return None


@contextmanager
def opened(path: Path | None, standard: BinaryIO) -> Iterator[BinaryIO]:
    """Where the answers go: a file that is whole or absent, a device or pipe as it is, or what is open already."""
    number = 1 if path is None else descriptor(path)
    if path is None or number == 1:
        yield standard
    elif number is not None:
        with storage.storage_errors(path), os.fdopen(os.dup(number), "wb") as written_on:
            yield written_on
    elif path.exists() and not path.is_file() and not path.is_dir():
        with storage.storage_errors(path), path.open("wb") as device:
            yield device
    else:
        with storage.whole_file(path) as file:
            yield file  # type: ignore[misc]
