"""The application: what can be asked, and of whom it is asked."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import orjson
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse, Response

from arxivcli import __version__, calibration, taxonomy
from arxivcli.errors import ArxivcliError
from arxivcli.serving import bodies, docs, guard, schema, scoring, streams
from arxivcli.serving.batching import Batcher
from arxivcli.serving.bodies import JSON, LINES, Body
from arxivcli.serving.holder import Holder, require_coverage
from arxivcli.serving.refusals import Refusal, busy
from arxivcli.serving.scoring import Answer, Asked
from arxivcli.serving.telemetry import CONTENT_TYPE, Telemetry
from arxivcli.steps.classification import Question

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from starlette.types import ASGIApp

    from arxivcli.serving.journal import Journal
    from arxivcli.serving.logbook import Logbook
    from arxivcli.serving.rates import Rates
    from arxivcli.serving.settings import Service

_TICK = 2.0
_MOST = 1000
_NOTHING_SENT: Final = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
"""FastAPI would send what it sees of papers to wherever the environment says."""
_NO_WORDS = "title and abstract have no words"


class Application:
    """One worker process's state: its model, its queue, whether it takes requests.

    Attributes:
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
        tell_others: Callable[[], None] = lambda: None,
    ) -> None:
        self.service = service
        self.holder = holder
        self.telemetry = telemetry
        self.logbook = logbook
        self.closing = False
        self.tell_others = tell_others
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

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """From the first request to the last."""
        self._batcher = Batcher(self._score, self.service.batches, self.telemetry.batch, self._failed)
        beat = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beat.cancel()
            await self._batcher.close()

    async def ask(self, asked: Sequence[Asked], request: Request, *, patient: bool = False) -> list[Answer]:
        """The answers to a request's papers. Raises Refusal; what the model raises becomes one (500)."""
        transport = request.scope["state"].get("transport")
        gone = transport.is_closing if transport is not None else lambda: False
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
        return answers

    def question(self, request: Request) -> Question:
        """What the query asks of every paper. Raises Refusal (422)."""
        top, coverage = self.service.top, None
        if request.scope["query_string"]:
            pairs = request.query_params.multi_items()
            top = _number(bodies.one(pairs, "top"), int, "top", self.service.top)
            coverage = _number(bodies.one(pairs, "coverage"), float, "coverage", None)
        if not 1 <= top <= _MOST:
            raise Refusal(422, f"top must be between 1 and {_MOST}")
        if coverage is not None:
            require_coverage(self.holder.now.model, coverage)
        return Question(top, coverage)

    async def reload(self) -> None:
        """Read the model again. Raises ArxivcliError when it is damaged: the one before goes on answering."""
        try:
            loaded = await asyncio.to_thread(self.holder.reload)
        except ArxivcliError as error:
            self.telemetry.error("reload")
            self.logbook.say("reload refused", "error", why=str(error))
            raise
        self.telemetry.model(loaded.model.card, loaded.version)
        self.logbook.say("reloaded", model=loaded.model.card.name, version=loaded.version)

    def _score(self, asked: Sequence[Asked]) -> list[Answer]:
        return scoring.answers(self.holder.now.model, asked, self._journal)

    def _failed(self, error: Exception) -> None:
        self.telemetry.error("model")
        self.logbook.say("the model failed", "error", error=f"{type(error).__name__}: {error}")

    async def _beat(self) -> None:
        while True:
            self.telemetry.state(self.batcher.waiting, self.ready)
            await asyncio.sleep(_TICK)


def application(state: Application, limiter: Rates | None = None) -> ASGIApp:
    """The whole of it: routes, guard, and leave for other sites' pages where that is wanted."""
    service = state.service
    app = FastAPI(
        title="arxivcli",
        version=__version__,
        summary="Puts scientific papers into arXiv categories from title and abstract.",
        lifespan=state.running,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if service.docs else None,
        redirect_slashes=False,
        telemetry=_NOTHING_SENT,
    )
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _not_found)
    _predicting(app, state)
    _looking(app, state)
    _operating(app, state)
    if service.docs:
        docs.add(app)
    if service.access.tokens:
        docs.require_token(app, {*guard.ALIVE, *(() if service.access.metrics else guard.METRICS)})
    guarded: ASGIApp = guard.Guard(app, service, state.telemetry, state.logbook, limiter)
    if service.access.origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=service.access.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "retry-after"],
        )
    return guarded


