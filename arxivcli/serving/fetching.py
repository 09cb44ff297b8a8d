"""Papers by their arXiv ids: who wants one waits in a bounded queue; what is waited for together is asked for together.

Only arXiv's query API is asked (or the one that the service was started with), and only for what is an arXiv id.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from arxivcli import taxonomy
from arxivcli.errors import ArxivcliError
from arxivcli.progress import Silent
from arxivcli.serving.batching import LEFT
from arxivcli.serving.refusals import Refusal
from arxivcli.sources import api, arguments
from arxivcli.sources.named import Papers
from arxivcli.sources.trouble import TransientError
from arxivcli.sources.web import Manners, Web

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arxivcli.serving.settings import Fetching
    from arxivcli.serving.shared import Rest

_QUEUE: Final = 100
"""Papers that may wait, however quickly arXiv may be asked."""
_TOGETHER: Final = 20
_KEPT: Final = 1000
_FRESH: Final = 3600.0
_UNKNOWN_FRESH: Final = 300.0
"""Seconds for which arXiv is not asked again for a paper that it had, or had not."""
_LONGEST_REST: Final = 300
"""arXiv is left alone for no longer than so many times the pace: 15 minutes at its own."""
_PATIENCE: Final = 30.0
"""Seconds that arXiv may be silent: what comes after a deadline is kept for who asks again."""

_NO_ID: Final = "this is no arXiv id; give one like 2401.01234, hep-th/9901001 or https://arxiv.org/abs/2401.01234"
_FULL: Final = "too many papers are waited for; ask again later"
_LATE: Final = "no answer from arXiv within the deadline; ask again later"
_TROUBLE: Final = "the service cannot ask arXiv now; ask again later"


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a paper is not to be had, and seconds after which it may be."""

    status: int
    detail: str
    wait: float = 0.0

    @property
    def refusal(self) -> Refusal:
        return Refusal(self.status, self.detail, **({"retry_after": str(math.ceil(self.wait))} if self.wait else {}))


_NOBODYS: Final = _Failure(404, "there is no paper of this id on arXiv")
_Outcome = bytes | _Failure


@dataclass(eq=False, slots=True)
class _Question:
    """A paper that is asked for, and whether each of those who want it has left."""

    answer: asyncio.Future[_Outcome]
    gone: list[Callable[[], bool]] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        return not all(gone() for gone in self.gone)


def whom(fetching: Fetching) -> tuple[str, Manners]:
    """The address that is asked, and how. Raises UsageError for an address, a pace or a contact that cannot be."""
    # Somebody waits for the answer: trouble is told at once instead of tried again, and begins a rest.
    url, manners = fetching.url or api.URL, Manners(fetching.pace, 0.0, _PATIENCE, fetching.contact)
    with Web(url, manners, Silent()):
        return url, manners


