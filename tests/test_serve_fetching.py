"""Papers by arXiv id behind `arxivcli serve --fetch`: real sockets, and a double in arXiv's place."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from browsing import browser as a_browser
from browsing import opened
from double import Catalogue, Double, faults
from loopback import free_port
from playwright.sync_api import expect
from served import Reply, Served, serving, together, until
from test_serve_described import explored

from arxivcli import taxonomy
from arxivcli.serving.shared import Rest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

TOKEN = "a-token-of-many-characters"  # noqa: S105
TROUBLE = "the service cannot ask arXiv now; ask again later"


@pytest.fixture(scope="module")
def servers() -> Iterator[Double]:
    with Double(Catalogue(150)) as found:
        yield found


@pytest.fixture
def double(servers: Double) -> Iterator[Double]:
    yield servers
    servers.faults.clear()
    servers.log.clear()


@pytest.fixture(scope="module")
def service(handmade_model: Path, servers: Double) -> Iterator[Served]:
    with serving("--model", handmade_model, *fetching(servers)) as found:
        yield found


def fetching(double: Double, pace: float = 0.01) -> list[str]:
    return ["--fetch", "--api-url", double.query_url, "--pace", str(pace), "--contact", "us@example.org"]


def get(served: Served, name: str, **headers: str) -> Reply:
    return served.ask(f"/papers?id={quote(name, safe='')}", headers=headers)


def asked(double: Double) -> list[list[str]]:
    """The ids of each request."""
    return [entry.params["id_list"].split(",") for entry in double.log.of("query")]


def test_a_paper_is_named_as_people_name_it(service: Served, double: Double) -> None:
    old = next(one for one in double.catalogue.ids if "/" in one)
    new = double.catalogue.ids[-1]
    for identifier, names in {
        new: [new, f"arXiv:{new}v1", f" https://arxiv.org/pdf/{new}.pdf"],
        old: [f"https://arxiv.org/abs/{old}v2", old],
    }.items():
        paper = double.catalogue.paper(identifier)
        for name in names:
            reply = get(service, name)
            assert reply.status == 200
            assert reply.headers["cache-control"] == "no-store"
            found = reply.json
            assert list(found) == ["id", "title", "abstract", "categories"]
            assert found["id"] == identifier
            assert found["title"].split() == paper.title.split()
            assert found["abstract"].split() == paper.abstract.split()
            canonical = [taxonomy.canonical(one) or one for one in (paper.categories or "").split()]
            assert found["categories"] == list(dict.fromkeys(canonical))
            assert "\n" not in found["abstract"]
    assert asked(double) == [[new], [old]], "the same paper is asked for once"
    assert "us@example.org" in double.log.of("query")[0].headers["user-agent"]


@pytest.mark.parametrize(
    "name",
    [
        "", "x" * 201, "what?", "12345", "papers/0000001", "2401.01234.5", "../../etc/passwd", "2401.01234,2401.01235",
        "http://127.0.0.1/abs/2401.01234", "http://169.254.169.254/latest/meta-data", "https://example.org/2401.01234",
        "file:///abs/2401.01234", "2401.01234&search_query=all:x", "https://arxiv.org@example.org/abs/2401.01234",
    ],
)  # fmt: skip
def test_what_is_no_id_is_never_sent_anywhere(service: Served, double: Double, name: str) -> None:
    reply = get(service, name)
    assert reply.status == 422
    assert "arXiv id" in reply.detail
    assert name not in reply.detail or not name
    assert asked(double) == []


def test_a_question_must_be_one(service: Served) -> None:
    assert service.ask("/papers").status == 422
    assert service.ask("/papers?id=2401.01234&id=2401.01235").detail == "id is there more than once"
    assert service.ask("/papers?id=2401.01234", method="POST", body=b"").status == 405


def test_an_id_that_arxiv_does_not_have(service: Served, double: Double) -> None:
    for _ in range(2):
        reply = get(service, "9912.99999")
        assert (reply.status, reply.detail) == (404, "there is no paper of this id on arXiv")
    assert asked(double) == [["9912.99999"]]
    assert service.metric('arxivcli_fetched_papers_total{outcome="unknown"}') == 1
    assert service.metric('arxivcli_requests_total{method="GET",route="/papers",status="404"}') == 2


def test_those_who_wait_together_are_asked_for_together_and_keep_nobody_waiting(
    service: Served, double: Double
) -> None:
    double.faults.add(faults.late(0.6), site="query", times=1)
    ids = double.catalogue.ids[20:50]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(get, service, ids[0])
        until(lambda: len(double.log.of("query")) == 1)
        rest = pool.submit(together, *([lambda one=one: get(service, one) for one in [*ids, *ids]]))
        assert service.predict().status == 200
        assert not first.done(), "a paper is answered while arXiv is waited for"
        assert first.result().json["id"] == ids[0]
        assert [reply.json["id"] for reply in rest.result()] == [*ids, *ids]
    batches = asked(double)
    assert sorted(one for batch in batches for one in batch) == sorted(ids)
    assert max(map(len, batches)) == 20
    assert double.log.most_at_once() == 1


@pytest.mark.parametrize(
    ("trouble", "logged"),
    [
        (faults.status(503, retry_after=7), "says 503"),
        (faults.rate_exceeded(retry_after=7), "says 429"),
        (faults.status(403), "refuses to serve us"),
        (faults.redirect("http://169.254.169.254/latest"), "where we do not go"),
        (faults.outage(), "arXiv was not asked"),
        (faults.reset(), "arXiv was not asked"),
    ],
)
def test_arxiv_in_trouble_is_said_and_then_left_alone(
    handmade_model: Path, double: Double, trouble: faults.Action, logged: str
) -> None:
    one, two = double.catalogue.ids[:2]
    with serving("--model", handmade_model, *fetching(double, 0.2)) as served:
        assert get(served, two).status == 200
        double.faults.add(trouble, site="query", times=None)
        failed = get(served, one)
        assert (failed.status, failed.detail) == (502, TROUBLE)
        assert 1 <= int(failed.headers["retry-after"]) <= 60
        before = len(asked(double))
        refused = get(served, one) if int(failed.headers["retry-after"]) > 1 else None
        if refused is not None:
            assert (refused.status, refused.detail) == (503, TROUBLE)
            assert 1 <= int(refused.headers["retry-after"]) <= int(failed.headers["retry-after"])
            assert len(asked(double)) == before
        assert get(served, two).status == 200, "what is known is still answered"
        assert served.predict().status == 200
        served.hears(logged)
        assert served.metric('arxivcli_errors_total{type="arxiv"}') >= 1


def test_arxiv_that_comes_back_is_asked_again(handmade_model: Path, double: Double) -> None:
    double.faults.add(faults.status(500), site="query", times=1)
    with serving("--model", handmade_model, *fetching(double)) as served:
        assert get(served, double.catalogue.ids[0]).status == 502
        until(lambda: get(served, double.catalogue.ids[0]).status == 200)


def test_nobody_at_home(handmade_model: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/api/query"
    with serving("--model", handmade_model, "--fetch", "--api-url", url, "--pace", 0.01) as served:
        assert (reply := get(served, "2401.01234")).status == 502
        assert reply.detail == TROUBLE


def test_who_waits_too_long_is_told_and_too_many_are_refused(handmade_model: Path, double: Double) -> None:
    double.faults.add(faults.late(2.5), site="query", times=1)
    ids = double.catalogue.ids[:40]
    with (
        serving("--model", handmade_model, "--deadline", 0.8, *fetching(double, 0.5)) as served,
        ThreadPoolExecutor(50) as pool,
    ):
        first = pool.submit(get, served, ids[0])
        time.sleep(0.3)
        began = time.monotonic()
        replies = list(pool.map(lambda one: get(served, one), ids[1:]))
        assert time.monotonic() - began < 2.4
        late = [reply for reply in [first.result(), *replies] if reply.status == 504]
        refused = [reply for reply in replies if reply.status == 503]
        assert (len(late), len(refused)) == (21, 19), "twenty fit into the time there is"
        assert {reply.detail for reply in late} == {"no answer from arXiv within the deadline; ask again later"}
        assert {reply.headers["retry-after"] for reply in refused} == {"1"}
        until(lambda: get(served, ids[0]).status == 200)
        assert len(asked(double)) == 1, "nobody waits for the others any more"


def test_workers_keep_one_pace(handmade_model: Path, double: Double) -> None:
    with serving("--model", handmade_model, "--workers", 2, "--deadline", 30, *fetching(double, 0.3)) as served:
        ids = double.catalogue.ids[60:66]
        for first in (0, 3):
            replies = together(*(lambda one=one: get(served, one) for one in ids[first : first + 3]))
            assert {reply.status for reply in replies} == {200}
        double.faults.add(faults.status(403), site="query", times=None)
        assert get(served, ids[0].replace(".", ".9")[:10]).status in {200, 404, 422, 502}
    assert double.log.most_at_once() == 1
    assert min(double.log.gaps("query"), default=0.3) >= 0.3


def test_workers_leave_arxiv_alone_together(handmade_model: Path, double: Double) -> None:
    double.faults.add(faults.status(403), site="query", times=None)
    with serving("--model", handmade_model, "--workers", 2, *fetching(double)) as served:
        assert get(served, "2401.01234").status == 502
        assert {get(served, "2401.01235").status for _ in range(10)} == {503}
    assert len(asked(double)) == 1


def test_the_guard_stands_before_it(handmade_model: Path, double: Double, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(TOKEN)
    options = ("--token-file", path, "--rate", 2, *fetching(double))
    with serving("--model", handmade_model, *options) as served:
        assert get(served, double.catalogue.ids[0]).status == 401
        assert asked(double) == []
        assert get(served, double.catalogue.ids[0], authorization=f"Bearer {TOKEN}").status == 200
        assert get(served, double.catalogue.ids[0], authorization=f"Bearer {TOKEN}").status == 429


def test_without_leave_nobody_is_asked(handmade_model: Path, double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARXIVCLI_API_URL", double.query_url)
    with serving("--model", handmade_model) as served:
        assert get(served, double.catalogue.ids[0]).status == 404
        assert "/papers" not in served.ask("/openapi.json").json["paths"]
        page = served.ask("/").body.decode()
        assert "arxiv-id" not in page
        assert "{{" not in page
    assert asked(double) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--pace", "1"], "arXiv asks for 3 seconds"),
        (["--api-url", "ftp://example.org/"], "no http address"),
        (["--contact", "nobody"], "no mail address"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_served(options: list[str], says: str) -> None:
    from typer.testing import CliRunner

    from arxivcli.cli.app import app

    done = CliRunner().invoke(app, ["serve", "--port", "0", "--fetch", *options])
    assert says in str(done.exception)


def test_the_description_is_true(handmade_model: Path, double: Double, tmp_path: Path) -> None:
    with serving("--model", handmade_model, "--max-chars", 300, *fetching(double, 0)) as served:
        described = served.ask("/openapi.json").json["paths"]["/papers"]["get"]
        pattern = described["parameters"][0]["schema"]["pattern"]
        for example in described["parameters"][0]["examples"].values():
            assert re.search(pattern, example["value"])
            assert get(served, example["value"]).status in {200, 404}
        explored(served, tmp_path, "--include-path", "/papers")


def test_a_rest_grows_and_ends() -> None:
    now = [1000.0]
    rest = Rest(lambda: now[0])
    assert rest.left == 0
    rests = []
    for _ in range(3):
        rest.begin(None, 3, 900)
        rests.append(rest.left)
    assert rests == [6, 12, 24]
    rest.begin(1e9, 3, 900)
    assert rest.left == 900
    rest.begin(0, 3, 900)
    assert rest.left == 3
    now[0] += 2
    assert rest.left == 1
    now[0] += 2
    rest.end()
    rest.begin(None, 3, 900)
    assert rest.left == 6


# -- the page -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as found:
        yield found


@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}])
def test_an_id_fills_the_page(browser: Browser, service: Served, double: Double, look: dict[str, object]) -> None:
    from axe_core_python.sync_playwright import Axe

    identifier = double.catalogue.ids[-3]
    paper = double.catalogue.paper(identifier)
    with opened(browser, f"http://127.0.0.1:{service.port}/", bypass_csp=bool(look), **look) as page:
        page.get_by_label("arXiv id or address").fill(f"https://arxiv.org/abs/{identifier}v1")
        page.keyboard.press("Enter")
        expect(page.locator("#fetched")).to_contain_text(f"{identifier}. arXiv has it in ")
        assert page.get_by_label("Title", exact=True).input_value().split() == paper.title.split()
        assert page.get_by_label("Abstract", exact=True).input_value().split() == paper.abstract.split()
        expect(page.locator("#answer:not(.old) #predictions li").first).to_be_visible()
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{folder}/{len(look)}{look.get('color_scheme', '')}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if look:
            assert Axe().run(page)["violations"] == []
        page.get_by_label("Title", exact=True).fill("Another")
        expect(page.locator("#fetched")).to_have_text("")


def test_the_page_says_why_there_is_no_paper(browser: Browser, service: Served, double: Double) -> None:
    with opened(browser, f"http://127.0.0.1:{service.port}/", "404|422") as page:
        for name, says in {
            "": "Give an arXiv id, such as 2401.01234.",
            "nonsense <b>": "This is no arXiv id; give one like",
            "9911.99999": "There is no paper of this id on arXiv.",
        }.items():
            page.get_by_label("arXiv id or address").fill(name)
            page.get_by_role("button", name="Get title and abstract").click()
            expect(page.locator("#fetch-problem")).to_contain_text(says)
            assert page.locator("#fetched").inner_text() == ""
        double.faults.add(faults.late(1.0), site="query", times=1)
        page.get_by_label("arXiv id or address").fill(double.catalogue.ids[70])
        page.keyboard.press("Enter")
        expect(page.locator("#fetched")).to_contain_text("Asking arXiv")
        page.get_by_label("Title", exact=True).fill("Primes and zeta")
        page.wait_for_timeout(1500)
        assert page.get_by_label("Title", exact=True).input_value() == "Primes and zeta", "what is typed stays"
