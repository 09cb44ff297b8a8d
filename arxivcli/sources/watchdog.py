"""Ends what takes too long: a limit for silence alone is never reached by a server that sends a byte at a time."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Watchdog:
    """Watches the one connection of an HTTP client.

    Attributes:
        barked: Whether the last stretch took too long; whoever read the connection has then met its end.
    """

    def __init__(self) -> None:
        self.barked = False
        self._stream: Any = None

    def trace(self, event: str, facts: Mapping[str, Any]) -> None:
        """Hear from the HTTP library (its `trace` extension) which connection it has made."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._stream = facts["return_value"]

    @contextmanager
    def watching(self, seconds: float) -> Iterator[Self]:
        """A stretch of reading that is ended after so many seconds."""
        self.barked = False
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield self
        finally:
            timer.cancel()

    def _end(self) -> None:
        self.barked = True
        if self._stream is not None:
            with suppress(OSError):  # it has ended by itself
                # Not the method of an encrypted socket, which is for the thread that reads it.
                socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)
