"""What stands before the application: who may ask, how often and how much; what every answer carries; what is counted.

An ASGI layer of its own, since uvicorn has neither deadlines nor limits of this kind.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import random
import secrets
import time
import traceback
from itertools import count
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from arxivcli.serving import rates
from arxivcli.serving.bodies import Body
from arxivcli.serving.refusals import WAITS, Refusal, full
from arxivcli.serving.settings import LOOPBACK_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from arxivcli.serving.rates import Allowance, Rates
    from arxivcli.serving.settings import Network, Service
    from arxivcli.serving.state import State

ALIVE: Final = frozenset({"/health", "/livez", "/readyz"})
PREDICT: Final = "/predict"
METRICS: Final = frozenset({"/metrics", "/metrics/"})
PAGES: Final = frozenset({"/", "/docs", "/openapi.json"})
ASSETS: Final = "/docs/"
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST_ID: Final = 64
_SERVER_ERROR: Final = 500
_HARD: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_NO_CACHE: Final = (b"cache-control", b"no-store")
_NOTHING_ACTIVE: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
FULL_BODY: Final = full().body
_FULL_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(FULL_BODY)),
    *_HARD,
    _NO_CACHE,
    _NOTHING_ACTIVE,
]
_FULL_HEAD: Final = b"HTTP/1.1 503 Service Unavailable\r\n" + b"".join(b"%s: %s\r\n" % pair for pair in _FULL_HEADERS)
_FULL_HEADS: Final = [(b"%sretry-after: %d\r\n" % (_FULL_HEAD, seconds), seconds) for seconds in WAITS]
_PREFLIGHT: Final = frozenset({b"origin", b"access-control-request-method"})
_SECOND_LOOK: Final = (b"transfer-encoding", b"content-encoding", b"origin")
"""Headers of requests that only the application understands."""


class Guard:
    """The application behind it is asked only what may be asked."""

    def __init__(self, app: ASGIApp, state: State, limiter: Rates | None = None) -> None:
        self._app = app
        self._state = state
        service = self._service = state.service
        self._telemetry = state.telemetry
        self._logbook = state.logbook
        self._limiter = limiter
        self._named = (f"{secrets.token_hex(6)}-{number:x}" for number in count(1))
        access = service.access
        self._tokens = access.tokens
        self._hosts = {*access.hosts, *LOOPBACK_NAMES} if access.hosts or service.local else None
        self._open = ALIVE | PAGES | (frozenset() if access.metrics else METRICS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request from its headers to its answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        identifier = _given(headers.get(b"x-request-id", b"")) or next(self._named)
        exchange = _Exchange(identifier, scope, headers, receive, send, self._service)
        try:
            exchange.extra = self._admit(scope, headers)
            if scope["path"] == PREDICT and exchange.method == "POST" and self._state.crowded:
                await self._send_away(exchange)
            await self._app(exchange.scope, exchange.body.receive, exchange.send)
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except Exception as error:  # noqa: BLE001  a bug is logged with the request it happened to
            self._telemetry.error("bug")
            frames = traceback.extract_tb(error.__traceback__)[-3:]
            where = ", ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames)
            told = f"{type(error).__name__}: {error}"
            self._logbook.say("bug", "error", request=exchange.identifier, error=told, where=where)
            await exchange.refuse(bug(exchange.identifier))
        finally:
            self._account(exchange)

    def turned_away(self, scope: Scope) -> tuple[bytes, int] | None:
        """The head of a refusal (503) to a plain `POST /predict`, without what every answer of the server has, and the
        seconds of its Retry-After, for which the connection is not to be heard.

        None when there is room for it, or something else to be said about it first: then the application is asked. Most
        of what comes under load ends here, before there is a task for it and before its body is read.
        """
        began = time.perf_counter()
        if not self._state.crowded:
            return None
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._service.limits.body:
            return None
        if any(name in headers for name in _SECOND_LOOK):
            return None
        try:
            extra = self._admit(scope, headers)
        except Refusal:
            return None
        identifier = _given(headers.get(b"x-request-id", b"")) or next(self._named)
        self._count(identifier, scope, "POST", PREDICT, 503, time.perf_counter() - began)
        told = b"".join(b"%s: %s\r\n" % pair for pair in extra)
        head, seconds = random.choice(_FULL_HEADS)  # noqa: S311  nothing secret
        return b"%s%sx-request-id: %s\r\n" % (head, told, identifier.encode()), seconds

    def _admit(self, scope: Scope, headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """Headers that tell the client its rate. Raises Refusal: 400, 401, 429, 431."""
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        size += len(scope["raw_path"]) + len(scope["query_string"])
        if size > self._service.limits.head_bytes:
            raise Refusal(431, "the request's headers are too long", connection="close")
        path: str = scope["path"]
        if path in ALIVE:
            return []
        if self._hosts is not None and _host(headers) not in self._hosts:
            raise Refusal(400, "the service does not answer to this Host; --allow-host names more")
        told: list[tuple[bytes, bytes]] = []
        open_to_read = path in PAGES or path.startswith(ASSETS)
        if self._limiter is not None and path not in METRICS and not open_to_read:
            told = self._rated(scope, self._limiter)
        private = path not in self._open and not open_to_read
        if self._tokens and private and not (self._service.access.origins and is_preflight(scope)):
            self._authorise(headers)
        return told

    async def _send_away(self, exchange: _Exchange) -> None:
        """Refuse before anything is spent on a request, and hear this connection again when Retry-After is over.

        Who comes again at once would otherwise cost as much as an answer, and there would be few of these.
        """
        await exchange.body.read()
        exchange.route = PREDICT
        refusal = full()
        if (pause := exchange.scope["state"].get("pause")) is not None:
            pause(int(refusal.headers["retry-after"]))
        raise refusal

    def _rated(self, scope: Scope, limiter: Rates) -> list[tuple[bytes, bytes]]:
        allowance = limiter.ask(rates.client(*self._sender(scope)))
        if not allowance.granted:
            told = {name.decode(): value.decode() for name, value in _rate_headers(limiter, allowance)}
            wait = str(math.ceil(allowance.wait))
            many = f"more than {limiter.per_minute:,} requests a minute, or {limiter.burst:,} at once"
            raise Refusal(429, many, **{"retry-after": wait, **told})
        return _rate_headers(limiter, allowance)

    def _sender(self, scope: Scope) -> tuple[str, str, tuple[Network, ...]]:
        """The peer, whom it asks for if it says so, and who is believed when they do."""
        peer = scope["client"][0] if scope["client"] else ""
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
        return peer, forwarded, self._service.access.proxies

    def _authorise(self, headers: Mapping[bytes, bytes]) -> None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        # All are compared, each in constant time: how long it takes says nothing about any of them.
        known = [hmac.compare_digest(digest, one) for one in self._tokens]
        if scheme.lower() != b"bearer" or not any(known):
            raise Refusal(401, "give the token as Authorization: Bearer TOKEN", **{"www-authenticate": "Bearer"})

    def _account(self, exchange: _Exchange) -> None:
        route = getattr(exchange.scope.get("route"), "path", exchange.route)
        seconds = (exchange.ended or time.perf_counter()) - exchange.began
        self._count(exchange.identifier, exchange.scope, exchange.method, route, exchange.status, seconds)

    def _count(self, identifier: str, scope: Scope, method: str, route: str, status: int, seconds: float) -> None:
        self._telemetry.request(route, method, status, seconds)
        if status >= _SERVER_ERROR or status in _KINDS:
            self._telemetry.error(kind(status))
        if self._service.access_log:
            self._logbook.say(
                "request",
                request=identifier,
                method=method,
                path=scope["path"],
                status=status,
                ms=round(seconds * 1000, 1),
                client=rates.sender(*self._sender(scope)),
            )


_KINDS: Final = {
    400: "bad request", 401: "unauthorised", 408: "too slow", 413: "too long", 415: "media type", 422: "no paper",
    429: "too often", 431: "headers too long", 499: "client left", 502: "arxiv", 503: "busy", 504: "too late",
}  # fmt: skip


def kind(status: int) -> str:
    """What the metrics call an error of that status."""
    return _KINDS.get(status, "server")


class _Exchange:
    """One request and the answer to it."""

    def __init__(
        self, identifier: str, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, service: Service
    ) -> None:
        self.began = time.perf_counter()
        self.ended = 0.0
        self.identifier = identifier
        self.body = Body(receive, headers, service.limits)
        self.status = 0
        self.route = "other"
        self.extra: list[tuple[bytes, bytes]] = []
        self.method: str = scope["method"]
        # What is asked with HEAD is answered as with GET; uvicorn leaves out the body.
        self.scope = {**scope, "method": "GET"} if self.method == "HEAD" else scope
        self.scope.setdefault("state", {}).update(request_id=self.identifier, body=self.body)
        self._send = send

    async def send(self, message: Message) -> None:
        """Send on, with the headers every answer has; a connection whose body was not read to its end is closed."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *_HARD, *self.extra, (b"x-request-id", self.identifier.encode())]
            names = {name for name, _ in message["headers"]}
            headers += [own for own in (_NO_CACHE, _NOTHING_ACTIVE) if own[0] not in names]
            if not self.body.complete:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        elif not message.get("more_body", False) and not self.body.complete:
            await self._send({**message, "more_body": True})
            self.ended = time.perf_counter()
            await self.body.linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, or cut off an answer that has begun."""
        if self.status:
            if (transport := self.scope["state"].get("transport")) is not None:
                transport.abort()
            return
        body = refusal.body
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers += [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def is_preflight(scope: Scope) -> bool:
    """Whether it is a browser that asks whether a page of another site may ask; it sends no token then."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    return {name for name, _ in scope["headers"]} >= _PREFLIGHT


def bug(identifier: str) -> Refusal:
    """What is said of a fault of ours: the log has the rest under this name."""
    return Refusal(500, f"something went wrong here; the log calls this request {identifier}")


def _given(name: bytes) -> str:
    """The name that a client gave its request, if it is a plain one."""
    plain = len(name) <= _LONGEST_ID and set(name) <= _PLAIN
    return name.decode("latin-1") if plain else ""


def _host(headers: Mapping[bytes, bytes]) -> str:
    """The name of the Host header without its port, `::1` without brackets."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _rate_headers(limiter: Rates, allowance: Allowance) -> list[tuple[bytes, bytes]]:
    return [
        (b"ratelimit-limit", b"%d" % limiter.burst),
        (b"ratelimit-remaining", b"%d" % allowance.remaining),
        (b"ratelimit-reset", b"%d" % math.ceil(allowance.full)),
    ]
