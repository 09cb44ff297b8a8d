"""The web client under bad servers: what passes is waited for, what does not stops at once, nobody leads us astray."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import socket
import threading
import time
from contextlib import contextmanager
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from double import faults
from double.exchange import Answer, Request, page
from loopback import address, body, client, refused

from arxivcli.progress import Silent
from arxivcli.sources import web as web_module
from arxivcli.sources.trouble import BrokenAnswerError, TransientError
from arxivcli.sources.web import Manners, Reply, Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from double.serving import Site

LONG = b"0123456789" * 2_000


pytestmark = pytest.mark.usefixtures("alone")


def long(_request: Request) -> Answer:
    return page(200, "text/plain", LONG)


def test_the_server_hears_who_we_are_and_what_we_want(server: Site) -> None:
    with client(address(server, "/oai"), contact="me@example.org") as web:
        assert web.ask({"verb": "Identify", "set": "a:b c"}, body) == b"hello"
    (asked,) = server.log
    assert asked.path == "/oai"
    assert asked.params == {"verb": "Identify", "set": "a:b c"}
    assert asked.headers["user-agent"].startswith("arxivcli/")
    assert asked.headers["user-agent"].endswith("(mailto:me@example.org)")
    assert asked.headers["accept-encoding"] == "gzip"


def test_a_packed_answer_is_unpacked(server: Site) -> None:
    server.respond = lambda request: long(request).compressed()
    with client(address(server)) as web:
        assert web.ask({}, body) == LONG


@pytest.mark.parametrize(
    "action",
    [faults.reset(), faults.reset(after=7_000), faults.short(), faults.short(missing=9_999), faults.chunked(cut=3_000)],
    ids=["reset", "reset in the body", "one byte short", "half", "chunked"],
)
def test_half_an_answer_is_none(server: Site, action: faults.Action) -> None:
    server.respond = long
    server.faults.add(action, times=2)
    read: list[bytes] = []
    with client(address(server)) as web:
        web.ask({}, lambda reply: read.append(reply.body))
    assert read == [LONG]
    assert len(server.log) == 3


def test_a_damaged_packing_is_asked_for_again(server: Site) -> None:
    server.respond = lambda request: long(request).compressed()
    server.faults.add(faults.spoil(lambda packed: packed[:20] + b"\xff\xff\xff" + packed[23:]))
    with client(address(server)) as web:
        assert web.ask({}, body) == LONG


class Waited(Exception):  # noqa: N818  no error
    """We would wait now."""


class Impatient(Silent):
    """A watcher who ends the program when it says how long it waits."""

    def waiting(self, seconds: float, why: str) -> None:
        raise Waited(seconds, why)


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 3, 3),
        ("1", 3, 3),
        ("1000000000", 900, 900),
        ("9" * 400, 900, 900),
        (120, 110, 121),
        (10**7, 900, 900),
        (-500, 3, 3),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 3, 3),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 3, 3),
        (None, 30, 38),
        ("soon", 30, 38),
        ("-5", 30, 38),
        ("1.5", 30, 38),
        ("Mon, 99 Foo 20xx", 30, 38),
        ("", 30, 38),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_a_server_asks_for_is_kept_within_bounds(
    server: Site, status: int, retry_after: str | int | None, least: float, most: float
) -> None:
    """Numbers stand for dates, so many seconds from now."""
    if isinstance(retry_after, int):
        then = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=retry_after)
        retry_after = format_datetime(then, usegmt=True)
    server.faults.add(faults.status(status, "busy", retry_after=retry_after))
    with Web(address(server), Manners(), Impatient()) as web, pytest.raises(Waited) as caught:
        web.ask({}, body)
    waiting, because = caught.value.args
    assert least <= round(waiting) <= most
    assert because.startswith(f"127.0.0.1:{server.port} says {status}")


def test_a_date_is_read_by_the_servers_clock(server: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock may be years from ours."""
    now, then = "Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2000 00:01:00 GMT"
    monkeypatch.setattr("double.serving._Handler.date_time_string", lambda *_: now)
    server.faults.add(faults.status(503, retry_after=then))
    with Web(address(server), Manners(), Impatient()) as web, pytest.raises(Waited) as caught:
        web.ask({}, body)
    assert 55 < caught.value.args[0] <= 60


