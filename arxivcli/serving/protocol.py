"""The connection's side of the guard: uvicorn's protocol with a deadline and a size for what comes before a body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from arxivcli.serving.guard import FULL_BODY, PREDICT
from arxivcli.serving.refusals import Refusal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from arxivcli.serving.settings import Limits

_NOT_HTTP = Refusal(400, "this is no HTTP request")
_SLOW = Refusal(408, "the request did not arrive in time")
_LONG = Refusal(431, "the request's first line and headers are too long")


class Protocol(HttpToolsProtocol):
    """A connection that must say in time what it wants; `scope["state"]` has its `transport` and its `pause`.

    What the application would only refuse, for the queue is full, is refused here: under load that is most of what
    comes, and what it costs is taken from the answers.
    """

    limits: ClassVar[Limits]
    refused: ClassVar[Callable[[Refusal], None]]
    turned_away: ClassVar[Callable[[Any], tuple[bytes, int] | None]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._head = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = None
        self._pause = 0.0
        self._away: tuple[bytes, int] | None = None
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse it, unless it is more than a request begins with."""
        if self._in_head:
            if self._timer is None:  # a connection that was kept alive has woken up
                self._wait()
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > self.limits.head_bytes and not self.transport.is_closing():
            self._refuse(_LONG)
        if self._away is not None and self._timer is None:
            self._wait()  # for the rest of a body that nobody reads

    def on_message_begin(self) -> None:
        """Let the application see the connection."""
        super().on_message_begin()
        self.scope["state"].update(transport=self.transport, pause=self.pause)

    def on_headers_complete(self) -> None:
        """The application takes over; a body is its business."""
        self._in_head = False
        self._head = 0
        self._rest()
        if self._plain:
            _, _, query = self.url.partition(b"?")
            self.scope["path"], self.scope["raw_path"], self.scope["query_string"] = PREDICT, PREDICT.encode(), query
            self._away = type(self).turned_away(self.scope)
        if self._away is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand it on, unless nobody wants it."""
        if self._away is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Another request may follow."""
        self._in_head = True
        if self._away is None:
            return super().on_message_complete()
        self._rest()
        (answer, self._pause), self._away = self._away, None
        dated = [b"%s: %s\r\n" % pair for pair in self.server_state.default_headers]
        self.transport.write(b"".join([answer, *dated, b"\r\n", FULL_BODY]))
        self.on_response_complete()
        return None

    @property
    def _plain(self) -> bool:
        """Whether it is a request that can be refused without the application: nothing about it needs a second look."""
        if self.url.partition(b"?")[0] != PREDICT.encode() or self.parser.get_method() != b"POST":
            return False
        idle = self.cycle is None or self.cycle.response_complete
        lasting = self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive()
        return idle and lasting and not self.expect_100_continue and not self.parser.should_upgrade()

    def pause(self, seconds: float) -> None:
        """After the answer that is being given, hear nothing for so long."""
        self._pause = seconds

    def on_response_complete(self) -> None:
        """Another request may be answered, or read."""
        super().on_response_complete()
        if unread := self.transport.get_write_buffer_size():
            self.loop.call_later(self.limits.read_seconds, self._unread, unread)
        if self._pause and not self.pipeline:
            self.flow.pause_reading()
            self.loop.call_later(self._pause, self.flow.resume_reading)
            self._pause = 0.0

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  ours says it as all others do
        """What is no HTTP is told so, and cut off."""
        self._refuse(_NOT_HTTP)

    def _unread(self, before: int) -> None:
        """An answer of which nothing was read since is not kept any longer."""
        now = self.transport.get_write_buffer_size()
        if now and now >= before:
            self.transport.abort()
        elif now:
            self.loop.call_later(self.limits.read_seconds, self._unread, now)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.limits.read_seconds, self._late)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self.transport.is_closing() or not (self._in_head or self._away):
            return
        if self._head or self._away:
            self._refuse(_SLOW)
        else:
            self.transport.close()  # nothing was asked, nothing is answered

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in place of the application and close; answers to earlier requests that are on their way go first."""
        type(self).refused(refusal)
        current = self.cycle
        if current is not None and not current.response_complete:
            if not current.more_body:  # it is a later request that is wrong: nobody hears of it
                current.keep_alive = False
                self.flow.pause_reading()
                return
            if current.response_started or self.pipeline:
                self.transport.abort()
                return
        if not self.transport.is_closing():
            body = refusal.body
            head = STATUS_LINE[refusal.status] + (
                b"content-type: application/json\r\nx-content-type-options: nosniff\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            )
            self.transport.write(head + body)
        self.transport.close()


def protocol(
    limits: Limits, refused: Callable[[Refusal], None], turned_away: Callable[[Any], tuple[bytes, int] | None]
) -> type[Any]:
    """The protocol with these limits, as uvicorn wants it: a class.

    Args:
        limits: what one request may cost.
        refused: hears what was answered in place of the application.
        turned_away: the head of the answer to a plain request from its scope, when there is no room for it, and the
            seconds for which its connection is not heard then.
    """
    own = {"refused": staticmethod(refused), "turned_away": staticmethod(turned_away)}
    return type("Limited", (Protocol,), {"limits": limits, **own})
