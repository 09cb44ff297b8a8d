"""What was asked, when, and on how many connections at once: the proof of good manners."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .exchange import Request


def gone(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection."""
    try:
        # The plain socket's method: that of a TLS socket knows no flags.
        return not socket.socket.recv(connection, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


@dataclass
class Entry:
    """One request. Times are seconds of `time.monotonic()`, which all processes of a machine share."""

    request: Request
    started: float
    """When its first line was there."""
    connection: int
    """1 for the first connection that any of the servers accepted."""
    open_connections: int
    """How many connections were open when it came, its own included."""
    in_flight: int
    """How many requests were being answered when it came, itself included."""
    ended: float | None = None
    status: int | None = None
    """None while nothing has been answered."""
    sent: int = 0
    """Bytes of the body that went out."""
    faults: list[str] = field(default_factory=list)
    """Names of the faults that met it."""

    def __getattr__(self, name: str) -> Any:
        if name in {"number", "site", "method", "target", "path", "params", "pairs", "headers", "body", "proxied"}:
            return getattr(self.request, name)
        raise AttributeError(name)

    def as_json(self) -> dict[str, Any]:
        """For the log file."""
        names = ("number", "site", "method", "target", "path", "params", "headers", "proxied")
        asked = {name: getattr(self, name) for name in names}
        mine = {name: value for name, value in vars(self).items() if name != "request"}
        return asked | mine


class Log:
    """Every request of all servers in the order they came; a list to iterate, with questions it can answer."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8") if path else None
        self._numbers = itertools.count(1)
        self._open: dict[int, socket.socket] = {}
        self._connections = self._busy = self._peak = self._peak_busy = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.of())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, place: int) -> Entry:
        return self._entries[place]

    def of(self, site: str | None = None, path: str | None = None, **params: str) -> list[Entry]:
        """The requests to one server, to paths that contain a text, with parameters of these values."""
        return [
            entry
            for entry in list(self._entries)
            if (site is None or entry.site == site)
            and (path is None or path in entry.path)
            and params.items() <= entry.params.items()
        ]

    def gaps(self, site: str | None = None) -> list[float]:
        """Seconds between the starts of requests that follow each other."""
        starts = [entry.started for entry in self.of(site)]
        return [after - before for before, after in itertools.pairwise(starts)]

    def pauses(self, site: str | None = None) -> list[float]:
        """Seconds between the end of a request and the start of the next one; below zero where they overlap."""
        found = self.of(site)
        return [
            after.started - (before.ended if before.ended is not None else after.started)
            for before, after in itertools.pairwise(found)
        ]

    def most_at_once(self) -> int:
        """The greatest number of requests that were being answered at one time."""
        return self._peak_busy

    def most_connections(self) -> int:
        """The greatest number of connections that were open at one time."""
        return self._peak

    def open_connections(self) -> int:
        """How many connections are open now; one that the client has closed is not, whatever the server knows."""
        return sum(not gone(connection) for connection in list(self._open.values()))

    def credentials(self) -> list[tuple[str, str]]:
        """(server, value) of every Authorization header that came."""
        return [(entry.site, entry.headers["authorization"]) for entry in self if "authorization" in entry.headers]

    def clear(self) -> None:
        """Forget what was asked so far, and the peaks."""
        with self._lock:
            self._entries.clear()
            self._peak, self._peak_busy = self.open_connections(), self._busy

    def connected(self, connection: socket.socket) -> int:
        """A connection was accepted; its number."""
        with self._lock:
            self._connections += 1
            self._open[self._connections] = connection
            self._peak = max(self._peak, self.open_connections())
            return self._connections

    def disconnected(self, number: int) -> None:
        """A connection is closed."""
        with self._lock:
            del self._open[number]

    def next_number(self) -> int:
        """The number of the request that has just come."""
        return next(self._numbers)

    def begun(self, request: Request, started: float, connection: int) -> Entry:
        """A request came."""
        with self._lock:
            self._busy += 1
            self._peak_busy = max(self._peak_busy, self._busy)
            entry = Entry(request, started, connection, self.open_connections(), self._busy)
            self._entries.append(entry)
            return entry

    def done(self, entry: Entry, ended: float) -> None:
        """A request is over; only the first call counts."""
        with self._lock:
            if entry.ended is not None:
                return
            self._busy -= 1
            entry.ended = ended
            if self._file is not None and not self._file.closed:
                self._file.write(json.dumps(entry.as_json()) + "\n")
                self._file.flush()

    def close(self) -> None:
        """No more is written to the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
