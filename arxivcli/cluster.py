"""Work spread over a Ray cluster by Ray Data: results in order, tasks of workers that die done again by others.

Ray lives in a process of its own (`driver`): what it prints, the signals it takes and the ways in which it ends do not
reach this one, which can leave it at any time.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import time
from collections import defaultdict, deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from arxivcli import parallel
from arxivcli.errors import ArxivcliError, RemoteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from multiprocessing.connection import Connection


Task = TypeVar("Task")
Result = TypeVar("Result")

AUTO: Final = "auto"
"""Stands for the cluster of this machine, wherever it listens."""

TRIES: Final = 3
"""How often a task is done again whose worker died; by then it is the task that kills them."""

_AHEAD: Final = 4
"""Blocks of tasks for each core in a window: so many that the last of them leave few cores idle."""

_WINDOWS: Final = 2
"""Windows under way: the cluster is busy with one while the results of the other are read."""

_JOINING: Final = 180.0
"""Seconds after which joining has failed: Ray gives each of its own steps less."""

_NOTICE, _PATIENCE = 10.0, 600.0
"""Seconds without a core until that is said, and until no more is waited for."""

_LOOK: Final = 5.0
"""Seconds without a word after which it is looked whether there can be one."""

_PARTING: Final = 5.0
"""Seconds in which the driver may leave in good order."""


def _unheard(text: str) -> None:
    """What becomes of notes when nobody listens."""


@contextmanager
def joined(
    address: str | None, workers: int, gpus: float = 0, note: Callable[[str], None] = _unheard
) -> Iterator[Cluster]:
    """A cluster that is there, or one of this machine alone for as long as it is used.

    Args:
        address: of its head (`auto`, `host:6379`); None for this machine alone.
        workers: cores of this machine to use; what another cluster has it knows itself.
        gpus: share of a GPU each task needs, where there are any.
        note: hears when one has to wait for others.

    Raises:
        RemoteError: nobody answers there, or no core is free for long.
        FolderError: a node has another arxivcli.
        UsageError: that is no address.
    """
    with ExitStack() as left:
        folder = ""
        if address is not None:
            place(address)
        else:
            # The names of its sockets must be short; with the folder go its logs.
            short = tempfile.TemporaryDirectory(prefix="arxivcli-", dir="/tmp", ignore_cleanup_errors=True)
            folder = left.enter_context(short)
        terms = Terms(address, workers, gpus, folder, TRIES, _NOTICE, _PATIENCE)
        driver = _Driver(terms)
        left.callback(driver.leave)
        driver.wait(note)
        yield Cluster(driver)


def place(address: str) -> tuple[str, int]:
    """Host and port of a cluster's head; none for `auto`. Raises UsageError for what is no such address."""
    if address == AUTO:
        return "", 0
    try:
        named = urlsplit(f"//{address}")
        host, port = named.hostname, named.port
    except ValueError:
        host = port = None
    if not host or not port or "//" in address:
        raise UsageError(f"{address} is no address of a Ray cluster", "name its head as host:6379, on one of its nodes")
    return host, port


@dataclass(frozen=True)
class Terms:
    """What is asked of a cluster.

    Attributes:
        address: of its head; None for this machine alone.
        workers: how many cores of this machine alone.
        gpus: share of a GPU each task needs, where there are any.
        folder: for the files of this machine alone.
        tries: how often a task is done again whose worker died.
        notice: seconds without a core until that is said,
        patience: and until no more is waited for.
    """

    address: str | None
    workers: int
    gpus: float
    folder: str
    tries: int
    notice: float
    patience: float


@dataclass(frozen=True)
class Failed:
    """Stands for the results of a task that raised, and of those behind it."""

    error: Exception


