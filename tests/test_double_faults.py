"""What the double does wrong on request, byte by byte, and what its log says of it."""

from __future__ import annotations

import datetime as dt
import http.client
import re
import socket
import ssl
import threading
import time
import xml.etree.ElementTree as ET
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from asking import OAI, RAW, Reply, ask, error, headers, ids, pages, token, walk
from double import Catalogue, Double, faults, spoils

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from double.exchange import Action

ILLEGAL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:11|x1F);")


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(Catalogue(60), page=20) as served:
        yield served


def first_page(double: Double) -> Reply:
    return ask(double.oai_url, verb="ListRecords", metadataPrefix="arXivRaw")


@contextmanager
def asked(double: Double, timeout: float = 5.0) -> Iterator[socket.socket]:
    """A bare connection on which the first page has been asked for."""
    with socket.create_connection(("127.0.0.1", urlsplit(double.oai_url).port or 0), timeout) as connection:
        connection.sendall(b"GET /oai?verb=ListRecords&metadataPrefix=arXivRaw HTTP/1.1\r\nHost: x\r\n\r\n")
        yield connection


def received(connection: socket.socket) -> tuple[bytes, bytes, str]:
    """Head, body, and how it ended: closed, reset or timeout."""
    got, ending = b"", "closed"
    try:
        while piece := connection.recv(1 << 16):
            got += piece
    except ConnectionResetError:
        ending = "reset"
    except TimeoutError:
        ending = "timeout"
    head, _, body = got.partition(b"\r\n\r\n")
    return head, body, ending


# ---- which requests are met


@pytest.mark.parametrize(
    ("choice", "met"),
    [
        ({}, [1]),
        ({"times": 3}, [1, 2, 3]),
        ({"times": None}, [1, 2, 3, 4, 5, 6]),
        ({"number": 4}, [4]),
        ({"number": (2, 5)}, [2, 5]),
        ({"every": 2, "times": None}, [2, 4, 6]),
        ({"every": 2, "times": 2}, [2, 4]),
        ({"path": "verb=Identify", "times": None}, [1, 2, 3, 4, 5, 6]),
        ({"verb": "ListSets", "times": None}, []),
        ({"site": "query", "times": None}, []),
        ({"where": lambda request: request.number > 4, "times": None}, [5, 6]),
    ],
)
def test_faults_meet_the_requests_they_are_for(double: Double, choice: dict[str, object], met: list[int]) -> None:
    fault = double.faults.add(faults.status(503), **choice)  # type: ignore[arg-type]
    statuses = [ask(double.oai_url, verb="Identify").status for _ in range(6)]
    assert [place for place, status in enumerate(statuses, 1) if status == 503] == met
    assert fault.met == len(met)
    assert [entry.faults for entry in double.log] == [["status"] if n in met else [] for n in range(1, 7)]
    double.faults.clear()
    assert ask(double.oai_url, verb="Identify").status == 200


def test_faults_build_on_each_other(double: Double) -> None:
    double.faults.add(faults.spoil(spoils.truncated))
    double.faults.add(faults.content_type("text/html"))
    whole, reply = len(first_page(double).body), first_page(double)
    assert whole < len(reply.body)
    double.faults.add(faults.spoil(spoils.truncated))
    double.faults.add(faults.content_type("text/html"))
    both = first_page(double)
    assert (len(both.body), both.headers["Content-Type"]) == (whole, "text/html")


# ---- other statuses


SOON = dt.datetime(2026, 9, 14, 1, 29, 9, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("after", "says"),
    [(3, "3"), (0, "0"), (1_000_000_000, "1000000000"), ("soon", "soon"), (None, None),
     (SOON, "Mon, 14 Sep 2026 01:29:09 GMT")],
)  # fmt: skip
def test_retry_after(double: Double, after: float | str | dt.datetime | None, says: str | None) -> None:
    double.faults.add(faults.status(503, "Retry later", retry_after=after))
    reply = first_page(double)
    assert (reply.status, reply.headers["Retry-After"], reply.text) == (503, says, "Retry later")


def test_too_many_requests_come_late_and_as_plain_text(double: Double) -> None:
    double.faults.add(faults.rate_exceeded(wait=0.3), site="query")
    began = time.monotonic()
    reply = ask(double.query_url, search_query="cat:cs.LG")
    assert time.monotonic() - began >= 0.3
    assert (reply.status, reply.text, reply.headers["Content-Type"]) == (429, "Rate exceeded.", "text/plain")
    assert reply.headers["Retry-After"] is None
    for code in (403, 406):
        double.faults.add(faults.status(code, "Access denied"), site="query")
        assert ask(double.query_url, search_query="cat:cs.LG").status == code


