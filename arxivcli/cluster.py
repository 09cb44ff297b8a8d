"""Work spread over a Ray cluster by Ray Data: results in order, tasks of workers that die done again by others.

Only this file knows Ray, which is an extra: who imports it makes sure that it is there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import queue
import signal
import socket
import tempfile
import threading
import traceback
import warnings
from collections import deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import pyarrow as pa

from arxivcli import __version__, parallel
from arxivcli.errors import ArxivcliError, FolderError, RemoteError, StoppedError

# Before Ray is imported: no statistics are sent, `uv run` is not done again on every node, GPUs stay as they are seen.
for _name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
    os.environ.setdefault(_name, "0")

_TRIES: Final = 3
"""How often a task is done again whose worker died; by then it is the task that kills them."""

# Ray itself would try for ever what a node has no memory for.
os.environ.setdefault("RAY_task_oom_retries", str(_TRIES))

import ray
import ray.data
import ray.exceptions
import ray.util

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD: Final = 4
"""Blocks of tasks for each core in a window: so many that the last of them leave few cores idle."""

_WINDOWS: Final = 2
"""Windows under way: the cluster is busy with one while the results of the other are read."""

_ANSWER, _NOTICE, _PATIENCE = 10.0, 10.0, 600.0
"""Seconds in which somebody must answer at an address; without a core until that is said, and until that is all."""

_LOOK: Final = 5.0
"""Seconds without a result after which it is looked whether there can be one."""

_PARTING: Final = 2.0
"""Seconds in which work that nobody wants any more may end of itself."""

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_LOOPBACK_ONLY: Final = "A head that listens on loopback alone needs RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0"

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    """
    with ExitStack() as left:
        _join(address, workers, left)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="arxivcli.cluster")  # Ray's, for us alone
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cluster = Cluster(gpus if there.get("GPU") else 0)
        cluster.require_place(note)
        yield cluster


def _join(address: str | None, workers: int, left: ExitStack) -> None:
    """Become a part of the cluster until `left`. Raises RemoteError."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": True}
    place = address or "this machine"
    if address is not None:
        _require_answer(address)
    else:
        # The names of its sockets must be short; with the folder go its logs.
        folder = tempfile.TemporaryDirectory(prefix="arxivcli-", dir="/tmp", ignore_cleanup_errors=True)
        alone = {"num_cpus": workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        quiet |= alone | {"_temp_dir": left.enter_context(folder)}
    ours = {number: signal.getsignal(number) for number in _SIGNALS}
    left.callback(ray.shutdown)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ray.init(address or "local", **quiet)
        except SystemExit as error:  # Ray's own answer to SIGTERM
            raise StoppedError("stopped by SIGTERM", signal_number=signal.SIGTERM) from error
        except ArxivcliError:
            raise
        except Exception as error:  # Ray has no name for a node that starts too late
            raise RemoteError(
                f"cannot join a Ray cluster at {place}: {_line(error)}",
                "is it running, with the same versions of Ray and Python?",
            ) from error
        finally:
            for number, handler in ours.items():
                signal.signal(number, handler)


def _require_answer(address: str) -> None:
    """Raises RemoteError where nobody listens: Ray itself would ask for a quarter of an hour."""
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")  # how often Ray asks, 40 seconds each
    hint = "is it running, and can it be reached from here?"
    if address.startswith("ray://"):
        raise RemoteError(f"cannot join a Ray cluster at {address}", "run this on a node of it, with host:6379")
    if ":" not in address:
        return
    try:
        named = urlsplit(f"//{address}")
        host, port = named.hostname or "", named.port or 0
        if host in _LOOPBACK:  # Ray asks another address of this machine then
            host, hint = str(ray.util.get_node_ip_address()), f"{hint} {_LOOPBACK_ONLY}"
        socket.create_connection((host, port), _ANSWER).close()
    except ValueError as error:
        raise RemoteError(f"{address} is no address of a Ray cluster", "name its head as host:6379") from error
    except OSError as error:
        raise RemoteError(f"cannot join a Ray cluster at {address}: {host}:{port} {_said(error)}", hint) from error


def _said(error: OSError) -> str:
    return "does not answer" if isinstance(error, TimeoutError) else f"says: {error.strerror or error}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


@dataclass(frozen=True)
class Cluster:
    """One that this process has joined; the share of a GPU each task needs."""

    gpus: float = 0

    @property
    def slots(self) -> int:
        """How many tasks can be done at once now: nodes come and go."""
        found = 0
        for node in ray.nodes():  # type: ignore[no-untyped-call]
            has = node["Resources"] if node["Alive"] else {}
            found += int(min(has.get("CPU", 0), has.get("GPU", 0) / self.gpus if self.gpus else has.get("CPU", 0)))
        return found

    def require_place(self, note: Callable[[str], None]) -> None:
        """Wait until a task can be done.

        Raises:
            RemoteError: there is no core for long, or no task can be done there.
            FolderError: that node has another arxivcli.
        """
        remote: Any = ray.remote(_version)
        asked = remote.options(num_cpus=1, num_gpus=self.gpus or None, max_retries=_TRIES).remote()
        if not ray.wait([asked], timeout=_NOTICE)[0]:
            note(f"waiting for one of the {self.slots:,} cores of the cluster")
            if not ray.wait([asked], timeout=_PATIENCE)[0]:
                raise _without_place()
        try:
            _require_same(ray.get(asked))
        except ray.exceptions.RayError as error:
            raise RemoteError(
                f"a node of the cluster can do nothing: {_line(error)}", "is arxivcli installed there as it is here?"
            ) from error

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
        flying: deque[_Window] = deque()
        stopped: ArxivcliError | None = None
        made = ray.put(make)
        try:
            while True:
                fresh: list[Task] = []
                most = max(1, self.slots) * _AHEAD * together
                while not stopped and len(fresh) < most:
                    size = len(fresh)
                    stopped = parallel.take(waiting, fresh, size + 1)
                    if len(fresh) == size or not ready():
                        break
                if fresh:
                    flying.append(_Window(self, made, fresh, together, named))
                if not flying:
                    break
                while flying and (len(flying) >= _WINDOWS or not fresh or not ready()):
                    yield from flying[0].results()
                    flying.popleft()
        finally:
            for window in flying:
                window.leave()
        if stopped:
            raise stopped


class _Window:
    """Tasks under way in blocks: a thread of ours hears from them, whoever wants their results reads them here."""

    def __init__(
        self, cluster: Cluster, made: Any, tasks: list[Any], together: int, named: Callable[[Any], str]
    ) -> None:
        self._cluster = cluster
        self._made = made
        self._blocks = [tasks[start : start + together] for start in range(0, len(tasks), together)]
        self._named = named
        self._found: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def results(self) -> Iterator[Any]:
        """All, as they come. Raises RemoteError, or what the work raised."""
        seen, without = 0, 0.0
        while seen < len(self._blocks):
            try:
                found = self._found.get(timeout=_LOOK)
            except queue.Empty:
                without = 0.0 if self._cluster.slots else without + _LOOK
                if without >= _PATIENCE:
                    raise _without_place() from None
                continue
            if isinstance(found, Exception):
                raise _lost(found, self._named(self._blocks[seen][0])) from found
            for result in found:
                if isinstance(result, _Failed):
                    raise result.error
                yield result
            seen += 1

    def leave(self) -> None:
        """Nobody wants the rest; what still runs ends with this process's part in the cluster."""
        self._left.set()
        self._thread.join(_PARTING)

    def _listen(self) -> None:
        done = 0
        try:
            with contextlib.suppress(ray.exceptions.RayError):
                for found in self._done(self._blocks):
                    self._found.put(found)
                    done += 1
            # One after another, so that all results come that stand before a task over which workers die.
            for block in self._blocks[done:]:
                for found in self._done([block]):
                    self._found.put(found)
        except Exception as error:  # noqa: BLE001  is raised where the results are read
            self._found.put(error)

    def _done(self, blocks: list[list[Any]]) -> Iterator[list[Any]]:
        """The results of each block, unless nobody wants to know any more."""
        if self._left.is_set():
            return
        dataset = ray.data.from_arrow([pa.table({"tasks": _pickled(block)}) for block in blocks])
        context = dataset.context
        context.execution_options.preserve_order = True
        context.enable_progress_bars = context.print_on_execution_start = False
        doing: Any = _do
        done = dataset.map_batches(
            doing,
            batch_size=1,
            batch_format="pyarrow",
            zero_copy_batch=True,
            fn_kwargs={"made": [self._made], "version": __version__},
            num_cpus=1,
            num_gpus=self._cluster.gpus or None,
            ray_remote_args_fn=_options,
        )
        for batch in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            for one in batch["results"]:
                if self._left.is_set():
                    return
                yield pickle.loads(one.as_buffer())  # noqa: S301  our own workers' words


