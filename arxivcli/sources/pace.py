"""One request at a time, a few seconds apart, over every arxivcli of this user on the machine."""

from __future__ import annotations

import fcntl
import math
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from arxivcli.storage import cache_folder, storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Wait = Callable[[float, str], None]

_POLL = 0.2
"""Seconds between two looks at a lock that somebody else holds."""

_WIDTH = 35
_COURTESY = 0.02
"""Seconds that whoever asked last waits longer than the others, so that they take turns; never more than a tenth."""


@contextmanager
def turn(server: str, seconds: float, wait: Wait) -> Iterator[None]:
    """The right to ask `server`: held by one process at a time, given no sooner than `seconds` after the last request
    of any process began and ended.

    Args:
        server: Whom the pace is kept for; `arxiv` is all of arXiv's machines.
        seconds: The least distance between two requests.
        wait: Called with seconds to wait and why; it returns when they are over.
    """
    folder = _folder()
    name = "".join(sign if sign.isalnum() or sign in ".-" else "_" for sign in server)
    with storage_errors(folder):
        file = os.open(folder / f"last-request-{name}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while (left := _locked(file, folder, seconds)) > 0:
            wait(left, "keeping the pace" if left > _POLL else "another arxivcli is asking")
        try:
            yield
        finally:
            with storage_errors(folder):
                _write(file)
    finally:
        os.close(file)  # and with it the lock


def _folder() -> Path:
    """Where processes of one user meet: the cache folder, or a temporary one where that cannot be written."""
    other = Path(tempfile.gettempdir()) / f"arxivcli-{os.getuid()}"
    for folder in (cache_folder(), other):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="arxivcli-"))


def _locked(file: int, folder: Path, seconds: float) -> float:
    """0 when it is our turn and the lock is ours; else seconds after which to look again, the lock free for others."""
    with storage_errors(folder):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _POLL
        then, who = _read(file)
        pause = seconds + (min(_COURTESY, seconds / 10) if who == os.getpid() else 0)
        left = then + pause - time.monotonic()
        if left > 0:
            fcntl.flock(file, fcntl.LOCK_UN)
            return left
        _write(file)
    return 0


def _read(file: int) -> tuple[float, int]:
    """When the last request was, on the clock that all processes share, and whose; long ago when nobody knows."""
    try:
        then, who = os.pread(file, _WIDTH, 0).split()
        found = float(then), int(who)
    except ValueError:
        return -math.inf, 0
    return found if found[0] <= time.monotonic() else (-math.inf, 0)  # from before the machine was started again


def _write(file: int) -> None:
    """Note the time in one write of one width: whoever is killed leaves the old time or the new one."""
    os.pwrite(file, f"{time.monotonic():24.6f}{os.getpid():11}".encode(), 0)
