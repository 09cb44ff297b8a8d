"""Work spread over processes whose results come back in order, with only so much of it under way at a time."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from arxivcli.errors import ArxivcliError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2
"""Tasks each process may have waiting: enough that none is idle, few enough that memory stays flat."""

_GLANCE = 0.01
"""Seconds between two looks for more tasks while results are still to come."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES = 256 << 20

_mine: list[Callable[[Any], Any]] = []
"""In a worker process: what it does with each task."""


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
    while not (stopped := _take(waiting, few, 1)) and few and not ready():
        yield work(few.pop())
    stopped = stopped or _take(waiting, few, 2)
    if stopped or len(few) < 2:  # noqa: PLR2004
        yield from map(work, few)
        if stopped:
            raise stopped
        return
    with _processes(work, workers) as pool:
        yield from _windowed(pool, chain(few, waiting), workers * _AHEAD + 1, ready)


def _take(tasks: Iterator[Task], into: list[Task], most: int) -> ArxivcliError | None:
    """Move at most so many tasks into a list; the error that stopped it, if one did."""
    try:
        while len(into) < most:
            into.append(next(tasks))
    except StopIteration:
        return None
    except ArxivcliError as error:
        return error
    return None


def _windowed(pool: ProcessPoolExecutor, tasks: Iterator[Any], window: int, ready: Callable[[], bool]) -> Iterator[Any]:
    flying: deque[Future[Any]] = deque()
    stopped: ArxivcliError | None = None
    try:
        while True:
            fresh: list[Any] = []
            stopped = stopped or _take(tasks, fresh, 1)
            flying.extend(pool.submit(_do, task) for task in fresh)
            if not flying:
                break
            if len(flying) >= window or not fresh:
                yield flying.popleft().result()
            while flying and not ready():
                if wait([flying[0]], _GLANCE).done:
                    yield flying.popleft().result()
    except BrokenProcessPool as error:
        raise ArxivcliError(
            "a worker process was killed, perhaps for want of memory", "run it again with --workers 1"
        ) from error
    if stopped:
        raise stopped


@contextmanager
def _processes(work: Callable[[Any], Any], workers: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes; forked where that is safe, so that they share what is loaded already."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(work,))
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads; the ones there are sleep in numpy's linear algebra, which
            # starts them anew in a child.
            warnings.simplefilter("ignore", DeprecationWarning)
            pool.submit(os.getpid)
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(work: Callable[[Any], Any]) -> None:
    begin_worker()
    _mine.append(work)


def begin_worker() -> None:
    """What a new worker process does first: the parent alone answers Ctrl-C, and no worker outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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


def _do(task: Any) -> Any:
    return _mine[-1](task)