def test_a_storm_of_fifty_passes(server: Site) -> None:
    server.faults.add(faults.status(503, retry_after=0), times=50)
    with client(address(server)) as web:
        assert web.ask({}, body) == b"hello"
    assert len(server.log) == 51
    assert min(server.log.gaps()) >= 0.009
    assert server.log.most_at_once() == 1


def test_waits_grow_while_there_is_trouble(server: Site) -> None:
    server.faults.add(faults.status(502), times=4)
    with client(address(server)) as web:
        web.ask({}, body)
    for number, gap in enumerate(server.log.gaps()):
        assert gap >= 0.02 * 2**number


def test_a_storm_without_end_ends_in_time_and_says_how_to_go_on(server: Site) -> None:
    server.faults.add(faults.status(503, retry_after=0), times=None)
    began = time.monotonic()
    error = refused(address(server), max_wait=0.3)
    assert time.monotonic() - began < 1
    assert "says 503 Service Unavailable; gave up after 0 s" in str(error)
    assert "run the same command again later" in error.hint


def test_nobody_waits_longer_than_allowed_just_to_give_up(server: Site) -> None:
    server.faults.add(faults.status(503, retry_after=800), times=None)
    began = time.monotonic()
    refused(address(server), pace=3.0, max_wait=100.0)
    assert time.monotonic() - began < 1
    assert len(server.log) == 1


@pytest.mark.parametrize("timeout", [5.0, 0.1], ids=["within our patience", "beyond it"])
def test_a_late_429_in_plain_text_is_never_read_as_an_answer(server: Site, timeout: float) -> None:
    server.faults.add(faults.rate_exceeded(wait=0.2), times=2)
    read: list[bytes] = []
    with client(address(server), timeout=timeout) as web:
        web.ask({}, lambda reply: read.append(reply.body))
    assert read == [b"hello"]


@pytest.mark.parametrize("status", [401, 403, 406, 451])
def test_a_refusal_is_final(server: Site, status: int) -> None:
    server.faults.add(faults.status(status, "no", retry_after=1), times=None)
    error = refused(address(server))
    assert len(server.log) == 1
    assert f"says {status}" in error.what
    assert "snapshot" in error.hint


@pytest.mark.parametrize("status", [204, 302, 304, 400, 404, 410])
def test_what_is_no_answer_is_asked_for_once(server: Site, status: int) -> None:
    """Also a redirect that leads nowhere."""
    server.faults.add(faults.status(status), times=None)
    assert f"says {status}" in refused(address(server)).what
    assert len(server.log) == 1


def test_other_statuses_can_be_answers(server: Site) -> None:
    server.faults.add(faults.status(400, "bad id"), times=None)
    with client(address(server)) as web:
        assert web.ask({}, lambda reply: (reply.status, reply.body), also=frozenset({400})) == (400, b"bad id")


def test_a_500_again_and_again_is_this_questions_own(server: Site) -> None:
    server.faults.add(faults.status(500), times=None)
    assert isinstance(refused(address(server)), BrokenAnswerError)
    assert len(server.log) == 3


def test_a_500_in_a_storm_is_not(server: Site) -> None:
    for status in (503, 503, 500, 503, 500, 502):
        server.faults.add(faults.status(status, retry_after=0), number=len(server.faults._faults) + 1)
    with client(address(server)) as web:
        assert web.ask({}, body) == b"hello"
    assert len(server.log) == 7


