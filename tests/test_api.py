"""Searches and papers by id, against a double of arXiv's query API: nothing lost, nothing asked for beyond the wall."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from double import Catalogue, Double, atom, faults
from double.exchange import Request
from hypothesis import given
from hypothesis import strategies as st

from arxivcli.errors import FolderError, InputError, RemoteError, UsageError
from arxivcli.sources import api, entries, fields, xml
from arxivcli.sources.api import BadQueryError
from arxivcli.sources.web import Reply
from arxivcli.steps.fetching import Manners, Report, Wanted, fetch, merging, naming, raw, searching

ALL = "cat:*"
WALL = 60
SIZES = (15, 8, 4, 2, 1)
PAPERS = 150
PACE = 0.001
"""Shorter than waits after trouble can be, which are multiples of 0.01 at least."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wall that a few papers reach, a notebook of requests that nobody else writes, no waiting for the disk."""
    monkeypatch.setattr(searching, "WALL", WALL)
    monkeypatch.setattr(searching, "SIZES", SIZES)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a power cut is not among these faults


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(Catalogue(PAPERS)) as servers:
        servers.query.wall = WALL
        yield servers


class Watcher:
    """Remembers what people would see."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.facts: dict[str, Any] = {}

    def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None: ...

    def advance(self, units: int = 1, **facts: str | float) -> None:  # noqa: ARG002
        self.facts |= facts

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self) -> None: ...


def search(double: Double, folder: Path, watcher: Watcher | None = None, query: str = ALL, **more: Any) -> Report:
    """A search of all papers, with the real client."""
    switches = {key: more.pop(key) for key in ("check", "restart") if key in more}
    manners = Manners(pace=more.pop("pace", PACE))
    wanted = Wanted("api", query=query, url=double.query_url, **more)
    return fetch(wanted, folder, manners, watcher or Watcher(), **switches)


def ask(double: Double, folder: Path, *names: str, watcher: Watcher | None = None) -> Report:
    return fetch(
        Wanted("api", identifiers=names, url=double.query_url), folder, Manners(pace=PACE), watcher or Watcher()
    )


def merged(folder: Path) -> dict[str, dict[str, Any]]:
    """The papers in a folder by id; each stands there once."""
    files = sorted((folder / raw.PAPERS).glob(f"*{raw.LINES}"))
    records = [orjson.loads(line) for path in files for line in raw.read_lines(path)]
    assert len({record["id"] for record in records}) == len(records) == sum(merging.index(folder).values())
    return {record["id"]: record for record in records}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / raw.PAPERS).iterdir()}


def windows(double: Double) -> list[tuple[str, int, int]]:
    """Stretch, first result and last result of every page that was asked for."""
    found = []
    for entry in double.log.of("query"):
        stretch = re.search(r"submittedDate:(\[\d{12} TO \d{12}\])", entry.params["search_query"])
        assert stretch, entry.target
        start = int(entry.params["start"])
        found.append((stretch[1], start, start + int(entry.params["max_results"])))
    return found


RECENT = "2013-01-01"
"""A first day that leaves more papers than one window takes, but not many windows."""


def recent(double: Double) -> set[str]:
    start = dt.datetime.fromisoformat(RECENT).replace(tzinfo=dt.UTC).timestamp()
    found = {paper for paper in double.catalogue.ids if double.catalogue.submitted(paper) >= start}
    assert WALL < len(found) < 100
    return found


def newest(double: Double, count: int) -> set[str]:
    catalogue = double.catalogue
    return set(sorted(catalogue.ids, key=catalogue.submitted, reverse=True)[:count])


# -- searches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("through_minute", [False, True])
def test_a_search_larger_than_the_wall_brings_every_paper_once(
    double: Double, tmp_path: Path, through_minute: bool
) -> None:
    double.query.through_minute = through_minute
    watcher = Watcher()
    report = search(double, tmp_path, watcher, f"{ALL} OR all:nothing", pace=0.02)
    assert set(merged(tmp_path)) == set(double.catalogue.ids)
    assert (report.papers, report.newer, report.expected, report.bad) == (PAPERS, PAPERS, PAPERS, ())
    assert report.fetched <= PAPERS + 2  # a minute that two windows share
    asked = windows(double)
    assert max(last for _, _, last in asked) <= WALL
    assert {entry.status for entry in double.log} == {200}
    assert report.pages == len(asked) == int(watcher.facts["pages"]) < 30
    assert double.log.most_at_once() == 1
    assert min(double.log.gaps()) >= 0.02
    # The newest window first, and plain spaces in what the server reads.
    seen = list(dict.fromkeys(stretch for stretch, _, last in asked))
    finished = [stretch for stretch in seen if sum(other == stretch for other, _, _ in asked) > 1]
    assert finished == sorted(finished, reverse=True)
    assert all("%2BTO%2B" not in entry.target for entry in double.log)
    assert not list(tmp_path.rglob("part-*"))


def test_what_is_merged_is_a_snapshot_record(double: Double, tmp_path: Path) -> None:
    double.query.legacy = True  # with MSC and ACM classes among the categories
    search(double, tmp_path)
    for identifier, record in merged(tmp_path).items():
        paper = double.catalogue.paper(identifier)
        assert record["categories"] == paper.categories
        assert record["title"].split() == paper.title.split()
        assert record["abstract"].split() == (paper.abstract or "").split()
        assert record["comments"] == paper.comments
        assert record["journal-ref"] == paper.journal_ref
        assert record["doi"] == paper.doi
        first, last = paper.versions[0], paper.versions[-1]
        assert [version["version"] for version in record["versions"]] == [f"v{n}" for n in sorted({1, last.number})]
        found = fields.resolve(record, fields.Columns())
        created, _ = fields.dates(record, found)
        assert created == first.created // 86_400
        assert fields.moment(record["versions"][-1]["created"]) == last.created
        assert record["update_date"] == f"{dt.datetime.fromtimestamp(last.created, dt.UTC):%Y-%m-%d}"


def test_days_bound_a_search(double: Double, tmp_path: Path) -> None:
    search(double, tmp_path, first="2010-03-01", until="2018-06-30")
    catalogue = double.catalogue
    days = {p: f"{dt.datetime.fromtimestamp(catalogue.submitted(p), dt.UTC):%Y-%m-%d}" for p in catalogue.ids}
    wanted = {paper for paper, day in days.items() if "2010-03-01" <= day <= "2018-06-30"}
    assert set(merged(tmp_path)) == wanted
    assert 20 < len(wanted) < 140


@pytest.mark.parametrize("through_minute", [False, True])
def test_papers_of_the_minute_where_two_windows_meet(double: Double, tmp_path: Path, through_minute: bool) -> None:
    double.query.through_minute = through_minute
    cut = searching.Window("200001010000", "202006010000").middle("2026-01-01T00:00:00Z")
    assert cut
    minute = dt.datetime.strptime(cut, "%Y%m%d%H%M").replace(tzinfo=dt.UTC)
    # The catalogue takes a paper for submitted an hour before it is there.
    for second in (-1, 0, 1, 59, 60):
        double.catalogue.add(1, minute + dt.timedelta(hours=1, seconds=second))
    search(double, tmp_path, first="2000-01-01", until="2020-05-31", check=False)
    assert any(cut in stretch for stretch, _, _ in windows(double))
    assert set(merged(tmp_path)) >= set(double.catalogue.ids[-5:])


@pytest.mark.parametrize("limit", [1, 7, 15, 40, 130])
def test_a_limit_brings_the_newest_and_asks_for_no_more(double: Double, tmp_path: Path, limit: int) -> None:
    report = search(double, tmp_path, limit=limit)
    assert set(merged(tmp_path)) == newest(double, limit)
    assert report.expected == limit
    if limit <= WALL - SIZES[0]:
        assert sum(last - first for _, first, last in windows(double)) == limit
        assert len(double.log) == -(-limit // SIZES[0])
    assert max(last for _, _, last in windows(double)) <= WALL


def test_a_search_without_results_is_a_success(double: Double, tmp_path: Path) -> None:
    report = search(double, tmp_path, query="ti:xylophonists")
    assert (report.papers, report.expected, report.pages) == (0, 0, 1)


def test_papers_of_one_second_change_places_and_none_is_lost(double: Double, tmp_path: Path) -> None:
    double.query.shuffles_ties = True
    for day in range(1, 20):
        double.catalogue.add(4, dt.datetime(2024, 3, day, tzinfo=dt.UTC))
    search(double, tmp_path / "hasty", check=False)
    lost = set(double.catalogue.ids) - set(merged(tmp_path / "hasty"))
    assert lost  # otherwise this test shows nothing
    watcher = Watcher()
    search(double, tmp_path / "careful", watcher)
    assert set(merged(tmp_path / "careful")) == set(double.catalogue.ids)
    assert not [note for note in watcher.notes if "did not come" in note]


def no_entries(body: bytes) -> bytes:
    return re.sub(rb"<entry>.*</entry>", b"", body, flags=re.DOTALL)


def says(total: int) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        return re.sub(rb"(totalResults>)\d+", rb"\g<1>%d" % total, body)

    return change


def test_an_empty_page_is_asked_for_again_and_then_in_smaller_ones(double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.spoil(no_entries), site="query", number=(2, 3))
    double.faults.add(
        faults.spoil(no_entries), site="query", times=None, where=lambda request: request.params["max_results"] == "15"
    )
    search(double, tmp_path, first=RECENT)
    assert set(merged(tmp_path)) == recent(double)
    assert max(last for _, _, last in windows(double)) <= WALL


def test_a_page_that_stays_empty_is_reached_through_shorter_windows(double: Double, tmp_path: Path) -> None:
    def deep(request: Request) -> bool:
        return int(request.params["start"]) >= 10

    double.faults.add(faults.spoil(no_entries), site="query", times=None, where=deep)
    report = search(double, tmp_path, first=RECENT)
    assert set(merged(tmp_path)) == recent(double)
    assert report.bad == ()


def test_a_wall_lower_than_expected(double: Double, tmp_path: Path) -> None:
    double.query.wall = 20
    watcher = Watcher()
    report = search(double, tmp_path, watcher, first=RECENT)
    assert set(merged(tmp_path)) == recent(double)
    assert report.bad == ()
    assert any("500" in note and "in halves" in note for note in watcher.notes)


def test_a_result_the_server_fails_on_is_left_out_alone_and_named(double: Double, tmp_path: Path) -> None:
    broken = double.catalogue.ids[120]
    double.faults.add(faults.bad_record(broken), site="query", times=None)
    watcher = Watcher()
    report = search(double, tmp_path, watcher, first=RECENT)
    assert set(merged(tmp_path)) == recent(double) - {broken}
    (bad,) = report.bad
    assert re.fullmatch(r"result \d+: submittedDate:\[\d{12} TO \d{12}\]", bad)
    assert any("leaving out result" in note for note in watcher.notes)
    assert not any("did not come" in note for note in watcher.notes)


def test_a_server_that_only_fails_is_no_empty_search(double: Double, tmp_path: Path) -> None:
    failing = double.faults.add(faults.status(500), site="query", times=None)
    with pytest.raises(RemoteError, match="500"):
        search(double, tmp_path)
    assert len(double.log) < 40
    failing.times = 0
    report = search(double, tmp_path)
    assert set(merged(tmp_path)) == set(double.catalogue.ids)
    assert report.bad == ()


def test_a_server_that_begins_to_fail_loses_nothing(double: Double, tmp_path: Path) -> None:
    failing = double.faults.add(faults.status(500), site="query", times=None, where=lambda request: request.number > 6)
    with pytest.raises(RemoteError, match="500"):
        search(double, tmp_path)
    failing.times = 0
    report = search(double, tmp_path)
    assert set(merged(tmp_path)) == set(double.catalogue.ids)
    assert report.bad == ()


@pytest.mark.parametrize("total", [0, 20, 100_000])
def test_totals_that_change_between_pages(double: Double, tmp_path: Path, total: int) -> None:
    double.faults.add(faults.spoil(says(total)), site="query", number=(3, 5, 9))
    search(double, tmp_path)
    assert set(merged(tmp_path)) == set(double.catalogue.ids)
    assert max(last for _, _, last in windows(double)) <= WALL


def test_papers_that_arrive_during_a_search_are_in_it(double: Double, tmp_path: Path) -> None:
    added: list[str] = []
    at = dt.datetime(2025, 12, 31, 23, tzinfo=dt.UTC)
    act = faults.afterwards(lambda: added.extend(double.catalogue.add(4, at)))
    double.faults.add(act, site="query", where=lambda request: request.params["start"] == "15")
    search(double, tmp_path)
    assert len(added) == 4
    assert set(merged(tmp_path)) == set(double.catalogue.ids)


def test_a_minute_with_more_than_the_wall(double: Double, tmp_path: Path) -> None:
    crowd = double.catalogue.add(80, dt.datetime(2020, 5, 5, 12, 0, 30, tzinfo=dt.UTC))
    watcher = Watcher()
    report = search(double, tmp_path, watcher)
    there = set(merged(tmp_path))
    assert there >= set(double.catalogue.ids) - set(crowd)
    assert len(there & set(crowd)) >= WALL - SIZES[0]
    (bad,) = report.bad
    assert f"beyond {WALL}" in bad
    assert any("did not come" in note for note in watcher.notes)
    assert max(last for _, _, last in windows(double)) <= WALL


def test_a_busy_server_that_does_not_say_how_long(double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.rate_exceeded(), site="query", number=(2, 3))
    search(double, tmp_path)
    assert set(merged(tmp_path)) == set(double.catalogue.ids)
    first, second = double.log.gaps("query")[1:3]
    assert first >= 0.1
    assert second >= 0.2


def test_bad_weather(double: Double, tmp_path: Path) -> None:
    double.faults.weather(0.3, seed=5, site="query")
    report = search(double, tmp_path)
    assert set(merged(tmp_path)) == set(double.catalogue.ids)
    assert len(double.log) > report.pages


# -- again and again --------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from arxivcli import storage
from arxivcli.steps.fetching import Manners, Wanted, fetch, searching
searching.WALL, searching.SIZES = {wall}, {sizes}
writes, write = int(sys.argv[3]), storage.write_whole

def counted(path, content):
    global writes
    write(path, content)
    writes -= 1
    if not writes:
        os.kill(os.getpid(), signal.SIGKILL)

storage.write_whole = counted
fetch(Wanted("api", query={query!r}, url=sys.argv[1]), Path(sys.argv[2]), Manners(pace={pace}))
"""


