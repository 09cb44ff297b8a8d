"""How the service begins: its sockets, and its worker processes, which are looked after until it ends."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from arxivcli import parallel
from arxivcli.errors import StorageError, UsageError
from arxivcli.models import card, shelf
from arxivcli.serving.crew import Crew
from arxivcli.serving.rates import Rates
from arxivcli.serving.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arxivcli.serving.settings import Service

_BACKLOG = 2048
_SLACK = 5.0
"""Seconds a worker process has to end after all that it may wait for."""
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


def listening(host: str, port: int, count: int) -> list[socket.socket]:
    """Sockets that share an address, one a worker: the kernel deals out connections evenly. Raises StorageError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise UsageError(f"there is no address {host}", "give an IP address, or a name of this machine") from error
    try:
        # Sharing is for our own processes: that nobody else listens here is found out without it.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            address = probe.getsockname()
        return [_bound(family, address, shared=count > 1) for _ in range(count)]
    except PermissionError as error:
        raise StorageError(f"port {port} is for privileged users", "choose a --port above 1023") from error
    except OSError as error:
        hint = "choose another --port, or end who has it"
        raise StorageError(f"cannot listen on {host} port {port}: {error.strerror}", hint) from error


def _bound(family: int, address: Any, *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(address)
    bound.listen(_BACKLOG)
    bound.setblocking(False)
    return bound


def url(bound: socket.socket) -> str:
    """Where a socket can be asked."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(service: Service, began: Callable[[str], None]) -> int:
    """Serve until a signal says to end; the exit code. `began` hears where when requests are answered.

    Raises UsageError, StorageError, FolderError before anything is served.
    """
    card.read(shelf.folder(service.model))  # a damaged model is found before a port is taken
    if service.fetching is not None:
        import_module("arxivcli.serving.fetching").whom(service.fetching)  # so is an address that cannot be
    sockets = listening(service.host, service.port, service.workers)
    shared = Shared(None if service.limits.rate is None else Rates(service.limits.rate))
    where = url(sockets[0])
    hangup = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # under nohup it stays ignored
    os.environ.pop(_MULTIPROCESS, None)  # what other programs count is not ours
    if service.workers == 1:
        return _run(service, sockets[0], shared, lambda: began(where), hangup=hangup)

    def work(place: int, ready: Callable[[], None], parent: int, lifeline: int) -> int:
        for other in (bound for bound in sockets if bound is not sockets[place]):
            other.close()
        return _run(service, sockets[place], shared, ready, hangup=hangup, parent=parent, lifeline=lifeline)

    # Libraries that compute on all cores would be in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, parallel.cores() // service.workers)))
    with _counting_together() as folder:
        patience = service.drain + service.grace + _SLACK
        forget = partial(_forget, folder=folder)
        return Crew(work, sockets, lambda: began(where), forget, hangup, patience).run()


def _run(*arguments: Any, **more: Any) -> int:
    """The worker is loaded here and not before: only now is it known where its metrics are kept."""
    code: int = import_module("arxivcli.serving.worker").run(*arguments, **more)
    return code


def _forget(process: int, folder: str) -> None:
    """What a process that has died had open is no more; what it had counted still counts."""
    import_module("prometheus_client.multiprocess").mark_process_dead(process, folder)


@contextmanager
def _counting_together() -> Iterator[str]:
    """A folder where the worker processes keep what they count."""
    with tempfile.TemporaryDirectory(prefix="arxivcli-serve-") as folder:
        os.environ[_MULTIPROCESS] = folder
        try:
            yield folder
        finally:
            del os.environ[_MULTIPROCESS]