class Fetcher:
    """Asks arXiv at the pace that all arxivcli of this user on this machine keep together, workers and others."""

    def __init__(
        self,
        fetching: Fetching,
        deadline: float,
        rest: Rest,
        counted: Callable[[str], None] = lambda outcome: None,  # noqa: ARG005
        failed: Callable[[Exception], None] = lambda error: None,  # noqa: ARG005
    ) -> None:
        """Makes nothing but itself; `run` asks.

        Args:
            fetching: whom to ask, and how.
            deadline: seconds that anybody waits for a paper.
            rest: when arXiv is not to be asked.
            counted: hears how each request for a paper ended.
            failed: hears why arXiv could not be asked.
        """
        self._url, self._manners = whom(fetching)
        self._deadline = deadline
        self._rest = rest
        self._counted = counted
        self._failed = failed
        self._kept: dict[str, tuple[_Outcome, float]] = {}
        self._questions: dict[str, _Question] = {}
        self._queue: deque[str] = deque()
        self._arrived = asyncio.Event()
        rounds = int(deadline / fetching.pace) if fetching.pace else _QUEUE
        self._most = min(_QUEUE, max(1, rounds) * _TOGETHER)

    async def run(self) -> None:
        """Ask for what is waited for, batch by batch, for ever."""
        while True:
            await self._arrived.wait()
            if batch := self._take():
                self._settle(batch, await _in_thread(partial(self._asked, batch)))

    async def paper(self, name: str, gone: Callable[[], bool] = lambda: False) -> bytes:
        """A paper as JSON. `name` is an id, or what people copy in its place; `gone` says whether the asker has left.

        Raises Refusal: no id (422), no paper (404), arXiv fails or refuses (502) or did so lately (503), too many wait
        (503), it takes too long (504).
        """
        identifier = arguments.identifier(name)
        if identifier is None:
            raise Refusal(422, _NO_ID)
        outcome, until = self._kept.get(identifier, (None, 0.0))
        if outcome is not None and time.monotonic() < until:
            self._counted("kept")
        else:
            outcome = await self._waited(identifier, gone)
        if isinstance(outcome, bytes):
            return outcome
        raise outcome.refusal

    async def _waited(self, identifier: str, gone: Callable[[], bool]) -> _Outcome:
        question = self._questions.get(identifier)
        if question is None:
            if left := self._rest.left:
                return self._refused(_TROUBLE, left)
            if len(self._queue) >= self._most:
                return self._refused(_FULL, self._manners.pace)
            question = self._questions[identifier] = _Question(asyncio.get_running_loop().create_future())
            self._queue.append(identifier)
            self._arrived.set()
        question.gone.append(gone)
        try:
            async with asyncio.timeout(self._deadline):
                outcome = await asyncio.shield(question.answer)
        except TimeoutError:
            self._counted("late")
            return _Failure(504, _LATE)
        finally:
            question.gone.remove(gone)
        known = "unknown" if outcome == _NOBODYS else "failed"
        self._counted("fetched" if isinstance(outcome, bytes) else known)
        return outcome

    def _refused(self, why: str, wait: float) -> _Failure:
        self._counted("refused")
        return _Failure(503, why, max(wait, 1.0))

    def _take(self) -> list[str]:
        """What is asked for next; what nobody wants any more is not."""
        batch: list[str] = []
        while self._queue and len(batch) < _TOGETHER:
            identifier = self._queue.popleft()
            if self._questions[identifier].wanted:
                batch.append(identifier)
            else:
                self._questions.pop(identifier).answer.set_result(_Failure(LEFT, "nobody waits for the answer"))
        if not self._queue:
            self._arrived.clear()
        return batch

    def _asked(self, identifiers: Sequence[str]) -> dict[str, _Outcome] | Exception:
        """In a thread: what arXiv has of them, or why it could not be asked."""
        if left := self._rest.left:  # another worker, or the batch before, found out meanwhile
            return dict.fromkeys(identifiers, _Failure(503, _TROUBLE, left))
        try:
            records = Papers(identifiers, self._url, self._manners, Silent()).records()
            told = {identifier: _told(record) for identifier, record in records.items()}
        except Exception as error:  # noqa: BLE001  those who wait are told, whatever it was
            return error
        self._rest.end()
        return {one: told.get(one, _NOBODYS) for one in identifiers}

    def _settle(self, batch: Sequence[str], outcomes: dict[str, _Outcome] | Exception) -> None:
        if isinstance(outcomes, Exception):
            self._failed(outcomes)
            outcomes = dict.fromkeys(batch, self._rested(outcomes))
        for identifier, outcome in outcomes.items():
            if isinstance(outcome, bytes) or outcome == _NOBODYS:
                self._kept.pop(identifier, None)
                fresh = _FRESH if isinstance(outcome, bytes) else _UNKNOWN_FRESH
                self._kept[identifier] = outcome, time.monotonic() + fresh
            self._questions.pop(identifier).answer.set_result(outcome)
        while len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]

    def _rested(self, error: Exception) -> _Failure:
        """Leave arXiv alone for a while: as long as it asks for, and as long as can be when it refuses for good."""
        unit = max(self._manners.pace, 0.01)
        longest = _LONGEST_REST * unit
        passing = error.__cause__ if isinstance(error.__cause__, TransientError) else None
        asked = passing.retry_after if passing else longest
        self._rest.begin(asked, unit, longest)
        status = 502 if isinstance(error, ArxivcliError) else 500
        return _Failure(status, _TROUBLE, max(1.0, self._rest.left))


def _told(record: bytes) -> bytes:
    """A snapshot record as clients get it."""
    found: dict[str, Any] = orjson.loads(record)
    texts = {name: " ".join((found[name] or "").split()) for name in ("title", "abstract")}
    categories = [taxonomy.canonical(one) or one for one in (found["categories"] or "").split()]
    return orjson.dumps({"id": found["id"], **texts, "categories": list(dict.fromkeys(categories))})


async def _in_thread(work: Callable[[], Any]) -> Any:
    """What `work` returns; the end of the process does not wait for its thread."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(found: object) -> None:
        if not done.done():
            done.set_result(found)

    def run() -> None:
        found = work()
        with contextlib.suppress(RuntimeError):  # the loop has ended, nobody waits
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=run, name="arxiv", daemon=True).start()
    return await done
