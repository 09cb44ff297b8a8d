"""Worker processes that leave nothing behind: they end with their parent; what one left undone is done again."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

import pyarrow as pa

from arxivcli import parallel
from arxivcli.errors import ArxivcliError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Task = TypeVar("Task")
Result = TypeVar("Result")


class Spread(Protocol):
    """How work is shared out: what `run` does, or another that keeps what it promises."""

    def __call__(self, work: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
        """The results, in whatever order."""


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
                waiting[_submitted(pool, work, task)] = task
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
                result = _submitted(pool, work, task).result()
            except BrokenProcessPool as error:
                raise ArxivcliError(
                    f"a worker process died twice over {task}",
                    "was memory short? try --workers 1, or report this as a bug",
                ) from error
            yield result


def _submitted(pool: ProcessPoolExecutor, work: Callable[[Task], Result], task: Task) -> Future[Result]:
    """The result to come; the pool starts its workers when they are first needed."""
    with parallel.starting_workers():
        return pool.submit(work, task)


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
    parallel.begin_worker()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