def test_an_outage_claims_success(double: Double) -> None:
    double.faults.add(faults.outage())
    reply = first_page(double)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    with pytest.raises(ET.ParseError):
        ET.fromstring(reply.body)  # noqa: S314
    double.faults.add(faults.status(200, ""))
    assert first_page(double).body == b""


# ---- on the wire


@pytest.mark.parametrize("after", [0, 1, 5_000])
def test_a_reset_comes_after_so_many_bytes(double: Double, after: int) -> None:
    double.faults.add(faults.reset(after=after))
    with asked(double) as connection:
        head, body, ending = received(connection)
    assert (len(body), ending) == (after, "reset")
    assert int(re.search(rb"Content-Length: (\d+)", head)[1]) > after  # type: ignore[index]
    assert len(first_page(double).body) > after


def test_a_body_is_shorter_than_announced(double: Double) -> None:
    double.faults.add(faults.short(missing=10))
    with pytest.raises(http.client.IncompleteRead) as caught:
        first_page(double)
    assert caught.value.expected == 10


def test_chunks_whole_and_cut(double: Double) -> None:
    true = first_page(double).body
    double.faults.add(faults.chunked())
    reply = first_page(double)
    assert (reply.headers["Transfer-Encoding"], reply.headers["Content-Length"]) == ("chunked", None)
    assert len(reply.body) == len(true)
    double.faults.add(faults.chunked(cut=2_500))
    with asked(double) as connection:
        _, body, ending = received(connection)
    assert (body.count(b"\r\n") % 2, ending, body.endswith(b"0\r\n\r\n")) == (0, "closed", False)
    double.faults.add(faults.status(200, ""))
    double.faults.add(faults.chunked())
    assert first_page(double).body == b""


def test_silence_after_the_headers(double: Double) -> None:
    double.faults.add(faults.silent())
    with asked(double, timeout=0.3) as connection:
        head, body, ending = received(connection)
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert (body, ending) == (b"", "timeout")


def test_silence_before_the_headers(double: Double) -> None:
    double.faults.add(faults.late(60))
    with asked(double, timeout=0.3) as connection:
        assert received(connection) == (b"", b"", "timeout")
    wait_for(lambda: double.log[0].ended is not None)
    assert double.log[0].status is None


def test_a_drip(double: Double) -> None:
    double.faults.add(faults.drip(size=2, seconds=0.05))
    with asked(double, timeout=5) as connection:
        began = time.monotonic()
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < 8:
            got += connection.recv(100)
    assert 0.1 < time.monotonic() - began < 2
    wait_for(lambda: double.log.open_connections() == 0)


def test_bodies_without_end_and_of_any_size(double: Double) -> None:
    double.faults.add(faults.endless())
    with asked(double) as connection:
        got = 0
        while got < 3_000_000:
            got += len(connection.recv(1 << 16))
    wait_for(lambda: double.log[0].ended is not None)
    assert double.log[0].sent >= got - 1_000
    double.faults.add(faults.huge(20_000_000))
    reply = first_page(double)
    assert (len(reply.body), reply.headers["Content-Length"]) == (20_000_000, "20000000")


def test_a_gzip_bomb_is_small_until_it_is_opened(double: Double) -> None:
    double.faults.add(faults.gzip_bomb(64 << 20))
    reply = first_page(double)
    assert reply.headers["Content-Encoding"] == "gzip"
    assert len(reply.body) < 200_000
    opener, opened = zlib.decompressobj(wbits=31), 0
    rest = reply.body
    assert opener.decompress(rest, 100).startswith(b"<?xml")
    while rest := opener.unconsumed_tail:
        opened += len(opener.decompress(rest, 1 << 20))
    assert opened > 64 << 20
    assert opener.eof


def test_redirects(double: Double) -> None:
    for where in ("http://169.254.169.254/latest", "http://other.invalid/oai", "https://127.0.0.1/oai"):
        double.faults.add(faults.redirect(where))
        reply = first_page(double)
        assert (reply.status, reply.headers["Location"]) == (302, where)
    double.faults.add(faults.redirect_loop(), times=20)
    target, seen = f"{double.oai_url}?verb=Identify", []
    while (reply := ask(target)).status == 302:
        target = double.origin("oai") + reply.headers["Location"]
        seen.append(target)
    assert len(set(seen)) == 20


