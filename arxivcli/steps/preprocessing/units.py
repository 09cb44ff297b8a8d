"""Inputs cut into units of work of about 96 MiB, always at the same places, so that done units stay done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from arxivcli import storage
from arxivcli.papers import PAPERS
from arxivcli.sources import files
from arxivcli.sources.lines import Span, cuts
from arxivcli.sources.streams import name_of

if TYPE_CHECKING:
    from arxivcli.sources.readings import Reading
    from arxivcli.sources.streams import Stream
    from arxivcli.steps.preprocessing.recipe import Recipe

UNIT_BYTES = 96 << 20

_CHUNK = 1 << 20
_BATCH = 2048  # records: their texts fit into the cache of a core
_SPOOL = (
    PAPERS.append(pa.field("error", pa.string()))
    .append(pa.field("line", pa.int64()))
    .append(pa.field("revised", pa.int64()))
)


@dataclass(frozen=True)
class Unit:
    """A piece of one input: lines of a JSON-lines file, or papers that were read already and wait in a spool file."""

    number: int
    """Counted over all inputs."""
    source: int
    """Index of the input."""
    name: str
    """What the input is called in messages."""
    path: Path
    """The file to read: the input itself or a spool file, which is removed when the unit is done."""
    start: int
    stop: int
    first: bool
    """Whether the input begins with this unit."""
    kind: str
    """`lines` or `papers`."""
    spooled: bool

    def __str__(self) -> str:
        return f"{self.name}, unit {self.number}" + ("" if self.spooled else f" (bytes {self.start} to {self.stop})")


Wanted = Callable[[int], bool]
"""Whether the unit of a number is still to be done; a spool file is made for no other."""


def cut(
    index: int, source: Path | BinaryIO, first_number: int, recipe: Recipe, staging: Path, wanted: Wanted
) -> Iterator[Unit]:
    """The units of one input, numbered from `first_number`. Raises InputError, StorageError."""
    numbers = _Numbers(first_number, index, name_of(source), staging, wanted)
    with files.opened(source) as stream:
        kind = recipe.format or files.detect(stream, recipe.columns)
        if kind == "jsonl" and stream.searchable and isinstance(source, Path):
            for start, stop in cuts(source, UNIT_BYTES):
                yield numbers.unit(source, start, stop, "lines", spooled=False)
        elif kind == "jsonl":
            yield from _spooled_lines(stream, numbers)
        else:
            yield from _spooled_papers(files.read_stream(stream, kind, recipe.columns, _BATCH), numbers)


class _Numbers:
    """Makes the units of one input in order."""

    def __init__(self, first: int, source: int, name: str, staging: Path, wanted: Wanted) -> None:
        self._first = self._next = first
        self._source = source
        self._name = name
        self._staging = staging
        self._wanted = wanted

    @property
    def spool(self) -> Path | None:
        """Where the next unit's bytes go; None when it is done already."""
        return self._staging / f"spool-{self._next:05d}" if self._wanted(self._next) else None

    def unit(self, path: Path, start: int, stop: int, kind: str, *, spooled: bool) -> Unit:
        number, self._next = self._next, self._next + 1
        return Unit(number, self._source, self._name, path, start, stop, number == self._first, kind, spooled)


def _spooled_lines(stream: Stream, numbers: _Numbers) -> Iterator[Unit]:
    """Units of a stream of JSON lines that can be read but once."""
    rest = b""
    while True:
        spool = numbers.spool
        with storage.storage_errors(spool or ""), (spool or Path("/dev/null")).open("wb") as file:
            size = file.write(rest)
            rest, newline = b"", b""
            while chunk := stream.read(_CHUNK):
                if size + len(chunk) >= UNIT_BYTES:
                    chunk, newline, rest = chunk.partition(b"\n")
                size += file.write(chunk + newline)
                if newline:
                    break
        if size:
            yield numbers.unit(spool or Path(), 0, size, "lines", spooled=True)
        if not newline:
            return


def _spooled_papers(readings: Iterator[Reading], numbers: _Numbers) -> Iterator[Unit]:
    """Units of papers that only one process can read."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for reading in readings:
        columns = [*reading.papers.columns, reading.errors, reading.lines, reading.revised]
        waiting.append(pa.RecordBatch.from_arrays(columns, schema=_SPOOL))
        size += waiting[-1].nbytes
        if size >= UNIT_BYTES:
            yield _spooled(waiting, numbers)
            waiting, size = [], 0
    if waiting:
        yield _spooled(waiting, numbers)


def _spooled(batches: list[pa.RecordBatch], numbers: _Numbers) -> Unit:
    spool = numbers.spool
    if spool:
        with storage.storage_errors(spool), spool.open("wb") as file, pa.ipc.new_stream(file, _SPOOL) as writer:
            for batch in batches:
                writer.write_batch(batch)
    return numbers.unit(spool or Path(), 0, 0, "papers", spooled=True)


@dataclass(frozen=True)
class Read:
    """One batch of a unit: papers and, for each, why it is none (null), its line in the unit or file, its revision."""

    papers: pa.RecordBatch
    errors: pa.StringArray
    lines: pa.Int64Array
    revised: pa.Int64Array


class Readings:
    """The batches of a unit; `lines` counts the lines of a `lines` unit once all are read."""

    def __init__(self, unit: Unit, recipe: Recipe) -> None:
        self._unit = unit
        self._recipe = recipe
        self.lines = 0

    def __iter__(self) -> Iterator[Read]:
        return self._from_lines() if self._unit.kind == "lines" else self._from_spool()

    def _from_lines(self) -> Iterator[Read]:
        with self._unit.path.open("rb") as file:
            span = Span(file, self._unit.start, self._unit.stop)
            for reading in files.read_span(span, self._unit.name, self._recipe.columns, self._unit.first, _BATCH):
                yield Read(reading.papers, reading.errors, reading.lines, reading.revised)
            self.lines = span.lines

    def _from_spool(self) -> Iterator[Read]:
        with self._unit.path.open("rb") as file:
            for batch in pa.ipc.open_stream(file):
                papers: Any = pa.RecordBatch.from_arrays(batch.columns[: len(PAPERS)], schema=PAPERS)
                yield Read(papers, batch["error"], batch["line"], batch["revised"])