def test_killed_at_any_write_the_same_call_ends_with_the_same_papers(double: Double, tmp_path: Path) -> None:
    search(double, tmp_path / "undisturbed")
    undisturbed = len(double.log)
    program = KILLED.format(wall=WALL, sizes=SIZES, query=ALL, pace=PACE)
    codes = []
    # After a part, after a state, in the middle, while months are merged, and then to the end.
    for writes in (1, 2, 3, 12, 41, 0):
        command = [sys.executable, "-c", program, double.query_url, str(tmp_path / "killed"), str(writes)]
        codes.append(subprocess.run(command, timeout=60, check=False).returncode)
    assert codes == [-9, -9, -9, -9, -9, 0]
    assert content(tmp_path / "killed") == content(tmp_path / "undisturbed")
    assert len(double.log) - undisturbed <= undisturbed + 3  # no more than a page for each kill before the merge


def test_a_search_is_topped_up(double: Double, tmp_path: Path) -> None:
    search(double, tmp_path)
    double.log.clear()
    new = double.catalogue.add(10)
    late = double.catalogue.add(1, dt.datetime.now(dt.UTC) - dt.timedelta(days=9))  # kept back by a moderator
    report = search(double, tmp_path)
    assert set(merged(tmp_path)) == set(double.catalogue.ids) >= {*new, *late}
    assert (report.newer, report.pages, len(double.log)) == (11, 1, 1)


