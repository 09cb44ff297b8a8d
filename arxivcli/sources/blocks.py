"""A stream of lines cut into pieces of whole lines, so that several processes can each read one."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from arxivcli.errors import InputError
from arxivcli.sources.files import read, read_span
from arxivcli.sources.lines import LINE_CAP, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arxivcli.sources.fields import Columns
    from arxivcli.sources.readings import Reading
    from arxivcli.sources.streams import Stream

_CHUNK = 4 << 20
_FIRST_CHUNK = 256 << 10
"""The first piece is small: a short file needs no second process."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a JSON-lines stream; `first` is the number of the first one, counted from 1."""

    content: bytes
    first: int
    source: str
    format: str = "jsonl"

    def readings(self, columns: Columns, batch_size: int) -> Iterator[Reading]:
        """The records in the lines, at most `batch_size` at once; the first of all must have the columns asked for."""
        span = Span(io.BytesIO(self.content), 0, len(self.content))
        for reading in read_span(span, self.source, columns, first=self.first == 1, batch_size=batch_size):
            yield replace(reading, lines=pc.add(reading.lines, self.first - 1))


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that takes long to read, so that several processes can each read another."""

    path: Path
    format: str

    def readings(self, columns: Columns, batch_size: int) -> Iterator[Reading]:
        """All its records, at most `batch_size` at once."""
        return read(self.path, self.format, columns, batch_size)

    def sent(self) -> Sent:
        """The same for machines that do not see the file. Raises InputError where it is gone."""
        try:
            return Sent(self.path.read_bytes(), str(self.path), self.format)
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}", "check the path") from error


@dataclass(frozen=True, slots=True)
class Sent:
    """What is in a file: it is read elsewhere as if it stood where it comes from."""

    content: bytes
    source: str
    format: str

    def readings(self, columns: Columns, batch_size: int) -> Iterator[Reading]:
        """All its records, at most `batch_size` at once."""
        with tempfile.TemporaryDirectory(prefix="arxivcli-") as folder:
            path = Path(folder, Path(self.source).name)
            path.write_bytes(self.content)
            for reading in read(path, self.format, columns, batch_size):
                yield replace(reading, source=self.source)


def blocks(stream: Stream, most: int | None = None) -> Iterator[Block]:
    """A stream of JSON lines in pieces of about 4 MiB (or `most` bytes), smaller ones where the sender pauses.

    Of a line beyond LINE_CAP only so much is kept as shows that.
    """
    stream.drop_bom()
    usual = most or _CHUNK
    first, held, size = 1, bytearray(), min(_FIRST_CHUNK, usual)
    while chunk := _gathered(stream, size):
        size = usual
        cut = chunk.rfind(b"\n") + 1
        if cut:
            held += chunk[:cut]
            yield Block(bytes(held), first, stream.name)
            first += held.count(b"\n")
            held = bytearray(chunk[cut:])
        elif len(held) <= LINE_CAP:
            held += chunk
    if held:
        yield Block(bytes(held), first, stream.name)


def _gathered(stream: Stream, size: int) -> bytes:
    """The next `size` bytes, or what there is when the sender pauses; empty at the end."""
    chunks: list[bytes] = []
    while size > 0 and (chunk := stream.read(size)):
        chunks.append(chunk)
        size -= len(chunk)
        if not stream.soon():
            break
    return b"".join(chunks)
