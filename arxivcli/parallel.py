"""Work spread over processes whose results come back in order, with only so much of it under way at a time."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager, suppress
from itertools import chain
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from arxivcli.errors import ArxivcliError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2
"""Tasks each process may have waiting: enough that none is idle, few enough that memory stays flat."""

_GLANCE = 0.01
"""Seconds between two looks for more tasks while results are still to come."""

_GRACE = 0.2
"""Seconds in which a signal that ended a worker arrives here, too."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES = 256 << 20


def cores() -> int:
    """How many processes can run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def always() -> bool:
    """What is `ready` of tasks that never wait for somebody else."""
    return True


def in_order(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int, ready: Callable[[], bool] = always
) -> Generator[Result]:
    """`work(task)` for every task, in their order.

    A single task, one worker, or tasks that come slowly need no second process. Tasks are taken only as results are
    asked for, so a slow reader holds everything back; no result waits for a task that is not there yet. An error of
    ours while tasks are being made is raised after the results before it.

    Args:
        work: Must be picklable where processes are not forked.
        tasks: Picklable.
        workers: How many processes; see `cores`.
        ready: Whether the next task (or their end) comes without waiting for somebody else.

    Raises:
        ArxivcliError: A worker process died.
    """
    waiting = iter(tasks)
    if workers < 2:  # noqa: PLR2004
        yield from map(work, waiting)
        return
    few: list[Task] = []
    while not (stopped := take(waiting, few, 1)) and few and not ready():
        yield work(few.pop())
    stopped = stopped or take(waiting, few, 2)
    if stopped or len(few) < 2:  # noqa: PLR2004
        yield from map(work, few)
        if stopped:
            raise stopped
        return
    with closing(_Pool(work, workers)) as pool:
        yield from _windowed(pool, chain(few, waiting), workers * _AHEAD + 1, ready)


def take(tasks: Iterator[Task], into: list[Task], most: int) -> ArxivcliError | None:
    """Move at most so many tasks into a list; the error that stopped it, if one did."""
    try:
        while len(into) < most:
            into.append(next(tasks))
    except StopIteration:
        return None
    except StoppedError:
        raise
    except ArxivcliError as error:
        return error
    return None


def _windowed(pool: _Pool, tasks: Iterator[Any], window: int, ready: Callable[[], bool]) -> Iterator[Any]:
    flying: deque[Future[Any]] = deque()
    stopped: ArxivcliError | None = None
    try:
        while True:
            fresh: list[Any] = []
            stopped = stopped or take(tasks, fresh, 1)
            flying.extend(map(pool.submit, fresh))
            if not flying:
                break
            if len(flying) >= window or not fresh:
                yield flying.popleft().result()
            while flying and not ready():
                if wait([flying[0]], _GLANCE).done:
                    yield flying.popleft().result()
    except _DiedError as error:
        time.sleep(_GRACE)  # a signal to all of us may have ended a worker before it was heard here
        raise ArxivcliError(
            "a worker process was killed, perhaps for want of memory", "run it again with --workers 1"
        ) from error
    if stopped:
        raise stopped


class _DiedError(Exception):
    """A worker process is gone, and what it was to do is not done."""


class _Pool:
    """Worker processes; forked where that is safe, so that they share what is loaded already.

    Each has a pipe of its own. With one that all share, as `concurrent.futures` has, a worker that is killed while it
    writes leaves the others, and whoever reads, waiting for ever.
    """

    def __init__(self, work: Callable[[Any], Any], workers: int) -> None:
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        with warnings.catch_warnings(), starting_workers():
            # Python 3.12 warns of forks beside threads; the ones there are sleep in numpy's linear algebra, which
            # starts them anew in a child.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._workers = [_Worker(context, work) for _ in range(workers)]
        for worker in self._workers:
            worker.listen()

    def submit(self, task: Any) -> Future[Any]:
        """Give a task to whoever has the least to do."""
        return min(self._workers, key=lambda worker: worker.tasks).do(task)

    def close(self) -> None:
        """End all, whatever they are doing."""
        for worker in self._workers:
            worker.end()


class _Worker:
    """A process that does tasks in their order, and the thread of ours that hears from it."""

    def __init__(self, context: Any, work: Callable[[Any], Any]) -> None:
        self._pipe, theirs = context.Pipe()
        self._promised: deque[Future[Any]] = deque()
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self._process.start()
        theirs.close()  # before others are forked: the pipe must end when its process ends
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def listen(self) -> None:
        self._listener.start()

    @property
    def tasks(self) -> int:
        """How many it has not done yet."""
        return len(self._promised)

    def do(self, task: Any) -> Future[Any]:
        promise: Future[Any] = Future()
        self._promised.append(promise)
        try:
            self._pipe.send(task)
        except OSError:
            self._fail()
        return promise

    def _listen(self) -> None:
        try:
            while True:
                trace, result = self._pipe.recv()
                promise = self._promised.popleft()
                if trace:
                    result.add_note(trace)
                    promise.set_exception(result)
                else:
                    promise.set_result(result)
        except (EOFError, OSError):
            self._fail()

    def _fail(self) -> None:
        with suppress(IndexError):
            while True:
                self._promised.popleft().set_exception(_DiedError())

    def end(self) -> None:
        self._process.terminate()
        self._process.join()
        self._listener.join()
        self._pipe.close()


def _serve(pipe: Any, work: Callable[[Any], Any]) -> None:
    """What a worker does: the next task lies here already when one is done."""
    begin_worker()
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, tasks), daemon=True).start()
    while True:
        task = tasks.get()
        try:
            answer: tuple[str, Any] = "", work(task)
        except Exception as error:  # noqa: BLE001  is raised on the other side
            answer = traceback.format_exc(), error
        try:
            pipe.send(answer)
        except OSError:  # nobody listens any more
            os._exit(1)


def _receive(pipe: Any, tasks: queue.SimpleQueue[Any]) -> None:
    while True:
        try:
            tasks.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)


@contextmanager
def starting_workers() -> Iterator[None]:
    """Worker processes started meanwhile do not hear Ctrl-C, not even before they can say so in `begin_worker`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """What a new worker process does first: the parent alone answers Ctrl-C, and no worker outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _keep_memory() -> None:
    """Memory that was freed stays for the next task instead of going back and forth to the kernel.

    Worth a tenth of the running time. Where the C library is not glibc nothing changes.
    """
    gc.set_threshold(100_000, 20, 100)
    pa.set_memory_pool(pa.system_memory_pool())
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            adjust(parameter, _KEPT_BYTES)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
