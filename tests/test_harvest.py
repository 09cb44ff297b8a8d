"""A harvest by OAI-PMH ends with every paper once, whatever the server and the machine do meanwhile."""

from __future__ import annotations

import datetime as dt
import errno
import json
from typing import TYPE_CHECKING, Any

import fetched
import pytest
from double import Catalogue, Double, faults, oai, spoils
from fetched import Watcher, harvest, leftovers, papers, records

from arxivcli import storage
from arxivcli.errors import FolderError, RemoteError, StorageError, UsageError
from arxivcli.steps import fetching
from arxivcli.steps.fetching import raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAPERS, PAGE = 400, 40


def protocol_error(code: str) -> Any:
    """The server answers with an error of the protocol."""
    return lambda _request, _respond: oai.failure(code)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(PAPERS)


@pytest.fixture
def double(catalogue: Catalogue) -> Iterator[Double]:
    with Double(catalogue, page=PAGE, identifiers=150) as running:
        yield running


@pytest.fixture
def changing() -> Iterator[Double]:
    """One whose collection may be changed."""
    with Double(Catalogue(PAPERS), page=PAGE, identifiers=150) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a harvest without any trouble makes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Double(catalogue, page=PAGE, identifiers=150) as running:
        harvest(running, folder)
    return papers(folder)


def test_every_paper_comes_as_the_snapshot_has_it(double: Double, tmp_path: Path) -> None:
    report = harvest(double, tmp_path)
    found = records(tmp_path)
    assert set(found) == set(double.catalogue.ids)
    assert (report.papers, report.newer, report.expected, report.bad) == (PAPERS, PAPERS, PAPERS, ())
    for identifier, record in found.items():
        paper = double.catalogue.paper(identifier)
        assert record["title"] == paper.title
        assert record["abstract"].strip() == (paper.abstract or "").strip()
        assert record["categories"] == (paper.categories or "")
        assert record["submitter"] == paper.submitter
        assert [version["version"] for version in record["versions"]] == [f"v{v.number}" for v in paper.versions]
        assert record["update_date"] == f"{dt.datetime.fromtimestamp(paper.modtime, dt.UTC):%Y-%m-%d}"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("spellings", "name"),
    [(("cs.LG", "CS.lg", "cs:cs:LG"), "oai-cs.LG"), (("math", "MATH", "math:math"), "oai-math"),
     (("physics", "physics:physics"), "oai-physics"), (("grp_physics", "GRP_PHYSICS"), "oai-grp_physics")],
)  # fmt: skip
def test_a_set_is_one_harvest_however_it_is_spelled(
    spellings: tuple[str, ...], name: str, double: Double, tmp_path: Path
) -> None:
    for spelling in spellings:
        harvest(double, tmp_path, set=spelling)
    assert [path.name for path in (tmp_path / "harvests").iterdir()] == [name]


def test_going_on_counts_from_what_is_there(double: Double, tmp_path: Path) -> None:
    class Counter(Watcher):
        units = 0

        def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:  # noqa: ARG002
            self.counting = what.startswith("harvesting")

        def advance(self, units: int = 1, **facts: str | float) -> None:  # noqa: ARG002
            self.units += units * self.counting

    double.faults.add(faults.status(403), number=4, verb="ListRecords")
    with pytest.raises(RemoteError):
        harvest(double, tmp_path)
    counter = Counter()
    harvest(double, tmp_path, counter)
    assert counter.units == PAPERS


@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_a_damaged_part_is_named_before_anybody_is_asked(how: str, double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.status(403), number=4, verb="ListRecords")
    with pytest.raises(RemoteError):
        harvest(double, tmp_path)
    double.log.clear()
    part = tmp_path / "harvests/oai/part-000002.jsonl.zst"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.unlink() if how == "missing" else part.write_bytes(content)
    with pytest.raises(FolderError, match=r"part-000002.* is (damaged|missing); .*--restart"):
        harvest(double, tmp_path)
    assert len(double.log) == 0