def test_an_answer_that_the_reader_does_not_like_is_asked_for_again(server: Site) -> None:
    server.faults.add(faults.outage(), times=1)
    server.faults.add(faults.status(200, ""), number=2)

    def strict(reply: Reply) -> bytes:
        if reply.body != b"hello":
            raise TransientError("this is no feed")
        return reply.body

    with client(address(server)) as web:
        assert web.ask({}, strict) == b"hello"
    assert len(server.log) == 3


def test_an_unknown_packing_is_refused(server: Site) -> None:
    server.faults.add(faults.headers(Content_Encoding="br"), times=None)
    assert "encoding that nobody asked for" in refused(address(server)).what
    assert len(server.log) == 3


@pytest.mark.parametrize("action", [faults.gzip_bomb(32 << 20), faults.endless()], ids=["bomb", "endless"])
def test_an_answer_without_bounds_is_cut(server: Site, monkeypatch: pytest.MonkeyPatch, action: faults.Action) -> None:
    monkeypatch.setattr(web_module, "BODY_CAP", 2 << 20)
    server.faults.add(action, times=None)
    assert "more than 2 MiB" in refused(address(server)).what
    assert len(server.log) == 3
    assert max(asked.sent for asked in server.log) < 20 << 20


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (faults.silent(), "was silent for 0.1 s"),
        (faults.late(9), "was silent for 0.1 s"),
        (faults.drip(1, 0.03), "bytes a second"),
        (faults.drip(500, 0.05), "broke off: it came too slowly"),
    ],
    ids=["headers, then nothing", "nothing", "drops", "too long"],
)
def test_a_slow_server_is_not_waited_for(server: Site, action: faults.Action, says: str) -> None:
    server.respond = long
    server.faults.add(action, times=None)
    began = time.monotonic()
    error = refused(address(server), timeout=0.1, max_wait=0.01)
    assert says in error.what
    assert time.monotonic() - began < 3


def test_headers_that_drip_are_not_waited_for() -> None:
    """Each byte is early enough for a limit of silence."""
    with dripping() as url:
        began = time.monotonic()
        error = refused(url, timeout=0.2, max_wait=0.01)
    assert "broke off: it came too slowly" in error.what
    assert time.monotonic() - began < 2


@contextmanager
def dripping() -> Iterator[str]:
    """A server that sends a header of one endless line."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        stop.set()
        thread.join()


def test_a_long_pause_between_questions_does_no_harm(server: Site) -> None:
    """The server closes connections that nobody uses."""
    with client(address(server)) as web:
        web.ask({}, body)
        for connection in list(server._live):
            connection.shutdown(socket.SHUT_RDWR)
        time.sleep(0.05)
        began = time.monotonic()
        web.ask({}, body)
        assert time.monotonic() - began < 0.5
    assert len(server.log) == 2
    assert server.log.most_connections() == 1


def test_progress_gives_new_patience(server: Site) -> None:
    """As long as each try gets further there is no limit to their number."""
    tries = itertools.count(1)

    def attempt() -> int:
        if (number := next(tries)) < 12:
            raise TransientError("half of it came", tries=2, moved=True)
        return number

    with client(address(server), max_wait=0.1) as web:
        assert web.patiently(attempt) == 12


def test_a_fast_beginning_is_no_excuse(server: Site) -> None:
    """What counts is how the bytes come now, not how they came on average."""

    def chunks() -> Iterator[bytes]:
        yield bytes(1 << 20)
        while True:
            time.sleep(0.02)
            yield b"x"

    taken: list[bytes] = []
    with client(address(server), timeout=0.1) as web, pytest.raises(TransientError, match="bytes a second"):
        taken.extend(web.steady(chunks(), "one"))
    assert 1 < len(taken) < 20


def test_waits_have_an_end(server: Site) -> None:
    with client(address(server), pace=3.0) as web:
        busy = TransientError("busy", busy=True)
        assert web._delay(busy, 10_000) == 900
        assert web._delay(TransientError("busy", retry_after=math.inf), 1) == 900
