"""Lines and records that go to a disk or a terminal without anybody waiting for it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Entry = TypeVar("Entry")


class Writing(Generic[Entry]):
    """A thread that writes what has gathered, every so often; what comes faster than it can be written is dropped.

    `write` must not raise; it says how many entries it could not write.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Entry]], int],
        seconds: float,
        most: int,
        lost: Callable[[int], None] = lambda count: None,  # noqa: ARG005
    ) -> None:
        self._write = write
        self._seconds = seconds
        self._most = most
        self._lost = lost
        self._gathered: deque[Entry] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writing", daemon=True)
        self._thread.start()

    def add(self, entry: Entry) -> None:
        """Have it written soon."""
        if len(self._gathered) >= self._most:
            self._lost(1)
        else:
            self._gathered.append(entry)

    def close(self, seconds: float = 2.0) -> None:
        """Write what is left; who cannot be written to is not waited for longer than this."""
        self._ending.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        ending = False
        while not ending:
            ending = self._ending.wait(self._seconds)
            entries = [self._gathered.popleft() for _ in range(len(self._gathered))]
            if entries and (lost := self._write(entries)):
                self._lost(lost)
