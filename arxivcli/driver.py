"""The process that is a part of a Ray cluster for as long as somebody wants work done there: what Ray calls a driver.

Tasks and results are bytes here. Only this file and `cluster`, which starts the process, know Ray, which is an extra.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import threading
import time
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from arxivcli import __version__, cluster
from arxivcli.errors import ArxivcliError, FolderError, RemoteError

# Before Ray is imported: no statistics are sent, `uv run` is not done again on every node, GPUs stay as they are seen;
# what a node has no memory for is not tried for ever; whoever asks for a cluster that is gone does not get a new one.
for _name, _value in (
    ("RAY_USAGE_STATS_ENABLED", 0),
    ("RAY_ENABLE_UV_RUN_RUNTIME_ENV", 0),
    ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", 0),
    ("RAY_task_oom_retries", cluster.TRIES),
    ("RAY_ENABLE_AUTO_CONNECT", 0),
):
    os.environ.setdefault(_name, str(_value))

import ray
import ray.data
import ray.exceptions
import ray.util

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

_ANSWER: Final = 10.0
"""Seconds in which somebody must answer at an address."""

_REPORT: Final = 2.0
"""Seconds between two reports of how many tasks can be done at once."""

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_LOOPBACK_ONLY: Final = "a head that listens on loopback alone needs RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0"


def drive(pipe: Connection, terms: cluster.Terms) -> None:
    """Join, then do windows of tasks until the pipe ends.

    Each message here and back is a kind, the number of a window, and what belongs to it.
    """
    talk = _Talk(pipe)
    try:
        _join(terms)
        gpus = terms.gpus if ray.cluster_resources().get("GPU") else 0  # type: ignore[no-untyped-call]
        _require_place(terms, gpus, talk)
    except ArxivcliError as error:
        talk.say("error", 0, error)
        return
    talk.say("joined", 0, _slots(gpus))
    threading.Thread(target=_report, args=(gpus, talk), daemon=True).start()
    made: Any = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            kind, number, content = pipe.recv()
            if kind == "made":
                made = ray.put(content)
            else:
                threading.Thread(
                    target=_listen, args=(made, number, content, gpus, terms.tries, talk), daemon=True
                ).start()
    ray.shutdown()


class _Talk:
    """The way back, which several threads share."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def say(self, kind: str, number: int, content: Any) -> None:
        """One message; none where nobody listens any more."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.send((kind, number, content))


def _join(terms: cluster.Terms) -> None:
    """Become a part of the cluster. Raises RemoteError."""
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if terms.address is not None:
        _require_answer(terms.address)
    else:
        quiet |= {"num_cpus": terms.workers, "include_dashboard": False}
        quiet |= {"_node_ip_address": "127.0.0.1", "_temp_dir": terms.folder}
    try:
        ray.init(terms.address or "local", **quiet)
    except Exception as error:  # Ray has no name for a node that starts too late
        raise RemoteError(
            f"cannot join a Ray cluster at {terms.address or 'this machine'}: {_line(error).removesuffix('.')}",
            "is it running, with the same versions of Ray and Python?",
        ) from error


def _require_answer(address: str) -> None:
    """Raises RemoteError where nobody listens: Ray itself would ask for a quarter of an hour."""
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")  # how often Ray asks, 40 seconds each
    if address == cluster.AUTO:
        return
    host, port = cluster.place(address)
    hint = "is it running, and can it be reached from here?"
    if host in _LOOPBACK:  # Ray asks another address of this machine then
        host = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        hint = hint if host in _LOOPBACK else f"is it running? {_LOOPBACK_ONLY}"
    try:
        socket.create_connection((host, port), _ANSWER).close()
    except OSError as error:
        said = "no answer" if isinstance(error, TimeoutError) else error.strerror or error
        raise RemoteError(f"cannot join a Ray cluster at {address}: {host}:{port}: {said}", hint) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _slots(gpus: float) -> int:
    """How many tasks can be done at once now: nodes come and go."""
    found = 0
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        has = node["Resources"] if node["Alive"] else {}
        cores = has.get("CPU", 0)
        found += int(min(cores, has.get("GPU", 0) / gpus) if gpus else cores)
    return found


def _report(gpus: float, talk: _Talk) -> None:
    while True:
        talk.say("slots", 0, _slots(gpus))
        time.sleep(_REPORT)


def _require_place(terms: cluster.Terms, gpus: float, talk: _Talk) -> None:
    """Wait until a task can be done.

    Raises:
        RemoteError: there is no core for long, or no task can be done there.
        FolderError: that node has another arxivcli.
    """
    remote: Any = ray.remote(_version)
    asked = remote.options(num_cpus=1, num_gpus=gpus or None, max_retries=terms.tries).remote()
    if not ray.wait([asked], timeout=terms.notice)[0]:
        talk.say("waiting", 0, _slots(gpus))
        if not ray.wait([asked], timeout=terms.patience)[0]:
            raise cluster.without_place(terms.patience)
    try:
        _require_same(ray.get(asked))
    except ray.exceptions.RayError as error:
        raise RemoteError(
            f"a node of the cluster can do nothing: {_line(error)}", "is arxivcli installed there as it is here?"
        ) from error


def _listen(made: Any, number: int, blocks: list[bytes], gpus: float, tries: int, talk: _Talk) -> None:
    """Have a window of tasks done: the results of each block as they come, in order, then perhaps an error."""
    done = 0
    try:
        with contextlib.suppress(ray.exceptions.RayError):
            for found in _done(made, blocks, gpus, tries):
                talk.say("found", number, found)
                done += 1
        # One after another, so that all results come that stand before a task over which workers die.
        for block in blocks[done:]:
            for found in _done(made, [block], gpus, 1):
                talk.say("found", number, found)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
        talk.say("died", number, "")
    except Exception as error:  # noqa: BLE001  is said by who wants the results
        talk.say("lost", number, _line(error))


def _done(made: Any, blocks: list[bytes], gpus: float, tries: int) -> Iterator[bytes]:
    """The results of each block."""
    dataset = ray.data.from_arrow([pa.table({"tasks": pa.array([block], pa.large_binary())}) for block in blocks])
    context = dataset.context
    context.execution_options.preserve_order = True
    context.enable_progress_bars = context.print_on_execution_start = False
    doing: Any = _do
    done = dataset.map_batches(
        doing,
        batch_size=1,
        batch_format="pyarrow",
        zero_copy_batch=True,
        fn_kwargs={"made": [made], "version": __version__},
        num_cpus=1,
        num_gpus=gpus or None,
        ray_remote_args_fn=partial(_options, tries),
    )
    for batch in done.iter_batches(batch_size=None, batch_format="pyarrow"):
        for one in batch["results"]:
            yield one.as_py()


def _options(tries: int) -> dict[str, Any]:
    return {"max_retries": tries}


# -- on the nodes -----------------------------------------------------------------------------------------------------


def _version() -> str:
    return __version__


def _require_same(version: str) -> None:
    if version != __version__:
        raise FolderError(
            f"a node of the cluster has another arxivcli: {version} and {__version__}", "install the same everywhere"
        )


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
        results.append(cluster.Failed(error))
    return pa.table({"results": pa.array([pickle.dumps(results)], pa.large_binary())})


def _work(made: Any) -> Any:
    if made not in _WORK:
        _WORK.clear()
        _WORK[made] = pickle.loads(ray.get(made))()  # noqa: S301
    return _WORK[made]
