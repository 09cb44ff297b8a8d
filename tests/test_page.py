"""The page of `arxivcli serve`, as people use it in a real browser."""

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import misbehaving
import pytest
from browsing import browser as a_browser
from browsing import opened
from invented import records
from playwright.sync_api import expect
from served import PAPER, Served, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

PRIMES = "Primes and elliptic curves"
HOSTILE = [
    "<script>document.title='owned'</script> primes",
    "<img src=x onerror=alert(1)> primes",
    "</textarea></script><script>alert(1)</script> primes",
    "\u202eprimes \u05d0\u05d1\u05d2 \u0645\u0631\u062d\u0628\u0627 curves",
    "primes \ud800 curves",
    "a\u0300\u0301\u0302\u0303" * 50 + " primes",
]
TOKEN = "a-token-of-many-characters"  # noqa: S105


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with a_browser() as found:
        yield found


@pytest.fixture(scope="module")
def service(handmade_model: Path) -> Iterator[Served]:
    with serving("--model", handmade_model, program=misbehaving.PROGRAM) as served:
        yield served


@pytest.fixture
def page(browser: "Browser", service: Served) -> Iterator["Page"]:
    with opened(browser, f"http://127.0.0.1:{service.port}/") as found:
        found.wait_for_selector("#coverage-choice:not([hidden])")
        yield found


def told(page: "Page", where: str, words: str | re.Pattern[str]) -> None:
    """Wait until it says so there."""
    expect(page.locator(f"#{where}")).to_have_text(words, timeout=15_000)


def answered(page: "Page", category: str) -> None:
    """Wait until that is the answer."""
    expect(page.locator("#answer:not(.old) #predictions li:first-child .code")).to_have_text(category, timeout=15_000)


def test_who_types_sees_the_answer(page: "Page", service: Served) -> None:
    page.get_by_label("Title", exact=True).type(PRIMES)
    page.get_by_label("Abstract", exact=True).fill("We study the zeta function.")
    answered(page, "math.NT")
    expected = service.ask("/predict?top=5", {"title": PRIMES, "abstract": "We study the zeta function."}).json
    shown = page.locator("#predictions li")
    assert shown.locator(".code").all_inner_texts() == [one["category"] for one in expected["predictions"]]
    assert shown.locator(".name").first.inner_text() == "Number Theory"
    best = expected["predictions"][0]["confidence"]
    assert float(shown.locator(".percent").first.inner_text().rstrip("%")) == pytest.approx(100 * best, abs=0.06)
    width: float = page.evaluate(
        "(() => { const bar = document.querySelector('.bar'); return bar.firstChild.offsetWidth / bar.offsetWidth })()"
    )
    assert width == pytest.approx(best, abs=0.01)
    assert page.locator("#promise").inner_text().endswith("in 90% of cases")
    assert page.locator("#said").inner_text() == "", "who listens is not told at every key"
    told(page, "said", re.compile("^math.NT Number Theory, "))


def test_what_is_asked_besides_can_be_chosen(page: "Page") -> None:
    page.get_by_label("Title", exact=True).fill(PRIMES)
    answered(page, "math.NT")
    page.get_by_role("combobox", name="Categories").select_option("3")
    expect(page.locator("#predictions li")).to_have_count(3)
    page.get_by_label("Set that holds").select_option("99%")
    told(page, "promise", re.compile("99%"))
    page.get_by_label("Set that holds").select_option("no set")
    page.wait_for_selector("#set", state="hidden")
    page.get_by_label("Show why").uncheck()
    page.wait_for_selector("#why", state="hidden")


def test_an_answer_that_comes_late_is_not_shown(page: "Page") -> None:
    held: list[Route] = []

    def hold_the_first(route: "Route") -> None:
        if held:
            route.continue_()
        held.append(route)

    page.route("**/predict?*", hold_the_first)
    with page.expect_request("**/predict?*"):
        page.get_by_label("Title", exact=True).fill("Neurons and spikes")
    page.get_by_label("Title", exact=True).fill("Galaxies and quasars")
    answered(page, "astro-ph.GA")
    held[0].continue_()
    page.wait_for_timeout(300)
    answered(page, "astro-ph.GA")
    page.get_by_label("Title", exact=True).fill("")
    page.wait_for_selector("#answer", state="hidden")