def test_a_search_of_the_past_is_finished_for_ever(double: Double, tmp_path: Path) -> None:
    search(double, tmp_path, until="2020-01-31")
    before = content(tmp_path)
    double.log.clear()
    report = search(double, tmp_path, until="2020-01-31")
    assert report.already
    assert report.papers == len(merged(tmp_path))
    assert (len(double.log), content(tmp_path)) == (0, before)
    again = search(double, tmp_path, until="2020-01-31", restart=True)
    assert (again.already, again.newer, content(tmp_path)) == (False, 0, before)
    assert len(double.log) > 0


@pytest.mark.parametrize("left", ["[7]", '[{"first": "199101010000"}]', '[{"begin": "1991"}]', "{"])
def test_a_damaged_plan_is_named(double: Double, tmp_path: Path, left: str) -> None:
    failing = double.faults.add(faults.status(403), site="query", where=lambda request: request.number > 3, times=None)
    with pytest.raises(RemoteError, match="403"):
        search(double, tmp_path)
    failing.times = 0
    (state,) = tmp_path.glob("harvests/*/.state.json")
    state.write_text(re.sub(r'"left": \[.*\]', f'"left": {left}', state.read_text(), flags=re.DOTALL))
    with pytest.raises(FolderError, match="damaged"):
        search(double, tmp_path)
    search(double, tmp_path, restart=True)
    assert set(merged(tmp_path)) == set(double.catalogue.ids)


