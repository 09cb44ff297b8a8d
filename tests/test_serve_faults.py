"""What bad clients, bad models and full disks do to `arxivcli serve`: real sockets, real signals."""

import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import misbehaving
import prepared
import pytest
from served import JSON, LINES, PAPER, Served, rest, serving, until

from arxivcli.models import card

BODY = json.dumps(PAPER).encode()
HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
GET = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
TOKEN = "a-token-of-many-characters"  # noqa: S105
TOLD = HEAD + b"authorization: Bearer %s\r\n" % TOKEN.encode()
WORDS = "say-nothing-of-this"


@pytest.fixture(scope="module")
def service(handmade_model: Path) -> Iterator[Served]:
    """Short deadlines for what must arrive, small limits."""
    options = ("--read-deadline", 0.5, "--max-body", 16, "--max-chars", 2000, "--max-items", 50, "--max-stream", 1)
    with serving("--model", handmade_model, *options, program=misbehaving.PROGRAM) as served:
        yield served


@pytest.fixture
def fine(service: Served) -> Iterator[None]:
    """Whatever was done to it, the service answers others afterwards."""
    yield
    assert service.predict().status == 200


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body(answer: bytes) -> dict[str, str]:
    return dict(json.loads(answer.partition(b"\r\n\r\n")[2]))


# -- S01: bodies --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fine")
def test_a_body_that_is_too_long_is_refused_before_it_is_sent(service: Served) -> None:
    answer = service.raw(HEAD + b"content-length: 1000000\r\nexpect: 100-continue\r\n\r\n")
    assert status(answer) == 413, "it must not be told to continue"
    assert body(answer) == {"detail": "the body is longer than 16,384 bytes"}


@pytest.mark.usefixtures("fine")
def test_who_sends_too_much_still_reads_why(service: Served) -> None:
    reply = service.ask("/predict", body=b"x" * 2_000_000, headers=JSON)
    assert reply.status == 413


@pytest.mark.usefixtures("fine")
def test_a_body_without_end_is_cut_off(service: Served) -> None:
    before = service.metric("arxivcli_process_resident_memory_bytes")
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    with service.connect() as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 2000:
                connection.sendall(chunk)
                sent += 1
        except ConnectionError:
            pass
    assert sent < 2000, "64 MB were taken"
    assert service.metric("arxivcli_process_resident_memory_bytes") - before < 20e6


@pytest.mark.usefixtures("fine")
def test_a_body_longer_than_it_says_is_no_second_request(service: Served) -> None:
    answer = service.raw(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY + b"GARBAGE SECOND\r\n\r\n")
    assert (status(answer), answer.count(b"HTTP/1.1")) == (200, 1)
    assert b"connection: close" in answer


@pytest.mark.usefixtures("fine")
def test_a_body_shorter_than_it_says_is_given_up(service: Served) -> None:
    answer = service.raw(HEAD + b"content-length: %d\r\n\r\n" % (len(BODY) + 9) + BODY)
    assert status(answer) == 408


@pytest.mark.parametrize(
    "headers", [{"content-encoding": "gzip"}, {"content-type": "text/plain"}, {"content-type": ""}]
)
@pytest.mark.usefixtures("fine")
def test_other_types_of_body_are_refused(service: Served, headers: dict[str, str]) -> None:
    for path in ("/predict", "/predict/batch"):
        reply = service.ask(path, body=BODY, headers=JSON | headers)
        assert reply.status == 415
        assert reply.detail