# ---- the protocol gone wrong


@pytest.mark.parametrize("place", [25, 20, 59])
def test_a_bad_record_kills_every_page_that_needs_it(double: Double, place: int) -> None:
    order = [paper for _, paper in double.catalogue.order()]
    tokens = [None, *(token(page.body) for page in pages(double.oai_url))][:3]
    bad = order[place]
    double.faults.add(faults.bad_record(bad), times=None)
    asks: list[dict[str, object]] = [
        {"resumptionToken": following} if following else {"metadataPrefix": "arXivRaw"} for following in tokens
    ]
    statuses = [ask(double.oai_url, verb="ListRecords", **params).status for params in asks]
    assert statuses == [500 if start <= place <= start + 20 else 200 for start in (0, 20, 40)]
    assert sorted(walk(double.oai_url, "ListIdentifiers")) == sorted(order)
    got = {paper: get_record(double, paper).status for paper in order}
    assert [paper for paper, status in got.items() if status == 500] == [bad]
    double.faults.clear()
    double.faults.add(faults.bad_record(bad, also_identifiers=True), times=None)
    assert ask(double.oai_url, verb="ListIdentifiers", metadataPrefix="arXivRaw").status == 500


def get_record(double: Double, paper: str) -> Reply:
    return ask(double.oai_url, verb="GetRecord", metadataPrefix="arXivRaw", identifier=f"oai:arXiv.org:{paper}")


def test_a_token_that_repeats_itself(double: Double) -> None:
    first = first_page(double)
    double.faults.add(spoils.same_token(), times=None)
    second = ask(double.oai_url, verb="ListRecords", resumptionToken=token(first.body))
    assert ids(second.body) != ids(first.body)
    assert token(second.body) == token(first.body)


def test_tokens_that_lead_nowhere(double: Double) -> None:
    double.faults.add(spoils.going_nowhere(), times=None)
    seen, shown, following = set(), [], token(first_page(double).body)
    for _ in range(5):
        page = ask(double.oai_url, verb="ListRecords", resumptionToken=following)
        shown.append(ids(page.body))
        following = token(page.body)
        seen.add(following)
    assert len(seen) == 5
    assert all(page == shown[0] for page in shown)
    assert len(shown[0]) == 20


def test_a_page_of_nothing_with_a_token(double: Double) -> None:
    double.faults.add(faults.spoil(spoils.empty_page), verb="ListRecords", number=2)
    found = [(len(ids(page.body)), bool(token(page.body))) for page in pages(double.oai_url)]
    assert found == [(20, True), (0, True), (20, False)]


@pytest.mark.parametrize("code", ["badResumptionToken", "noRecordsMatch"])
def test_errors_in_the_middle_of_a_list(double: Double, code: str) -> None:
    double.faults.add(faults.oai_error(code, "why not"), number=2)
    reply = ask(double.oai_url, verb="ListRecords", resumptionToken=token(first_page(double).body))
    assert reply.headers["Content-Type"] == "text/xml"
    assert error(reply)[0] == code
    assert error(reply)[1].endswith(" Reason: why not")


def test_the_catalogue_moves_when_told_to(double: Double) -> None:
    order = [paper for _, paper in double.catalogue.order()]
    double.faults.add(faults.afterwards(lambda: double.catalogue.touch(order[19])), number=1)
    found = walk(double.oai_url)
    assert (len(found), found[-1]) == (60, order[19])
    double.faults.add(faults.before(lambda: double.clock.advance(days=-9_000)))
    assert error(first_page(double))[1].endswith("until date must be greater than or equal to from date")


# ---- bodies


@pytest.mark.parametrize("change", [spoils.control_character, spoils.nul, spoils.control_reference])
def test_characters_that_xml_does_not_have(double: Double, change: Callable[[bytes], bytes]) -> None:
    double.faults.add(faults.spoil(change))
    reply = first_page(double)
    with pytest.raises(ET.ParseError):
        ET.fromstring(reply.body)  # noqa: S314
    repaired = ET.fromstring(ILLEGAL.sub(b"", reply.body))  # noqa: S314
    assert len(list(repaired.iter(f"{OAI}record"))) == 20