def test_words_are_marked_where_they_stand(page: "Page") -> None:
    page.get_by_label("Title", exact=True).fill("\U0001d11e Primes and galaxies")
    page.get_by_label("Abstract", exact=True).fill("zeta  curves")
    answered(page, "math.NT")
    assert page.locator("#why-title mark.for").all_inner_texts() == ["Primes"]
    assert page.locator("#why-title mark.against").all_inner_texts() == ["galaxies"]
    assert page.locator("#why-abstract mark.for").all_inner_texts() == ["zeta", "curves"]
    assert page.locator("#why-title").inner_text() == "\U0001d11e Primes and galaxies"
    assert page.locator("#why-against").inner_text() == "Against it: galaxies."


@pytest.mark.parametrize("title", HOSTILE)
def test_whatever_a_title_holds_is_shown_and_not_obeyed(page: "Page", title: str) -> None:
    name = page.title()
    page.evaluate("title => { document.getElementById('title').value = title }", title)
    page.get_by_label("Abstract", exact=True).fill(title.replace("\ud800", ""))
    answered(page, "math.NT")
    page.evaluate("title => { document.getElementById('list').value = title }", title)
    page.get_by_role("button", name="Classify them").click()
    page.wait_for_selector("#rows tr")
    assert page.locator("#rows td").nth(1).inner_text() == title
    assert page.title() == name
    assert page.locator("img, main script, iframe").count() == 0


def test_a_title_of_any_length(browser: "Browser", service: Served) -> None:
    with opened(browser, f"http://127.0.0.1:{service.port}/", "422") as page:
        page.get_by_label("Title", exact=True).fill("primes " * 7_142 + "primes")  # 50,000 characters
        answered(page, "math.NT")
        page.get_by_label("Title", exact=True).fill("x" * 50_001)
        told(page, "problem", re.compile("50,000"))
        assert page.locator("#problem").inner_text() == "Title has more than 50,000 characters."


def saved(page: "Page") -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_list_is_pasted_and_its_answers_are_saved(page: "Page", service: Served) -> None:
    titles = [PRIMES, '=HYPERLINK("http://a.example") galaxies', "+1 quarks, Higgs", "@neurons", "-2"]
    page.locator("#list").fill("\n".join([*titles[:2], "", *titles[2:]]))
    page.get_by_role("button", name="Classify them").click()
    told(page, "list-said", "All 5 papers.")
    found = saved(page)
    assert [row["title"] for row in found] == [PRIMES, *(f"'{title}" for title in titles[1:4]), "-2"]
    assert [row["id"] for row in found] == ["1", "2", "4", "5", "6"]
    for row, title in zip(found, titles, strict=True):
        expected = service.predict(title, " ").json["predictions"]
        assert (row["category"], float(row["confidence"])) == tuple(expected[0].values())
        assert row["alternatives"].split("; ")[1] == "{category} {confidence}".format(**expected[2])
    assert page.locator("#rows tr td:nth-child(3)").all_inner_texts() == [row["category"] for row in found]


def dropped(page: "Page", name: str, content: bytes) -> None:
    carried = page.evaluate_handle(
        """([name, bytes]) => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(bytes)], name));
          return carried;
        }""",
        [name, list(content)],
    )
    page.dispatch_event("#papers", "drop", {"dataTransfer": carried})