def test_a_newer_version_replaces_an_older_one_and_never_the_other_way_round(double: Double, tmp_path: Path) -> None:
    search(double, tmp_path)
    paper = double.catalogue.ids[-1]
    old = merged(tmp_path)[paper]
    double.catalogue.revise(paper, title="Another title")
    ask(double, tmp_path, f"{paper}v1")
    assert merged(tmp_path)[paper]["title"] == "Another title"
    assert len(merged(tmp_path)[paper]["versions"]) == 2 > len(old["versions"]) - 1


# -- papers by id -----------------------------------------------------------------------------------------------------


def test_papers_by_id_however_they_are_written(double: Double, tmp_path: Path) -> None:
    old, new, other, third = (double.catalogue.ids[place] for place in (0, -1, -2, -3))
    report = ask(
        double, tmp_path, old, f"{new}v1", f"https://arxiv.org/abs/{other}v2", f" arXiv:{third}", new, "not/an-id", "7"
    )
    assert set(merged(tmp_path)) == {old, new, other, third}
    assert (report.malformed, report.missing, report.bad) == (("not/an-id", "7"), (), ())
    (request,) = double.log
    assert sorted(request.params["id_list"].split(",")) == sorted([old, new, other, third])
    assert not list((tmp_path / raw.HARVESTS).iterdir())


