"""How often one client may ask, kept in memory that all worker processes share."""

from __future__ import annotations

import hashlib
import ipaddress
import mmap
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from arxivcli.serving.settings import Network

_SLOTS = 1 << 16
_LEAST_BURST = 10
_SUBSCRIBER = 64  # bits of an IPv6 address that tell subscribers apart; the others are the subscriber's own choice


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a client may still ask: whether this request is let in, how many more are, seconds until one (or all) is."""

    granted: bool
    remaining: int
    wait: float
    full: float


class Rates:
    """So many requests a minute from each client, a sixth of them at once or ten (GCRA, ITU-T I.371).

    A client is one number, the time when all it asked is paid for: two clients in one slot share their rate, which
    with 65,536 slots and a secret key nobody can bring about.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._cost = 60 / per_minute
        self._burst = min(per_minute, max(_LEAST_BURST, per_minute // 6))
        self._paid = memoryview(mmap.mmap(-1, _SLOTS * 8)).cast("d")
        self._key = os.urandom(16)
        self._clock = clock

    @property
    def burst(self) -> int:
        """Requests that may come at once."""
        return self._burst

    def ask(self, client: str) -> Allowance:
        """One more request of a client."""
        digest = hashlib.blake2b(client.encode(), digest_size=8, key=self._key).digest()
        slot = int.from_bytes(digest) % _SLOTS
        now = self._clock()
        paid = max(self._paid[slot], now) + self._cost
        over = paid - now - self._burst * self._cost
        if over > self._cost * 1e-9:
            return Allowance(False, 0, over, paid - self._cost - now)
        self._paid[slot] = paid
        return Allowance(True, int(-over / self._cost + 1e-6), 0.0, paid - now)


def client(peer: str, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """Whose request it is: the last address of X-Forwarded-For that is no trusted proxy, where the peer is one.

    What comes from others says nothing: anybody can write it. Of an IPv6 address its network.
    """
    found = sender(peer, forwarded, proxies)
    address = _address(found)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _SUBSCRIBER), strict=False))
    return found


def sender(peer: str, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """The address of a `client`."""
    found = peer
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while hops and _among(found, proxies):
        hop = hops.pop()
        if _address(hop) is None:
            break
        found = hop
    return found


def _among(name: str, proxies: tuple[Network, ...]) -> bool:
    address = _address(name)
    return address is not None and any(address in network for network in proxies)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.removeprefix("[").partition("]")[0] if name.startswith("[") else name)
    except ValueError:
        return None
