"""The inputs of a corpus: what they are called, how large they are, and their sha256, taken while they are read."""

from __future__ import annotations

import hashlib
import stat
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from arxivcli.errors import FolderError, InputError
from arxivcli.shards import Source
from arxivcli.sources import files
from arxivcli.sources.streams import name_of
from arxivcli.steps.preprocessing import units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arxivcli.steps.preprocessing.recipe import Recipe

_CHUNK = 1 << 20
_PACKED = {".gz", ".zst", ".zip", ".parquet"}


@dataclass(frozen=True)
class State:
    """How a file stands: enough to notice that it is no longer the same."""

    name: str
    bytes: int
    mtime_ns: int


class Inputs:
    """The inputs in the order given. Raises InputError for what cannot be read at all."""

    def __init__(self, sources: Sequence[Path | BinaryIO]) -> None:
        self._sources = [_Once(source) if _is_stream(source) else cast("Path", source) for source in sources]
        for source in self._sources:
            if isinstance(source, Path):
                with files.opened(source):
                    pass
        self.states = [_state(source) for source in self._sources]
        self._digests: dict[int, str] = {}

    @property
    def names(self) -> list[str]:
        """Names for messages."""
        return [source.name if isinstance(source, _Once) else str(source) for source in self._sources]

    @property
    def streams(self) -> bool:
        """Whether one of them can be read but once."""
        return any(isinstance(source, _Once) for source in self._sources)

    @property
    def megabytes(self) -> int | None:
        """How much there is to read; None when nobody knows, as with what is packed."""
        if self.streams or any(Path(state.name).suffix in _PACKED for state in self.states):
            return None
        return sum(state.bytes for state in self.states) // 1_000_000 + 1

    @property
    def most_units(self) -> int:
        """No more workers than this are of use."""
        if self.megabytes is None:
            return 1 << 10
        return sum(state.bytes // units.UNIT_BYTES + 1 for state in self.states)

    def units(self, recipe: Recipe, staging: Path, wanted: units.Wanted) -> Iterator[units.Unit]:
        """The units of all inputs, in order."""
        number = 0
        for index, source in enumerate(self._sources):
            for unit in units.cut(index, cast("Path | BinaryIO", source), number, recipe, staging, wanted):
                yield unit
                number = unit.number + 1

    @contextmanager
    def hashing(self) -> Iterator[None]:
        """Meanwhile the files are hashed on the side. Raises InputError when one of them goes away."""
        stop = threading.Event()
        thread = threading.Thread(target=self._hash, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        except FileNotFoundError as error:
            if str(error.filename) not in self.names:
                raise
            raise _gone(error.filename) from error
        finally:
            stop.set()
            thread.join()

    def _hash(self, stop: threading.Event) -> None:
        room = memoryview(bytearray(_CHUNK))
        for index, source in enumerate(self._sources):
            if isinstance(source, Path):
                digest = hashlib.sha256()
                try:
                    file = source.open("rb", buffering=0)
                except FileNotFoundError:
                    return  # `entries` says so
                with file:
                    while not stop.is_set() and (size := file.readinto(room)):
                        digest.update(room[:size])
                if not stop.is_set():
                    self._digests[index] = digest.hexdigest()

    def entries(self) -> tuple[Source, ...]:
        """Name, size and sha256 of each. Raises FolderError when a file changed while it was read."""
        for source, before in zip(self._sources, self.states, strict=True):
            if _state(source) != before and isinstance(source, Path):
                raise FolderError(f"{source} changed while it was read", "start over with --restart")
        return tuple(self._entry(index) for index in range(len(self._sources)))

    def _entry(self, index: int) -> Source:
        source = self._sources[index]
        if isinstance(source, _Once):
            return Source(source.name, source.size, source.digest.hexdigest())
        digest = self._digests.get(index)
        if digest is None:
            with source.open("rb") as file:
                digest = hashlib.file_digest(cast("Any", file), "sha256").hexdigest()
        return Source(source.name, self.states[index].bytes, digest)


class _Once:
    """A stream that is hashed as it is read."""

    def __init__(self, source: Path | BinaryIO) -> None:
        self.name = name_of(source)
        self._file = source.open("rb") if isinstance(source, Path) else source
        self.digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int) -> bytes:
        some = self._file.read(size)
        self.digest.update(some)
        self.size += len(some)
        return some

    def seekable(self) -> bool:
        return False


def _is_stream(source: Path | BinaryIO) -> bool:
    """Whether it can be read but once: standard input, a pipe with a name."""
    if not isinstance(source, Path):
        return True
    try:
        mode = source.stat().st_mode
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}", "check the path") from error
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _gone(name: object) -> InputError:
    return InputError(f"{name} was removed while it was read", "run the same command again with --restart")


def _state(source: Path | _Once) -> State:
    if isinstance(source, _Once):
        return State(source.name, 0, 0)
    try:
        found = source.stat()
    except FileNotFoundError as error:
        raise _gone(source) from error
    return State(source.name, found.st_size, found.st_mtime_ns)