@pytest.mark.parametrize("content", [b"no frame", raw.frame([b"[]"]), raw.frame([b"{"])], ids=ascii)
def test_a_damaged_month_is_named(content: bytes, changing: Double, tmp_path: Path) -> None:
    harvest(changing, tmp_path)
    month = next((tmp_path / "papers").glob("*.zst"))
    month.write_bytes(content)
    for identifier in changing.catalogue.ids:
        changing.catalogue.revise(identifier, title="Another title")
    with pytest.raises(FolderError, match=rf"{month.name} is damaged"):
        harvest(changing, tmp_path)


@pytest.mark.parametrize("index", [None, "", "{", "[]", '{"2401": 3}', '{"x": "y"}'])
def test_the_index_is_only_a_help(index: str | None, double: Double, tmp_path: Path) -> None:
    harvest(double, tmp_path)
    whole, path = papers(tmp_path), tmp_path / "papers" / ".index.json"
    path.unlink() if index is None else path.write_text(index)
    assert harvest(double, tmp_path).papers == PAPERS
    assert papers(tmp_path) == whole


PASSING = {
    "503 with seconds": faults.status(503, retry_after=1),
    "503 with a date": faults.status(503, retry_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
    "503 without": faults.status(503),
    "503 at once": faults.status(503, retry_after=0),
    "503 soon": faults.status(503, retry_after="soon"),
    "429": faults.rate_exceeded(),
    "502": faults.outage(502),
    "500 twice": faults.status(500),
    "outage page": faults.outage(),
    "empty": faults.status(200, ""),
    "reset": faults.reset(2000),
    "reset at once": faults.reset(),
    "short": faults.short(500),
    "cut chunks": faults.chunked(cut=3000),
    "truncated": faults.spoil(spoils.truncated),
    "DTD bomb": faults.spoil(spoils.doctype_bomb),
    "DTD bomb in UTF-16": faults.spoil(spoils.doctype_bomb_utf16),
    "namespace": faults.spoil(spoils.wrong_namespace),
}
HARMLESS = {
    "content type": faults.content_type("text/html"),
    "no content type": faults.content_type(None),
    "UTF-16": faults.spoil(spoils.utf16),
    "versions reversed": faults.spoil(spoils.versions_reversed),
    "a record twice": faults.spoil(spoils.duplicated),
    "chunked": faults.chunked(),
}


@pytest.mark.parametrize("name", [*PASSING, *HARMLESS])
def test_trouble_that_passes_leaves_no_trace(
    name: str, double: Double, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    times = None if name in HARMLESS else 2
    trouble = double.faults.add((PASSING | HARMLESS)[name], verb="ListRecords", number=() if times is None else (3, 4),
                                times=times)  # fmt: skip
    harvest(double, tmp_path)
    assert trouble.met >= 2
    assert papers(tmp_path) == undisturbed
    assert not leftovers(tmp_path)


def test_bad_weather_for_the_whole_harvest(double: Double, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    double.faults.weather(0.3, seed=7)
    harvest(double, tmp_path)
    assert papers(tmp_path) == undisturbed


@pytest.mark.parametrize(
    "spoil",
    [spoils.control_character, spoils.nul, spoils.control_reference, spoils.bad_utf8, spoils.surrogate],
    ids=lambda spoil: spoil.__name__,
)
def test_characters_that_xml_forbids_are_mended(spoil: Any, double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.spoil(spoil), verb="ListRecords", number=2)
    report = harvest(double, tmp_path)
    assert len(records(tmp_path)) == PAPERS
    assert len(report.mended) == 1
    assert "\ufffd" in records(tmp_path)[report.mended[0]]["abstract"]


@pytest.mark.parametrize("spoil", [spoils.no_categories, spoils.no_abstract], ids=lambda spoil: spoil.__name__)
def test_what_a_record_lacks_is_empty(spoil: Any, double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.spoil(spoil), verb="ListRecords", number=2)
    harvest(double, tmp_path)
    found = records(tmp_path)
    key = "categories" if spoil is spoils.no_categories else "abstract"
    assert len(found) == PAPERS
    assert sum(record[key] == "" for record in found.values()) == 1


def test_records_that_move_while_they_are_listed_are_found(changing: Double, tmp_path: Path) -> None:
    order = [identifier for _, identifier in changing.catalogue.order()]
    bulk = [identifier for identifier in order if changing.catalogue.modtime(identifier) // 86_400 == 16_504]
    move = faults.afterwards(lambda: changing.catalogue.touch(bulk.pop(0)))
    moved = changing.faults.add(move, verb="ListRecords", times=3)
    watcher = Watcher()
    harvest(changing, tmp_path, watcher)
    assert moved.met == 3
    assert set(records(tmp_path)) == set(changing.catalogue.ids)


class TestTokens:
    def test_a_token_that_is_refused(self, double: Double, tmp_path: Path, undisturbed: dict[str, str]) -> None:
        double.faults.add(protocol_error("badResumptionToken"), verb="ListRecords", number=(4, 7))
        harvest(double, tmp_path)
        assert papers(tmp_path) == undisturbed

    def test_no_records_after_a_token_ends_the_list_and_the_check_finds_the_rest(
        self, double: Double, tmp_path: Path, undisturbed: dict[str, str]
    ) -> None:
        double.faults.add(protocol_error("noRecordsMatch"), verb="ListRecords", number=9)
        harvest(double, tmp_path)
        assert papers(tmp_path) == undisturbed

    @pytest.mark.parametrize("spoil", [spoils.same_token, spoils.going_nowhere], ids=["same", "new but idle"])
    def test_a_server_that_goes_round_in_circles_for_a_while(
        self, spoil: Any, double: Double, tmp_path: Path, undisturbed: dict[str, str]
    ) -> None:
        double.faults.add(spoil(), verb="ListRecords", number=(4, 5, 6, 7))
        harvest(double, tmp_path)
        assert papers(tmp_path) == undisturbed

    @pytest.mark.parametrize("spoil", [spoils.same_token, spoils.going_nowhere], ids=["same", "new but idle"])
    def test_a_server_that_goes_round_in_circles_for_ever(
        self, spoil: Any, catalogue: Catalogue, tmp_path: Path
    ) -> None:
        with Double(catalogue, page=10) as double:  # the day of the bulk update has more than two pages
            double.faults.add(spoil(), verb="ListRecords", times=None)
            with pytest.raises(RemoteError, match="circles"):
                harvest(double, tmp_path)
            double.faults.clear()
            harvest(double, tmp_path)
            assert set(records(tmp_path)) == set(catalogue.ids)

    def test_pages_without_records(self, double: Double, tmp_path: Path, undisturbed: dict[str, str]) -> None:
        double.faults.add(faults.spoil(spoils.empty_page), verb="ListRecords", number=(3, 4))
        harvest(double, tmp_path)
        assert papers(tmp_path) == undisturbed


class TestBadRecords:
    def test_a_page_that_fails_for_ever_costs_only_its_bad_record(self, double: Double, tmp_path: Path) -> None:
        bad = double.catalogue.order()[PAPERS // 2][1]
        double.faults.add(faults.bad_record(bad), times=None)
        watcher = Watcher()
        report = harvest(double, tmp_path, watcher)
        assert set(double.catalogue.ids) - set(records(tmp_path)) == {bad}
        assert report.bad == (bad,)
        assert any(bad in note for note in watcher.notes)

    def test_two_of_them_in_one_set(self, double: Double, tmp_path: Path) -> None:
        of_math = [i for _, i in double.catalogue.order() if "math." in (double.catalogue.categories(i) or "")]
        for bad in (of_math[5], of_math[20]):
            double.faults.add(faults.bad_record(bad), times=None)
        report = harvest(double, tmp_path, set="math")
        assert set(report.bad) == {of_math[5], of_math[20]}
        assert set(of_math) - set(records(tmp_path)) == set(report.bad)


@pytest.mark.parametrize("code", [403, 406])
def test_a_refusal_is_final(code: int, double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.status(code, "Access denied"), number=3, times=None)
    with pytest.raises(RemoteError, match="snapshot"):
        harvest(double, tmp_path)
    assert len(double.log) == 3


def test_a_server_that_stays_busy_is_left_alone_and_the_same_call_goes_on(
    double: Double, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    double.faults.add(faults.status(503, retry_after=10**9), where=lambda _: len(double.log) >= 5, times=None)
    with pytest.raises(RemoteError, match="--max-wait"):
        fetching.fetch(fetching.Wanted("oai", url=double.oai_url), tmp_path, fetching.Manners(pace=0.01, max_wait=1))
    asked = len(double.log)
    double.faults.clear()
    harvest(double, tmp_path)
    assert papers(tmp_path) == undisturbed
    assert double.log[asked].params["resumptionToken"] == double.log[asked - 1].params["resumptionToken"]


class TestSlices:
    def test_a_set_has_all_that_list_it(self, double: Double, tmp_path: Path) -> None:
        harvest(double, tmp_path, set="cs.IT")
        lists = {i for i in double.catalogue.ids if {"cs.IT", "math.IT"} & set(double.catalogue.categories(i).split())}
        assert set(records(tmp_path)) == lists != set()

    def test_days(self, double: Double, tmp_path: Path) -> None:
        harvest(double, tmp_path, first="2012-01-01", until="2016-12-31")
        stamps = {record["update_date"][:4] for record in records(tmp_path).values()}
        assert stamps == {"2012", "2013", "2014", "2015", "2016"}

    def test_an_empty_slice(self, double: Double, tmp_path: Path) -> None:
        assert harvest(double, tmp_path, first="2005-09-17", until="2005-09-17", set="econ.GN").papers == 0

    @pytest.mark.parametrize(
        ("wanted", "says"),
        [
            ({"first": "2020-02-02", "until": "2020-02-01"}, "after --until"),
            ({"first": "2999-01-01"}, "future"),
            ({"until": "1999-01-01"}, "2005-09-16"),
            ({"first": "2020-13-01"}, "no day"),
            ({"set": "cs.LGG"}, "cs.LG"),
            ({"set": "chao-dyn"}, "nlin.CD"),
        ],
        ids=str,
    )
    def test_what_cannot_be_is_said_before_anything_is_asked(
        self, wanted: dict[str, str], says: str, double: Double, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match=says):
            harvest(double, tmp_path, **wanted)
        assert len(double.log) == 0

    def test_days_outside_are_moved_inside_and_said(self, double: Double, tmp_path: Path) -> None:
        watcher = Watcher()
        tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).date().isoformat()
        report = harvest(double, tmp_path, watcher, first="1999-01-01", until=tomorrow)
        assert report.papers == PAPERS
        assert sum("no record has an earlier" in note or tomorrow in note for note in watcher.notes) == 2


class TestLater:
    def test_a_later_run_brings_what_is_new(self, changing: Double, tmp_path: Path) -> None:
        harvest(changing, tmp_path)
        before, asked = records(tmp_path), len(changing.log)
        old, touched = changing.catalogue.ids[10], changing.catalogue.ids[20]
        changing.catalogue.revise(old, title="A better title")
        changing.catalogue.touch(touched, comments="Now with comments")
        new = changing.catalogue.add(3)
        report = harvest(changing, tmp_path)
        after = records(tmp_path)
        assert set(after) == set(before) | set(new)
        assert after[old]["title"] == "A better title"
        assert after[touched]["comments"] == "Now with comments"
        assert (report.newer, report.papers) == (5, PAPERS + 3)
        yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
        assert changing.log[asked].params["from"] == yesterday.isoformat()

    def test_a_finished_slice_of_the_past_is_not_asked_for_again(self, double: Double, tmp_path: Path) -> None:
        harvest(double, tmp_path, until="2016-12-31")
        asked = len(double.log)
        assert harvest(double, tmp_path, until="2016-12-31").already
        assert len(double.log) == asked

    def test_different_slices_are_one_collection(self, double: Double, tmp_path: Path) -> None:
        for name in ("math", "cs", "stat.ML"):
            harvest(double, tmp_path, set=name)
        assert len(records(tmp_path)) == harvest(double, tmp_path, set="econ").papers - sum(
            "econ" in (double.catalogue.categories(i) or "")
            and not {"math", "cs", "stat.ML"} & {c.partition(".")[0] for c in double.catalogue.categories(i).split()}
            for i in double.catalogue.ids
        )  # fmt: skip

    def test_an_old_token_is_not_used(self, double: Double, tmp_path: Path, undisturbed: dict[str, str]) -> None:
        double.faults.add(faults.status(403), number=6, times=None)
        with pytest.raises(RemoteError):
            harvest(double, tmp_path)
        double.faults.clear()
        [state] = tmp_path.glob("harvests/*/.state.json")
        state.write_text(json.dumps(json.loads(state.read_text()) | {"token_at": 1.0}))
        asked = len(double.log)
        harvest(double, tmp_path)
        assert "resumptionToken" not in double.log[asked].params
        assert papers(tmp_path) == undisturbed


class TestCrashes:
    def test_killed_at_any_write_the_same_call_makes_the_same_papers(
        self, double: Double, tmp_path: Path, undisturbed: dict[str, str]
    ) -> None:
        wanted = fetching.Wanted("oai", url=double.oai_url)
        whole = fetched.apart(wanted, tmp_path / "whole")
        writes = int(whole.stdout)
        assert papers(tmp_path / "whole") == undisturbed
        for point in (1, 5, writes // 4, writes - 2, writes):
            for fatal in (point, -point):
                folder = tmp_path / f"killed{fatal}"
                assert fetched.apart(wanted, folder, fatal).returncode == -9
                if fatal == 5:
                    assert fetched.apart(wanted, folder, 3).returncode == -9
                harvest(double, folder)
                assert papers(folder) == undisturbed
                assert not leftovers(folder)

    def test_a_full_disk_at_any_write(
        self, double: Double, tmp_path: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, left = storage.sync_folder, 0

        def failing(folder: Path) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(folder)

        monkeypatch.setattr(storage, "sync_folder", failing)
        for left in (1, 2, 7, 20, 40):  # noqa: B007  counted down by `failing`
            with pytest.raises(StorageError, match="full"):
                harvest(double, tmp_path)
        harvest(double, tmp_path)
        assert papers(tmp_path) == undisturbed

    def test_two_at_once_in_one_folder(self, double: Double, tmp_path: Path) -> None:
        with storage.owned(tmp_path), pytest.raises(StorageError, match="process"):
            harvest(double, tmp_path)

    def test_an_output_that_is_a_file(self, double: Double, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StorageError):
            harvest(double, tmp_path / "file")


def test_one_request_at_a_time_and_the_pace_is_kept(double: Double, tmp_path: Path) -> None:
    manners = fetching.Manners(pace=0.25, max_wait=5)
    fetching.fetch(fetching.Wanted("oai", url=double.oai_url, first="2020-01-01"), tmp_path, manners)
    assert len(double.log) >= 3
    assert min(double.log.gaps()) >= 0.25
    assert min(double.log.pauses()) >= 0.2
    assert double.log.most_at_once() == double.log.most_connections() == 1


def test_arxivs_own_servers_are_never_asked_faster_than_they_allow(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 seconds"):
        fetching.fetch(fetching.Wanted("oai"), tmp_path, fetching.Manners(pace=1))
