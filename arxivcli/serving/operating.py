"""What operators ask: is it alive, is it ready, how much does it do, and would it read its model again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from arxivcli.errors import ArxivcliError
from arxivcli.serving import schema
from arxivcli.serving.bodies import JSON
from arxivcli.serving.refusals import Refusal, busy
from arxivcli.serving.telemetry import CONTENT_TYPE

if TYPE_CHECKING:
    from fastapi import FastAPI

    from arxivcli.serving.state import State


def add(app: FastAPI, state: State) -> None:
    """Whether it lives, how it is, its metrics, and another model."""
    _alive(app, state)
    _numbers(app, state)


def _alive(app: FastAPI, state: State) -> None:
    @app.get("/health", tags=["operate"], summary="How the service is", responses=schema.alive())
    async def health() -> schema.Health:
        model = state.holder.now.model
        return schema.Health(
            status="healthy" if state.ready else "not ready",
            model_loaded=True,
            model_type=model.card.kind,
            device=state.holder.now.device,
            num_classes=len(model.card.labels),
        )

    @app.get("/livez", tags=["operate"], summary="Whether it should go on running", responses=schema.alive(503))
    async def livez() -> schema.Said:
        if state.batcher.hung:
            raise busy("the model hangs")
        return schema.Said(status="alive")

    @app.get("/readyz", tags=["operate"], summary="Whether requests should be sent here", responses=schema.alive(503))
    async def readyz() -> schema.Said:
        if not state.ready:
            raise busy("it is about to end" if state.closing else "the model fails or hangs")
        return schema.Said(status="ready")


def _numbers(app: FastAPI, state: State) -> None:
    text: dict[int | str, Any] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    own = {"response_class": Response, "responses": {**text, **schema.refusals(token=state.service.access.metrics)}}

    @app.get("/metrics", tags=["operate"], summary="Numbers for Prometheus", **own)  # type: ignore[arg-type]
    @app.get("/metrics/", include_in_schema=False)
    async def metrics() -> Response:
        state.telemetry.state(state.batcher.waiting, state.ready)
        return Response(state.telemetry.shown(), media_type=CONTENT_TYPE)

    @app.get(
        "/drift",
        tags=["operate"],
        summary="Whether the latest answers are like those before",
        description="With several workers, of the one that is asked.",
        response_model=schema.Drift,
        responses=schema.refusals(),
    )
    async def drift() -> Response:
        drifting = state.drifting
        found = drifting.compared()
        told = {
            "reference": {"source": drifting.source, "papers": drifting.reference.papers},
            "lately": {"papers": drifting.lately.papers},
            **({"categories": None, "confidence": None, "moved": []} if found is None else asdict(found)),
        }
        return Response(orjson.dumps(told), media_type=JSON)

    @app.post(
        "/admin/reload",
        tags=["operate"],
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
