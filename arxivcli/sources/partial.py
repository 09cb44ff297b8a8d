"""A large file while it comes: its first bytes, and beside them a note of what they are part of.

Both are right at every moment: the note is written before the first byte of a version and tells how many bytes are
surely on the disk, so that a later run can go on after a crash, a kill or a power cut.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING

from arxivcli.storage import PARTIAL, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SYNC = 64 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Version:
    """Which bytes a server holds, as far as it says.

    Attributes:
        url: Where they were asked for, without the query, which may be a secret.
        size: How many they are.
        md5: Their checksum in base64.
        etag: The server's name for them.
        generation: Their number at Google's storage.
    """

    url: str
    size: int
    md5: str | None = None
    etag: str | None = None
    generation: str | None = None

    def same(self, other: Version) -> bool:
        """Whether both are known to be the same bytes."""
        for mine, its in ((self.md5, other.md5), (self.generation, other.generation), (self.etag, other.etag)):
            if mine and its:
                return mine == its and self.size == other.size
        return False

    @property
    def strong(self) -> str | None:
        """The name that a server can compare before it sends a part (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else None


def md5(path: Path, watch: Callable[[int], None]) -> str:
    """The checksum of a file, in base64; `watch` is told how many bytes were read."""
    total = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while some := file.read(_CHUNK):
            total.update(some)
            watch(len(some))
    return base64.b64encode(total.digest()).decode()


class Partial:
    """The first bytes of a version, in a folder that nobody else works in."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / (name + PARTIAL)
        self._note = folder / (name + PARTIAL + ".json")
        self._synced = 0

    def held(self) -> tuple[Version, int] | None:
        """What the bytes are part of and how many of them are good; None when there are none to go on from.

        All are taken for good when a checksum will tell in the end, else those that were surely on the disk.
        """
        try:
            note = json.loads(self._note.read_bytes())
            synced = int(note.pop("offset"))
            version = Version(**note)
            size = self.path.stat().st_size
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        good = size if version.md5 else min(size, synced)
        named = version.strong or version.generation or version.md5
        return (version, good) if named and 0 < good <= version.size else None

    @contextmanager
    def opened(self, version: Version, offset: int) -> Iterator[Callable[[bytes], int]]:
        """A function that appends bytes behind the first `offset` and returns how many there are now."""
        with self.path.open("r+b" if offset else "wb", buffering=0) as file:
            file.truncate(offset)
            file.seek(offset)
            self._settle(file, version)

            def append(some: bytes) -> int:
                left = memoryview(some)
                while left:
                    left = left[file.write(left) :]
                here = file.tell()
                if here - self._synced >= _SYNC:
                    self._settle(file, version)
                return here

            try:
                yield append
            except OSError:
                raise  # there is no room for a note either
            except BaseException:
                self._settle(file, version)
                raise
            self._settle(file, version)

    def _settle(self, file: IO[bytes], version: Version) -> None:
        os.fsync(file.fileno())
        self._synced = file.tell()
        write_whole(self._note, json.dumps({**asdict(version), "offset": self._synced}).encode())

    def become(self, path: Path) -> None:
        """Take the name `path` and leave nothing else behind."""
        self.path.replace(path)
        self._note.unlink(missing_ok=True)

    def drop(self) -> None:
        """Forget the bytes."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