def test_nothing_is_asked_for_when_nothing_is_an_id(double: Double, tmp_path: Path) -> None:
    watcher = Watcher()
    report = ask(double, tmp_path, *(f"paper {number}" for number in range(12)), watcher=watcher)
    assert len(report.malformed) == 12
    assert len(double.log) == 0
    assert watcher.notes == []
    with pytest.raises(InputError, match=r"paper 9 and 2 more$"):
        report.judge(strict=False)


def refusing(name: str, status: int) -> dict[str, Any]:
    """A fault: the server does not take one id, and says so in the new or in the old way."""
    body = atom.failure(f"incorrect id format for {name}", "https://arxiv.org/api/errors", dt.datetime.now(dt.UTC))
    return {
        "action": faults.status(status, body, kind=atom.KIND),
        "where": lambda request: name in request.params.get("id_list", ""),
        "times": None,
    }


@pytest.mark.parametrize("status", [400, 200])
def test_one_bad_id_does_not_cost_the_others(double: Double, tmp_path: Path, status: int) -> None:
    double.query.wall = 10_000
    double.faults.add(**refusing("9999.99999", status))
    double.catalogue.add(100)
    names = double.catalogue.ids
    watcher = Watcher()
    report = ask(double, tmp_path, *names[:130], "9999.99999", "2401.99999", *names[130:], watcher=watcher)
    assert set(merged(tmp_path)) == set(names)
    assert (report.bad, report.missing, report.malformed) == (("9999.99999",), ("2401.99999",), ())
    assert any("9999.99999 cannot be had" in note and "incorrect id format" in note for note in watcher.notes)
    assert max(len(entry.params["id_list"].split(",")) for entry in double.log) == naming.BATCH
    assert len(double.log) <= 3 + 2 * 7


