"""Worker processes that leave nothing behind: they end with their parent; what one left undone is done again."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from arxivcli.errors import ArxivcliError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES = 256 << 20

Task = TypeVar("Task")
Result = TypeVar("Result")


def run(work: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """The results in the order in which they come; one worker works in this very process.

    Tasks are taken from their iterator only when there is room for them. Work that is done twice must do no harm.

    Raises:
        ArxivcliError: A worker died twice over one task (exit code 1), or what the work itself raised.
    """
    if workers == 1:
        yield from map(work, tasks)
        return
    tasks = iter(tasks)
    waiting: dict[Future[Result], Task] = {}
    lost: list[Task] = []
    with _pool(workers) as pool:
        try:
            for task in tasks:
                lost.append(task)  # until the pool has it
                waiting[pool.submit(work, task)] = task
                lost.pop()
                if len(waiting) > workers:
                    yield from _finished(waiting)
            while waiting:
                yield from _finished(waiting)
            return
        except BrokenProcessPool:
            lost += waiting.values()
    yield from _again(work, lost)
    yield from run(work, tasks, workers)


def _finished(waiting: dict[Future[Result], Task]) -> Iterator[Result]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        result = future.result()
        del waiting[future]
        yield result


def _again(work: Callable[[Task], Result], tasks: list[Task]) -> Iterator[Result]:
    """The results of tasks that were lost, one after another in a process that has the machine to itself."""
    with _pool(1) as pool:
        for task in tasks:
            try:
                result = pool.submit(work, task).result()
            except BrokenProcessPool as error:
                raise ArxivcliError(
                    f"a worker process died twice over {task}",
                    "was memory short? try --workers 1, or report this as a bug",
                ) from error
            yield result


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose workers are gone when it is left, finished or not."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    try:
        yield pool
        pool.shutdown()
    finally:
        for child in multiprocessing.active_children():
            child.terminate()
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In a worker: the parent alone answers signals, and nobody outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    _keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _keep_memory() -> None:
    """In a worker: memory that was freed stays for the next batch instead of going back and forth to the kernel.

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
        parent.join()
        os._exit(1)
