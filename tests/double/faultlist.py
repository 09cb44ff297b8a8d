"""The list of what goes wrong: which requests are met, and how often."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import faults, spoils

if TYPE_CHECKING:
    from collections.abc import Callable

    from .exchange import Action, Answer, Request, Respond


@dataclass
class Fault:
    """One line of the list."""

    action: Action
    name: str
    matches: Callable[[Request], bool]
    numbers: frozenset[int]
    """Which of the matching requests, counted from 1; empty for all."""
    every: int
    times: int | None
    """How often it still happens; None for ever."""
    seen: int = 0
    """How many requests matched."""
    met: int = 0
    """How often it happened."""

    def meets(self, request: Request) -> bool:
        """Whether it happens to this request; counts."""
        if self.times == 0 or not self.matches(request):
            return False
        self.seen += 1
        if (self.numbers and self.seen not in self.numbers) or self.seen % self.every:
            return False
        if self.times is not None:
            self.times -= 1
        self.met += 1
        return True


class Faults:
    """The list that all servers of a double share."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        action: Action,
        *,
        site: str | None = None,
        path: str | None = None,
        verb: str | None = None,
        number: int | tuple[int, ...] = (),
        every: int = 1,
        where: Callable[[Request], bool] | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Let something go wrong `times` times (None: for ever) for requests that match everything given.

        `number` counts the matching requests from 1, and `every=3` takes each third of them; with `number` and no
        `times`, each number is met once.
        """

        def matches(request: Request) -> bool:
            return (
                (site is None or request.site == site)
                and (path is None or path in request.target)
                and (verb is None or request.params.get("verb") == verb)
                and (where is None or where(request))
            )

        numbers = frozenset((number,) if isinstance(number, int) else number)
        if numbers and times == 1:
            times = len(numbers)
        name = getattr(action, "__qualname__", repr(action)).split(".")[0]
        fault = Fault(action, name, matches, numbers, every, times)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._faults.clear()

    def weather(self, share: float, seed: int = 0, site: str = "oai") -> None:
        """For ever, let a share of the requests meet one of the passing faults, the same ones for the same seed."""
        kinds = (
            faults.status(503, retry_after=0),
            faults.status(429, "Rate exceeded.", kind="text/plain"),
            faults.status(502, faults.OUTAGE, kind="text/html"),
            faults.status(200, faults.OUTAGE, kind="text/html"),
            faults.status(200, ""),
            faults.reset(after=700),
            faults.short(missing=100),
            faults.chunked(cut=1_500),
            faults.spoil(spoils.truncated),
            faults.reset(after=0),
        )
        chance = random.Random(seed)

        def any_weather(request: Request, respond: Respond) -> Answer:
            return chance.choice(kinds)(request, respond) if chance.random() < share else respond(request)

        self.add(any_weather, site=site, times=None)

    def answer(self, request: Request, respond: Respond, met: list[str]) -> Answer:
        """What the client gets: the true answer, or what the faults that meet the request make of it."""
        with self._lock:
            meeting = [fault for fault in self._faults if fault.meets(request)]
        met += [fault.name for fault in meeting]

        for fault in meeting:
            respond = _spoiled(fault.action, respond)
        return respond(request)


def _spoiled(action: Action, respond: Respond) -> Respond:
    return lambda request: action(request, respond)
