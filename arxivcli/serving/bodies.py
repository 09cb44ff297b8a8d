"""What a request says, read within its limits and checked: papers, and what is asked of them."""

from __future__ import annotations

import asyncio
import codecs
import re
import time
from typing import TYPE_CHECKING, Any, Final

import orjson

from arxivcli.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.types import Message, Receive

    from arxivcli.serving.settings import Limits

JSON: Final = "application/json"
LINES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_DRIP: Final = 100
"""Bytes a second that a stream must bring on average while it is waited for."""
_LINGER: Final = 2.0
_LINGER_BYTES: Final = 8 << 20
LONGEST_ID: Final = 200
VISIBLE: Final = r"[^\s\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
"""What `text.clean` leaves something of; in the regular expressions of Python and of JSON schema alike."""
_VISIBLE: Final = re.compile(VISIBLE)


class Body:
    """A request's body as it comes in: never more of it than allowed, never later.

    Attributes:
        complete: whether all of it was read, so that the connection can serve another request.
    """

    def __init__(self, receive: Receive, headers: dict[bytes, bytes], limits: Limits) -> None:
        self._receive = receive
        self._limits = limits
        self._length = headers.get(b"content-length", b"")
        self._encoded = headers.get(b"content-encoding", b"identity").strip().lower() not in {b"identity", b""}
        self.type = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        self.complete = b"transfer-encoding" not in headers and self._length in {b"", b"0"}
        self._late = time.monotonic() + limits.read_seconds

    async def receive(self) -> Message:
        """What ASGI's receive says. Raises Refusal (408) when that takes too long."""
        if self.complete:
            return await self._receive()
        try:
            async with asyncio.timeout(self._late - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise Refusal(408, "the body did not arrive in time") from None
        self._seen(message)
        return message

    async def read(self) -> bytes:
        """All of it. Raises Refusal: too long (413), packed (415), too slow (408), or its sender has left (400)."""
        self._check(self._limits.body)
        message = await self.receive()
        whole = message.get("body", b"")
        parts, size = [whole], len(whole)
        while size <= self._limits.body and not self.complete:
            if message["type"] == "http.disconnect":
                break
            message = await self.receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        if size > self._limits.body:
            raise self._too_long(self._limits.body)
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the body is not complete")
        return whole if len(parts) == 1 else b"".join(parts)

    async def lines(self) -> AsyncIterator[list[bytes | None]]:
        """Its lines, those together that came together, None for one that is too long.

        Raises Refusal as `read` does.
        """
        self._check(self._limits.stream)
        rest, size, waited, cut = b"", 0, 0.0, False
        while not self.complete:
            began = time.monotonic()
            self._late = began + min(self._limits.read_seconds, self._limits.read_seconds - waited + size / _DRIP)
            message = await self.receive()
            waited += time.monotonic() - began
            if message["type"] == "http.disconnect":
                raise Refusal(400, "the body is not complete")
            size += len(message["body"])
            if size > self._limits.stream:
                raise self._too_long(self._limits.stream)
            *ended, rest = (rest + message["body"]).split(b"\n")
            whole = [None if len(line) > self._limits.body else line for line in ended]
            if whole and cut:
                whole[0], cut = None, False
            if cut or len(rest) > self._limits.body:
                rest, cut = b"", True
            if whole:
                yield whole
        if rest or cut:
            yield [None if cut else rest]

    async def linger(self) -> None:
        """Read on for a little and forget it: closed at once, a connection loses the answer that is on its way."""
        size = 0
        try:
            async with asyncio.timeout(_LINGER):
                while not self.complete and size < _LINGER_BYTES:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        return
                    self._seen(message)
                    size += len(message["body"])
        except TimeoutError:
            return

    def _check(self, most: int) -> None:
        if self._encoded:
            raise Refusal(415, "the body is packed; send it as it is, without Content-Encoding")
        if self._length.isdigit() and int(self._length) > most:
            raise self._too_long(most)

    def _seen(self, message: Message) -> None:
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.complete = True

    def _too_long(self, most: int) -> Refusal:
        return Refusal(413, f"the body is longer than {most:,} bytes")


def parsed(body: bytes, where: str = "the body") -> Any:
    """The JSON value. Raises Refusal (400); it says where the fault is and repeats nothing of it."""
    try:
        return orjson.loads(body.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        line = f"line {error.lineno}, " if b"\n" in body else ""
        raise Refusal(400, f"{where} is not JSON ({line}column {error.colno})") from None


def paper(value: Any, most: int, where: str = "") -> tuple[str, str, str]:
    """Title, abstract, and the caller's own id or nothing. Raises Refusal (422) that names the field."""
    if type(value) is not dict:
        raise Refusal(422, f"{where}give an object with title and abstract")
    title = _text(value, "title", most, where)
    if _VISIBLE.search(title) is None:
        raise Refusal(422, f"{where}title has no words")
    abstract = _text(value, "abstract", most, where)
    identifier = value.get("id")
    if identifier is None:
        return title, abstract, ""
    if not name_of(value):
        raise Refusal(422, f"{where}id must be text of 1 to {LONGEST_ID} characters")
    return title, abstract, identifier


def name_of(value: Any) -> str:
    """The caller's own id of what may be no paper otherwise, or nothing."""
    found = value.get("id") if type(value) is dict else None
    return found if type(found) is str and 0 < len(found) <= LONGEST_ID else ""


def papers(value: Any, limits: Limits, most: int) -> list[tuple[str, str, str]]:
    """The papers of a list. Raises Refusal (422) for too many, or that names the first that is none."""
    if type(value) is not list or not value:
        raise Refusal(422, "give a list of one paper or more")
    if len(value) > most:
        raise Refusal(422, f"give {most:,} papers at most, or a stream of lines")
    return [paper(one, limits.characters, f"paper {number}: ") for number, one in enumerate(value, 1)]


def _text(value: dict[str, Any], name: str, most: int, where: str) -> str:
    text = value.get(name)
    if type(text) is not str:
        raise Refusal(422, f"{where}{name} is {'not text' if name in value else 'missing'}")
    if not text:
        raise Refusal(422, f"{where}{name} must have at least one character")
    if len(text) > most:
        raise Refusal(422, f"{where}{name} has more than {most:,} characters")
    return text


def one(pairs: Iterable[tuple[str, str]], name: str) -> str | None:
    """The value of a query parameter, None without it. Raises Refusal (422) when it is there twice."""
    found = [value for key, value in pairs if key == name]
    if len(found) > 1:
        raise Refusal(422, f"{name} is there more than once")
    return found[0] if found else None
