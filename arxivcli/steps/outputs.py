"""Answers as files and streams: which form fits whom, a header once, and never half a file."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from arxivcli import answers, storage
from arxivcli.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from arxivcli.sources.files import Reading
    from arxivcli.steps.classification import Shape

Format = Literal["table", "json", "jsonl", "csv", "tsv"]

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_SUFFIXES: dict[str, Format] = {
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv",
}  # fmt: skip
_NOT_WRITTEN = {".gz", ".zst", ".zip", ".parquet"}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_STREAMS = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}
_MOST_LINKS = 40

_UNTITLED = ("id", "title")
"""Columns of a table made from what was none."""


@dataclass(frozen=True)
class Page:
    """The answers to one reading as bytes; for tables their header, what parts the cells and what ends the lines."""

    content: bytes
    header: tuple[str, ...] = ()
    delimiter: str = ""
    line_end: str = "\n"
    source: str = ""


def chosen(asked: str, output: Path | None, terminal: bool, source: str) -> Format:
    """The form of the answers when it was left to us: a table for a person, else what fits the file or the source.

    Raises:
        UsageError: the output's name asks for a form that is not written.
    """
    if asked != "auto":
        return asked  # type: ignore[return-value]
    if output is None and terminal:
        return "table"
    suffix = output.suffix.lower() if output else ""
    if suffix in _NOT_WRITTEN:
        raise UsageError(f"{output}: answers are not written as {suffix[1:]}", "choose .jsonl, .json, .csv or .tsv")
    fitting: Format = "csv" if source == "csv" else "tsv" if source == "tsv" else "jsonl"
    return _SUFFIXES.get(suffix, fitting)


def shape(format: Format, coverage: bool, raw: bool, abstaining: bool = False) -> Shape[Page]:  # noqa: A002
    """What turns readings and predictions into pages of that format."""
    return CellPages(format, coverage, raw, abstaining) if format in _DELIMITERS else JsonPages()


@dataclass(frozen=True)
class JsonPages:
    """One JSON object a line."""

    def __call__(self, reading: Reading, predictions: pa.RecordBatch) -> Page:
        """The lines."""
        return Page(answers.json_lines(predictions), source=reading.source)


@dataclass(frozen=True)
class CellPages:
    """The rows of the source as they were, with the answer's cells after them; id and title where it had no rows."""

    format: Format
    coverage: bool
    raw: bool
    abstaining: bool = False

    def __call__(self, reading: Reading, predictions: pa.RecordBatch) -> Page:
        """The rows; the header is for `write`, which knows when it is due."""
        added = answers.cells(predictions, self.coverage, self.abstaining)
        between, line_end = _DELIMITERS[self.format], "\n"
        if reading.header is not None and reading.rows is not None:
            if reading.format == self.format and reading.delimiter:
                between, line_end = reading.delimiter, reading.line_end
            known, rows = reading.header, [_fitted(row, len(reading.header), between) for row in reading.rows]
        else:
            known = _UNTITLED
            titles = reading.papers["title"].to_pylist()
            rows = list(zip(predictions["id"].fill_null("").to_pylist(), titles, strict=True))
        lines = (row + cells for row, cells in zip(rows, added, strict=True))
        header = known + answers.names_beside(known, self.coverage, self.abstaining)
        content = answers.table(lines, between, raw=self.raw, line_end=line_end)
        return Page(content, header, between, line_end, reading.source)


def _fitted(row: tuple[str, ...], width: int, between: str) -> tuple[str, ...]:
    """A row as wide as the header: what was cut off is empty, what is too much stays in the last cell."""
    if len(row) > width > 0:
        return (*row[: width - 1], between.join(row[width - 1 :]))
    return row + ("",) * (width - len(row))


def write(pages: Iterator[Page], format: Format, out: BinaryIO, raw: bool = False) -> None:  # noqa: A002
    """Write page after page, each flushed. JSON is an object for one paper, a list for several.

    Raises:
        InputError: tables of different columns were to become one.
        StorageError: the disk is full, ...
    """
    parts = _tabled(pages, raw) if format in _DELIMITERS else (page.content for page in pages)
    for part in _listed(parts) if format == "json" else parts:
        with storage.storage_errors("the output"):
            out.write(part)
            out.flush()


def _tabled(pages: Iterator[Page], raw: bool) -> Iterator[bytes]:
    first: Page | None = None
    for page in pages:
        if first is None:
            first = page
            yield answers.table([page.header], page.delimiter, raw=raw, line_end=page.line_end) + page.content
        elif (page.header, page.delimiter) == (first.header, first.delimiter):
            yield page.content
        else:
            raise InputError(f"{page.source} has other columns than what came before it", "use --format jsonl")


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
