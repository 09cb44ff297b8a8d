"""Files that are whole or absent, folders with one owner, and what the disk says, said as our errors."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from arxivcli.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

RESUME = ".resume"
"""Suffix of the record that answers are resumed from."""

PARTIAL = ".partial"
"""Suffix of a file that is being written; never taken for the finished one."""

LOCK = ".lock"
"""Name of the file that says whose a folder is while somebody works in it."""

_MEANINGS = {
    errno.ENOSPC: ("the disk is full", "free some space and run the same command again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and run the same command again"),
    errno.EROFS: ("the file system is read-only", "choose another output"),
    errno.EACCES: ("no permission to write", "choose another output or mend the permissions"),
    errno.EPERM: ("no permission to write", "choose another output or mend the permissions"),
    errno.EBADF: ("it is not open", "choose another output"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter output name"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another output"),
    errno.EEXIST: ("a file stands where a folder should be", "choose another output"),
    errno.EISDIR: ("a folder stands where a file should be", "choose another output"),
}


def cache_folder() -> Path:
    """The user's cache folder of this program (XDG Base Directory Specification); it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arxivcli"


def state_folder() -> Path:
    """The user's folder for what this program remembers (XDG Base Directory Specification); it need not exist."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "arxivcli"


@contextmanager
def storage_errors(where: Path | str) -> Iterator[None]:
    """Inside, an OSError of writing becomes a StorageError that names `where`; a broken pipe stays itself."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        what, hint = _MEANINGS.get(error.errno or 0, (error.strerror or str(error), "run the same command again"))
        raise StorageError(f"cannot write {where}: {what}", hint) from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears under `path` complete and synced, or not at all. Raises StorageError.

    Folders on the way are made. A device, a pipe or a socket stays what it is: it cannot be replaced.
    """
    try:
        path = path.resolve()  # a link stays a link; what it points to is replaced
    except RuntimeError as error:  # from 3.13 on an OSError, when the file is opened
        raise StorageError(f"cannot write {path}: links that lead in circles", "choose another output") from error
    partial = path.with_name(path.name + PARTIAL)
    with storage_errors(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise StorageError(f"cannot write {path}: it is no file", "choose another output")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            sync_folder(path.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` under `path`, complete or not at all. Raises StorageError."""
    with whole_file(path) as file:
        file.write(content)


def sync(path: Path) -> None:
    """Make the bytes of a file that something else wrote survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_files(folder: Path) -> None:
    """All files of a folder and those below it."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync(path)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; a dead owner's lock is taken over. Raises StorageError naming the owner."""
    lock = folder / LOCK
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(lock)
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Inside, no other process that asks for the same folder is inside: it waits for its turn. Raises StorageError."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def require_free(folder: Path) -> None:
    """Raises StorageError naming the owner when another process works in a folder; nothing is written."""
    try:
        file = (folder / LOCK).open()
    except OSError:
        return  # nobody's, or not ours to ask
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _taken(folder, file) from error


def _taken(folder: Path, file: IO[str]) -> StorageError:
    file.seek(0)
    owner = file.read().strip() or "another process"
    return StorageError(f"{folder} is in use by {owner}", "wait for it to end, or choose another folder")


def _locked(lock: Path) -> IO[str]:
    """The lock file, locked; opened anew when its last owner removed it between our open and our lock."""
    while True:
        file = lock.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.fstat(file.fileno()).st_ino == lock.stat().st_ino:
                return file
        except BlockingIOError as error:
            with file:
                taken = _taken(lock.parent, file)
            raise taken from error
        file.close()