def test_an_id_the_server_fails_on_does_not_cost_the_others(double: Double, tmp_path: Path) -> None:
    names = double.catalogue.ids[:20]
    double.faults.add(faults.bad_record(names[7]), site="query", times=None)
    report = ask(double, tmp_path, *names)
    assert set(merged(tmp_path)) == set(names) - {names[7]}
    assert (report.bad, report.missing) == ((names[7],), ())


def test_a_list_that_comes_short_is_no_proof_that_papers_do_not_exist(double: Double, tmp_path: Path) -> None:
    def shorter(body: bytes) -> bytes:
        return re.sub(rb"<entry>.*?</entry>", b"", body, count=3, flags=re.DOTALL)

    double.faults.add(faults.spoil(shorter), site="query", number=(1, 2))
    names = double.catalogue.ids[:20]
    report = ask(double, tmp_path, *names)
    assert (set(merged(tmp_path)), report.missing) == (set(names), ())


@pytest.mark.parametrize(("status", "error"), [(400, UsageError), (500, RemoteError)])
def test_a_server_that_refuses_every_id(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception]
) -> None:
    monkeypatch.setattr(naming, "_HOPELESS", 4)
    failing = double.faults.add(faults.status(status, "no"), site="query", times=None)
    names = double.catalogue.ids[:6]
    with pytest.raises(error, match=str(status)):
        ask(double, tmp_path, *names)
    failing.times = 0
    report = ask(double, tmp_path, *names)
    assert (set(merged(tmp_path)), report.bad) == (set(names), ())


# -- questions and answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "  ", "ti:(deep", 'ti:"deep', "ti:deep)(", "ti:a) OR (ti:b"])
def test_queries_that_cannot_be(double: Double, tmp_path: Path, query: str) -> None:
    with pytest.raises(UsageError):
        search(double, tmp_path, query=query)
    assert len(double.log) == 0


def test_a_query_the_server_does_not_take(double: Double, tmp_path: Path) -> None:
    for legacy in (False, True):
        double.query.legacy = legacy
        with pytest.raises(BadQueryError, match="the server says: Invalid field: cot"):
            search(double, tmp_path, query="cot:cs.LG")
    assert len(double.log) == 2


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cat:cs.LG+AND+ti:%22deep+learning%22", 'cat:cs.LG AND ti:"deep learning"'),
        ("ti:%28a+OR+b%29", "ti:(a OR b)"),
        (' cat:cs.CL\n AND  ti:"C++" ', 'cat:cs.CL AND ti:"C++"'),
        ('ti:"a (b"', 'ti:"a (b"'),
    ],
)
def test_queries_as_people_mean_them(typed: str, meant: str) -> None:
    assert api.plain_query(typed) == meant
    assert api.plain_query(meant) == meant


