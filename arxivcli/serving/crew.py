"""Worker processes, looked after until they end: one that dies is started again."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from multiprocessing import connection, get_context
from typing import TYPE_CHECKING, Any

from arxivcli.errors import ArxivcliError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

_STEADY = 10.0
"""Seconds after which a worker process that dies had been fine."""
_SLOWEST = 30.0
_TICK = 0.2


@dataclass
class _Place:
    """What one worker process does, and the next when it dies.

    Attributes:
        process: the one there is; None when it has died or ended.
        pipe: where it says that it is ready (None), or why it cannot begin.
        again: when the next is started.
        deaths: how many died soon, one after another.
    """

    number: int
    process: Any = None
    pipe: Any = None
    ready: bool = False
    started: float = 0.0
    again: float = 0.0
    deaths: int = 0


class Crew:
    """Worker processes that share an address. A place keeps its socket: while nobody works there connections wait."""

    def __init__(
        self,
        work: Callable[[int, Callable[[], None], int, int], int],
        sockets: Sequence[socket.socket],
        began: Callable[[], None],
        forget: Callable[[int], None],
        hangup: bool,
        patience: float,
    ) -> None:
        """Each process calls `work` with its place, what to call when it is ready, our pid, and a descriptor that can
        be read from once we have died; `began` is called when all are ready, `forget` with the pid of one that died.
        Who has not ended so many seconds (`patience`) after being told to is killed.
        """
        self._work = work
        self._sockets = sockets
        self._began = began
        self._forget = forget
        self._hangup = hangup
        self._context = get_context("fork")
        self._places = [_Place(number) for number in range(len(sockets))]
        self._announced = False
        self._patience = patience
        self._ending = False
        self._latest = 0.0
        self._failure: ArxivcliError | None = None
        self._codes = [0]
        self._lifeline = os.pipe()

    def run(self) -> int:
        """Until told to end; the worst exit code. Raises what kept a worker process from beginning at all."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        if self._hangup:
            signal.signal(signal.SIGHUP, lambda number, _: self._tell(number))
        for place in self._places:
            self._start(place)
        while not self._ending or any(place.process for place in self._places):
            running = [place for place in self._places if place.process]
            connection.wait([w for place in running for w in (place.process.sentinel, place.pipe)], _TICK)
            for place in self._places:
                self._look_after(place)
            if self._ending and time.monotonic() > self._latest:
                self._tell(signal.SIGKILL)
            if not self._announced and all(place.ready for place in self._places):
                self._announced = True
                self._began()
        if self._failure is not None:
            raise self._failure
        return max(self._codes)

    def _look_after(self, place: _Place) -> None:
        if place.process is None:
            if not self._ending and time.monotonic() >= place.again:
                self._start(place)
            return
        try:
            while not place.ready and place.pipe.poll():
                self._failure = place.pipe.recv()
                place.ready = self._failure is None
        except EOFError:
            place.ready = False  # it has died; what it could not say, its exit code does
        if not place.process.is_alive():
            self._bury(place)

    def _bury(self, place: _Place) -> None:
        process, place.process = place.process, None
        process.join()
        place.pipe.close()
        self._forget(process.pid)
        if self._ending and not place.ready and process.exitcode == -signal.SIGTERM:
            return  # it had not begun: nobody waits for it
        if self._ending:
            self._codes.append(process.exitcode if process.exitcode >= 0 else 128 - process.exitcode)
        elif not self._announced and not place.ready:
            self._failure = self._failure or ArxivcliError("a worker process ended before it was ready")
            self._end(signal.SIGTERM)
        else:
            place.ready = False
            place.deaths = 1 if time.monotonic() - place.started > _STEADY else place.deaths + 1
            place.again = time.monotonic() + (0 if place.deaths == 1 else min(_SLOWEST, 2.0 ** (place.deaths - 2)))

    def _start(self, place: _Place) -> None:
        ours, theirs = self._context.Pipe()
        place.process = self._context.Process(target=self._in_child, args=(place.number, theirs))
        place.pipe = ours
        place.started = time.monotonic()
        place.process.start()
        theirs.close()

    def _in_child(self, number: int, pipe: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of us; the parent says when to end
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.close(self._lifeline[1])
        try:
            code = self._work(number, lambda: pipe.send(None), os.getppid(), self._lifeline[0])
        except ArxivcliError as error:
            pipe.send(error)
            code = error.exit_code
        raise SystemExit(code)

    def _end(self, _number: int, _frame: Any = None) -> None:
        """All finish what they have; told again they end at once."""
        if not self._ending:
            self._ending, self._latest = True, time.monotonic() + self._patience
            for bound in self._sockets:
                bound.close()
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for place in self._places:
            if place.process is not None and place.process.pid is not None and place.process.is_alive():
                os.kill(place.process.pid, number)
