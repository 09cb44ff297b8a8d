"""Real HTTP on loopback: one listening socket per server, a thread per connection, every byte under control."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from .exchange import Answer, Part, Request, Respond
from .log import gone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .faultlist import Faults
    from .log import Entry, Log

_CHUNK = 1 << 16


class Site(ThreadingHTTPServer):
    """One server: what answers, what spoils the answers, what writes the log."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, name: str, port: int, respond: Respond, faults: Faults, log: Log, context: ssl.SSLContext | None = None
    ) -> None:
        self.name, self.respond, self.faults, self.log = name, respond, faults, log
        self.compress = False
        self.stopping = threading.Event()
        self._live: set[socket.socket] = set()
        self._workers: set[threading.Thread] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._context = context
        self._loop = threading.Thread(target=self.serve_forever, args=(0.02,), name=f"double-{name}", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def begin(self) -> None:
        """Answer from now on."""
        self._loop.start()

    def end(self) -> None:
        """Close every connection, whatever is going on, and wait for the threads."""
        self.stopping.set()
        self.shutdown()
        self._loop.join()
        self.server_close()
        with self._guard:
            live, workers = list(self._live), list(self._workers)
        for connection in live:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for worker in workers:
            worker.join(10)

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection; under TLS the handshake is for its own thread to do."""
        connection, address = super().get_request()
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, known before it runs."""
        worker = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._guard:
            self._live.add(request)
            self._workers.add(worker)
        worker.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As the parent does; afterwards the connection is forgotten."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._live.discard(request)
                self._workers.discard(threading.current_thread())

    def shutdown_request(self, request: Any) -> None:
        """Close at once, without the shutdown that a reset must not be preceded by."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what this server is for; anything else is a fault of the double and is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError | ssl.SSLError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests, asks the site, sends the answer as its wire says."""

    protocol_version = "HTTP/1.1"
    server: Site

    def setup(self) -> None:
        """Small packets go out at once: a drip is a drip."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection_number = self.server.log.connected(self.connection)

    def finish(self) -> None:
        """The connection is over."""
        with contextlib.suppress(OSError):
            super().finish()
        self.server.log.disconnected(self._connection_number)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is printed: see the log."""

    def parse_request(self) -> bool:
        """The first line is there: the request has begun."""
        self._started = time.monotonic()
        return super().parse_request()

    def do_GET(self) -> None:
        """Any method: ask the site, then send."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        target, proxied = self.path, "://" in self.path.partition("?")[0]
        if proxied:
            target = "/" + target.split("://", 1)[1].partition("/")[2]
        name, number = self.server.name, self.server.log.next_number()
        request = Request(number, name, self.command, target, headers, body, proxied)
        entry = self.server.log.begun(request, self._started, self._connection_number)
        try:
            answer = self.server.faults.answer(request, self.server.respond, entry.faults)
            if self.server.compress and answer.compressible and "gzip" in headers.get("accept-encoding", ""):
                answer = answer.compressed()
            self._send(request, answer, entry)
        except ConnectionError:
            self.close_connection = True
        finally:
            self.server.log.done(entry, time.monotonic())

    do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

    def _send(self, request: Request, answer: Answer, entry: Entry) -> None:
        wire = answer.wire
        if self._sleep(wire.wait):
            return
        entry.status = answer.status
        silent = request.method == "HEAD" or (not len(answer.content) and wire.endless is None and not wire.chunked)
        if silent and wire.ending == "keep":
            self.server.log.done(entry, time.monotonic())
        self.wfile.write(self._head(answer))
        if not silent:
            for piece, last in _with_last(self._pieces(answer)):
                entry.sent += len(piece)
                if last and wire.ending == "keep":
                    # Before the client can know, or its next request would seem to come while this one is going on.
                    self.server.log.done(entry, time.monotonic())
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if wire.chunked else piece)
                if wire.drip and self._sleep(wire.drip[1]):
                    return
            if wire.chunked and wire.cut is None:
                self.wfile.write(b"0\r\n\r\n")
        self._end(wire.ending)

    def _head(self, answer: Answer) -> bytes:
        wire = answer.wire
        lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if wire.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif wire.endless is None or wire.claim is not None:
            lines.append(f"Content-Length: {len(answer.content) if wire.claim is None else wire.claim}")
        if wire.ending != "keep" or wire.endless is not None:
            lines.append("Connection: close")
            self.close_connection = True
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _pieces(self, answer: Answer) -> Iterator[bytes]:
        wire = answer.wire
        size = wire.drip[0] if wire.drip else 1000 if wire.chunked else _CHUNK
        left = len(answer.content) if wire.cut is None else wire.cut
        content = answer.content
        source = content.pieces() if isinstance(content, Part) else iter((content,))
        for block in source:
            view = memoryview(block)[:left]
            left -= len(view)
            yield from (bytes(view[start : start + size]) for start in range(0, len(view), size))
        more = 0 if wire.endless is None else float("inf") if wire.claim is None else wire.claim - len(answer.content)
        while wire.endless is not None and more > 0:
            yield wire.endless[: int(min(more, len(wire.endless)))]
            more -= len(wire.endless)

    def _end(self, ending: str) -> None:
        if ending == "reset":
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif ending == "hang":
            self._sleep(float("inf"))

    def _sleep(self, seconds: float) -> bool:
        """Wait; True when the server stops or the client has gone meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.server.stopping.wait(min(left, 0.05)) or self._gone():
                self.close_connection = True
                return True
        return False

    def _gone(self) -> bool:
        return gone(self.connection)


def _with_last(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each piece, and whether it is the last one."""
    held = next(pieces, None)
    while held is not None:
        following = next(pieces, None)
        yield held, following is None
        held = following


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
