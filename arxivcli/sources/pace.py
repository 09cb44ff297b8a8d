"""One request at a time, a few seconds apart, over every arxivcli of this user on the machine."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Wait = Callable[[float, str], None]

_POLL = 0.2
"""Seconds between two looks at a lock that somebody else holds."""


@contextmanager
def turn(server: str, seconds: float, wait: Wait) -> Iterator[None]:
    """The right to ask `server`: held by one process at a time, given no sooner than `seconds` after the last request
    of any process began and ended.

    Args:
        server: Whom the pace is kept for; `arxiv` is all of arXiv's machines.
        seconds: The least distance between two requests.
        wait: Called with seconds to wait and why; it returns when they are over.
    """
    with _notebook(server) as file:
        while not _locked(file):
            wait(_POLL, "another arxivcli is asking")
        try:
            left = _read(file) + seconds - time.monotonic()
            if left > 0:
                # A time in the future was written before the machine was started again.
                wait(min(left, seconds), "keeping the pace")
            _write(file)
            try:
                yield
            finally:
                _write(file)
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def _notebook(server: str) -> Iterator[IO[str]]:
    """The open file that holds the time of the last request."""
    folder = _folder()
    name = "".join(sign if sign.isalnum() or sign in ".-" else "_" for sign in server)
    with (folder / f"last-request-{name}").open("a+") as file:
        yield file


def _folder() -> Path:
    """Where processes of one user meet: the cache folder, or a temporary one where that cannot be written."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arxivcli"
    other = Path(tempfile.gettempdir()) / f"arxivcli-{os.getuid()}"
    for folder in (home, other):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="arxivcli-"))


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: IO[str]) -> float:
    """When the last request was, on the clock that all processes of a machine share; long ago when nobody knows."""
    file.seek(0)
    try:
        return float(file.read())
    except ValueError:
        return float("-inf")


def _write(file: IO[str]) -> None:
    file.truncate(0)
    file.write(repr(time.monotonic()))
    file.flush()