@pytest.mark.parametrize("change", [spoils.bad_utf8, spoils.surrogate, spoils.truncated])
def test_bytes_that_are_no_document(double: Double, change: Callable[[bytes], bytes]) -> None:
    double.faults.add(faults.spoil(change))
    reply = first_page(double)
    with pytest.raises((ET.ParseError, UnicodeDecodeError)):
        ET.fromstring(reply.body.decode())  # noqa: S314


def test_entity_bombs(double: Double) -> None:
    double.faults.add(faults.spoil(spoils.doctype_bomb))
    plain = first_page(double).body
    assert plain.startswith(b'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE lolz [<!ENTITY a ')
    assert plain.count(b"<!ENTITY") == 9
    assert b"<title>&i;" in plain
    double.faults.add(faults.spoil(spoils.doctype_bomb_utf16))
    wide = first_page(double).body
    assert b"<!DOCTYPE" not in wide
    assert "<!DOCTYPE lolz" in wide.decode("utf-16")
    double.faults.add(faults.spoil(spoils.utf16))
    harmless = ET.fromstring(first_page(double).body)  # noqa: S314
    assert len(list(harmless.iter(f"{OAI}record"))) == 20


def test_records_that_are_not_as_they_should_be(double: Double) -> None:
    double.catalogue.revise(min(double.catalogue.order())[1], at=dt.datetime(2005, 9, 16, tzinfo=dt.UTC))
    true = first_page(double).root

    def spoiled(change: Callable[[bytes], bytes]) -> ET.Element:
        double.faults.add(faults.spoil(change))
        return first_page(double).root

    def texts(root: ET.Element, name: str) -> list[str | None]:
        return [element.text for element in root.iter(f"{RAW}{name}")]

    assert spoiled(spoils.wrong_namespace).tag == "{http://www.openarchives.org/OAI/1.1/}OAI-PMH"
    assert texts(spoiled(spoils.no_categories), "categories") == ["None", *texts(true, "categories")[1:]]
    assert texts(spoiled(spoils.no_abstract), "abstract") == texts(true, "abstract")[1:]
    assert texts(spoiled(spoils.duplicated), "id") == [texts(true, "id")[0], *texts(true, "id")]
    turned = spoiled(spoils.versions_reversed)
    for record, other in zip(true.iter(f"{RAW}arXivRaw"), turned.iter(f"{RAW}arXivRaw"), strict=True):
        versions = [version.get("version") for version in record.iter(f"{RAW}version")]
        assert [version.get("version") for version in other.iter(f"{RAW}version")] == versions[::-1]


def test_feeds_that_are_not_as_they_should_be(double: Double) -> None:
    def spoiled(change: Callable[[bytes], bytes]) -> Reply:
        double.faults.add(faults.spoil(change), site="query")
        return ask(double.query_url, search_query="cat:*", max_results=5)

    assert ids(spoiled(spoils.empty_page).body) == []
    assert "totalResults>60<" in spoiled(spoils.empty_page).text
    assert "totalResults>7<" in spoiled(spoils.total_results(7)).text
    assert "totalResults>59<" in spoiled(spoils.total_results(lambda count: count - 1)).text
    double.catalogue.touch(double.catalogue.ids[0], title="0")
    untitled = spoiled(spoils.no_title).root.find("{*}entry")
    assert untitled is not None
    assert untitled.find("{*}title") is None


def test_weather_is_bad_for_a_share_of_the_requests_and_the_same_each_time() -> None:
    def statuses() -> list[object]:
        with Double(Catalogue(20)) as double:
            double.faults.weather(0.5, seed=3)
            return [outcome(lambda: first_page(double)) for _ in range(40)]

    found = statuses()
    assert found == statuses()
    assert len(set(found)) > 4
    assert 10 < found.count(200) < 30


def outcome(act: Callable[[], Reply]) -> object:
    try:
        return act().status
    except (http.client.HTTPException, OSError) as error:
        return type(error).__name__


# ---- the log


def test_the_log_tells_what_was_asked_and_when(double: Double) -> None:
    first_page(double)
    time.sleep(0.2)
    ask(double.query_url, headers={"User-Agent": "arxivcli/0 (mailto:a@b.c)"}, search_query="ti:a b", id_list="")
    one, two = double.log
    assert (one.number, one.site, one.method, one.path, one.status) == (1, "oai", "GET", "/oai", 200)
    assert one.params == {"verb": "ListRecords", "metadataPrefix": "arXivRaw"}
    assert one.sent > 20_000
    assert two.params == {"search_query": "ti:a b", "id_list": ""}
    assert two.headers["user-agent"] == "arxivcli/0 (mailto:a@b.c)"
    assert one.started <= (one.ended or 0) <= two.started
    [gap] = double.log.gaps()
    assert 0.2 <= double.log.pauses()[0] <= gap < 2
    assert double.log.gaps("oai") == []
    assert [entry.number for entry in double.log.of(path="api")] == [2]
    assert [entry.number for entry in double.log.of("oai", verb="ListRecords")] == [1]
    double.log.clear()
    assert len(double.log) == 0


