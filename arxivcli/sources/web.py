"""The only way to the network: bounded, patient, polite, and never where nobody sent us.

What a server says is sorted into three: an answer, trouble that passes (`TransientError`, tried again with growing
waits), and a refusal (`RemoteError`, final). Politeness follows arXiv's terms of use: one request at a time, at least
three seconds apart, Retry-After honoured, no request after a 403.
"""

from __future__ import annotations

import math
import random
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import httpx

from arxivcli import __version__
from arxivcli.errors import RemoteError, UsageError
from arxivcli.sources import pace
from arxivcli.sources.addresses import checked_url, is_arxivs, keeper, place
from arxivcli.sources.trouble import TRIES, BrokenAnswerError, TransientError, told, translated
from arxivcli.sources.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from arxivcli.progress import Progress

T = TypeVar("T")

PACE = 3.0
"""Seconds between two requests that arXiv asks for."""

BODY_CAP = 64 << 20
"""Bytes of an unpacked answer; the largest real pages have about 10 million."""

_REDIRECTS = 5
_ENCODINGS = {"", "identity", "gzip", "deflate"}
_OK = 200
_LONGEST = 300
"""No wait is longer than so many times the pace: 15 minutes at arXiv's."""

_SLOWEST = 1024
"""Bytes a second below which a body is not waited for, once `Manners.timeout` is over."""

_HEADER_TIMEOUTS = 2
_PAGE_TIMEOUTS = 10
"""No headers and no page are waited for longer than so many times `Manners.timeout`, however steadily they come."""

_TICK = 1.0
_HOUR = 3600


