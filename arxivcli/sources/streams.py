"""Opens what people have as one stream: plain, .gz, .zst or .zip with one file inside, a path or standard input."""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
import tempfile
import time
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

import pyarrow as pa

from arxivcli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STDIN = "<stdin>"

_HEAD = 1 << 16
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_MARKS = (_GZIP, _ZSTD, _ZIP, _BOM, *_UTF16)
_DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
_MOST_EXPANSION = 100
_EXPANSION_COUNTS_FROM = 256 << 20

_GAP, _PATIENCE = 0.005, 0.05
"""Seconds without a byte after which a sender has paused, and the longest that bytes are gathered before it has."""


class Readable(Protocol):
    """All that is asked of a file: its next bytes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, empty at the end."""


class Stream:
    """Bytes to read in order, whose first ones can be looked at beforehand."""

    def __init__(self, name: str, file: Readable, packed: _Counted | None = None) -> None:
        self.name = name
        self.telling_name = name
        """Whose suffix tells the format: that of what is inside an archive."""
        self._file = file
        self._pipe = file if isinstance(file, _Pipe) else None
        self._packed = packed
        self._unpacked = 0
        self.searchable: IO[bytes] | None = None
        self.head = b""
        self.look(lambda head: not any(len(head) < len(mark) and mark.startswith(head) for mark in _MARKS))

    def look(self, enough: Callable[[bytes], bool]) -> bytes:
        """The first bytes, which stay: as many as are `enough`, or 64 KiB, or all there are."""
        while len(self.head) < _HEAD and not enough(self.head) and (more := self._more(_HEAD - len(self.head))):
            self.head += more
        return self.head

    def read(self, size: int) -> bytes:
        """At most `size` of the next bytes, empty at the end; of a pipe those that are there, at least one.

        Raises InputError for a damaged file.
        """
        if self.head:
            first, self.head = self.head[:size], self.head[size:]
            return first
        return self._more(size)

    def soon(self) -> bool:
        """Whether more is here in a moment; always, unless it comes through a pipe whose sender has paused.

        Now and then False although there is more, so that nobody gathers for long.
        """
        return bool(self.head) or self._pipe is None or self._pipe.soon()

    def ready(self) -> bool:
        """Whether the next line (or the end) is here in a moment; always, unless it comes through a pipe."""
        if self._pipe is None:
            return True
        while not self._line_is_here() and self._pipe.has_more(_GAP):
            self.head += self._more(_HEAD - len(self.head))
        return self._line_is_here()

    def is_whole(self) -> bool:
        """Whether the head is all there is, as far as a moment's wait tells."""
        if len(self.head) >= _HEAD or (self._pipe is not None and not self._pipe.has_more(_GAP)):
            return False
        more = self._more(_HEAD - len(self.head))
        self.head += more
        return not more

    def _line_is_here(self) -> bool:
        return b"\n" in self.head or len(self.head) >= _HEAD or self._pipe is None or self._pipe.ended

    def _more(self, size: int) -> bytes:
        try:
            some = self._file.read(size)
        except _DAMAGE as error:
            raise InputError(f"{self.name} is damaged or cut off: {error}", "get the file again") from error
        self._unpacked += len(some)
        if self._packed and self._unpacked > max(_EXPANSION_COUNTS_FROM, _MOST_EXPANSION * self._packed.count):
            raise InputError(
                f"{self.name} unpacks to more than {_MOST_EXPANSION} times its size", "no real papers do that"
            )
        return some

    def drop_bom(self) -> None:
        """Skips a UTF-8 byte order mark. Raises InputError for UTF-16."""
        self.head = self.head.removeprefix(_BOM)
        self.refuse_utf16()

    def refuse_utf16(self) -> None:
        """Raises InputError for UTF-16."""
        if self.head.startswith(_UTF16):
            raise InputError(f"{self.name} is UTF-16", "save it as UTF-8 (iconv -f UTF-16 -t UTF-8)")