@pytest.mark.parametrize(
    ("name", "content", "titles"),
    [
        ("a.csv", b'id,Title,Abstract\r\n7,"Primes, ""zeta""\r\nand curves",x\r\n8,,\r\n9,quarks,y\r\n',
         ['Primes, "zeta"\nand curves', "", "quarks"]),
        ("a.tsv", b"paper_title\tsummary\nPrimes\tzeta\n\nquarks\t\n", ["Primes", "quarks"]),
        ("semicolons.csv", b"\xef\xbb\xbftitle;abstract\nPrimes, zeta;x", ["Primes, zeta"]),
        ("western.csv", b"title,abstract\nPoincar\xe9 primes,x\n", ["Poincaré primes"]),
        ("a.jsonl", b'{"title": "Primes", "abstract": "x"}\n{\n{"title": "quarks"}\n', ["Primes", "{", "quarks"]),
        ("one.csv", b"title\nPrimes, zeta\n", ["Primes, zeta"]),
        ("titles.txt", b"Primes, zeta\nquarks; leptons\n", ["Primes, zeta", "quarks; leptons"]),
        ("column.csv", b"Primes and zeta\nquarks\n", ["Primes and zeta", "quarks"]),
        ("a.json", b'[{"title": "Primes", "abstract": "x"},\n {"title": "quarks"}]', ["Primes", "quarks"]),
        ("one.json", b'{\n  "title": "Primes",\n  "abstract": "x"\n}\n', ["Primes"]),
        ("lines.txt", b"[CII] emission\n{T}ropical curves\n", ["[CII] emission", "{T}ropical curves"]),
        ("excel.csv", "title;abstract\nPoincar\u00e9 primes;x\n".encode("utf-16"), ["Poincaré primes"]),
    ],
)  # fmt: skip
def test_a_file_is_dropped(page: "Page", name: str, content: bytes, titles: list[str]) -> None:
    dropped(page, name, content)
    told(page, "list-said", "One paper." if len(titles) == 1 else re.compile(f"^All {len(titles)} papers"))
    found = saved(page)
    assert [row["title"] for row in found] == titles
    for row in found:
        assert bool(row["category"]) != bool(row["error"])
        assert bool(row["error"]) == (row["title"] in {"", "{"})


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"name,year\nPrimes,1999\n", "The table has no column named title."),
        ("a.bin", bytes(range(256)), "The file is no text: use arxivcli classify."),
        ("a.txt", b"\n\n", "There is no paper in it."),
    ],
)
def test_a_file_that_has_no_papers_says_so(page: "Page", name: str, content: bytes, problem: str) -> None:
    dropped(page, "before.txt", b"Primes\n")
    told(page, "list-said", "One paper.")
    dropped(page, name, content)
    told(page, "list-problem", problem)
    told(page, "list-said", "")


def test_a_long_list_is_answered_whole(page: "Page") -> None:
    papers = records(1_203)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([["id", "title", "abstract"], *([p["id"], p["title"], p["abstract"]] for p in papers)])
    given = {"name": "papers.csv", "mimeType": "text/csv", "buffer": text.getvalue().encode()}
    page.set_input_files("#file", given)
    told(page, "list-said", "All 1,203 papers.")
    assert page.locator("#rows tr").count() == 500
    assert page.locator("#more").inner_text() == "703 more are in the file."
    assert [row["id"] for row in saved(page)] == [paper["id"] for paper in papers]


def test_a_list_can_be_stopped(page: "Page") -> None:
    page.locator("#list").fill("\n".join(["primes"] * 100 + ["sleep 0.02"] * 300))
    page.get_by_role("button", name="Classify them").click()
    page.wait_for_selector("#rows tr")
    page.get_by_role("button", name="Stop").click()
    told(page, "list-said", "Ended after 100 of 400 papers.")