@dataclass(frozen=True)
class Manners:
    """How we behave.

    Attributes:
        pace: Seconds between two requests to one server; waits after trouble are multiples of it.
        max_wait: Seconds of trouble without any progress after which we give up.
        timeout: Seconds a server may be silent.
        contact: Whom the server's people can write to.
        allowed: Further hosts (`host` or `host:port`) that redirects may lead to.
    """

    pace: float = PACE
    max_wait: float = 3600.0
    timeout: float = 120.0
    contact: str | None = None
    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UsageError for times that never end, and for a contact that no server could be told."""
        for option, seconds in (("--pace", self.pace), ("--timeout", self.timeout)):
            if not 0 <= seconds <= _HOUR:
                raise UsageError(f"{option} {seconds:g} cannot be", f"give seconds, at most {_HOUR}")
        if math.isnan(self.max_wait):
            raise UsageError("--max-wait nan cannot be", "give seconds")
        contact = self.contact
        if contact is not None and not (contact.isascii() and contact.isprintable() and "@" in contact):
            raise UsageError(f"--contact {contact!a} is no mail address", "give one like you@example.org")


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Web:
    """A polite client of one server and of those it may send us to."""

    def __init__(self, base: str, manners: Manners, progress: Progress, hosts: tuple[str, ...] = ()) -> None:
        self.base = checked_url(base)
        if is_arxivs(self.base.host) and manners.pace < PACE:
            raise UsageError(f"arXiv asks for {PACE:g} seconds between requests", "a shorter --pace is for mirrors")
        self._manners = manners
        self._progress = progress
        self._hosts = {place(self.base), *hosts, *(host.lower() for host in manners.allowed)}
        self._met: set[str] = set()
        self._watchdog = Watchdog()
        self._client = _client(manners)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, params: Mapping[str, str], read: Callable[[Reply], T], also: frozenset[int] = frozenset()) -> T:
        """What `read` makes of the answer to a GET of the base URL, tried until it comes.

        Args:
            params: The query.
            read: Makes the result of an answer with status 200 or one of `also`; may raise TransientError.
            also: Other statuses that are answers.

        Raises:
            BrokenAnswerError: The server fails on this question alone.
            RemoteError: The server refuses, or there was trouble for too long.
        """

        def attempt() -> T:
            with self.turn(), self.opened(str(self.base), params=params) as response:
                if response.status_code != _OK and response.status_code not in also:
                    raise told(response)
                reply = Reply(response.status_code, response.headers, self._body(response))
            return read(reply)

        return self.patiently(attempt)

    def patiently(self, attempt: Callable[[], T]) -> T:
        """The result of `attempt`, made again after every TransientError with waits that grow until there is progress.

        Raises:
            BrokenAnswerError, RemoteError: As `ask`.
        """
        failures, stubborn, since = 0, 0, time.monotonic()
        while True:
            try:
                return attempt()
            except TransientError as error:
                if error.moved:
                    failures, stubborn, since = 0, 0, time.monotonic()
                failures += 1
                stubborn += error.tries is not None
                if error.tries is not None and stubborn >= error.tries:
                    kind = BrokenAnswerError if error.answered else RemoteError
                    hint = "try again later" if error.answered else "check the network, or try again later"
                    raise kind(f"{error}, {stubborn} times", hint) from error
                delay = self._delay(error, failures)
                if time.monotonic() - since + delay > self._manners.max_wait:
                    raise RemoteError(
                        f"{error}; gave up after {time.monotonic() - since:.0f} s of trying",
                        "what was fetched is kept: run the same command again later, or allow more with --max-wait",
                    ) from error
                self.wait(delay, str(error))

    def turn(self) -> AbstractContextManager[None]:
        """The right to make one request."""
        return pace.turn(keeper(self.base), self._manners.pace, self.wait)

    def wait(self, seconds: float, why: str) -> None:
        """Let time pass, and say so."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if seconds > _TICK:
                self._progress.waiting(left, why)
            time.sleep(min(left, _TICK))

    @contextmanager
    def opened(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        secret: Mapping[str, str] | None = None,
    ) -> Iterator[httpx.Response]:
        """The response to a GET, redirects followed, its body still to be read.

        Args:
            url: Where.
            params: The query of the first request.
            headers: Sent with every request.
            secret: Credentials, sent to the server of `url` only.

        Raises:
            TransientError: No connection, or it broke, also while the body is read.
            RemoteError: A redirect leads where we do not go, or the server cannot be trusted.
        """
        here = start = httpx.URL(url, params=params) if params else httpx.URL(url)
        with translated(start, self._manners.timeout, self._limit(start), lambda: self._watchdog.barked):
            for _ in range(_REDIRECTS + 1):
                private = secret if secret and place(here) == place(start) else {}
                with closing(self._begun(here, {**(headers or {}), **private})) as response:
                    if not response.has_redirect_location:
                        yield response
                        return
                    target = self._followed(here, response)
                if keeper(target) == keeper(here):
                    self.wait(self._manners.pace, "keeping the pace")
                here = target
        raise RemoteError(f"{place(start)} redirects in circles", "try again later")

    def _begun(self, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        """The response to one GET, its body still to be read."""
        request = self._client.build_request("GET", url, headers=headers, extensions={"trace": self._watchdog.trace})
        with self._watchdog.watching(_HEADER_TIMEOUTS * self._manners.timeout):
            response = self._client.send(request, stream=True)
        self._met.add(place(url))
        return response

    def _delay(self, error: TransientError, failures: int) -> float:
        """Seconds to wait: what the server asked for, or twice as long each time, with jitter, within bounds."""
        unit = max(self._manners.pace, 0.01)
        first = unit * (10 if error.busy else 2)
        backoff = first * 2 ** min(failures - 1, 16) * random.uniform(1.0, 1.25)  # noqa: S311  no secret
        wanted = backoff if error.retry_after is None else max(error.retry_after, unit)
        return min(wanted, _LONGEST * unit)

    def _body(self, response: httpx.Response) -> bytes:
        """The unpacked body. Raises TransientError when it is too large or too slow."""
        server = place(response.url)
        if response.headers.get("content-encoding", "").lower() not in _ENCODINGS:
            raise TransientError(f"{server} answers in an encoding that nobody asked for", tries=TRIES)
        body = bytearray()
        with self._watchdog.watching(_PAGE_TIMEOUTS * self._manners.timeout) as watch:
            for chunk in self.steady(response.iter_bytes(), server):
                body += chunk
                if len(body) > BODY_CAP:
                    raise TransientError(f"{server} answers with more than {BODY_CAP >> 20} MiB", tries=TRIES)
        if watch.barked:  # without a length an end that we made looks like any other
            raise TransientError(f"{server} does not come to an end")
        return bytes(body)

    def steady(self, chunks: Iterator[bytes], server: str) -> Iterator[bytes]:
        """The same chunks. Raises TransientError when they come too slowly for as long as `Manners.timeout`."""
        began, received = time.monotonic(), 0
        for chunk in chunks:
            received += len(chunk)
            seconds = time.monotonic() - began
            if seconds > self._manners.timeout:
                if received < seconds * _SLOWEST:
                    raise TransientError(f"{server} sends only {received / seconds:.0f} bytes a second")
                began, received = time.monotonic(), 0
            yield chunk

    def _followed(self, here: httpx.URL, response: httpx.Response) -> httpx.URL:
        target = here.join(response.headers.get("location", ""))
        safe = target.scheme == "https" or (target.scheme == "http" and self.base.scheme == "http")
        known = place(target) in self._hosts or (is_arxivs(self.base.host) and is_arxivs(target.host))
        if not (safe and known and not target.userinfo):
            raise RemoteError(
                f"{place(here)} redirects to {target.scheme}://{place(target)}, where we do not go",
                f"if you trust it: --allow-host {place(target)}" if safe else "this is no answer of the real server",
            )
        return target

    def _limit(self, url: httpx.URL) -> int | None:
        """A server that never answered is not waited for long."""
        return None if place(url) in self._met else TRIES


def _client(manners: Manners) -> httpx.Client:
    """The HTTP library's client. Raises UsageError for impossible proxies or certificates in the environment."""
    agent = f"arxivcli/{__version__}" + (f" (mailto:{manners.contact})" if manners.contact else "")
    try:
        return httpx.Client(
            headers={"User-Agent": agent, "Accept-Encoding": "gzip"},
            timeout=httpx.Timeout(manners.timeout, connect=min(30.0, manners.timeout)),
            limits=httpx.Limits(max_connections=1),
            follow_redirects=False,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise UsageError("a proxy in the environment is none we can use", "name one like http://host:port") from error
    except OSError as error:
        raise UsageError(
            f"cannot read the certificates: {error.strerror}", "check SSL_CERT_FILE and SSL_CERT_DIR"
        ) from error