class _Driver:
    """The process that is in the cluster, and what it has said of each window."""

    def __init__(self, terms: Terms) -> None:
        context = multiprocessing.get_context("spawn")
        self._terms = terms
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_drive, args=(theirs, terms), daemon=True)
        self._process.start()
        theirs.close()
        self._numbers = count(1)
        self._said: defaultdict[int, deque[tuple[str, Any]]] = defaultdict(deque)
        self.slots = 0
        """How many tasks can be done at once, by its last report."""
        self._hopeful = time.monotonic()
        """When there was last a place for tasks, or a result."""

    def number(self) -> int:
        """A number for a new window."""
        return next(self._numbers)

    def say(self, kind: str, number: int, content: Any) -> None:
        """Tell it something. Raises RemoteError when it is gone."""
        try:
            self._pipe.send((kind, number, content))
        except OSError as error:
            raise self._gone() from error

    def wait(self, note: Callable[[str], None]) -> None:
        """Return when tasks can be done. Raises RemoteError, FolderError."""
        until = time.monotonic() + _JOINING
        while (left := until - time.monotonic()) > 0:
            if not self._pipe.poll(left):
                continue
            kind, _, content = self._heard()
            if kind == "error":
                raise content
            self.slots = content
            if kind == "joined":
                self._hopeful = time.monotonic()
                return
            note(f"waiting for one of the {content:,} cores of the cluster")
            until = time.monotonic() + self._terms.patience + _JOINING
        raise RemoteError(f"cannot join a Ray cluster at {self._place}: no answer", "is it well? try again later")

    def hear(self, number: int) -> tuple[str, Any]:
        """What it says next of a window. Raises RemoteError when there is nothing more to wait for."""
        said = self._said[number]
        while not said:
            if self._pipe.poll(_LOOK):
                kind, of, content = self._heard()
                if kind == "slots":
                    self.slots = content
                else:
                    self._said[of].append((kind, content))
                if self.slots or kind != "slots":
                    self._hopeful = time.monotonic()
            elif time.monotonic() - self._hopeful > self._terms.patience:
                raise without_place(self._terms.patience)
        return said.popleft()

    def forget(self, number: int) -> None:
        """Nothing more is to come of a window."""
        self._said.pop(number, None)

    def _heard(self) -> tuple[str, int, Any]:
        try:
            return self._pipe.recv()  # type: ignore[no-any-return]
        except (EOFError, OSError) as error:
            raise self._gone() from error

    def _gone(self) -> RemoteError:
        return RemoteError(
            f"the Ray cluster at {self._place} is gone", "what was answered before is kept by --resume; start it again"
        )

    @property
    def _place(self) -> str:
        return self._terms.address or "this machine"

    def leave(self) -> None:
        """Have it leave the cluster; a local one ends with it."""
        self._pipe.close()
        self._process.join(_PARTING)
        self._process.kill()
        self._process.join()


def _drive(pipe: Connection, terms: Terms) -> None:
    """What the driver does: it has no terminal, and what Ray prints is read by nobody."""
    os.setsid()
    parallel.begin_worker()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    from arxivcli import driver  # noqa: PLC0415  Ray is heavy, and only this process needs it

    driver.drive(pipe, terms)


@dataclass(frozen=True)
class Cluster:
    """One that this process has joined."""

    _driver: _Driver

    @property
    def slots(self) -> int:
        """How many tasks can be done at once: nodes come and go."""
        return self._driver.slots

    def in_order(
        self,
        make: Callable[[], Callable[[list[Task]], Iterable[Result]]],
        tasks: Iterable[Task],
        ready: Callable[[], bool] = parallel.always,
        together: int = 1,
        named: Callable[[Task], str] = str,
    ) -> Generator[Result]:
        """The results of all tasks in their order; as `parallel.in_order`, on as many machines as there are.

        Tasks travel in windows of a few for each core; no more are taken while two windows are under way, so that a
        slow reader holds everything back. A task may be done twice, its result comes once.

        Args:
            make: makes the work of a worker process from what it needs; picklable.
            tasks: picklable.
            ready: whether the next task comes without waiting for somebody else.
            together: how many tasks the work is given at once.
            named: what a task is called when its workers die over it.

        Raises:
            RemoteError: one task's workers died again and again, after the results before it; or the cluster is gone.
        """
        waiting = iter(tasks)
        flying: deque[Generator[Result]] = deque()
        stopped: ArxivcliError | None = None
        self._driver.say("made", 0, pickle.dumps(make))
        while True:
            fresh: list[Task] = []
            most = max(1, self.slots) * _AHEAD * together
            while not stopped and len(fresh) < most:
                size = len(fresh)
                stopped = parallel.take(waiting, fresh, size + 1)
                if len(fresh) == size or not ready():
                    break
            if fresh:
                flying.append(self._sent(fresh, together, named))
            if not flying:
                break
            while flying and (len(flying) >= _WINDOWS or not fresh or not ready()):
                yield from flying.popleft()
        if stopped:
            raise stopped

    def _sent(self, tasks: list[Any], together: int, named: Callable[[Any], str]) -> Generator[Any]:
        """Send a window of tasks; its results are read from what comes back."""
        blocks = [tasks[start : start + together] for start in range(0, len(tasks), together)]
        number = self._driver.number()
        self._driver.say("window", number, [pickle.dumps(block) for block in blocks])
        return self._results(number, [named(block[0]) for block in blocks])

    def _results(self, number: int, names: list[str]) -> Generator[Any]:
        """The results of a window as they come. Raises RemoteError, or what the work raised."""
        for name in names:
            kind, content = self._driver.hear(number)
            if kind != "found":
                raise _lost(name, content)
            for result in pickle.loads(content):  # noqa: S301  our own workers' words
                if isinstance(result, Failed):
                    raise result.error
                yield result
        self._driver.forget(number)


def _lost(name: str, why: str) -> RemoteError:
    """What to say of a task that could not be done."""
    if not why:
        return RemoteError(
            f"workers of the cluster died again and again over {name}, perhaps for want of memory",
            "what was answered before is kept by --resume",
        )
    return RemoteError(f"the cluster could not do {name}: {why}", "is it still there? the same command tries it again")


def without_place(patience: float) -> RemoteError:
    """The error of who has waited so many seconds."""
    return RemoteError(
        f"the cluster had no free core for {patience:g} seconds", "wait for others to end, or add a node"
    )