def test_a_token_is_asked_for_and_kept_only_here(browser: "Browser", handmade_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(TOKEN)
    with (
        serving("--model", handmade_model, "--token-file", path) as served,
        opened(browser, f"http://127.0.0.1:{served.port}/", "401") as page,
    ):
        page.wait_for_selector("#access")
        assert page.evaluate("document.activeElement.id") == "token"
        page.keyboard.type("not-the-token-of-anybody")
        page.keyboard.press("Enter")
        told(page, "access-problem", re.compile("does not know"))
        page.get_by_label("This service needs a token").fill(TOKEN)
        page.get_by_role("button", name="Use it").click()
        page.get_by_label("Title", exact=True).fill(PRIMES)
        answered(page, "math.NT")
        assert page.locator("#access").is_hidden()
        kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
        assert TOKEN not in kept
        page.reload()
        page.wait_for_selector("#access")


def test_hands_that_stay_on_the_keyboard(page: "Page") -> None:
    page.keyboard.press("Tab")
    page.keyboard.type("Quarks and leptons")
    page.keyboard.press("Control+Enter")
    answered(page, "hep-ph")
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Primes"
    page.keyboard.press("Enter")
    answered(page, "math.NT")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px", "who uses keys sees where they are"
    seen: list[str] = []
    for _ in range(13):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    wanted = ["top", "coverage", "explain", "list", "file", "Classify them"]
    assert [name for name in seen if name in wanted] == wanted


@pytest.mark.parametrize(
    "look", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}, "has_touch": True}]
)
def test_nobody_is_shut_out(browser: "Browser", service: Served, look: dict[str, Any]) -> None:
    """axe finds nothing, and nothing has to be scrolled sideways, with everything shown that can be."""
    from axe_core_python.sync_playwright import Axe

    with opened(browser, f"http://127.0.0.1:{service.port}/", bypass_csp=True, **look) as page:
        page.get_by_label("Title", exact=True).fill("Primes and galaxies " + "supercalifragilistic" * 9)
        answered(page, "math.NT")
        page.locator("#list").fill("primes\n" + "x" * 400)
        page.get_by_role("button", name="Classify them").click()
        page.wait_for_selector("#rows tr")
        page.evaluate("for (const id of ['access', 'stop']) document.getElementById(id).hidden = false")
        found = Axe().run(page)
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
        assert len(found["passes"]) > 20
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_foreign_runs_in_the_page(browser: "Browser", service: Served) -> None:
    policy = service.ask("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    with opened(browser, f"http://127.0.0.1:{service.port}/", "Content Security Policy|requires 'Trusted") as page:
        page.wait_for_selector("#coverage-choice:not([hidden])")
        owned = page.evaluate(
            """async () => {
              const tries = [
                () => { document.body.innerHTML += '<b>x</b>'; return 'html'; },
                () => { const script = document.createElement('script'); script.text = 'window.owned = 1';
                        document.body.append(script); return window.owned && 'script'; },
                () => { document.body.setAttribute('onclick', 'window.owned = 1'); document.body.click();
                        return window.owned && 'handler'; },
              ];
              const done = tries.map((one) => { try { return one(); } catch { return undefined; } });
              return done.filter(Boolean);
            }"""
        )
        assert owned == []
        assert page.evaluate("() => window.owned") is None


def test_the_page_is_whole_and_plain(service: Served) -> None:
    reply = service.ask("/")
    html = reply.body.decode()
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"""\b(?:src|href)=["'](?!docs"|data:,)""", html), "it needs another file"
    assert "{{" not in html
    assert not re.search(r"<[^>]+\son[a-z]+=", html)
    for asset in (files("arxivcli.serving") / "assets").iterdir():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", asset.read_text())
    assert len(reply.body) < 60_000


def test_a_service_that_comes_back_is_asked_again(browser: "Browser", service: Served) -> None:
    with opened(browser, f"http://127.0.0.1:{service.port}/", "503") as page:
        page.wait_for_selector("#coverage-choice:not([hidden])")
        refusals = iter([{"status": 503, "headers": {"retry-after": "1"}, "body": json.dumps({"detail": "too busy"})}])
        page.route(
            "**/predict?*", lambda route: route.fulfill(**e) if (e := next(refusals, None)) else route.continue_()
        )
        began = time.monotonic()
        page.get_by_label("Title", exact=True).fill(PAPER["title"])
        told(page, "problem", "Too busy.")
        answered(page, "math.NT")
        assert time.monotonic() - began > 1
