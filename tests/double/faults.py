"""The fault list: what goes wrong, for which requests, how often.

    faults.add(status(503, retry_after=2), site="oai", number=3)       # the third request to the OAI server
    faults.add(reset(after=5_000), verb="ListRecords", times=2)        # the next two pages
    faults.add(bad_record("2101.00003"), times=None)                   # for ever: the page that holds it is HTTP 500

An action takes the request and what would answer it, and gives another answer.
Several faults may meet one request: each spoils what the one added before it left.
"""

from __future__ import annotations

from dataclasses import replace
from email.utils import format_datetime
from typing import TYPE_CHECKING

from . import spoils
from .exchange import Action, Answer, Request, Respond, page
from .oai import failure

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

OUTAGE = (
    "<!DOCTYPE html>\n<html>\n<head><title>Service outage</title></head>\n<body><h1>arXiv is down for maintenance</h1>"
    "<p>We will be back &mdash; soon.<br></body>\n</html>\n"
)


def status(
    code: int,
    body: str | bytes = "",
    *,
    kind: str = "text/html",
    retry_after: float | str | dt.datetime | None = None,
    wait: float = 0.0,
    **headers: str,
) -> Action:
    """Another status, with a body; Retry-After as seconds, as an HTTP date, as any text, or not at all."""
    if retry_after is not None and not isinstance(retry_after, str | int | float):
        retry_after = format_datetime(retry_after, usegmt=True)

    def status(_request: Request, _respond: Respond) -> Answer:
        answer = page(code, kind, body, **headers).with_wire(wait=wait)
        return answer if retry_after is None else answer.with_headers(Retry_After=str(retry_after))

    return status


def rate_exceeded(wait: float = 0.0, retry_after: str | int | None = None) -> Action:
    """HTTP 429 in plain text, perhaps late, as the query API says it is busy."""
    return status(429, "Rate exceeded.", kind="text/plain", wait=wait, retry_after=retry_after)


def outage(code: int = 200) -> Action:
    """An HTML page, with a status that claims success."""
    return status(code, OUTAGE, kind="text/html; charset=utf-8")


def content_type(kind: str | None) -> Action:
    """The true body under another Content-Type."""
    return _changed("content_type", lambda answer: answer.with_headers(Content_Type=kind))


def reset(after: int = 0) -> Action:
    """The connection is reset after so many bytes of the body."""
    return _changed("reset", lambda answer: answer.with_wire(ending="reset", cut=min(after, len(answer.content))))


def short(missing: int = 1) -> Action:
    """The connection ends cleanly before the announced Content-Length is reached."""

    def cut(answer: Answer) -> Answer:
        length = len(answer.content)
        return answer.with_wire(ending="close", claim=length, cut=max(0, length - missing))

    return _changed("short", cut)


def chunked(cut: int | None = None) -> Action:
    """Chunked transfer; with `cut` it stops after so many bytes, without the last chunk."""
    ending = "keep" if cut is None else "close"
    return _changed("chunked", lambda answer: answer.with_wire(chunked=True, cut=cut, ending=ending))


def late(seconds: float) -> Action:
    """The answer comes after a while."""
    return _changed("late", lambda answer: answer.with_wire(wait=seconds))


def silent() -> Action:
    """Headers, then nothing, on an open connection."""
    return _changed("silent", lambda answer: answer.with_wire(claim=len(answer.content), cut=0, ending="hang"))


def drip(size: int = 1, seconds: float = 10.0) -> Action:
    """The body comes a few bytes at a time."""
    return _changed("drip", lambda answer: answer.with_wire(drip=(size, seconds)))


def endless(piece: bytes = b"<!-- and so on -->" * 4_000) -> Action:
    """The true body without its end tag, then the same bytes again and again, as fast as they are taken."""
    return _changed(
        "endless", lambda answer: answer.with_body(lambda body: body[:-20]).with_wire(endless=piece, ending="close")
    )


def huge(size: int, piece: bytes = b" ") -> Action:
    """A body of so many bytes, announced; they are not held in memory."""
    block = piece * (1 << 16)
    return _changed("huge", lambda answer: answer.with_wire(endless=block, claim=max(size, len(answer.content))))


def gzip_bomb(size: int = 1 << 30) -> Action:
    """A small gzip body that unpacks to so many spaces after the beginning of the true answer."""
    return _changed("gzip_bomb", lambda answer: spoils.bomb(answer, size))


def redirect(to: str | Callable[[Request], str], code: int = 302) -> Action:
    """Elsewhere: an address, or a function of the request."""

    def redirect(request: Request, _respond: Respond) -> Answer:
        return Answer(code, (("Location", to if isinstance(to, str) else to(request)),))

    return redirect


def redirect_loop() -> Action:
    """Each answer sends to one more address of the same server; use with `times=20` or `times=None`."""

    def next_hop(request: Request) -> str:
        before, _, hop = request.target.partition("hop=")
        joint = "" if hop else "&" if "?" in before else "?"
        return f"{before}{joint}hop={int(hop or 0) + 1}"

    return redirect(next_hop)


def bad_record(paper: str, *, also_identifiers: bool = False) -> Action:
    """HTTP 500 for whatever makes the server look at one record; use with `times=None`.

    The page is dead too when the record is only the one after it, which the server reads to know if there is more.
    ListIdentifiers works unless told otherwise.
    """

    def bad_record(request: Request, respond: Respond) -> Answer:
        answer = respond(request)
        if paper not in answer.ids or (request.params.get("verb") == "ListIdentifiers" and not also_identifiers):
            return answer
        return page(500, "text/html", "<!doctype html>\n<title>500 Internal Server Error</title>\n")

    return bad_record


def oai_error(code: str, reason: str = "") -> Action:
    """An error of the protocol, such as `badResumptionToken` in the middle of a list."""

    def oai_error(_request: Request, _respond: Respond) -> Answer:
        return failure(code, reason)

    return oai_error


def spoil(change: Callable[[bytes], bytes]) -> Action:
    """The body changed by a function; see `spoils` for the usual ones."""
    return _changed(getattr(change, "__name__", "spoil"), lambda answer: answer.with_body(change))


def headers(**values: str | None) -> Action:
    """Headers replaced, or taken away where None: `headers(ETag='"other"', x_goog_generation="1")`."""
    return _changed("headers", lambda answer: answer.with_headers(**values))


def no_range() -> Action:
    """The server does not know Range: 200 and everything."""

    def no_range(request: Request, respond: Respond) -> Answer:
        kept = {name: value for name, value in request.headers.items() if name != "range"}
        return respond(replace(request, headers=kept)).with_headers(Accept_Ranges=None)

    return no_range


def before(act: Callable[[], object]) -> Action:
    """Do something before the request is answered: change the catalogue, move the clock, publish a snapshot."""

    def before(request: Request, respond: Respond) -> Answer:
        act()
        return respond(request)

    return before


def afterwards(act: Callable[[], object]) -> Action:
    """Do something once the answer is made: what the next request meets has moved."""

    def afterwards(request: Request, respond: Respond) -> Answer:
        answer = respond(request)
        act()
        return answer

    return afterwards


def _changed(name: str, change: Callable[[Answer], Answer]) -> Action:
    def action(request: Request, respond: Respond) -> Answer:
        return change(respond(request))

    action.__qualname__ = name
    return action