@dataclass(frozen=True)
class _Failed:
    """Stands for the results of a task that raised, and of those behind it."""

    error: Exception


def _lost(error: Exception, name: str) -> Exception:
    """What to say of a task that could not be done; a bug stays as it is."""
    if not isinstance(error, ray.exceptions.RayError):
        return error
    if isinstance(error, (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError)):
        return RemoteError(
            f"workers of the cluster died {_TRIES + 1} times over {name}, perhaps for want of memory",
            "what was answered before is kept by --resume",
        )
    return RemoteError(
        f"the cluster could not do {name}: {_line(error)}", "is it still there? the same command tries it again"
    )


def _without_place() -> RemoteError:
    return RemoteError(
        f"the cluster had no free core for {_PATIENCE / 60:.0f} minutes", "wait for others to end, or add a node"
    )


def _options() -> dict[str, Any]:
    return {"max_retries": _TRIES}


def _version() -> str:
    return __version__


def _require_same(version: str) -> None:
    if version != __version__:
        raise FolderError(
            f"a node of the cluster has another arxivcli: {version} and {__version__}", "install the same everywhere"
        )


def _pickled(values: list[Any]) -> pa.Array:
    """One row that holds them all."""
    return pa.array([pickle.dumps(values)], pa.large_binary())


_WORK: dict[Any, Any] = {}
"""The work of this process by where it came from: what it needs is loaded once."""


def _do(batch: pa.Table, made: list[Any], version: str) -> pa.Table:
    """What a worker does with a block of tasks: the results, pickled."""
    results: list[Any] = []
    try:
        _require_same(version)
        tasks = pickle.loads(batch["tasks"][0].as_buffer())  # noqa: S301  who may send tasks may do all
        results += _work(made[0])(tasks)
    except Exception as error:  # noqa: BLE001  is raised on the other side
        error.add_note(traceback.format_exc())
        results.append(_Failed(error))
    return pa.table({"results": _pickled(results)})


def _work(made: Any) -> Any:
    if made not in _WORK:
        _WORK.clear()
        _WORK[made] = ray.get(made)()
    return _WORK[made]
