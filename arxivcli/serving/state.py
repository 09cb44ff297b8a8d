"""What one worker process knows: its model, its queue, whether requests should be sent to it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from arxivcli.errors import ArxivcliError
from arxivcli.serving import bodies, explaining, guard, scoring
from arxivcli.serving.batching import Batcher
from arxivcli.serving.drifting import Drifting
from arxivcli.serving.holder import require_coverage
from arxivcli.serving.refusals import Refusal, busy
from arxivcli.steps.classification import Question

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from fastapi import FastAPI, Request

    from arxivcli.serving.fetching import Fetcher
    from arxivcli.serving.holder import Holder
    from arxivcli.serving.journal import Journal
    from arxivcli.serving.logbook import Logbook
    from arxivcli.serving.scoring import Answer, Asked
    from arxivcli.serving.settings import Service
    from arxivcli.serving.telemetry import Telemetry

_TICK = 2.0
MOST_LABELS = 1000


class State:
    """All that requests share.

    Attributes:
        drifting: how its answers change over time.
        fetcher: who asks arXiv for papers; None where that is not allowed.
        closing: it was told to end: it answers, but says that it is not ready.
        tell_others: makes the other worker processes read their model again.
    """

    def __init__(
        self,
        service: Service,
        holder: Holder,
        telemetry: Telemetry,
        logbook: Logbook,
        journal: Journal | None = None,
        fetcher: Fetcher | None = None,
        tell_others: Callable[[], None] = lambda: None,
    ) -> None:
        self.service = service
        self.holder = holder
        self.telemetry = telemetry
        self.logbook = logbook
        self.closing = False
        self.fetcher = fetcher
        self.tell_others = tell_others
        self.drifting = Drifting(service.comparing.papers, service.comparing.log)
        self._journal = journal
        self._batcher: Batcher[Asked, Answer] | None = None
        telemetry.model(holder.now.model.card, holder.now.version)

    @property
    def batcher(self) -> Batcher[Asked, Answer]:
        """The queue in front of the model; there is one while the service runs."""
        if self._batcher is None:
            raise busy("the service has not begun")
        return self._batcher

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return not self.closing and not self.batcher.failing and not self.batcher.hung

    @property
    def crowded(self) -> bool:
        """Whether another paper would be refused."""
        return self.batcher.crowded(self.service.limits.deadline)

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """From the first request to the last."""
        self._batcher = Batcher(self._score, self.service.batches, self.telemetry.batch, self._failed, self._cost)
        tasks = [asyncio.create_task(self._beat())]
        if self.fetcher is not None:
            tasks.append(asyncio.create_task(self.fetcher.run()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await self._batcher.close()

    async def ask(self, asked: Sequence[Asked], request: Request, *, patient: bool = False) -> list[Answer]:
        """The answers to a request's papers. Raises Refusal; what the model raises becomes one (500)."""
        gone = left(request)
        deadline = time.monotonic() + self.service.limits.deadline
        for one in asked:
            self.telemetry.paper(len(one.title) + len(one.abstract))
        try:
            answers = await self.batcher.ask(asked, deadline, gone, patient=patient)
        except Refusal:
            raise
        except Exception as error:
            raise guard.bug(request.scope["state"]["request_id"]) from error
        self.telemetry.answers(answers)
        for answer in answers:
            if answer.error is None:
                self.drifting.add(answer.category, answer.confidence)
        return answers

    def question(self, request: Request) -> Question:
        """What the query asks of every paper. Raises Refusal (422)."""
        top, coverage = self.service.top, None
        if request.scope["query_string"]:
            pairs = request.query_params.multi_items()
            top = _number(bodies.one(pairs, "top"), int, "top", self.service.top)
            coverage = _number(bodies.one(pairs, "coverage"), float, "coverage", None)
        if not 1 <= top <= MOST_LABELS:
            raise Refusal(422, f"top must be between 1 and {MOST_LABELS}")
        if coverage is not None:
            require_coverage(self.holder.now.model, coverage)
        return Question(top, coverage)

    def explain(self, request: Request) -> bool:
        """Whether the query asks which words count. Raises Refusal (422)."""
        if not request.scope["query_string"]:
            return False
        given = bodies.one(request.query_params.multi_items(), "explain")
        if given not in {None, "true", "false"}:
            raise Refusal(422, "explain must be true or false")
        if given == "true" and not explaining.able(self.holder.now.model):
            raise Refusal(422, "this model cannot say which words count")
        return given == "true"

    async def reload(self) -> None:
        """Read the model again. Raises ArxivcliError when it is damaged: the one before goes on answering."""
        before = self.holder.now.version
        try:
            loaded = await asyncio.to_thread(self.holder.reload)
        except ArxivcliError as error:
            self.telemetry.error("reload")
            self.logbook.say("reload refused", "error", why=str(error))
            raise
        self.telemetry.model(loaded.model.card, loaded.version)
        if loaded.version != before:
            self.drifting.restart()
        self.logbook.say("reloaded", model=loaded.model.card.name, version=loaded.version)

    def items(self, *, explain: bool) -> int:
        """Papers that a list may have."""
        return max(1, self.service.limits.items // self.cost(explain=explain))

    def cost(self, *, explain: bool) -> int:
        """What a paper costs, in papers that are only scored; never so much that it could not wait."""
        batches = self.service.batches
        return min(explaining.cost(self.holder.now.model), batches.papers, batches.queue) if explain else 1

    def _cost(self, asked: Asked) -> int:
        return self.cost(explain=asked.explain)

    def _score(self, asked: Sequence[Asked]) -> list[Answer]:
        return scoring.answers(self.holder.now.model, asked, self._journal)

    def _failed(self, error: Exception) -> None:
        self.telemetry.error("model")
        self.logbook.say("the model failed", "error", error=f"{type(error).__name__}: {error}")

    async def _beat(self) -> None:
        while True:
            self.telemetry.state(self.batcher.waiting, self.ready)
            self.telemetry.drift(self.drifting)
            await asyncio.sleep(_TICK)


def left(request: Request) -> Callable[[], bool]:
    """Says whether the client of a request has left."""
    transport = request.scope["state"].get("transport")
    return transport.is_closing if transport is not None else lambda: False


def _number(given: str | None, kind: type[Any], name: str, default: Any) -> Any:
    if given is None:
        return default
    try:
        return kind(given)
    except ValueError:
        raise Refusal(422, f"{name} is no number") from None
