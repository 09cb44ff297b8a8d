"""Work spread over a Ray cluster by Ray Data: results in order, tasks of workers that die done again by others.

Only this file knows Ray, which is an extra: who imports it makes sure that it is there.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import warnings
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa

from arxivcli import __version__, parallel
from arxivcli.errors import ArxivcliError, FolderError, RemoteError

# Before Ray is imported: no statistics are sent, `uv run` is not done again on every node, GPUs stay as they are seen.
for _name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
    os.environ.setdefault(_name, "0")

import ray
import ray.data
import ray.exceptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD: Final = 4
"""Blocks of tasks for each core in a window: so many that the last of them leave few cores idle."""

_WINDOWS: Final = 2
"""Windows under way: the cluster is busy with one while the results of the other are read."""

_TRIES: Final = 3
"""How often a task is done again whose worker died; by then it is the task that kills them."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def joined(address: str | None, workers: int, gpus: float = 0) -> Iterator[Cluster]:
    """A cluster that is there, or one of this machine alone for as long as it is used.

    Args:
        address: of its head (`auto`, `host:6379`, `ray://host:10001`); None for this machine alone.
        workers: cores of this machine to use; what another cluster has it knows itself.
        gpus: share of a GPU each task needs, where there are any.

    Raises:
        RemoteError: nobody answers there.
    """
    ours = {number: signal.getsignal(number) for number in _SIGNALS}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if address is None:
                ray.init("local", num_cpus=workers, include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
            else:
                ray.init(address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
            raise RemoteError(
                f"cannot join a Ray cluster at {address or 'this machine'}: {' '.join(str(error).split())}",
                "is it running, with the same versions of Ray and Python?",
            ) from error
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="arxivcli.cluster")  # Ray's, for us alone
    for number, handler in ours.items():
        signal.signal(number, handler)
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        yield Cluster(max(1, int(there.get("CPU", 1))), gpus if there.get("GPU") else 0)
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Cluster:
    """One that this process has joined: its cores, and the share of a GPU each task needs."""

    cores: int
    gpus: float = 0

    def in_order(
        self,
        make: Callable[[], Callable[[list[Task]], Iterable[Result]]],
        tasks: Iterable[Task],
        ready: Callable[[], bool] = parallel.always,
        together: int = 1,
    ) -> Generator[Result]:
        """The results of all tasks in their order; as `parallel.in_order`, on as many machines as there are.

        Tasks travel in windows of a few for each core; no more are taken while two windows are under way, so that a
        slow reader holds everything back. A task may be done twice, its result comes once.

        Args:
            make: makes the work of a worker process from what it needs; picklable.
            tasks: picklable.
            ready: whether the next task comes without waiting for somebody else.
            together: how many tasks the work is given at once.

        Raises:
            RemoteError: one task's workers died again and again, or the cluster is gone.
        """
        waiting, most = iter(tasks), self.cores * _AHEAD * together
        flying: deque[Future[list[Any]]] = deque()
        left = threading.Event()
        stopped: ArxivcliError | None = None
        with ThreadPoolExecutor(_WINDOWS) as threads:
            made = ray.put(make)
            try:
                while True:
                    fresh: list[Task] = []
                    while not stopped and len(fresh) < most:
                        size = len(fresh)
                        stopped = parallel.take(waiting, fresh, size + 1)
                        if len(fresh) == size or not ready():
                            break
                    if fresh:
                        flying.append(threads.submit(self._window, made, fresh, together, left))
                    if not flying:
                        break
                    while flying and (len(flying) >= _WINDOWS or not fresh or not ready()):
                        yield from _results(flying.popleft())
            finally:
                left.set()
        if stopped:
            raise stopped

    def _window(self, made: Any, tasks: list[Any], together: int, left: threading.Event) -> list[Any]:
        """What became of the tasks, unless nobody wants to know any more."""
        blocks = [
            pa.table({"task": pa.array(map(pickle.dumps, tasks[start : start + together]), pa.large_binary())})
            for start in range(0, len(tasks), together)
        ]
        dataset = ray.data.from_arrow(blocks)
        context = dataset.context
        context.execution_options.preserve_order = True
        context.enable_progress_bars = context.print_on_execution_start = False
        doing: Any = _do
        done = dataset.map_batches(
            doing,
            batch_size=together,
            batch_format="pyarrow",
            zero_copy_batch=True,
            fn_kwargs={"made": [made], "version": __version__},
            num_cpus=1,
            num_gpus=self.gpus or None,
            ray_remote_args_fn=_options,
        )
        results: list[Any] = []
        for batch in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            if left.is_set():
                return []
            results += [pickle.loads(one.as_buffer()) for one in batch["result"]]  # noqa: S301  our own workers' words
        return results


@dataclass(frozen=True)
class _Failed:
    """Stands for the results of a task that raised, and of those behind it."""

    error: Exception


def _results(window: Future[list[Any]]) -> Iterator[Any]:
    try:
        found = window.result()
    except ray.exceptions.RayError as error:
        raise RemoteError(
            f"the cluster could not do a part of the work: {' '.join(str(error).split())[:300]}",
            "was memory short there? the same command tries it again",
        ) from error
    for result in found:
        if isinstance(result, _Failed):
            raise result.error
        yield result


def _options() -> dict[str, Any]:
    return {"max_retries": _TRIES}


_WORK: dict[Any, Any] = {}
"""The work of this process by where it came from: what it needs is loaded once."""


def _do(batch: pa.Table, made: list[Any], version: str) -> pa.Table:
    """What a worker does with a block of tasks: the results, pickled."""
    results: list[Any] = []
    try:
        if version != __version__:
            raise FolderError(f"a node of the cluster has arxivcli {__version__}, not {version}", "install it there")
        tasks = [pickle.loads(one.as_buffer()) for one in batch["task"]]  # noqa: S301  who may send tasks may do all
        results += _work(made[0])(tasks)
    except Exception as error:  # noqa: BLE001  is raised on the other side
        results.append(_Failed(error))
    return pa.table({"result": pa.array(map(pickle.dumps, results), pa.large_binary())})


def _work(made: Any) -> Any:
    if made not in _WORK:
        _WORK.clear()
        _WORK[made] = ray.get(made)()
    return _WORK[made]
