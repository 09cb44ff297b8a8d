"""Everything `arxivcli serve` can be told, checked before anything is listened to."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from arxivcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_SHORTEST_TOKEN = 16
_OTHERS = stat.S_IRWXO | stat.S_IWGRP
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?")
MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one request may cost.

    Attributes:
        body: bytes of a body.
        stream: bytes of a body of lines, which is never held whole.
        items: papers of a list.
        characters: of a title, and of an abstract.
        head_bytes: of a request's first line and headers.
        read_seconds: for headers, and again for a body, to arrive; a stream may pause as long.
        deadline: seconds from a request's arrival to its answer.
        rate: requests a minute from one client; None for any number.
    """

    body: int = MIB
    stream: int = 64 * MIB
    items: int = 1000
    characters: int = 50_000
    head_bytes: int = 32 << 10
    read_seconds: float = 10.0
    deadline: float = 10.0
    rate: int | None = None


@dataclass(frozen=True)
class Batches:
    """How requests that wait together are scored together.

    Attributes:
        papers: at most at once.
        wait: seconds to wait for company, where that pays.
        queue: papers that may wait; what comes beyond is refused at once.
        hang: seconds of one batch after which the model is given up for hung.
    """

    papers: int = 64
    wait: float = 0.002
    queue: int = 2000
    hang: float = 60.0


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        tokens: sha256 of those that are let in; none for everybody.
        metrics: whether the metrics need a token too.
        hosts: names the service answers to; none for any.
        origins: web pages of other sites that may ask.
        proxies: networks whose X-Forwarded-For is believed.
    """

    tokens: tuple[bytes, ...] = ()
    metrics: bool = False
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    proxies: tuple[Network, ...] = ()


@dataclass(frozen=True)
class Keeping:
    """Which answers are logged.

    Attributes:
        folder: where; None for nowhere.
        share: of the answers, 0 to 1.
        size: bytes of all files together; the oldest go.
        redact: keep lengths and hashes instead of texts.
    """

    folder: Path | None = None
    share: float = 1.0
    size: int = 1024 * MIB
    redact: bool = False


@dataclass(frozen=True)
class Comparing:
    """What the latest answers are compared with.

    Attributes:
        log: answers of a good time; None for the first ones after the start.
        papers: how many are the latest, and how many the first.
    """

    log: Path | None = None
    papers: int = 1000


@dataclass(frozen=True)
class Fetching:
    """How arXiv is asked for papers by id.

    Attributes:
        url: of the query API; None for arXiv's own.
        pace: seconds between two requests.
        contact: whom arXiv's people can write to.
    """

    url: str | None = None
    pace: float = 3.0
    contact: str | None = None


@dataclass(frozen=True)
class Service:
    """A service: which model, where it listens, and all of the above; without `fetching` it asks nobody for papers."""

    model: str = "builtin"
    device: str = "auto"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    top: int = 3
    docs: bool = True
    page: bool = True
    log: Literal["text", "json"] = "text"
    access_log: bool = True
    idle_seconds: float = 30.0
    drain: float = 0.0
    grace: float = 30.0
    limits: Limits = Limits()
    batches: Batches = Batches()
    access: Access = Access()
    keeping: Keeping = Keeping()
    comparing: Comparing = Comparing()
    fetching: Fetching | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for numbers that contradict each other."""
        if self.limits.items > self.batches.queue:
            raise UsageError(
                f"a list may have {self.limits.items:,} papers, but only {self.batches.queue:,} may wait",
                "raise --queue or lower --max-items",
            )
        if self.access.metrics and not self.access.tokens:
            raise UsageError("--guard-metrics asks for a token, and there are none", "give a --token-file")

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def tokens(path: Path) -> tuple[bytes, ...]:
    """sha256 of every line of a token file. Raises UsageError for a file that is too open, empty, or has short ones."""
    try:
        with path.open(encoding="ascii") as file:
            mode = path.stat().st_mode
            found = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not ASCII"
        raise UsageError(f"cannot read tokens from {path}: {why}", "give a file with one token a line") from error
    if mode & _OTHERS:
        raise UsageError(f"others may read or change {path}", f"chmod 600 {path}")
    if not found or min(map(len, found)) < _SHORTEST_TOKEN:
        raise UsageError(
            f"{path} has no token of {_SHORTEST_TOKEN} characters or more on every line",
            f"make one: (umask 077; openssl rand -hex 32 > {path})",
        )
    return tuple(hashlib.sha256(token.encode()).digest() for token in found)


def origins(names: Iterable[str]) -> tuple[str, ...]:
    """Web pages' origins as browsers send them, `*` for all. Raises UsageError."""
    found = tuple(name.removesuffix("/").lower() for name in names)
    for name in found:
        if name != "*" and not _ORIGIN.fullmatch(name):
            raise UsageError(f"--cors {name} is no origin of web pages", "write https://their.site, without a path")
    return found


def networks(names: Iterable[str]) -> tuple[Network, ...]:
    """The networks of addresses such as 10.0.0.1 or 10.0.0.0/8. Raises UsageError."""
    try:
        return tuple(ipaddress.ip_network(name, strict=False) for name in names)
    except ValueError as error:
        raise UsageError(f"--trusted-proxy: {error}", "give an address, or a network such as 10.0.0.0/8") from error
