"""Requests that wait together are scored together: one bounded queue, one model, answers to whom they belong."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from arxivcli.serving.refusals import Refusal, full

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from arxivcli.serving.settings import Batches

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

GIVEN_UP = 5
"""Requests in a row that the model failed at, after which the service says that it is not ready."""

LEFT = 499
"""The status, as nginx writes it, of a request whose client has left; nobody gets it."""

_PATIENCE = 0.5
"""The share of its time that a request may have to wait for others."""
_NEWEST = 0.2
"""How much the newest batch counts in the seconds that a paper of the usual kind takes."""

_AT_ONCE = 8
"""Answers that are given before the loop looks who else has come: who is refused shall not wait for all of them."""

LATE = "no answer within the deadline; ask again later, or for fewer papers at once"


@dataclass(eq=False)
class _Waiting(Generic[Asked, Answer]):
    asked: Sequence[Asked]
    load: int
    deadline: float
    gone: Callable[[], bool]
    answers: asyncio.Future[Sequence[Answer]]

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return not self.answers.done() and not self.gone() and time.monotonic() < self.deadline


_Batch = tuple[list["Sequence[Asked]"], "asyncio.Future[list[Sequence[Answer] | Exception]]"]


def _settle(future: asyncio.Future[Answer], outcome: Answer) -> None:
    if not future.done():
        future.set_result(outcome)


class Batcher(Generic[Asked, Answer]):
    """Takes what waits, at most so many papers, and has it scored in a thread; made where the event loop runs.

    Attributes:
        failures: requests in a row that the model could not answer.
        waiting: papers in the queue.
        load: what they cost, in papers of the usual kind.
    """

    def __init__(
        self,
        score: Callable[[Sequence[Asked]], Sequence[Answer]],
        batches: Batches,
        scored: Callable[[int, float], None] = lambda papers, seconds: None,  # noqa: ARG005
        failed: Callable[[Exception], None] = lambda error: None,  # noqa: ARG005
        cost: Callable[[Asked], int] = lambda asked: 1,  # noqa: ARG005
    ) -> None:
        self._score = score
        self._batches = batches
        self._scored = scored
        self._failed = failed
        self._cost = cost
        self._queue: deque[_Waiting[Asked, Answer]] = deque()
        self._batches_to_score: queue.SimpleQueue[_Batch[Asked, Answer] | None] = queue.SimpleQueue()
        # A thread of its own, which the end of the process does not wait for: it may hang.
        threading.Thread(target=self._score_batches, name="model", daemon=True).start()
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._work())
        self._busy_since: float | None = None
        self._last = (0, 0.0)
        self._pace = 0.0
        self.failures = 0
        self.waiting = 0
        self.load = 0

    @property
    def hung(self) -> bool:
        """Whether the model has been at one batch for longer than any batch takes, or nobody asks it any more."""
        if self._task.done():
            return True
        return self._busy_since is not None and time.monotonic() - self._busy_since > self._batches.hang

    @property
    def failing(self) -> bool:
        """Whether the model has failed so often that it will again."""
        return self.failures >= GIVEN_UP

    def crowded(self, seconds: float) -> bool:
        """Whether a paper that must be answered within so long would be refused."""
        return not self._room(1, time.monotonic() + seconds)

    async def ask(
        self,
        asked: Sequence[Asked],
        deadline: float,
        gone: Callable[[], bool] = lambda: False,
        *,
        patient: bool = False,
    ) -> list[Answer]:
        """The answers, in order; many papers go in parts so that others get between them.

        Args:
            asked: the papers and what is asked of each.
            deadline: of `time.monotonic`, after which nobody wants an answer.
            gone: whether the asker has left: what still waits then is dropped.
            patient: wait for room in the queue instead of being refused.

        Raises Refusal when the queue is full (503) or the deadline passes (504), and what the model raises.
        """
        load = sum(map(self._cost, asked))
        while patient and not self._room(load, deadline) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if not self._room(load, deadline):
            raise full()
        parts = [_Waiting(some, cost, deadline, gone, self._loop.create_future()) for some, cost in self._parts(asked)]
        self._queue.extend(parts)
        self.waiting += len(asked)
        self.load += load
        self._arrived.set()
        try:
            async with asyncio.timeout_at(self._loop.time() + deadline - time.monotonic()):
                return [answer for part in parts for answer in await part.answers]
        except TimeoutError:
            raise Refusal(504, LATE) from None
        finally:
            for part in parts:
                if not part.answers.cancel() and not part.answers.cancelled():
                    part.answers.exception()  # asyncio complains of those that nobody looked at

    async def close(self) -> None:
        """End the work; what is being scored is nobody's any more."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self._batches_to_score.put(None)

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            if self._company_pays():
                await asyncio.sleep(self._batches.wait)
            batch = self._take()
            if batch:
                await self._answer(batch)

    def _parts(self, asked: Sequence[Asked]) -> Iterator[tuple[Sequence[Asked], int]]:
        """What goes into a batch together, and its cost."""
        first, load = 0, 0
        for number, cost in enumerate(map(self._cost, asked)):
            if number > first and load + cost > self._batches.papers:
                yield asked[first:number], load
                first, load = number, 0
            load += cost
        yield asked[first:], load

    def _room(self, load: int, deadline: float) -> bool:
        """Whether so much more may wait: there is a place, and those before will be done long before the deadline.

        Let in regardless, everybody would wait nearly as long as they can, and most answers would come too late.
        """
        before = self.load * self._pace
        return self.load + load <= self._batches.queue and before <= _PATIENCE * (deadline - time.monotonic())

    def _company_pays(self) -> bool:
        """Whether to wait a little: others came together lately, and scoring takes so long that the wait is small."""
        papers, seconds = self._last
        return papers > 1 and seconds > 2 * self._batches.wait and self.load < self._batches.papers

    def _take(self) -> list[_Waiting[Asked, Answer]]:
        batch: list[_Waiting[Asked, Answer]] = []
        load = 0
        while self._queue and (not batch or load + self._queue[0].load <= self._batches.papers):
            waiting = self._queue.popleft()
            self.waiting -= len(waiting.asked)
            self.load -= waiting.load
            if waiting.wanted:
                batch.append(waiting)
                load += waiting.load
            elif not waiting.answers.done():
                waiting.answers.set_exception(Refusal(LEFT, "nobody waits for the answer"))
        if not self._queue:
            self._arrived.clear()
        return batch

    async def _answer(self, batch: list[_Waiting[Asked, Answer]]) -> None:
        self._busy_since = time.monotonic()
        try:
            done: asyncio.Future[list[Sequence[Answer] | Exception]] = self._loop.create_future()
            self._batches_to_score.put(([waiting.asked for waiting in batch], done))
            outcomes = await done
        finally:
            began, self._busy_since = self._busy_since, None
        papers, seconds = sum(len(waiting.asked) for waiting in batch), time.monotonic() - began
        self._last = papers, seconds
        self._pace += _NEWEST * (seconds / sum(waiting.load for waiting in batch) - self._pace)
        self._scored(papers, seconds)
        for number, (waiting, outcome) in enumerate(zip(batch, outcomes, strict=True), 1):
            self.failures = self.failures + 1 if isinstance(outcome, Exception) else 0
            if isinstance(outcome, Exception):
                self._failed(outcome)
                if not waiting.answers.done():
                    waiting.answers.set_exception(outcome)
            elif not waiting.answers.done():
                waiting.answers.set_result(outcome)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _score_batches(self) -> None:
        """In the thread: one batch after another."""
        while (batch := self._batches_to_score.get()) is not None:
            requests, done = batch
            outcomes = self._outcomes(requests)
            with contextlib.suppress(RuntimeError):  # the loop has ended, nobody waits
                self._loop.call_soon_threadsafe(_settle, done, outcomes)

    def _outcomes(self, requests: list[Sequence[Asked]]) -> list[Sequence[Answer] | Exception]:
        """All at once; when that fails each request by itself, so that one cannot fail the others."""
        try:
            answers = self._score([one for request in requests for one in request])
        except Exception as error:  # noqa: BLE001  whatever a model raises is the answer to who asked
            return [error] if len(requests) == 1 else [self._outcomes([request])[0] for request in requests]
        parted = iter(answers)
        return [[next(parted) for _ in request] for request in requests]
