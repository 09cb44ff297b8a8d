"""The application: what can be asked, and of whom it is asked."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Match, Route

from arxivcli import __version__, taxonomy
from arxivcli.serving import bodies, docs, explaining, guard, operating, page, schema, streams
from arxivcli.serving.bodies import JSON, LINES, Body
from arxivcli.serving.refusals import Refusal
from arxivcli.serving.scoring import NO_WORDS, Answer, Asked
from arxivcli.serving.state import left

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from arxivcli.serving.fetching import Fetcher
    from arxivcli.serving.rates import Rates
    from arxivcli.serving.state import State

_NOTHING_SENT: Final[dict[str, Any]] = {
    "telemetry": dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
}
"""FastAPI would send what it sees of papers to wherever the environment says."""


def application(state: State, limiter: Rates | None = None) -> tuple[ASGIApp, guard.Guard]:
    """The whole of it: routes, guard, and leave for other sites' pages where that is wanted; the guard by itself."""
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
        **_NOTHING_SENT,
    )
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _not_found)
    _predicting(app, state)
    _looking(app, state)
    if state.fetcher is not None:
        _fetching(app, state.fetcher)
    operating.add(app, state)
    if service.page:
        page.add(app, docs=service.docs, fetch=state.fetcher is not None)
    if service.docs:
        docs.add(app)
    if service.access.tokens:
        docs.require_token(app, {*guard.ALIVE, *(() if service.access.metrics else guard.METRICS)})
    if not service.access.origins:
        own = guard.Guard(app, state, limiter)
        return own, own
    leave: dict[str, Any] = {
        "allow_origins": service.access.origins,
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["authorization", "content-type", "x-request-id"],
        "expose_headers": ["x-request-id", "retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
    }
    own = guard.Guard(_Preflights(app, **leave), state, limiter)
    return _Leave(own, **leave), own


class _Leave(CORSMiddleware):
    """Tells browsers whose pages may read an answer; what they ask beforehand the guard hears as all else."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        answer = self.app if guard.is_preflight(scope) else super().__call__
        await answer(scope, receive, send)


class _Preflights(CORSMiddleware):
    """Behind the guard: answers what browsers ask beforehand."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Raises Refusal (400)."""
        if not guard.is_preflight(scope):
            return await self.app(scope, receive, send)
        answer = self.preflight_response(Headers(scope=scope))
        if answer.status_code != HTTPStatus.OK:
            raise Refusal(HTTPStatus.BAD_REQUEST, "pages of this site may not ask, or not with this method or header")
        return await answer(scope, receive, send)


class _Quick(Route):
    """A route that is only a route; the guard knows it by its path as all others."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As any route; what it matches knows the route."""
        match, found = super().matches(scope)
        return match, {**found, "route": self}


def _predicting(app: FastAPI, state: State) -> None:
    limits = state.service.limits
    parameters = schema.question(state.service.top, explaining.able(state.holder.now.model))

    @app.post(
        guard.PREDICT,
        tags=["predict"],
        summary="Name the categories of a paper",
        response_model=schema.Answer,
        responses=schema.refusals(408, 413, 415, 422, 500, 503, 504),
        openapi_extra={"requestBody": schema.one_body(limits), "parameters": parameters},
    )
    async def predict(request: Request) -> Response:
        body: Body = request.scope["state"]["body"]
        if body.type != JSON:
            raise Refusal(415, "send the paper as application/json")
        question, explain = state.question(request), state.explain(request)
        title, abstract, identifier = bodies.paper(bodies.parsed(await body.read()), limits.characters)
        asked = Asked(title, abstract, identifier, question, _name(request), explain)
        [answer] = await state.ask([asked], request)
        _require(answer, request)
        return Response(answer.json, media_type=JSON)

    # FastAPI describes the route; what it does besides for each request takes as long as all the rest.
    app.router.routes.insert(0, _Quick(guard.PREDICT, predict, methods=["POST"]))

    @app.post(
        "/predict/batch",
        tags=["predict"],
        summary="Name the categories of many papers",
        description="A list is answered with a list. Lines (NDJSON) are answered line by line while they come; a line "
        "that is no paper is answered with an error and harms no other.",
        response_model=list[schema.Answer],
        responses={
            200: {"content": {LINES[0]: {"schema": {"type": "string"}}}},
            **schema.refusals(408, 413, 415, 422, 500, 503, 504),
        },
        openapi_extra={"requestBody": schema.many_bodies(limits), "parameters": parameters},
    )
    async def predict_batch(request: Request) -> Response:
        body: Body = request.scope["state"]["body"]
        if body.type in LINES:
            return streams.Lines(state, request, body, state.question(request), state.explain(request))
        if body.type != JSON:
            raise Refusal(415, f"send a list of papers as {JSON}, or lines as {LINES[0]}")
        question, explain = state.question(request), state.explain(request)
        papers = bodies.papers(bodies.parsed(await body.read()), limits, state.items(explain=explain))
        name = _name(request)
        asked = [Asked(*paper, question, f"{name}-{number}", explain) for number, paper in enumerate(papers, 1)]
        answers = await state.ask(asked, request)
        for number, answer in enumerate(answers, 1):
            _require(answer, request, f"paper {number}: ")
        return Response(b"[" + b",".join(answer.json for answer in answers) + b"]", media_type=JSON)


def _fetching(app: FastAPI, fetcher: Fetcher) -> None:
    @app.get(
        "/papers",
        tags=["arXiv"],
        summary="Title and abstract of a paper on arXiv",
        description="arXiv is asked at its own pace: an answer takes a few seconds, the same one again does not.",
        response_model=schema.Fetched,
        responses=schema.refusals(404, 422, 500, 502, 503, 504),
        openapi_extra={"parameters": schema.arxiv_id()},
    )
    async def papers(request: Request) -> Response:
        name = bodies.one(request.query_params.multi_items(), "id")
        if not name or len(name) > bodies.LONGEST_ID:
            raise Refusal(422, f"give an arXiv id of at most {bodies.LONGEST_ID} characters as ?id=")
        return Response(await fetcher.paper(name, left(request)), media_type=JSON)


def _looking(app: FastAPI, state: State) -> None:
    @app.get("/labels", tags=["model"], summary="All that can be answered", responses=schema.refusals())
    async def labels() -> schema.Labels:
        card = state.holder.now.model.card
        found = [schema.Label(label=label, name=taxonomy.name(label)) for label in card.labels]
        return schema.Labels(level=card.level, labels=found)

    @app.get(
        "/model",
        tags=["model"],
        summary="The model's card",
        response_model=schema.ModelCard,
        responses=schema.refusals(),
    )
    async def model() -> Response:
        loaded = state.holder.now
        card = {**asdict(loaded.model.card), "explains": explaining.able(loaded.model)}
        names = set(schema.ModelCard.model_fields)
        told = {**card, "version": loaded.version, "num_classes": len(card["labels"])}
        told["calibration"] = asdict(loaded.model.card.calibration)
        return Response(orjson.dumps({n: told[n] for n in told if n in names}), media_type=JSON)


def _name(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


def _require(answer: Answer, request: Request, where: str = "") -> None:
    """Raises Refusal when a paper has no answer: it has no words (422), or the model's numbers are none (500)."""
    if answer.error == "no title":
        raise Refusal(422, f"{where}{NO_WORDS}")
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
