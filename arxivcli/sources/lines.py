"""Bytes cut into lines and JSON elements with bounded memory, whatever is in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

from arxivcli.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

Read = Callable[[int], bytes]
"""At most so many of the next bytes; empty at the end."""

LINE_CAP = 16 << 20
"""No line of metadata is longer; a longer one is counted, not kept."""

_CHUNK = 256 << 10


def line_blocks(read: Read) -> Iterator[list[bytes | None]]:
    """The lines of a stream in blocks of about 256 KiB, cut at \\n alone; None for a line longer than LINE_CAP."""
    pieces: list[bytes] = []
    held = 0
    while chunk := read(_CHUNK):
        first, newline, rest = chunk.partition(b"\n")
        held += len(first)
        if held <= LINE_CAP:
            pieces.append(first)
        else:
            pieces.clear()
        if newline:
            whole = b"".join(pieces) if held <= LINE_CAP else None
            lines = rest.split(b"\n")
            pieces, held = [lines[-1]], len(lines[-1])
            yield [whole, *lines[:-1]]
    if held:
        yield [b"".join(pieces) if held <= LINE_CAP else None]


class Span:
    """The bytes of a file from `start` to `stop`, as a file; counts the lines it hands out."""

    def __init__(self, file: IO[bytes], start: int, stop: int) -> None:
        file.seek(start)
        self._file = file
        self._left = stop - start
        self.lines = 0

    def read(self, size: int) -> bytes:
        """At most `size` of the next bytes, empty at the end of the span."""
        some = self._file.read(min(size, self._left))
        self._left -= len(some)
        self.lines += some.count(b"\n")
        return some


def cuts(path: Path, size: int) -> Iterator[tuple[int, int]]:
    """Spans of about `size` bytes that together are the file; each ends behind a newline or at the end."""
    with path.open("rb") as file:
        start, end = 0, path.stat().st_size
        while start < end:
            file.seek(start + size)
            while chunk := file.read(_CHUNK):
                newline = chunk.find(b"\n")
                if newline >= 0:
                    stop = file.tell() - len(chunk) + newline + 1
                    break
            else:
                stop = end
            yield start, stop
            start = stop


# A whole string, a quote whose string is not all here yet, or what opens, closes and separates.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)


def json_elements(read: Read, source: str) -> Iterator[bytes]:
    """The elements of a JSON list, or objects one after another, as bytes; what is cut off comes last as it is.

    Raises InputError when one element is longer than LINE_CAP.
    """
    rest, scanned, depth, in_list, count = b"", 0, 0, False, 0
    while chunk := read(_CHUNK):
        rest += chunk
        start = 0
        for token in _TOKEN.finditer(rest, scanned):
            scanned = token.end()
            mark = token[0]
            if mark == b'"':
                scanned = token.start()
                break
            if mark in b"{[":
                depth += 1
                if depth == 1 and mark == b"[" and not count:
                    in_list, start = True, token.end()
            elif mark in b"}]":
                depth -= 1
            ends = _ends(mark, depth, in_list)
            if ends:
                yield rest[start : token.start() if in_list else token.end()]
                count += 1
                start = token.end()
        else:
            scanned = len(rest)
        rest, scanned = rest[start:], scanned - start
        if len(rest) > LINE_CAP:
            raise InputError(f"{source}: element {count + 1} does not end within 16 MiB", "is this JSON?")
    if rest.strip():
        yield rest


def _ends(mark: bytes, depth: int, in_list: bool) -> bool:
    """Whether an element ends at this mark: a comma or the last bracket of a list, or the brace of a bare object."""
    if in_list:
        return (mark == b"," and depth == 1) or (mark == b"]" and depth == 0)
    return depth <= 0 and mark in b"}]"
