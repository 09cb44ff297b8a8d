"""`arxivcli serve` as its clients see it: one service, asked over real connections."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import misbehaving
import prepared
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented import records
from prometheus_client.parser import text_string_to_metric_families
from served import JSON, LINES, PAPER, Served, serving, together

from arxivcli.steps.classification import Question, answer

TOKEN = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def service(handmade_model: Path) -> Iterator[Served]:
    with serving("--model", handmade_model, program=misbehaving.PROGRAM) as served:
        yield served


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


def classified(paper: dict[str, str], model: Path, *options: str) -> dict[str, object]:
    """What `arxivcli classify` answers."""
    command = [*prepared.PROGRAM, "classify", "--model", model, "-f", "jsonl", *options]
    done = prepared.run(
        [*command, "--title", paper["title"], "--abstract", paper["abstract"]], capture_output=True, check=True
    )
    return dict(json.loads(done.stdout))


def test_a_paper_is_answered_as_classify_does(service: Served, handmade_model: Path) -> None:
    reply = service.predict()
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert list(reply.json) == ["top_category", "predictions"]
    expected = classified(PAPER, handmade_model)
    assert reply.json["top_category"] == expected["top_category"]
    assert [
        {key: value for key, value in entry.items() if key != "name"}
        for entry in expected["predictions"]  # type: ignore[attr-defined]
    ] == reply.json["predictions"]


def test_what_is_asked_besides_adds_to_the_answer(service: Served) -> None:
    reply = service.ask("/predict?top=2&coverage=0.9", PAPER | {"id": "mine"})
    assert list(reply.json) == ["id", "top_category", "predictions", "set"]
    assert reply.json["id"] == "mine"
    assert len(reply.json["predictions"]) == 2
    assert reply.json["top_category"] == reply.json["set"][0]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("top=0", "top must be between 1 and 1000"),
        ("top=many", "top is no number"),
        ("top=1&top=2", "top is there more than once"),
        ("coverage=nan", "coverage must be between 0.50 and 0.99"),
        ("coverage=1", "coverage must be between 0.50 and 0.99"),
        ("explain=1", "explain must be true or false"),
    ],
)
def test_what_cannot_be_asked_is_said(service: Served, query: str, says: str) -> None:
    reply = service.ask(f"/predict?{query}", PAPER)
    assert (reply.status, reply.detail) == (422, says)


def test_a_list_is_answered_in_its_order(service: Served) -> None:
    papers = [{"title": p["title"], "abstract": p["abstract"]} for p in records(150)]
    reply = service.ask("/predict/batch", papers)
    assert reply.status == 200
    assert reply.json == [service.ask("/predict", paper).json for paper in papers]


def test_one_bad_paper_of_a_list_is_named(service: Served) -> None:
    reply = service.ask("/predict/batch", [PAPER, {"title": "secret-words"}])
    assert (reply.status, reply.detail) == (422, "paper 2: abstract is missing")


def test_lines_are_answered_while_they_come(service: Served) -> None:
    line = json.dumps(PAPER).encode() + b"\n"
    head = b"POST /predict/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n"
    with service.connect() as connection:
        connection.sendall(head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(line), line))
        found = b""
        while b"predictions" not in found:
            found += connection.recv(65536)
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(line), line))
        while not found.endswith(b"0\r\n\r\n"):
            found += connection.recv(65536)
    assert found.count(b'"top_category"') == 2


def test_a_bad_line_has_an_error_and_harms_no_other(service: Served) -> None:
    lines = [json.dumps(PAPER), "{", '{"title": "t", "id": "x9"}', json.dumps({"title": " ", "abstract": " "})]
    lines += [json.dumps({"title": "a" * 1_100_000, "abstract": "b"}), "\ufeff" + json.dumps(PAPER)]
    reply = service.ask("/predict/batch", body="\n".join(lines).encode(), headers=LINES)
    assert reply.headers["content-type"] == "application/x-ndjson"
    answers = [json.loads(line) for line in reply.body.splitlines()]
    assert [answer.get("error") for answer in answers] == [
        None,
        "the line is not JSON (column 2)",
        "abstract is missing",
        "title has no words",
        "the line is longer than 1,048,576 bytes",
        None,
    ]
    assert [answer["id"] for answer in answers if "error" in answer and "id" in answer] == ["x9"]


def test_many_lines_are_all_answered(service: Served) -> None:
    papers = records(2500)
    body = "".join(json.dumps({"title": p["title"], "abstract": p["abstract"], "id": p["id"]}) + "\n" for p in papers)
    reply = service.ask("/predict/batch?top=1", body=body.encode(), headers=LINES)
    assert [json.loads(line)["id"] for line in reply.body.splitlines()] == [p["id"] for p in papers]


def test_who_asks_at_the_same_time_gets_what_they_asked_for(service: Served) -> None:
    papers = [{"title": p["title"], "abstract": p["abstract"]} for p in records(60)]
    alone = [service.ask(f"/predict?top={1 + n % 3}", paper).body for n, paper in enumerate(papers)]
    before = service.metric("arxivcli_batch_papers_count")
    with ThreadPoolExecutor(30) as pool:
        slow = pool.submit(service.predict, "sleep 0.3")
        at_once = list(pool.map(lambda n: service.ask(f"/predict?top={1 + n % 3}", papers[n]).body, range(60)))
        assert slow.result().status == 200
    assert at_once == alone
    assert service.metric("arxivcli_batch_papers_count") - before < 61, "they were scored one by one"


def test_health_and_what_there_is(service: Served) -> None:
    health = service.ask("/health").json
    assert health == {
        "status": "healthy", "model_loaded": True, "model_type": "fast", "device": "cpu", "num_classes": 6
    }  # fmt: skip
    assert service.ask("/livez").json == {"status": "alive"}
    assert service.ask("/readyz").json == {"status": "ready"}
    labels = service.ask("/labels").json
    assert {"label": "math.NT", "name": "Number Theory"} in labels["labels"]
    assert len(labels["labels"]) == health["num_classes"]
    card = service.ask("/model").json
    assert (card["name"], card["kind"], card["num_classes"]) == ("handmade", "fast", 6)
    assert set(card["files"]) == {"weights.safetensors"}


def test_every_answer_is_careful(service: Served) -> None:
    for path in ("/health", "/nothing", "/docs", "/metrics"):
        headers = service.ask(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_a_request_keeps_its_name(service: Served) -> None:
    assert service.predict(headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    names = {service.predict(headers={"x-request-id": bad}).headers["x-request-id"] for bad in ("a b", "x" * 65, "é")}
    assert len(names) == 3
    assert not names & {"a b", "x" * 65}
    service.hears("request=mine-1")


def test_the_docs_need_no_network(service: Served) -> None:
    page = service.ask("/docs").body.decode()
    assert "http" not in page.replace("</html>", "").lower().replace("http-equiv", "")
    assert "<script>" not in page
    for name in ("docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "docs/start.js", "docs/favicon.png"):
        assert name in page
        assert service.ask(f"/{name}").status == 200
    assert service.ask("/docs/../app.py").status == 404
    assert '<a href="docs">' in service.ask("/").body.decode()
    described = service.ask("/openapi.json").json
    assert {"/predict", "/predict/batch", "/health", "/metrics"} <= set(described["paths"])


def test_metrics_count_what_happened(service: Served) -> None:
    before = service.metric('arxivcli_requests_total{method="POST",route="/predict",status="200"}')
    papers = service.metric("arxivcli_predictions_total")
    for _ in range(3):
        service.predict()
    service.ask("/predict", {"title": "x"})
    assert service.metric('arxivcli_requests_total{method="POST",route="/predict",status="200"}') == before + 3
    assert service.metric('arxivcli_requests_total{method="POST",route="/predict",status="422"}') >= 1
    assert service.metric("arxivcli_predictions_total") == papers + 3
    assert service.metric("arxivcli_confidence_count") == papers + 3
    assert service.metric('arxivcli_errors_total{type="no paper"}') >= 1
    assert service.metric("arxivcli_process_resident_memory_bytes") > 10e6
    page = service.ask("/metrics/")
    assert page.headers["content-type"].startswith("text/plain")
    assert b'arxivcli_model_info{kind="fast",name="handmade"' in page.body
    families = {family.name: family for family in text_string_to_metric_families(page.body.decode())}
    assert families["arxivcli_request_seconds"].type == "histogram"
    assert all(name.startswith("arxivcli_") and family.documentation for name, family in families.items())


def test_paths_of_strangers_do_not_fill_the_metrics(service: Served) -> None:
    for number in range(5):
        service.ask(f"/wp-admin/{number}")
    assert service.metric('arxivcli_requests_total{method="GET",route="other",status="404"}') >= 5
    assert b"wp-admin" not in service.ask("/metrics").body


def test_json_logs_have_the_request(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--log", "json") as served:
        served.ask("/predict?top=1", PAPER | {"title": "secret-words"}, headers={"x-request-id": "r-1"})
        served.hears('"r-1"')
        served.end()
        lines = [json.loads(line) for line in served.said().splitlines() if line.startswith("{")]
    [request] = [line for line in lines if line.get("request") == "r-1"]
    assert request | {"ms": 0, "time": ""} == {
        "time": "", "level": "info", "event": "request", "request": "r-1", "method": "POST", "path": "/predict",
        "status": 200, "ms": 0, "client": "127.0.0.1",
    }  # fmt: skip
    assert "secret-words" not in str(lines)


def test_who_has_no_token_is_not_let_in(handmade_model: Path, token_file: Path) -> None:
    with serving("--model", handmade_model, "--token-file", token_file) as served:
        for headers in ({}, bearer("x" * 32), bearer(TOKEN[:-1]), bearer("x" * 20_000), {"authorization": TOKEN}):
            reply = served.predict(headers=headers)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert served.ask(f"/labels?token={TOKEN}").status == 401
        assert served.predict(headers=bearer(TOKEN)).status == 200
        for path in ("/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
            assert served.ask(path).status == 200
        described = served.ask("/openapi.json").json
        assert described["paths"]["/predict"]["post"]["security"] == [{"token": []}]
        assert "security" not in described["paths"]["/health"]["get"]
        served.hears("status=401")
        assert TOKEN not in served.said()


def test_metrics_can_be_guarded_too(handmade_model: Path, token_file: Path) -> None:
    with serving("--model", handmade_model, "--token-file", token_file, "--guard-metrics") as served:
        assert [served.ask(path).status for path in ("/metrics", "/metrics/")] == [401, 401]
        assert served.ask("/metrics", headers=bearer(TOKEN)).status == 200


def ended(*options: object) -> subprocess.CompletedProcess[str]:
    """A service that cannot begin."""
    done = prepared.run(
        [*prepared.PROGRAM, "serve", "--port", "0", *map(str, options)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def refused(*options: object) -> tuple[int, str]:
    """Its exit code and its last line."""
    done = ended(*options)
    return done.returncode, done.stderr.splitlines()[-1]


def test_a_token_file_that_others_can_read_is_refused(token_file: Path) -> None:
    token_file.chmod(0o644)
    assert refused("--token-file", token_file) == (
        2,
        f"error: others may read or change {token_file}; chmod 600 {token_file}",
    )
    token_file.chmod(0o600)
    token_file.write_text("short\n")
    code, says = refused("--token-file", token_file)
    assert code == 2
    assert "no token of 16 characters" in says
    assert refused("--token-file", token_file.with_name("none"))[0] == 2


def test_a_client_asks_only_so_often(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--rate", 18) as served:
        replies = [served.predict(headers={"x-forwarded-for": f"10.0.0.{n}"}) for n in range(11)]
        assert [reply.status for reply in replies] == [200] * 10 + [429]
        assert [int(reply.headers["ratelimit-remaining"]) for reply in replies] == [*range(9, -1, -1), 0]
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 4
        assert replies[-1].headers["ratelimit-limit"] == "10"
        assert replies[-1].detail == "more than 18 requests a minute, or 10 at once"
        for path in ("/health", "/metrics", "/", "/docs", "/openapi.json"):
            assert served.ask(path).status == 200, "what is only read costs nothing"


def test_a_trusted_proxy_says_who_asks(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--rate", 6, "--trusted-proxy", "127.0.0.0/8") as served:
        who = ["10.0.0.1"] * 7 + ["10.0.0.2"] * 6
        asked = [served.predict(headers={"x-forwarded-for": one}).status for one in who]
        assert asked == [200] * 6 + [429] + [200] * 6
        assert served.predict(headers={"x-forwarded-for": "10.0.0.3, 10.0.0.2"}).status == 429
        served.hears("status=429 ms=")
        assert "client=10.0.0.1" in served.said(), "the log says who asked, not who passed it on"


def test_pages_of_other_sites_ask_only_where_told(service: Served, handmade_model: Path, token_file: Path) -> None:
    asking = {"origin": "https://a.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in service.predict(headers={"origin": "https://a.example"}).headers
    with serving("--model", handmade_model, "--cors", "https://A.example/", "--token-file", token_file) as served:
        allowed = served.ask("/predict", method="OPTIONS", headers={**asking, "x-request-id": "before"})
        assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, "https://a.example")
        refused = served.ask("/predict", method="OPTIONS", headers={**asking, "origin": "https://b.example"})
        assert (refused.status, refused.detail.partition(",")[0]) == (400, "pages of this site may not ask")
        assert {"x-request-id", "x-content-type-options"} <= allowed.headers.keys() & refused.headers.keys()
        served.hears("request=before method=OPTIONS path=/predict status=200")
    with serving("--model", handmade_model, "--cors", "https://a.example") as served:
        answered = served.predict(headers={"origin": "https://a.example"})
        assert answered.headers["access-control-allow-origin"] == "https://a.example"
        other = served.predict(headers={"origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--cors", "their.site"], "--cors their.site is no origin of web pages; write https://their.site, without a"),
        (["--cors", "https://their.site/page"], "--cors https://their.site/page is no origin of web pages"),
        (["--guard-metrics"], "--guard-metrics asks for a token, and there are none; give a --token-file"),
        (["--trusted-proxy", "nobody"], "--trusted-proxy: 'nobody' does not appear to be"),
        (["--max-items", "3000"], "a list may have 3,000 papers, but only 2,000 may wait"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_served(options: list[str], says: str) -> None:
    done = ended(*options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {says}")


def test_a_page_that_calls_us_by_its_own_name_is_refused(service: Served, handmade_model: Path) -> None:
    """DNS rebinding: only this machine can ask, and its browsers are asked not to be used for it."""
    assert service.predict(headers={"host": "evil.example"}).status == 400
    assert service.predict(headers={"host": "localhost:1"}).status == 200
    with serving("--model", handmade_model, "--allow-host", "papers.example") as served:
        assert served.predict(headers={"host": "papers.example"}).status == 200


def test_everybody_may_ask_is_said(handmade_model: Path, token_file: Path) -> None:
    everywhere = ("--model", handmade_model, "--host", "0.0.0.0")  # noqa: S104  what it says is the test
    with serving(*everywhere) as served:
        assert "note: everybody who can reach this machine may ask" in served.said()
        assert served.predict(headers={"host": "any.example"}).status == 200
    with serving(*everywhere, "--token-file", token_file) as served:
        assert "everybody" not in served.said()


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_ipv6(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--host", "::1") as served:
        assert f"serving on http://[::1]:{served.port}" in served.said()
        served.host = "::1"
        assert served.predict().status == 200


def test_a_port_that_is_taken_is_said(service: Served) -> None:
    code, says = refused("--port", service.port)
    assert (code, says.partition(":")[0]) == (5, "error")
    assert f"port {service.port}: Address already in use" in says
    assert refused("--port", service.port, "--workers", 2)[0] == 5
    assert refused("--host", "999.1.1.1")[0] == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may have any port")
def test_a_privileged_port_is_said() -> None:
    code, says = refused("--port", 80)
    assert code == 5
    assert "port 80 is for privileged users" in says


def test_numbers_that_contradict_each_other_are_refused() -> None:
    code, says = refused("--queue", 10)
    assert code == 2
    assert "a list may have 1,000 papers, but only 10 may wait" in says


def test_the_docs_can_be_off(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--no-docs") as served:
        assert [served.ask(path).status for path in ("/docs", "/openapi.json", "/docs/swagger-ui.css")] == [404] * 3
        page = served.ask("/")
        assert page.status == 200
        assert b"docs" not in page.body


def test_the_page_can_be_off(handmade_model: Path) -> None:
    with serving("--model", handmade_model, "--no-page") as served:
        assert [served.ask(path).status for path in ("/", "/docs")] == [404, 200]


def test_words_that_count_are_named_where_they_stand(service: Served) -> None:
    reply = service.ask("/predict?explain=true", {"title": "Primes  and\nGalaxies", "abstract": "𝄞 zeta, zeta"}).json
    assert list(reply) == ["top_category", "predictions", "explanation", "cleaned"]
    assert reply["cleaned"] == {"title": "Primes and Galaxies", "abstract": "𝄞 zeta, zeta"}
    for word in reply["explanation"]:
        said = reply["cleaned"][word["where"]]
        places = zip(word["begins"], word["ends"], strict=True)
        assert {said[begin:end].lower() for begin, end in places} == {word["text"]}
    assert {(word["text"], word["contribution"] > 0) for word in reply["explanation"]} == {
        ("primes", True), ("galaxies", False), ("zeta", True)
    }  # fmt: skip


def test_lists_and_lines_are_explained_too(service: Served) -> None:
    alone = service.ask("/predict?explain=true", PAPER).json
    assert service.ask("/predict/batch?explain=true", [PAPER, PAPER]).json == [alone, alone]
    lines = service.ask("/predict/batch?explain=true", body=json.dumps(PAPER).encode(), headers=LINES)
    assert json.loads(lines.body) == alone
    assert service.ask("/predict?explain=false", PAPER).json == service.predict().json


def test_a_model_that_cannot_explain_says_so(service: Served, handmade_model: Path) -> None:
    assert service.ask("/model").json["explains"] is True
    with serving("--model", handmade_model) as served:
        if served.ask("/model").json["explains"]:
            pytest.skip("this kind of model explains itself")
        reply = served.ask("/predict?explain=true", PAPER)
        assert (reply.status, reply.detail) == (422, "this model cannot say which words count")


def test_ctrl_c_ends_it(handmade_model: Path) -> None:
    with serving("--model", handmade_model) as served:
        assert served.end(signal.SIGINT) == 0
        assert "Traceback" not in served.said()


@settings(max_examples=60)
@given(body=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["title", "abstract", "id"]), inner),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_whatever_comes_is_answered_with_json(service: Served, body: bytes) -> None:
    for path in ("/predict", "/predict/batch"):
        reply = service.ask(path, body=body, headers=JSON)
        assert reply.status in {200, 400, 422}
        reply.body.decode()
        assert reply.json
        if reply.status != 200:
            assert reply.detail


def test_the_model_is_not_asked_for_torch(handmade_model: Path) -> None:
    program = [str(Path(sys.executable).with_name("arxivcli"))]  # a fork would have it loaded already
    with serving("--model", handmade_model, program=program) as served:
        maps = Path(f"/proc/{served.process.pid}/maps")
        if not maps.exists():
            pytest.skip("only Linux says what is loaded")
        assert served.predict().status == 200
        assert "libtorch" not in maps.read_text()


def test_nobody_waits_for_the_others_answers(service: Served) -> None:
    replies = together(
        lambda: service.predict("sleep 0.2"), lambda: service.predict("explode"), lambda: service.predict("nothing"),
        lambda: service.predict("sleep 0.1"),
    )  # fmt: skip
    assert [reply.status for reply in replies] == [200, 500, 500, 200]


def test_answers_are_those_of_the_step(service: Served, handmade_model: Path) -> None:
    from arxivcli.models import shelf
    from arxivcli.papers import one_paper

    paper = records(1)[0]
    expected = answer(shelf.load(str(handmade_model)), one_paper(paper["title"], paper["abstract"]), Question(6))
    assert service.ask("/predict?top=1000", paper).json == service.ask("/predict?top=6", paper).json
    reply = service.ask("/predict?top=6", {"title": paper["title"], "abstract": paper["abstract"]}).json
    assert [entry["category"] for entry in reply["predictions"]] == expected["labels"][0].as_py()
    scores = expected["scores"][0].as_py()
    assert [entry["confidence"] for entry in reply["predictions"]] == pytest.approx(scores, abs=5e-5)
