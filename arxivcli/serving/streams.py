"""A stream of lines answered line by line, as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from arxivcli.serving import bodies
from arxivcli.serving.bodies import LINES
from arxivcli.serving.refusals import Refusal
from arxivcli.serving.scoring import NO_WORDS, Asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import Request
    from starlette.types import Receive, Scope, Send

    from arxivcli.serving.bodies import Body
    from arxivcli.serving.scoring import Answer
    from arxivcli.serving.state import State
    from arxivcli.steps.classification import Question

_NO_SCORE = "no answer; the model failed at this paper"


class Lines(Response):
    """The answers to the lines of a body, one line each, in order; a reader who stops reading is cut off."""

    def __init__(self, state: State, request: Request, body: Body, question: Question, explain: bool) -> None:
        super().__init__(media_type=LINES[0])
        self._state = state
        self._request = request
        self._body = body
        self._question = question
        self._explain = explain
        self._number = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  the body reads
        """Answer until the body ends. What goes wrong at first is an error answer, later it is the last line."""
        del self.headers["content-length"]
        begun = False
        size = max(1, self._state.service.batches.papers // self._state.cost(explain=self._explain))
        try:
            async for lines in self._body.lines():
                for first in range(0, len(lines), size):
                    answers = await self._answers(lines[first : first + size])
                    if not begun:
                        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                        begun = True
                    async with asyncio.timeout(self._state.service.limits.deadline):
                        await send({"type": "http.response.body", "body": answers, "more_body": True})
            last = b""
        except Refusal as refusal:
            if not begun:
                raise
            last = _error(refusal.detail)
        except TimeoutError:
            raise Refusal(408, "the answers are not read") from None
        if not begun:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": last})

    async def _answers(self, lines: Sequence[bytes | None]) -> bytes:
        """A line for each."""
        found: list[bytes | None] = []
        asked: list[Asked] = []
        for line in lines:
            self._number += 1
            value: Any = None
            try:
                value = self._parsed(line)
                paper = bodies.paper(value, self._state.service.limits.characters)
            except Refusal as refusal:
                found.append(_error(refusal.detail, bodies.name_of(value)))
                continue
            name = f"{self._request.scope['state']['request_id']}-{self._number}"
            asked.append(Asked(*paper, self._question, name, self._explain))
            found.append(None)
        answers = await self._state.ask(asked, self._request, patient=True) if asked else ()
        told = (_line(answer, one.identifier) for answer, one in zip(answers, asked, strict=True))
        return b"".join(next(told) if line is None else line for line in found)

    def _parsed(self, line: bytes | None) -> Any:
        if line is None:
            raise Refusal(413, f"the line is longer than {self._state.service.limits.body:,} bytes")
        return bodies.parsed(line, "the line")


def _line(answer: Answer, identifier: str) -> bytes:
    if answer.error is not None:
        return _error(NO_WORDS if answer.error == "no title" else _NO_SCORE, identifier)
    return answer.json + b"\n"


def _error(detail: str, identifier: str = "") -> bytes:
    named = {"id": identifier} if identifier else {}
    return orjson.dumps({**named, "error": detail}, option=orjson.OPT_APPEND_NEWLINE)
