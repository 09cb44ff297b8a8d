"""What papers come in, piece by piece: each as much as is answered at once, whatever it is read from."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

import pyarrow as pa

from arxivcli.errors import InputError, UsageError
from arxivcli.papers import one_paper
from arxivcli.sources import files
from arxivcli.sources.arguments import Reached
from arxivcli.sources.blocks import Block, Sent, Whole, blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from arxivcli.sources.streams import Stream

BATCH = 4096
"""Papers scored at once: what a batch costs however small it is no longer counts, and memory stays small."""

_SLOW_BLOCK = 256 << 10
"""Bytes of lines that are a piece for a model that takes long: people see how it goes on, and a kill costs little."""

_GLANCE = 100
"""Lines read at once to see whether a file that nobody named has papers."""

Piece = Block | Whole | Sent | files.Reading
"""What is answered at once: whole lines or a file still to be read, or papers."""


@runtime_checkable
class Named(Protocol):
    """Papers that are no file: they know themselves how they are read."""

    def readings(self) -> Iterator[files.Reading]:
        """All of them, in order."""


class Pieces:
    """All that the sources hold, in order. Raises InputError where one cannot be read or is no known format.

    Lines of plain words are titles; `note` hears of it. A piece is `batch` papers at most, or a block of lines.
    """

    def __init__(
        self,
        sources: Sequence[Path | BinaryIO | Reached | Named],
        format: str | None,  # noqa: A002
        columns: files.Columns,
        note: Callable[[str], None] = lambda _: None,
        batch: int = BATCH,
    ) -> None:
        self._sources = sources
        self._note = note
        self._batch = min(BATCH, batch)
        self._format = format
        self._columns = columns
        self._stream: Stream | None = None
        for source in sources:
            if not isinstance(source, (Reached, Named)):
                files.require_readable(source)

    def __iter__(self) -> Iterator[Piece]:
        for source in self._sources:
            self._stream = None
            if isinstance(source, Named):
                yield from source.readings()
            elif isinstance(source, Reached):
                yield from self._reached(source.path)
            else:
                yield from self._opened(source)

    def _opened(self, source: Path | BinaryIO, reached: bool = False) -> Iterator[Piece]:
        with files.opened(source) as self._stream:
            found = self._format or files.detect(self._stream, self._columns, self._note)
            try:
                files.require_fitting(self._stream.name, found, self._columns)
            except UsageError as error:  # what was said is about other files of the folder
                if not reached:
                    raise
                self._note(f"{error.what}: read as it is")
            if found == "pdf" and isinstance(source, Path):
                yield Whole(source, found)
            elif found == "jsonl":
                yield from blocks(self._stream, _SLOW_BLOCK if self._batch < BATCH else None)
            else:
                yield from files.read_stream(self._stream, found, self._columns, self._batch)

    def _reached(self, path: Path) -> Iterator[Piece]:
        """The pieces of a file that nobody named: one that proves to be no papers is left out, and said to be."""
        pieces = self._opened(path, reached=True)
        try:
            some = list(islice(pieces, 1))
            if some and _is_without_titles(some[0], self._columns):
                # One piece of a list may be damaged; of lines it is the beginning that tells.
                some += islice(pieces, 0 if isinstance(some[0], Block) else 1)
                if len(some) == 1:
                    raise InputError(f"{path} has no titles")
        except (InputError, UsageError) as error:
            self._note(f"left out: {error.what}")
            return
        yield from chain(some, pieces)

    def ready(self) -> bool:
        """Whether the next piece is here already; False only when it comes through a pipe whose sender has paused."""
        return self._stream is None or self._stream.ready()


def _is_without_titles(piece: Piece, columns: files.Columns) -> bool:
    """Whether this is JSON of another kind, such as somebody's settings, or earlier answers."""
    if isinstance(piece, Whole | Sent) or piece.format not in {"json", "jsonl"}:
        return False
    readings = piece.readings(columns, _GLANCE) if isinstance(piece, Block) else [piece]
    return all(set(reading.errors.to_pylist()) <= {"no title", "not an object"} for reading in readings)


def typed(title: str, abstract: str) -> files.Reading:
    """A paper that somebody typed: it has neither id nor line. Raises InputError for what is not UTF-8."""
    try:
        (title + abstract).encode()
    except UnicodeEncodeError as error:
        raise InputError("what was typed is not UTF-8", "set a UTF-8 locale, or give a file") from error
    return files.Reading(
        papers=one_paper(title, abstract),
        errors=pa.nulls(1, pa.string()),
        lines=pa.nulls(1, pa.int64()),
        revised=pa.array([0], pa.int64()),
        source="the command line",
        format="json",
    )