class _Pipe:
    """Bytes that come when somebody sends them: a read waits for the first and takes what is there."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._number = file.fileno()
        self._since: float | None = None
        self.ended = False

    def read(self, size: int) -> bytes:
        if self.ended:  # a terminal would go on after its Ctrl-D
            return b""
        if not os.get_blocking(self._number):
            select.select([self._number], [], [])
        some = self._file.read1(min(size, _CHUNK))
        self.ended = not some
        return some

    def has_more(self, seconds: float) -> bool:
        """Whether a read would not wait, at the latest in so many seconds."""
        return self.ended or bool(select.select([self._number], [], [], seconds)[0])

    def soon(self) -> bool:
        """Whether more came within _GAP; after _PATIENCE of that it is False for once."""
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since < _PATIENCE and self.has_more(_GAP):
            return True
        self._since = None
        return False


class _Counted:
    """A file that knows how many bytes were taken from it."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.count = 0
        self.closed = False

    def read(self, size: int) -> bytes:
        some = self._file.read(size)
        self.count += len(some)
        return some

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """Leaves the file to whoever opened it."""
        self.closed = True


@contextmanager
def opened(source: Path | BinaryIO) -> Iterator[Stream]:
    """The unpacked bytes of a path or an open binary file. Raises InputError for what cannot be read."""
    with ExitStack() as stack:
        if isinstance(source, Path):
            name = name_of(source)
            _refuse_odd_paths(source)
            try:
                file: IO[bytes] = stack.enter_context(source.open("rb"))
            except OSError as error:
                raise InputError(f"cannot read {name}: {error.strerror}", "check the path") from error
        else:
            file, name = cast("IO[bytes]", source), name_of(source)
        piped = _Pipe(file) if isinstance(file, io.BufferedReader) and not file.seekable() else None
        yield _unpacked(Stream(name, piped or file), file, stack)


def name_of(source: Path | BinaryIO) -> str:
    """What a source is called in messages; a name that is not UTF-8 has replacement characters."""
    if isinstance(source, Path):
        return os.fsencode(source).decode("utf-8", "replace")
    return STDIN if source is getattr(sys.stdin, "buffer", None) else str(getattr(source, "name", STDIN))


def require_readable(source: Path | BinaryIO) -> None:
    """Raises InputError for a path that is missing, is no file or may not be read; nothing is read."""
    if not isinstance(source, Path):
        return
    _refuse_odd_paths(source)
    if not os.access(source, os.R_OK):
        raise InputError(f"cannot read {source}: {os.strerror(errno.EACCES)}", "check the path")


def _refuse_odd_paths(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "check the path") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder", "name the files in it")
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and path.name not in {"stdin", "0", "null"}):
        raise InputError(f"{path} is a device", "name a file")


def _unpacked(stream: Stream, file: IO[bytes], stack: ExitStack) -> Stream:
    head = stream.head
    if head.startswith(_ZIP):
        return _only_member(stream, file, stack)
    codec = "gzip" if head.startswith(_GZIP) else "zstd" if head.startswith(_ZSTD) else None
    if codec is None:
        stream.searchable = file if file.seekable() else None
        return stream
    packed = _Counted(stream)
    unpacked = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), codec))
    return Stream(stream.name, unpacked, packed)


def _only_member(stream: Stream, file: IO[bytes], stack: ExitStack) -> Stream:
    """The one file inside a zip. Nothing is ever extracted to a path of its choosing."""
    try:
        archive = stack.enter_context(zipfile.ZipFile(file if file.seekable() else spooled(stream, stack)))
        members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
        if len(members) != 1:
            names = ", ".join(m.filename for m in members[:4]) or "nothing"
            raise InputError(f"{stream.name} holds {len(members)} files ({names})", "give a zip that holds one")
        if min(member.header_offset for member in archive.infolist()):
            raise InputError(f"{stream.name} is several archives in one file", "get the file again")
        packed = _Counted(stream)
        packed.count = members[0].compress_size
        inside = Stream(stream.name, stack.enter_context(archive.open(members[0])), packed)
        inside.telling_name = members[0].filename
        return inside
    except _DAMAGE as error:
        raise InputError(f"{stream.name} is damaged or cut off: {error}", "get the file again") from error


def spooled(stream: Stream, stack: ExitStack) -> IO[bytes]:
    """A temporary copy of what is left of a stream, at its beginning."""
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    while some := stream.read(_CHUNK):
        copy.write(some)
    copy.seek(0)
    return copy