def test_requests_one_after_the_other_are_never_two_at_once(double: Double) -> None:
    for _ in range(60):
        ask(double.oai_url, verb="Identify")
    kept = http.client.HTTPConnection(urlsplit(double.oai_url).netloc)
    for _ in range(60):
        kept.request("GET", "/oai?verb=Identify")
        kept.getresponse().read()
    kept.close()
    assert (double.log.most_at_once(), double.log.most_connections()) == (1, 1)
    assert len({entry.connection for entry in double.log}) == 61


def test_requests_at_once_are_counted(double: Double) -> None:
    double.faults.add(faults.late(0.4), times=3)
    threads = [threading.Thread(target=first_page, args=(double,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (double.log.most_at_once(), double.log.most_connections()) == (3, 3)
    assert max(entry.in_flight for entry in double.log) == 3


def test_an_idle_connection_counts_as_open(double: Double) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(double.oai_url).port or 0)):
        first_page(double)
        assert double.log.most_connections() == 2
    wait_for(lambda: double.log.open_connections() == 0)


# ---- the servers


def test_answers_are_compressed_for_those_who_ask(double: Double) -> None:
    true = ask(double.oai_url, verb="Identify").body
    double.compress()
    reply = ask(double.oai_url, headers={"Accept-Encoding": "gzip, deflate"}, verb="Identify")
    assert reply.headers["Content-Encoding"] == "gzip"
    assert headers(zlib.decompress(reply.body, wbits=31)) == headers(true)
    assert ask(double.oai_url, verb="Identify").headers["Content-Encoding"] is None


def test_head_has_no_body(double: Double) -> None:
    reply = ask(double.oai_url, "HEAD", verb="Identify")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["Content-Length"]) > 500


def test_a_request_as_to_a_proxy_is_understood(double: Double) -> None:
    connection = http.client.HTTPConnection(urlsplit(double.oai_url).netloc)
    connection.request("GET", "http://oaipmh.arxiv.org/oai?verb=Identify")
    assert connection.getresponse().read().count(b"<Identify>") == 1
    connection.close()
    ask(double.oai_url, verb="Identify")
    assert [(entry.target, entry.proxied) for entry in double.log] == [
        ("/oai?verb=Identify", True), ("/oai?verb=Identify", False),
    ]  # fmt: skip


def test_tls_is_refused_by_all_who_do_not_know_the_certificate() -> None:
    with Double(Catalogue(5), tls="good") as double:
        assert double.oai_url.startswith("https://127.0.0.1:")
        with pytest.raises(ssl.SSLCertVerificationError):
            securely(double.oai_url, ssl.create_default_context())
        trusting = ssl.create_default_context(cafile=double.certificate)
        assert securely(double.oai_url, trusting).count(b"<record>") == 5
        assert securely(double.oai_url.replace("127.0.0.1", "localhost"), trusting).count(b"<record>") == 5
        assert (double.log.most_at_once(), double.log.most_connections()) == (1, 1)
    with Double(Catalogue(5), tls="expired") as double:
        trusting = ssl.create_default_context(cafile=double.certificate)
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            securely(double.oai_url, trusting)
        assert len(double.log) == 0


def securely(url: str, context: ssl.SSLContext) -> bytes:
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(parts.netloc, timeout=20, context=context)
    try:
        connection.request("GET", f"{parts.path}?verb=ListRecords&metadataPrefix=arXiv")
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize("action", [faults.silent(), faults.late(60), faults.drip(1, 60), faults.endless()])
def test_stopping_waits_for_nobody(action: Action) -> None:
    with Double(Catalogue(5)) as double:
        double.faults.add(action)
        with asked(double):
            wait_for(lambda: len(double.log) == 1)
            began = time.monotonic()
            double.stop()
    assert time.monotonic() - began < 2
    with pytest.raises(ConnectionRefusedError):
        first_page(double)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
