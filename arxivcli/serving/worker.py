"""One worker process: a model, an event loop, and what signals mean to it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

import uvicorn

from arxivcli.errors import ArxivcliError
from arxivcli.serving.app import application
from arxivcli.serving.guard import kind
from arxivcli.serving.holder import Holder
from arxivcli.serving.journal import Journal
from arxivcli.serving.logbook import Logbook, Passing
from arxivcli.serving.protocol import protocol
from arxivcli.serving.state import State
from arxivcli.serving.telemetry import Telemetry

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from arxivcli.serving.fetching import Fetcher
    from arxivcli.serving.settings import Service
    from arxivcli.serving.shared import Shared

_SWITCH_SECONDS = 0.001
"""How long the model's thread may keep the event loop waiting; Python's own 5 ms are more than most answers take."""

_SAME_SIGNAL = 1.0
"""Seconds in which the same end is told twice: `timeout` and terminals tell a process, and its group."""


class _Server(uvicorn.Server):
    """uvicorn's server, told by us when to end; `cut` says whether requests had to be cut off for that."""

    cut = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are our business."""
        yield

    async def _wait_tasks_to_complete(self) -> None:
        """Until all is answered; cancelled when that takes too long."""
        self.cut = True
        await super()._wait_tasks_to_complete()
        self.cut = bool(self.server_state.tasks)


class Worker:
    """Serves on a socket until it is told to end."""

    def __init__(
        self,
        service: Service,
        listening: socket.socket,
        shared: Shared,
        began: Callable[[], None],
        hangup: bool,
        parent: int | None,
        lifeline: int | None,
    ) -> None:
        """Raises UsageError, FolderError, StorageError.

        Args:
            service: what is served.
            listening: where.
            shared: what all workers know.
            began: called when requests are answered.
            hangup: whether SIGHUP means to read the model again; else it is left as it is.
            parent: the process that looks after this one, if there is one.
            lifeline: a descriptor that can be read from once the parent has died.
        """
        self._service = service
        self._listening = listening
        self._began = began
        self._hangup = hangup
        self._alone = parent is None
        self._lifeline = lifeline
        self._stopped_by = 0
        self._told = 0.0
        telemetry = self._telemetry = Telemetry()
        self._logbook = Logbook(service.log, telemetry.dropped)
        self._journal = Journal(service.keeping, telemetry.logged, self._lost) if service.keeping.folder else None
        tell = (lambda: os.kill(parent, signal.SIGHUP)) if parent else lambda: None
        holder = Holder(service.model, service.device)
        self.state = State(service, holder, telemetry, self._logbook, self._journal, self._fetcher(shared), tell)
        app, guard = application(self.state, shared.limiter)
        config = uvicorn.Config(
            app,
            http=protocol(service.limits, lambda refusal: telemetry.error(kind(refusal.status)), guard.turned_away),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(service.idle_seconds),
            timeout_graceful_shutdown=int(service.grace),
        )
        self._server = _Server(config)
        self._loops = config.get_loop_factory()

    def _lost(self, error: OSError) -> None:
        folder = self._service.keeping.folder
        self._logbook.say("predictions are not kept", "error", error=error.strerror, folder=folder)

    def _fetcher(self, shared: Shared) -> Fetcher | None:
        """Who asks arXiv; the HTTP client is loaded only where that is allowed."""
        fetching = self._service.fetching
        if fetching is None:
            return None

        def failed(error: Exception) -> None:
            self._telemetry.error("arxiv")
            self._logbook.say("arXiv was not asked", "error", error=f"{type(error).__name__}: {error}")

        made: Fetcher = import_module("arxivcli.serving.fetching").Fetcher(
            fetching, self._service.limits.deadline, shared.rest, self._telemetry.fetched, failed
        )
        return made

    def run(self) -> int:
        """Serve; the exit code: 0 when all requests were finished, 143 when some were cut off."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        for name in ("uvicorn", "asyncio"):
            logging.getLogger(name).addHandler(Passing(self._logbook))
        try:
            with asyncio.Runner(loop_factory=self._loops) as runner:
                runner.run(self._serve())
        finally:
            if self._journal is not None:
                self._journal.close()
            self._logbook.close()
        return 128 + self._stopped_by if self._server.cut else 0

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT) if self._alone else (signal.SIGTERM,):
            loop.add_signal_handler(number, self._stop, number)
        if self._hangup:
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        if self._lifeline is not None:
            loop.add_reader(self._lifeline, self._orphaned)
        watch = asyncio.create_task(self._announce())
        try:
            await self._server.serve([self._listening])
        finally:
            watch.cancel()

    async def _announce(self) -> None:
        while not self._server.started:
            await asyncio.sleep(0.01)
        loaded = self.state.holder.now
        # What is here now stays: looking through all of it for cycles stops every answer for a tenth of a second.
        gc.collect()
        gc.freeze()
        self._logbook.say("ready", model=loaded.model.card.name, version=loaded.version, process=os.getpid())
        self._began()

    def _stop(self, number: int) -> None:
        """First nobody is sent here any more, then nothing new is taken, then all is finished; told again, at once."""
        if self.state.closing:
            if time.monotonic() - self._told < _SAME_SIGNAL:
                return
            self._server.force_exit = True
            self._server.should_exit = True
            return
        self.state.closing, self._told, self._stopped_by = True, time.monotonic(), number
        self._logbook.say("ending", signal=signal.Signals(number).name)
        asyncio.get_running_loop().call_later(self._service.drain, self._end)

    def _end(self) -> None:
        self._server.should_exit = True

    def _orphaned(self) -> None:
        asyncio.get_running_loop().remove_reader(self._lifeline or 0)
        self._stop(signal.SIGTERM)

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self.state.reload())
        task.add_done_callback(_told)


def _told(task: asyncio.Task[Any]) -> None:
    """The log has it already."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ArxivcliError):
        raise error


def run(
    service: Service,
    listening: socket.socket,
    shared: Shared,
    began: Callable[[], None],
    *,
    hangup: bool = True,
    parent: int | None = None,
    lifeline: int | None = None,
) -> int:
    """Serve until told to end; the exit code. Raises UsageError, FolderError, StorageError before it serves."""
    return Worker(service, listening, shared, began, hangup, parent, lifeline).run()