def _predicting(app: FastAPI, state: Application) -> None:
    limits, top = state.service.limits, state.service.top

    @app.post(
        "/predict",
        summary="Name the categories of a paper",
        response_model=schema.Answer,
        responses=schema.refusals(408, 413, 415, 422, 500, 503, 504),
        openapi_extra={"requestBody": schema.one_body(limits), "parameters": schema.question(top)},
    )
    async def predict(request: Request) -> Response:
        body: Body = request.scope["state"]["body"]
        if body.type != JSON:
            raise Refusal(415, "send the paper as application/json")
        question = state.question(request)
        title, abstract, identifier = bodies.paper(bodies.parsed(await body.read()), limits.characters)
        [answer] = await state.ask([Asked(title, abstract, identifier, question, _name(request))], request)
        _require(answer, request)
        return Response(answer.json, media_type=JSON)

    @app.post(
        "/predict/batch",
        summary="Name the categories of many papers",
        description="A list is answered with a list. Lines (NDJSON) are answered line by line while they come; a line "
        "that is no paper is answered with an error and harms no other.",
        response_model=list[schema.Answer],
        responses={
            200: {"content": {LINES[0]: {"schema": {"type": "string"}}}},
            **schema.refusals(408, 413, 415, 422, 500, 503, 504),
        },
        openapi_extra={"requestBody": schema.many_bodies(limits), "parameters": schema.question(top)},
    )
    async def predict_batch(request: Request) -> Response:
        body: Body = request.scope["state"]["body"]
        if body.type in LINES:
            return streams.Lines(state, request, body, state.question(request))
        if body.type != JSON:
            raise Refusal(415, f"send a list of papers as {JSON}, or lines as {LINES[0]}")
        question = state.question(request)
        papers = bodies.papers(bodies.parsed(await body.read()), limits)
        asked = [Asked(*paper, question, f"{_name(request)}-{number}") for number, paper in enumerate(papers, 1)]
        answers = await state.ask(asked, request)
        for number, answer in enumerate(answers, 1):
            _require(answer, request, f"paper {number}: ")
        return Response(b"[" + b",".join(answer.json for answer in answers) + b"]", media_type=JSON)


def _looking(app: FastAPI, state: Application) -> None:
    @app.get("/labels", summary="All that can be answered", responses=schema.refusals())
    async def labels() -> schema.Labels:
        card = state.holder.now.model.card
        found = [schema.Label(label=label, name=taxonomy.name(label)) for label in card.labels]
        return schema.Labels(level=card.level, labels=found)

    @app.get("/model", summary="The model's card", response_model=schema.ModelCard, responses=schema.refusals())
    async def model() -> Response:
        loaded = state.holder.now
        card = asdict(loaded.model.card)
        names = set(schema.ModelCard.model_fields)
        told = {**card, "version": loaded.version, "num_classes": len(card["labels"])}
        told["calibration"] = asdict(loaded.model.card.calibration)
        return Response(orjson.dumps({n: told[n] for n in told if n in names}), media_type=JSON)


def _operating(app: FastAPI, state: Application) -> None:
    @app.get("/health", summary="How the service is", responses=schema.alive())
    async def health() -> schema.Health:
        model = state.holder.now.model
        return schema.Health(
            status="healthy" if state.ready else "not ready",
            model_loaded=True,
            model_type=model.card.kind,
            device=str(getattr(model.classifier, "device", "cpu")),
            num_classes=len(model.card.labels),
        )

    @app.get("/livez", summary="Whether it should go on running", responses=schema.alive(503))
    async def livez() -> schema.Said:
        if state.batcher.hung:
            raise busy("the model hangs")
        return schema.Said(status="alive")

    @app.get("/readyz", summary="Whether requests should be sent here", responses=schema.alive(503))
    async def readyz() -> schema.Said:
        if not state.ready:
            raise busy("it is about to end" if state.closing else "the model fails or hangs")
        return schema.Said(status="ready")

    text: dict[int | str, Any] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    own = {"response_class": Response, "responses": {**text, **schema.refusals(token=state.service.access.metrics)}}

    @app.get("/metrics", summary="Numbers for Prometheus", **own)  # type: ignore[arg-type]
    @app.get("/metrics/", include_in_schema=False)
    async def metrics() -> Response:
        state.telemetry.state(state.batcher.waiting, state.ready)
        return Response(state.telemetry.shown(), media_type=CONTENT_TYPE)

    @app.post(
        "/admin/reload",
        summary="Read the model's folder again",
        description="The new model answers from one request to the next. One that is damaged is refused.",
        responses=schema.refusals(403, 409),
    )
    async def reload() -> schema.Reloaded:
        if not state.service.access.tokens:
            raise Refusal(403, "this needs a token; start the service with --token-file, or send it a SIGHUP")
        try:
            await state.reload()
        except ArxivcliError:
            raise Refusal(409, "the model is damaged or gone, the log says how; the one before goes on") from None
        state.tell_others()
        loaded = state.holder.now
        return schema.Reloaded(name=loaded.model.card.name, version=loaded.version)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return RedirectResponse("/docs") if state.service.docs else Response(b'{"service":"arxivcli"}', media_type=JSON)


def _number(given: str | None, kind: type[Any], name: str, default: Any) -> Any:
    if given is None:
        return default
    try:
        return kind(given)
    except ValueError:
        raise Refusal(422, f"{name} is no number") from None


def _name(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


def _require(answer: Answer, request: Request, where: str = "") -> None:
    """Raises Refusal when a paper has no answer: it has no words (422), or the model's numbers are none (500)."""
    if answer.error == "no title":
        raise Refusal(422, f"{where}{_NO_WORDS}")
    if answer.error is not None:
        raise guard.bug(_name(request))


async def _refused(_request: Request, refusal: Exception) -> Response:
    if not isinstance(refusal, Refusal):
        raise refusal
    return Response(refusal.body, refusal.status, refusal.headers, JSON)


_SAID = {404: "there is nothing here", 405: "not with this method"}


async def _not_found(_request: Request, error: Exception) -> Response:
    """What the router itself says, in our words."""
    if not isinstance(error, HTTPException):
        raise error
    detail = _SAID.get(error.status_code, "it cannot be done")
    return Response(orjson.dumps({"detail": detail}), error.status_code, error.headers, JSON)