def test_every_search_has_a_folder_of_its_own() -> None:
    names = {
        searching.folder_name(query, first, None, limit)
        for query in ("cat:cs.LG", "cat:cs-LG", "cat:" + "x" * 90, "cat:" + "x" * 91, '"é"')
        for first in (None, "2026-01-01")
        for limit in (None, 5)
    }
    assert len(names) == 20
    assert all(re.fullmatch(r"api-[A-Za-z0-9.-]{1,110}", name) for name in names)


def reply(*papers: str, total: object = 1, status: int = 200) -> Reply:
    body = f"""<?xml version='1.0' encoding='UTF-8'?>
        <feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom"
        xmlns="http://www.w3.org/2005/Atom"><opensearch:totalResults>{total}</opensearch:totalResults>
        {"".join(papers)}</feed>"""
    return Reply(status, {"date": "Sun, 06 Nov 2022 08:49:37 GMT"}, body.encode("utf-8", "surrogatepass"))


def paper_of(feed: api.Feed) -> dict[str, Any]:
    (paper,) = feed.entries
    record: dict[str, Any] = json.loads(paper.line)
    assert entries.parsed(paper.line) == paper
    return record


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufffe\uffff"), max_size=60)
moments = st.integers(514_825_189, 2_051_222_400).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC))
identifiers = st.one_of(
    st.from_regex(r"[0-9]{4}\.[0-9]{4,5}", fullmatch=True),
    st.builds(
        "{}/{}".format,
        st.sampled_from(["hep-th", "math", "cs", "cond-mat"]),
        st.from_regex(r"[0-9]{7}", fullmatch=True),
    ),
)


@given(
    identifiers, st.integers(1, 60), texts, texts, moments, moments,
    st.lists(st.sampled_from(["cs.LG", "hep-th", "math.GT", "68T05", "I.2.6", "nonsense"]), max_size=4),
)  # fmt: skip
def test_an_entry_means_what_it_says(
    identifier: str, number: int, title: str, summary: str, first: dt.datetime, last: dt.datetime, terms: list[str]
) -> None:
    named = "".join(f'<category term="{term}"/>' for term in terms)
    primary = f'<arxiv:primary_category term="{terms[-1]}"/>' if terms else ""
    made = f"""<entry><id>http://arxiv.org/abs/{identifier}v{number}</id><title>{atom.xml(title)}</title>
        <summary>{atom.xml(summary)}</summary><published>{first:%Y-%m-%dT%H:%M:%SZ}</published>
        <updated>{last:%Y-%m-%dT%H:%M:%SZ}</updated>{named}{primary}</entry>"""
    feed = api._feed(reply(made))
    record = paper_of(feed)
    legal = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
    assert record["id"] == identifier
    assert (record["title"], record["abstract"]) == (legal.sub(xml.MENDED, title), legal.sub(xml.MENDED, summary))
    known = [term for term in ("cs.LG", "hep-th", "math.GT") if term in terms]
    assert sorted(record["categories"].split()) == sorted(known)
    if terms and terms[-1] in known:
        assert record["categories"].split()[0] == terms[-1]
    created = [fields.moment(version["created"]) for version in record["versions"]]
    assert created == [int(moment.timestamp()) for moment in ((first,) if number == 1 else (first, last))]
    assert feed.entries[0].version == number
    assert (feed.oldest, record["update_date"]) == (f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}")
    assert (feed.mended == (identifier,)) == (xml.MENDED in title + summary or bool(legal.search(title + summary)))