# -- S02: slow clients --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        [b"POST /predict HT", b"TP/1.1\r\n", b"host: l", b"ocalhost\r\n", b"x: y\r\n", b"z: z\r\n"],
        [HEAD + b"content-length: 90\r\n\r\n", b"{", b'"', b"t", b"i", b"t"],
        [HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n{\r\n", b"1\r\n \r\n", b"1\r\n \r\n", b"1\r\n \r\n"],
    ],
    ids=["headers", "body", "chunks"],
)
@pytest.mark.usefixtures("fine")
def test_a_request_that_drips_is_cut_off(service: Served, pieces: list[bytes]) -> None:
    began = time.monotonic()
    answer = service.raw(*pieces, pause=0.15)
    assert status(answer) == 408
    assert body(answer)["detail"].endswith("did not arrive in time")
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("fine")
def test_a_stream_that_pauses_too_long_is_ended(service: Served) -> None:
    head = b"POST /predict/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n"
    answer = service.raw(head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\n\r\n" % (len(BODY) + 1, BODY))
    assert status(answer) == 200
    assert b'"top_category"' in answer
    assert b'{"error":"the body did not arrive in time"}' in answer


def test_idle_connections_are_closed_and_others_do_not_feel_them(service: Served) -> None:
    idle = [service.connect() for _ in range(400)]
    times = []
    for _ in range(20):
        began = time.monotonic()
        assert service.predict().status == 200
        times.append(time.monotonic() - began)
    assert statistics.median(times) < 1
    assert all(rest(connection) == b"" for connection in idle)
    for connection in idle:
        connection.close()
    until(lambda: service.metric("arxivcli_process_open_fds") < 60)


def test_a_reader_who_stops_reading_is_cut_off(handmade_model: Path) -> None:
    line = json.dumps({"title": "t", "abstract": "a"}).encode() + b"\n"
    head = b"POST /predict/batch?top=6 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n"
    with serving("--model", handmade_model, "--deadline", 1, "--read-deadline", 1) as served:
        with served.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(head + b"transfer-encoding: chunked\r\n\r\n")
            with pytest.raises(ConnectionError):
                connection.sendall(b"%x\r\n%s\r\n" % (len(line) * 500, line * 500) * 4000)
        assert served.predict().status == 200


def test_an_answer_that_nobody_reads_is_not_kept() -> None:
    papers = json.dumps([PAPER] * 1000).encode()
    head = HEAD.replace(b"/predict", b"/predict/batch?top=149") + b"content-length: %d\r\n\r\n" % len(papers)
    with serving("--read-deadline", 1) as served, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((served.host, served.port))
        connection.sendall(head + papers)
        served.hears("path=/predict/batch")
        before = served.metric("arxivcli_process_open_fds")
        until(lambda: served.metric("arxivcli_process_open_fds") < before)
        assert len(rest(connection)) < 7_000_000
        assert served.predict().status == 200


@pytest.mark.usefixtures("fine")
def test_half_closed_and_reset_connections_do_no_harm(service: Served) -> None:
    for number in range(20):
        connection = service.connect()
        connection.sendall(HEAD + b"content-length: 500\r\n\r\n{" if number % 2 else GET)
        if number % 3:
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    until(lambda: service.metric("arxivcli_process_open_fds") < 60)
    assert "bug" not in service.said()


# -- S03 to S05: too much, too late, gone --------------------------------------------------------------------------


def test_more_than_can_be_served_is_refused_at_once(handmade_model: Path) -> None:
    options = ("--queue", 20, "--max-items", 20, "--batch", 4)
    with serving("--model", handmade_model, *options, program=misbehaving.PROGRAM) as served:
        before = served.metric("arxivcli_process_resident_memory_bytes")

        def ask(_: int) -> tuple[int, float, str]:
            began = time.monotonic()
            reply = served.predict("sleep 0.02")
            return reply.status, time.monotonic() - began, reply.headers.get("retry-after", "")

        with ThreadPoolExecutor(100) as pool:
            seen = list(pool.map(ask, range(400)))
        answered = [took for code, took, _ in seen if code == 200]
        refused = [(took, again) for code, took, again in seen if code == 503]
        assert len(answered) + len(refused) == 400
        assert len(answered) > 20
        assert refused
        assert {again for _, again in refused} <= set("12345")
        assert statistics.median(took for took, _ in refused) < statistics.median(answered)
        assert served.metric("arxivcli_process_resident_memory_bytes") - before < 30e6
        assert served.metric("arxivcli_queue_papers") == 0
        assert served.predict().status == 200


def test_who_comes_again_at_once_after_a_refusal_has_to_wait(handmade_model: Path) -> None:
    """Refusing the same impatient few over and over would leave no time for answers."""
    options = ("--queue", 1, "--max-items", 1, "--batch", 1)
    with (
        serving("--model", handmade_model, *options, program=misbehaving.PROGRAM) as served,
        ThreadPoolExecutor() as pool,
    ):
        slow = [pool.submit(served.predict, "sleep 0.5")]
        time.sleep(0.1)
        slow.append(pool.submit(served.predict, "sleep 0.5"))
        time.sleep(0.2)
        connection = http.client.HTTPConnection(served.host, served.port, timeout=30)
        connection.request("POST", "/predict", BODY, JSON)
        refused = connection.getresponse()
        assert refused.status == 503
        wait = int(refused.headers["retry-after"])
        assert json.loads(refused.read())["detail"].startswith("too many requests")
        began = time.monotonic()
        assert served.ask("/livez").status == 200, "others are heard"
        connection.request("POST", "/predict", BODY, JSON)
        answered = connection.getresponse()
        assert wait - 0.5 < time.monotonic() - began < wait + 10
        assert answered.status in {200, 503}
        answered.read()
        connection.close()
        assert [job.result().status for job in slow] == [200, 200]
        assert served.metric('arxivcli_requests_total{method="POST",route="/predict",status="503"}') >= 1


@pytest.fixture(scope="module")
def full(handmade_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with tokens and a rate, whose queue is full."""
    token = tmp_path_factory.mktemp("full") / "token"
    token.touch(0o600)
    token.write_text(TOKEN)
    options = ("--queue", 1, "--max-items", 1, "--batch", 1, "--max-body", 1, "--read-deadline", 1, "--rate", 240)
    options = (*options, "--token-file", token, "--deadline", 300, "--hang-timeout", 300)
    with serving("--model", handmade_model, *options, program=misbehaving.PROGRAM) as served:
        body = json.dumps({"title": "sleep 200", "abstract": "a"}).encode()
        slow = [served.connect() for _ in range(2)]
        for connection in slow:
            connection.sendall(TOLD + b"content-length: %d\r\n\r\n" % len(body) + body)
            time.sleep(0.3)
        yield served
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    ("head", "pieces", "code"),
    [
        (b"", [BODY], 503),
        (b"x-request-id: mine\r\n", [BODY], 503),
        (b"", [BODY[:9], BODY[9:]], 503),
        (b"expect: 100-continue\r\n", [BODY], 503),
        (b"origin: http://localhost\r\n", [BODY], 503),
        (b"", [BODY[:9]], 408),
        (b"", [b"x" * 1025], 413),
        (b"content-encoding: gzip\r\n", [BODY], 415),
        (b"content-type: text/plain\r\n", [BODY], 503),
    ],
)
def test_what_a_full_service_says(full: Served, head: bytes, pieces: list[bytes], code: int) -> None:
    """What is wrong with a request goes before there being no room for it, as far as its headers say."""
    length = len(BODY) if code == 408 else sum(map(len, pieces))
    with full.connect() as connection:
        connection.sendall(TOLD + head + b"content-length: %d\r\n\r\n" % length)
        for piece in pieces:
            time.sleep(0.05)
            connection.sendall(piece)
        answer = whole_answer(connection)
    told, _, said = answer.partition(b"\r\n\r\n")
    if said.startswith(b"HTTP/1.1"):  # it was told to continue
        told, _, said = said.partition(b"\r\n\r\n")
    lines = told.split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines[1:])
    assert status(told) == code
    assert len(headers) == len(lines) - 1, "no header is there twice"
    assert int(headers[b"content-length"]) == len(said)
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"x-request-id" in headers or code == 408
    if code == 503:
        assert headers[b"retry-after"] in {b"1", b"2", b"3", b"4", b"5"}
        assert headers[b"cache-control"] == b"no-store"
        assert {b"date", b"ratelimit-limit", b"ratelimit-remaining"} <= headers.keys()
        assert json.loads(said) == {"detail": "too many requests are waiting; ask again in a few seconds"}
        assert headers[b"x-request-id"] == b"mine" or b"mine" not in head


def whole_answer(connection: socket.socket) -> bytes:
    """What comes until a final answer is whole."""
    found = b""
    while not re.search(rb"HTTP/1.1 [2-5].*\r\n\r\n\{.*\}$", found, re.DOTALL):
        piece = connection.recv(65536)
        assert piece, found
        found += piece
    return found


def test_a_full_service_still_asks_who_it_is(full: Served) -> None:
    assert full.predict().status == 401
    assert full.ask("/predict", headers={"authorization": f"Bearer {TOKEN}"}).status == 405
    reply = full.ask("/predict", PAPER, headers={"authorization": f"Bearer {TOKEN}", "host": "evil.example"})
    assert reply.status == 400
    told = set()
    for _ in range(60):
        reply = full.ask("/predict?top=1", PAPER, headers={"authorization": f"Bearer {TOKEN}"})
        if reply.status == 429:
            break
        assert reply.status == 503
        told.add(reply.headers["retry-after"])
    assert len(told) > 1, "not all of them shall come again at once"
    assert reply.status == 429
    assert int(reply.headers["retry-after"]) >= 1
    time.sleep(1.1)
    said = full.said().count("path=/predict status=503")
    assert said >= 20
    assert full.metric('arxivcli_errors_total{type="busy"}') >= said
    assert full.ask("/livez").status == 200


def test_refused_on_a_connection_that_is_kept(full: Served) -> None:
    connection = http.client.HTTPConnection(full.host, full.port, timeout=30)
    for _ in range(3):
        connection.request("POST", "/predict", BODY, JSON | {"authorization": f"Bearer {TOKEN}"})
        reply = connection.getresponse()
        assert (reply.status, json.loads(reply.read())["detail"][:8]) == (503, "too many")
    connection.request("GET", "/livez")
    assert connection.getresponse().read() == b'{"status":"alive"}'
    connection.close()


def test_who_has_left_is_not_computed_for(service: Served) -> None:
    before = service.metric("arxivcli_batch_papers_sum")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(service.predict, "sleep 0.5")
        time.sleep(0.2)
        for _ in range(5):
            connection = service.connect()
            connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
            time.sleep(0.02)
            connection.close()
        assert slow.result().status == 200
    assert service.metric("arxivcli_batch_papers_sum") == before + 1
    assert service.metric('arxivcli_errors_total{type="client left"}') == 5


def test_what_is_too_late_is_said_and_not_computed(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--deadline", 0.4, program=misbehaving.PROGRAM) as served:
        with ThreadPoolExecutor() as pool:
            slow = pool.submit(served.predict, "sleep 1.2")
            time.sleep(0.2)
            began = time.monotonic()
            late = served.predict()
            assert late.status == 504
            assert "deadline" in late.detail
            assert time.monotonic() - began < 1
            assert slow.result().status == 504
        until(lambda: served.metric("arxivcli_batch_papers_sum") == 1)
        assert served.predict().status == 200


def test_explanations_by_gradients_count_for_more(handmade_model: Path, tmp_path: Path) -> None:
    """Each is a way forth and back by itself: a list of them would keep everybody else waiting."""
    folder = shutil.copytree(handmade_model, tmp_path / "model")
    renamed(folder, kind="finetuned")
    options = ("--max-items", 40, "--queue", 40, "--batch", 16)
    with serving("--model", folder, *options, program=misbehaving.PROGRAM) as served:
        assert served.ask("/model").json["kind"] == "finetuned"
        assert served.ask("/predict/batch", [PAPER] * 40).status == 200
        refused = served.ask("/predict/batch?explain=true", [PAPER] * 6)
        assert (refused.status, refused.detail) == (422, "give 5 papers at most, or a stream of lines")
        assert len(served.ask("/predict/batch?explain=true", [PAPER] * 5).json) == 5
        scored = served.metric("arxivcli_batch_papers_count")
        lines = served.ask("/predict/batch?explain=true", body=b"\n".join([BODY] * 9), headers=LINES)
        assert lines.body.count(b'"explanation"') == 9
        assert served.metric("arxivcli_batch_papers_count") == scored + 5, "two fit into a batch of sixteen"
        with ThreadPoolExecutor(12) as pool:
            slow = pool.submit(served.predict, "sleep 1")
            time.sleep(0.3)
            replies = list(pool.map(lambda _: served.ask("/predict?explain=true", PAPER).status, range(10)))
            assert slow.result().status == 200
        assert sorted(replies) == [200] * 5 + [503] * 5, "five of them fill the queue"


# -- S06: what is no paper ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (b"", 400, "the body is not JSON"),
        (b'{"title": "%s"' % WORDS.encode(), 400, "the body is not JSON"),
        (b'{"title": NaN, "abstract": "a"}', 400, "the body is not JSON"),
        (b'{"title": "a", "abstract": Infinity}', 400, "the body is not JSON"),
        (b"[" * 5000 + b"]" * 5000, 400, "the body is not JSON"),
        (b'{"title": "\xff\xfe", "abstract": "a"}', 400, "the body is not JSON"),
        (b'{"title": "\\ud800", "abstract": "a"}', 400, "the body is not JSON"),
        ('{"title": "a", "abstract": "b"}'.encode("utf-16"), 400, "the body is not JSON"),
        (b"null", 422, "give an object with title and abstract"),
        (b'"%s"' % WORDS.encode(), 422, "give an object with title and abstract"),
        (b"[]", 422, "give an object with title and abstract"),
        (b"{}", 422, "title is missing"),
        (b'{"title": "a"}', 422, "abstract is missing"),
        (b'{"title": 1, "abstract": "a"}', 422, "title is not text"),
        (b'{"title": "a", "abstract": null}', 422, "abstract is not text"),
        (b'{"title": "", "abstract": "a"}', 422, "title must have at least one character"),
        (b'{"title": "a", "abstract": ""}', 422, "abstract must have at least one character"),
        (b'{"title": " \\u200b\\u0007", "abstract": "a"}', 422, "title has no words"),
        (b'{"title": "a", "abstract": "%s"}' % (b"b" * 2001), 422, "abstract has more than 2,000 characters"),
        (b'{"title": "a", "abstract": "b", "id": 7}', 422, "id must be text of 1 to 200 characters"),
    ],
)
@pytest.mark.usefixtures("fine")
def test_what_is_no_paper(service: Served, given: bytes, code: int, says: str) -> None:
    reply = service.ask("/predict", body=given, headers=JSON)
    assert reply.status == code
    assert reply.detail.startswith(says)
    assert WORDS.encode() not in reply.body


def test_fields_nobody_knows_and_keys_that_come_twice_are_no_harm(service: Served) -> None:
    given = b'{"title": "a", "more": {"x": [1]}, "abstract": "b", "title": "%s"}' % PAPER["title"].encode()
    assert service.ask("/predict", body=given, headers=JSON).json == service.predict(abstract="b").json


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ([], 422, "give a list of one paper or more"),
        ({}, 422, "give a list of one paper or more"),
        ([PAPER] * 51, 422, "give 50 papers at most, or a stream of lines"),
        ([PAPER, 5, PAPER], 422, "paper 2: give an object with title and abstract"),
        ([PAPER, {"title": " ", "abstract": " "}], 422, "paper 2: title has no words"),
    ],
)
@pytest.mark.usefixtures("fine")
def test_what_is_no_list_of_papers(service: Served, given: object, code: int, says: str) -> None:
    reply = service.ask("/predict/batch", given)
    assert (reply.status, reply.detail) == (code, says)


@pytest.mark.usefixtures("fine")
def test_streams_have_their_limits_too(service: Served) -> None:
    empty = service.ask("/predict/batch", body=b"", headers=LINES)
    assert (empty.status, empty.body) == (200, b"")
    long = service.ask("/predict/batch", body=BODY + b"\n" + b"x" * 20_000, headers=LINES)
    assert [json.loads(line).get("error") for line in long.body.splitlines()] == [
        None,
        "the line is longer than 16,384 bytes",
    ]
    assert service.ask("/predict/batch", body=b"\n" * 1_100_000, headers=LINES).status == 413


# -- S07: the end -------------------------------------------------------------------------------------------------


def test_told_to_end_while_some_workers_begin_it_ends_well(handmade_model: Path) -> None:
    command = [*prepared.PROGRAM, "serve", "--model", handmade_model, "--port", "0", "--workers", "3"]
    with prepared.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert any(" ready " in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()
        assert process.wait(30) == 0


def test_the_end_comes_after_the_last_answer(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--drain", 0.6, program=misbehaving.PROGRAM) as served:
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(served.predict, f"sleep {seconds}") for seconds in (1.0, 0.01, 0.02)]
            time.sleep(0.3)
            served.process.send_signal(signal.SIGTERM)
            served.hears("ending")
            assert (served.ask("/readyz").status, served.ask("/livez").status) == (503, 200)
            assert served.predict().status == 200, "until the others know it takes what comes"
            assert [job.result().status for job in asked] == [200, 200, 200]
        assert served.process.wait(30) == 0
        with pytest.raises(ConnectionError):
            served.connect()


def test_what_takes_too_long_is_cut_off_and_the_exit_code_says_so(handmade_model: Path) -> None:
    options = ("--model", handmade_model, "--grace", 1, "--deadline", 60)
    with serving(*options, program=misbehaving.PROGRAM) as served, ThreadPoolExecutor() as pool:
        asked = pool.submit(served.predict, "sleep 30")
        time.sleep(0.4)
        began = time.monotonic()
        assert served.end() == 143
        assert time.monotonic() - began < 15
        assert asked.exception() is not None or asked.result().status == 500


def test_idle_connections_do_not_hold_up_the_end(handmade_model: Path) -> None:
    with serving("--model", handmade_model) as served, served.connect() as idle, served.connect() as kept:
        kept.sendall(GET)
        found = b""
        while b"num_classes" not in found:
            found += kept.recv(4096)
        began = time.monotonic()
        assert served.end() == 0
        assert time.monotonic() - began < 10
        assert rest(idle) == rest(kept) == b""


# -- S08: worker processes ----------------------------------------------------------------------------------------


def workers(served: Served) -> set[int]:
    listed = subprocess.run(["pgrep", "-P", str(served.process.pid)], capture_output=True, check=False)
    return set(map(int, listed.stdout.split()))


@pytest.fixture
def crew(handmade_model: Path) -> Iterator[Served]:
    with serving("--model", handmade_model, "--workers", 2, program=misbehaving.PROGRAM) as served:
        yield served


def test_workers_count_together_and_one_that_dies_is_replaced(crew: Served) -> None:
    for _ in range(40):
        assert crew.predict().status == 200
    assert crew.metric('arxivcli_requests_total{method="POST",route="/predict",status="200"}') == 40
    until(lambda: crew.metric("arxivcli_ready") == 2)
    before = workers(crew)
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)
    replies = [crew.predict(timeout=30).status for _ in range(20)]
    assert replies == [200] * 20
    until(lambda: len(workers(crew) - before) == 1)
    assert crew.metric('arxivcli_requests_total{method="POST",route="/predict",status="200"}') == 60
    assert crew.end() == 0
    assert not workers(crew)


def test_workers_end_with_who_looks_after_them(crew: Served) -> None:
    found = workers(crew)
    crew.process.kill()
    crew.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found))


def test_a_worker_that_cannot_end_is_ended(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--workers", 2, "--grace", 1) as served:
        found = workers(served)
        os.kill(min(found), signal.SIGSTOP)
        began = time.monotonic()
        assert served.end() == 128 + signal.SIGKILL
        assert time.monotonic() - began < 30
        assert not any(Path(f"/proc/{pid}").exists() for pid in found)


def test_workers_read_their_model_again_together(handmade_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(handmade_model, tmp_path / "model")
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("a-token-of-many-characters")
    headers = {"authorization": "Bearer a-token-of-many-characters"}
    with serving("--model", folder, "--workers", 2, "--token-file", token) as served:
        version = renamed(folder)
        served.process.send_signal(signal.SIGHUP)
        until(lambda: served.said().count(f"reloaded model=renamed version={version}") == 2)
        assert {served.ask("/model", headers=headers).json["name"] for _ in range(10)} == {"renamed"}
        version = renamed(folder, "again")
        assert served.ask("/admin/reload", method="POST", headers=headers).json == {"name": "again", "version": version}
        until(lambda: served.said().count(f"reloaded model=again version={version}") == 3)
        assert {served.ask("/model", headers=headers).json["name"] for _ in range(10)} == {"again"}


def test_a_damaged_model_ends_all_workers_before_they_begin(handmade_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(handmade_model, tmp_path / "model")
    damage(folder)
    for count in ("1", "2"):
        done = subprocess.run(
            [*misbehaving.PROGRAM, "serve", "--port", "0", "--model", folder, "--workers", count],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 6
        assert "is not the file the model was saved with" in done.stderr


# -- S09: the model's folder --------------------------------------------------------------------------------------


def damage(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")


def renamed(folder: Path, name: str = "renamed", **more: str) -> str:
    """Another model in the same place: its version."""
    import dataclasses

    from arxivcli import storage

    card.write(folder, dataclasses.replace(card.read(folder), name=name, **more))
    return storage.sha256(folder / card.CARD)[:12]


def test_another_model_takes_over_and_a_damaged_one_does_not(handmade_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(handmade_model, tmp_path / "model")
    with serving("--model", folder) as served:
        before = served.predict().json
        version = served.ask("/model").json["version"]
        damage(folder)
        served.process.send_signal(signal.SIGHUP)
        served.hears("reload refused")
        assert served.predict().json == before
        assert served.ask("/model").json["version"] == version
        shutil.rmtree(folder)
        served.process.send_signal(signal.SIGHUP)
        until(lambda: served.said().count("reload refused") == 2)
        assert served.predict().json == before
        shutil.copytree(handmade_model, folder)
        version = renamed(folder)
        served.process.send_signal(signal.SIGHUP)
        served.hears(f"reloaded model=renamed version={version}")
        assert served.ask("/model").json["version"] == version
        assert served.ask("/readyz").status == 200
        assert served.end() == 0


def test_a_new_model_by_token(handmade_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(handmade_model, tmp_path / "model")
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("a-token-of-many-characters")
    headers = {"authorization": "Bearer a-token-of-many-characters"}
    with serving("--model", folder, "--token-file", token) as served:
        assert served.ask("/admin/reload", method="POST").status == 401
        version = renamed(folder)
        reply = served.ask("/admin/reload", method="POST", headers=headers)
        assert (reply.status, reply.json) == (200, {"name": "renamed", "version": version})
        damage(folder)
        reply = served.ask("/admin/reload", method="POST", headers=headers)
        assert reply.status == 409
        assert str(tmp_path) not in reply.detail
        assert served.predict(headers=headers).status == 200


def test_without_tokens_nobody_reloads_by_http(service: Served) -> None:
    reply = service.ask("/admin/reload", method="POST")
    assert reply.status == 403
    assert "--token-file" in reply.detail


def test_under_nohup_a_hangup_is_nothing(handmade_model: Path) -> None:
    with serving("--model", handmade_model, prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as served:
        served.process.send_signal(signal.SIGHUP)
        assert served.predict().status == 200
        assert "reload" not in served.said()


# -- S10 and S16: a model that fails, or hangs ----------------------------------------------------------------------


def test_a_model_that_fails_fails_only_who_asked_for_it(handmade_model: Path) -> None:
    with serving("--model", handmade_model, program=misbehaving.PROGRAM) as served:
        titles = ["explode" if number % 4 == 0 else f"title {number}" for number in range(16)]
        with ThreadPoolExecutor(20) as pool:
            slow = pool.submit(served.predict, "sleep 0.3")
            time.sleep(0.1)
            replies = list(pool.map(served.predict, titles))
            assert slow.result().status == 200
        assert [reply.status for reply in replies] == [500 if title == "explode" else 200 for title in titles]
        failed = replies[0]
        assert failed.headers["x-request-id"] in failed.detail
        assert "CUDA" not in failed.detail
        served.hears("RuntimeError: CUDA error: out of memory")
        assert served.ask("/readyz").status == 200
        for _ in range(5):
            assert served.predict("explode").status == 500
        assert served.ask("/readyz").status == 503
        assert served.ask("/health").json["status"] == "not ready"
        assert served.predict().status == 200
        assert served.ask("/readyz").status == 200
        assert served.metric('arxivcli_errors_total{type="model"}') == 9


def test_a_list_is_answered_or_not_as_a_whole(service: Served) -> None:
    assert service.ask("/predict/batch", [PAPER, PAPER | {"title": "explode"}]).status == 500
    reply = service.ask("/predict/batch", body=BODY + b'\n{"title": "nothing", "abstract": "a"}', headers=LINES)
    assert [set(json.loads(line)) for line in reply.body.splitlines()] == [{"top_category", "predictions"}, {"error"}]


def test_a_model_that_hangs_is_told_from_one_that_works(handmade_model: Path) -> None:
    options = ("--hang-timeout", 1.5, "--deadline", 0.5, "--queue", 3, "--max-items", 3, "--grace", 1)
    with serving("--model", handmade_model, *options, program=misbehaving.PROGRAM) as served:
        assert served.predict("sleep 60").status == 504
        with ThreadPoolExecutor(8) as pool:
            codes = [reply.status for reply in pool.map(lambda _: served.predict(), range(8))]
        assert set(codes) <= {503, 504}
        began = time.monotonic()
        assert served.ask("/livez").status == 200
        assert served.ask("/health").status == 200
        assert time.monotonic() - began < 1
        until(lambda: served.ask("/livez").status == 503)
        assert served.ask("/readyz").status == 503
        assert served.end() == 0, "nobody waits for an answer any more"


# -- S14: HTTP itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET  HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!", 400),
        (HEAD + b"content-length: -1\r\n\r\n", 400),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 100_000, 431),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 20_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 431),
        (b"GET /labels HTTP/1.1\r\nconnection: close\r\n\r\n", 400),
        (b"TRACE /predict HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 405),
        (b"OPTIONS /predict HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 405),
        (b"GET /../../etc/passwd HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 404),
        (b"GET //health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 404),
        (b"GET /docs/..%2f..%2fapp.py HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 404),
        (b"GET /health HTTP/1.0\r\n\r\n", 200),
        (b"HEAD /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 200),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n\r\n", 200),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("fine")
def test_http_as_it_should_not_be(service: Served, request_: bytes, code: int) -> None:
    answer = service.raw(request_)
    assert status(answer) == code
    if request_.startswith(b"HEAD"):
        assert answer.endswith(b"\r\n\r\n")
    elif code != 200:
        assert set(body(answer)) == {"detail"}


@pytest.mark.usefixtures("fine")
def test_requests_in_a_row_are_answered_in_their_order(service: Served) -> None:
    with service.connect() as connection:
        wanted = [f"/predict?top={1 + number % 3}" for number in range(30)]
        for path in wanted:
            head = HEAD.replace(b"/predict", path.encode())
            connection.sendall(head + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        connection.sendall(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        answers = rest(connection).split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [answer.count(b'"category"') for answer in answers] == [1 + number % 3 for number in range(30)] + [0]


@pytest.mark.usefixtures("fine")
def test_a_get_with_a_body_does_not_confuse_what_follows(service: Served) -> None:
    answer = service.raw(b"GET /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc" + GET)
    assert answer.count(b"HTTP/1.1 200 OK") >= 1
    assert b"HTTP/1.1 4" not in answer


# -- S15: what the machine lacks ------------------------------------------------------------------------------------


def test_a_log_nobody_can_write_costs_no_answers(handmade_model: Path, tmp_path: Path) -> None:
    limit = 16 << 10

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    folder = tmp_path / "log"
    with serving("--model", handmade_model, "--log-predictions", folder, prepare=small_files) as served:
        for _ in range(60):
            assert served.predict(os.urandom(700).hex()).status == 200
        until(lambda: served.metric('arxivcli_logged_predictions_total{state="lost"}') > 0)
        assert served.metric("arxivcli_log_lines_dropped_total") >= 0
        assert served.predict().status == 200
        assert served.end() == 0
    from arxivcli.sources import prediction_log

    files = sorted(folder.iterdir())
    assert files
    kept = [reading for file in files for reading in prediction_log.read(file)]
    assert all(answered.reading.errors.null_count == len(answered.reading.errors) for answered in kept)


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
def test_without_anybody_to_tell_it_serves(handmade_model: Path, tmp_path: Path, stderr: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = f'exec "$@" {stderr}'
    process = subprocess.Popen(
        ["bash", "-c", command, "bash", *misbehaving.PROGRAM, "serve", "--port", str(port), "-q", "-m", handmade_model],
    )
    served = Served(process, port, tmp_path / "none")
    try:
        until(lambda: _answers(served))
        assert [served.predict().status for _ in range(50)] == [200] * 50
        assert served.end() == 0
    finally:
        process.kill()


def _answers(served: Served) -> bool:
    assert served.process.poll() is None
    try:
        return served.ask("/readyz").status == 200
    except OSError:
        return False


def test_with_few_files_it_serves_again_when_the_crowd_has_gone(handmade_model: Path) -> None:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with serving("--model", handmade_model, "--read-deadline", 1, prepare=few_files) as served:
        crowd = [served.connect() for _ in range(120)]
        assert all(rest(connection) == b"" for connection in crowd)
        for connection in crowd:
            connection.close()
        assert served.predict().status == 200


def test_nothing_is_left_behind_by_thousands_of_requests(service: Served) -> None:
    def some(count: int) -> None:
        connection = http.client.HTTPConnection(service.host, service.port)
        for number in range(count):
            given = BODY if number % 3 else b"{"
            connection.request("POST", "/predict", given, JSON)
            connection.getresponse().read()
            if number % 10 == 0:
                service.ask("/metrics")
        connection.close()

    some(300)
    files, memory = (service.metric(f"arxivcli_process_{name}") for name in ("open_fds", "resident_memory_bytes"))
    some(1500)
    assert service.metric("arxivcli_process_open_fds") <= files + 2
    assert service.metric("arxivcli_process_resident_memory_bytes") - memory < 15e6