@given(
    identifiers, st.sampled_from(["", "arXiv:", "https://arxiv.org/abs/", "http://arxiv.org/pdf/", "oai:arXiv.org:"])
)
def test_ids_lose_whatever_is_around_them(identifier: str, prefix: str) -> None:
    for name in (identifier, f"{identifier}v3", f" {identifier} "):
        assert naming.sorted_out([f"{prefix}{name}".strip(), identifier]) == ([identifier], [])


@given(st.lists(st.one_of(identifiers, st.text(max_size=12))))
def test_every_name_is_an_id_or_is_none(names: list[str]) -> None:
    known, malformed = naming.sorted_out(names)
    assert all(entries.is_identifier(name) for name in known)
    assert not any(entries.is_identifier(name) for name in malformed)
    assert len({*known, *malformed}) == len(known) + len(malformed) <= len(names)
    assert naming.sorted_out(known) == (known, [])


@pytest.mark.parametrize(
    "name",
    [
        "10.48550/arXiv.2512.00009",
        "https://doi.org/10.48550/arXiv.2512.00009",
        "https://arxiv.org/abs/2512.00009/",
        "www.arxiv.org/abs/2512.00009v1",
        "https://arxiv.org/abs/2512.00009v2?context=cs",
        "https://arxiv.org/abs/2512.00009#section",
        "arXiv:2512.00009 [cs.LG]",
        "\ufeff2512.00009",
    ],
)
def test_ids_as_they_are_copied(name: str) -> None:
    assert naming.sorted_out([name]) == (["2512.00009"], [])


def test_old_ids_in_capitals() -> None:
    assert naming.sorted_out(["MATH/0001001", "math/0001001v3"]) == (["math/0001001"], [])


def test_subject_classes_of_old_ids_are_not_part_of_them() -> None:
    assert naming.sorted_out(["math.GT/0309136v2", "math/0309136"]) == (["math/0309136"], [])


def test_odd_entries() -> None:
    dates = "<published>2021-04-25T15:00:00Z</published><updated>2021-04-25T15:00:00Z</updated>"
    place = "<id>http://arxiv.org/abs/2104.12255v1</id>"
    assert paper_of(api._feed(reply(f"<entry>{place}{dates}<title>0</title></entry>")))["title"] == "0"
    assert paper_of(api._feed(reply(f"<entry>{place}{dates}</entry>")))["title"] == ""
    assert paper_of(api._feed(reply(f"<entry>{place}{dates}<title>Error</title></entry>")))["title"] == "Error"
    undated = api._feed(reply(f"<entry>{place}</entry>", f"<entry>{dates}<title>None</title></entry>", total=2))
    assert (undated.entries, undated.dropped, undated.size) == ([], {"no id or no date": 2}, 2)
    assert undated.answered == "2022-11-06T08:49:37Z"


def test_what_the_server_complains_about_fits_into_a_line() -> None:
    summary = "bad\n id \x9b31m\u202e" + "x" * 300
    complaint = f"<entry><id>http://arxiv.org/api/errors</id><title>Error</title><summary>{summary}</summary></entry>"
    for status in (200, 400):
        with pytest.raises(BadQueryError) as caught:
            api._feed(reply(complaint, status=status))
        assert "bad id \\x9b31m\\u202exxx" in caught.value.what
        assert len(caught.value.what) <= 220
        assert caught.value.what.isprintable()


@pytest.mark.parametrize("total", ["", "9" * 5_000])
def test_an_answer_without_a_number_of_results_is_trouble(double: Double, tmp_path: Path, total: str) -> None:
    double.faults.add(faults.spoil(lambda body: re.sub(rb"(totalResults>)\d+", rb"\g<1>" + total.encode(), body)))
    search(double, tmp_path)
    assert set(merged(tmp_path)) == set(double.catalogue.ids)


def test_what_is_said_on_stdout_is_nothing(double: Double, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    search(double, tmp_path, limit=3)
    assert capfd.readouterr() == ("", "")
    assert os.environ["XDG_CACHE_HOME"].startswith(str(tmp_path))
