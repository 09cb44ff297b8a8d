"""The double's OAI-PMH server against what is known of arXiv's: lists, tokens, sets, errors, formats, quirks."""

from __future__ import annotations

import datetime as dt
import json
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pytest
from asking import OAI, RAW, ask, error, headers, ids, pages, token, walk
from double import Catalogue, Double, Paper, Version
from double.words import Author

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parent / "fixtures" / "fetch"
NOW = dt.datetime(2026, 9, 14, 1, 29, 9, tzinfo=dt.UTC)
GARDENS = Paper(
    id="0806.9129",
    versions=(Version(1, 1214407778, 14, "D"), Version(2, 1220256001, 0, "I")),
    title='Clifford gardens & the spinors that grow in them: an\n  invented survey of H\\"older bees',
    abstract="  In a previous note nobody wrote, gardens were shown to be flat when a < b.\n"
    'We now prove it for a > b, and "almost" for a = b; it isn\'t hard.\n',
    people=(Author("Quell", 'Zo\\"e'), Author("Ostv{\\aa}g", "Waldo A.", "Jr"), Author("Nemo", "Li")),
    categories="math-ph math.MP",
    modtime=1418601600,
    submitter='Zo\\"e Quell',
    comments="21 pages; this paper has been withdrawn",
    journal_ref="J.Invent.Res.76:013009,2009",
    doi="10.1234/invented.76.013009",
    license="http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
    msc_class="15A66",
)


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(Catalogue(300), page=23, identifiers=41) as served:
        yield served


def canonical(text: str | bytes) -> str:
    return ET.canonicalize(text, strip_text=True)


# ---- lists and tokens


@pytest.mark.parametrize("size", [1, 7, 100, 299, 300, 301])
@pytest.mark.parametrize("verb", ["ListRecords", "ListIdentifiers"])
def test_a_walk_through_the_tokens_gets_every_record_once(size: int, verb: str) -> None:
    with Double(Catalogue(300), page=size, identifiers=size) as double:
        found = list(pages(double.oai_url, verb))
    shown = [ids(page.body) for page in found]
    assert sorted(paper for page in shown for paper in page) == sorted(double.catalogue.ids)
    assert [len(page) for page in shown] == [size] * (300 // size) + ([300 % size] if 300 % size else [])
    assert [token(page.body) for page in found][-1] == ("" if size < 300 else None)


def test_a_list_of_one_page_has_no_token_and_the_last_of_several_an_empty_one(double: Double) -> None:
    single = ask(double.oai_url, verb="ListRecords", metadataPrefix="arXivRaw", from_="2025-12-31")
    assert "resumptionToken" not in single.text
    *others, last = pages(double.oai_url)
    assert "<resumptionToken/>" in last.text
    assert all(token(page.body) for page in others)


def test_the_next_token_is_computed_from_the_page() -> None:
    """By the day of the first record that is not shown: `from` is that day, `skip` what has been shown of it."""
    with Double(Catalogue(1_000), page=10) as double:
        found = list(pages(double.oai_url))
        order = [(record_day(when), paper) for when, paper in double.catalogue.order()]
    asked, skip, kinds = {"verb": "ListRecords", "metadataPrefix": "arXivRaw"}, 0, set()
    for place, page in enumerate(found[:-1]):
        shown, after = order[place * 10 : place * 10 + 10], order[place * 10 + 10]
        if shown[0][0] == after[0]:
            skip += 10
            kinds.add("one day")
        else:
            asked["from"], skip = after[0], sum(day == after[0] for day, _ in shown)
            kinds.add("several days" if skip else "a new day")
        assert token(page.body) == quote(urlencode(asked | {"skip": skip}))
        assert re.search(r"<resumptionToken expirationDate='\d{4}-\d\d-\d\dT00:00:00Z'>", page.text)
        assert headers(page.body) == sorted(shown)
    assert kinds == {"one day", "several days", "a new day"}


def record_day(moment: int) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).date().isoformat()


def test_a_token_keeps_until_and_set(double: Double) -> None:
    first = next(iter(pages(double.oai_url, until="2015-03-10", set_="physics")))
    kept = dict(parse_qsl(unquote(token(first.body) or "")))
    assert list(kept) == ["verb", "metadataPrefix", "until", "set", "from", "skip"]
    assert (kept["until"], kept["set"]) == ("2015-03-10", "physics")
    assert kept["from"] >= headers(first.body)[-1][0]
    found = walk(double.oai_url, until="2015-03-10", set_="physics")
    early = [paper for when, paper in double.catalogue.order() if when < 1426032000]
    assert sorted(found) == sorted(paper for paper in early if any("physics" in spec for spec in specs(double, paper)))


def specs(double: Double, paper: str) -> list[str]:
    reply = ask(double.oai_url, verb="GetRecord", metadataPrefix="arXivRaw", identifier=f"oai:arXiv.org:{paper}")
    return [element.text or "" for element in reply.root.iter(f"{OAI}setSpec")]


def test_tokens_are_stateless(double: Double) -> None:
    first, second, *_ = pages(double.oai_url)
    following = token(first.body) or ""
    double.clock.advance(days=400)
    assert ids(ask(double.oai_url, verb="ListRecords", resumptionToken=following).body) == ids(second.body)
    encoded_by_hand = f"{double.oai_url}?verb=ListRecords&resumptionToken={following}"
    assert ids(ask(encoded_by_hand).body) == ids(second.body)
    invented = quote(urlencode({"verb": "ListRecords", "metadataPrefix": "arXiv", "skip": 7}))
    assert len(ids(ask(double.oai_url, verb="ListRecords", resumptionToken=invented).body)) == 23


def test_a_page_is_cut_by_the_second_and_shown_by_day_and_id() -> None:
    catalogue = Catalogue(0)
    for hour in (4, 2, 1, 3):
        catalogue.add(at=dt.datetime(2026, 1, 5, hour, tzinfo=dt.UTC))
    first, second, third, fourth = catalogue.ids
    with Double(catalogue, page=2) as double:
        shown = [ids(page.body) for page in pages(double.oai_url)]
    assert shown == [[second, third], [first, fourth]]


def test_a_record_that_moves_between_two_pages_makes_a_silent_gap() -> None:
    catalogue = Catalogue(0)
    papers = catalogue.add(40, dt.datetime(2026, 1, 5, tzinfo=dt.UTC))
    with Double(catalogue, page=10) as double:
        walked, reply = [], ask(double.oai_url, verb="ListRecords", metadataPrefix="arXivRaw")
        walked += ids(reply.body)
        catalogue.touch(walked[0])
        while following := token(reply.body):
            reply = ask(double.oai_url, verb="ListRecords", resumptionToken=following)
            walked += ids(reply.body)
        assert set(papers) - set(walked) == {papers[10]}
        assert walked.count(papers[0]) == 2
        assert set(walk(double.oai_url, "ListIdentifiers")) - set(walked) == {papers[10]}
        assert walk(double.oai_url, from_=double.clock.now().date()) == [papers[0]]
        reply = ask(
            double.oai_url, verb="GetRecord", metadataPrefix="arXivRaw", identifier=f"oai:arXiv.org:{papers[10]}"
        )
        assert ids(reply.body) == [papers[10]]


def test_a_list_that_ends_between_two_pages_matches_nothing() -> None:
    catalogue = Catalogue(0)
    papers = catalogue.add(10, dt.datetime(2026, 1, 5, tzinfo=dt.UTC))
    with Double(catalogue, page=5) as double:
        reply = ask(double.oai_url, verb="ListRecords", metadataPrefix="arXivRaw", until="2026-01-05")
        for paper in papers[:5]:
            catalogue.touch(paper)
        gone = ask(double.oai_url, verb="ListRecords", resumptionToken=token(reply.body))
        assert error(gone)[0] == "noRecordsMatch"


def test_very_many_records_share_one_day() -> None:
    with Double(Catalogue(2_000), identifiers=10_000) as large:
        days = Counter(
            day for day, _ in headers(ask(large.oai_url, verb="ListIdentifiers", metadataPrefix="arXiv").body)
        )
    assert days["2015-03-10"] > 80
    assert days["2005-09-16"] > 15
    assert min(days) == "2005-09-16"


# ---- arguments and errors


RECORDS = {"verb": "ListRecords", "metadataPrefix": "arXiv"}
SKIPPING = "verb%3DListRecords%26metadataPrefix%3DarXiv%26skip%3D"
WRONG: list[tuple[dict[str, str], str, str]] = [
    ({}, "badVerb", "Invalid verb provided"),
    ({"verb": "listrecords"}, "badVerb", "Invalid verb provided"),
    ({"verb": "ListRecords"}, "badArgument", "metadataPrefix required."),
    ({"verb": "ListRecords", "metadataPrefix": "marc"}, "cannotDisseminateFormat", "Did not recognize"),
    (RECORDS | {"color": "green"}, "badArgument", "Unallowed parameter"),
    (RECORDS | {"from": "2024-11-08T00:00:00Z"}, "badArgument", "from date format must be YYYY-MM-DD"),
    (RECORDS | {"from": "2024-02-30"}, "badArgument", "from date format must be YYYY-MM-DD"),
    (RECORDS | {"until": "now"}, "badArgument", "until date format must be YYYY-MM-DD"),
    (RECORDS | {"from": "2005-09-15"}, "badArgument", "start date too early"),
    (RECORDS | {"until": "2026-09-15"}, "badArgument", "until date too late"),
    (RECORDS | {"from": "2024-02-02", "until": "2024-02-01"}, "badArgument", "until date must be greater than or"),
    (RECORDS | {"set": "cs:LG"}, "badArgument", "Set does not exist"),
    (RECORDS | {"set": "math:physics"}, "badArgument", "Set does not exist"),
    (RECORDS | {"set": "physics:adap-org"}, "badArgument", "Set does not exist"),
    (RECORDS | {"set": "hep-th"}, "badArgument", "Set does not exist"),
    (RECORDS | {"set": "cs:cs:LG:x"}, "badArgument", "Set has too many levels"),
    (RECORDS | {"set": "test"}, "badArgument", "Invalid set request"),
    (RECORDS | {"from": "2026-08-01"}, "noRecordsMatch", ""),
    ({"verb": "ListRecords", "resumptionToken": "rainbow"}, "badResumptionToken", "Token decoding failed"),
    ({"verb": "ListRecords", "resumptionToken": ""}, "badResumptionToken", "Token decoding failed"),
    ({"verb": "ListIdentifiers", "resumptionToken": f"{SKIPPING}1"}, "badResumptionToken", "token from different verb"),
    (RECORDS | {"resumptionToken": f"{SKIPPING}1"}, "badArgument", "No other paramters allowed with resumptionToken"),
    ({"verb": "ListRecords", "resumptionToken": f"{SKIPPING}999"}, "noRecordsMatch", ""),
    ({"verb": "GetRecord", "metadataPrefix": "arXiv"}, "badArgument", "Parameters provided did not match expected"),
    (RECORDS | {"verb": "GetRecord", "identifier": "0806.9129"}, "badArgument", ""),
    (RECORDS | {"verb": "GetRecord", "identifier": "oai:arXiv.org:2606.77777"}, "idDoesNotExist", "Nothing found for"),
    ({"verb": "ListSets", "resumptionToken": "x"}, "badArgument", "Invalid token"),
    ({"verb": "Identify", "set": "cs"}, "badArgument", "No other parameters allowed"),
]


@pytest.mark.parametrize(("params", "code", "reason"), WRONG)
def test_errors_are_http_200_with_the_code_in_single_quotes(
    double: Double, params: dict[str, str], code: str, reason: str
) -> None:
    double.clock.set(NOW)
    reply = ask(double.oai_url, **params)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/xml")
    assert error(reply)[0] == code
    assert reason in error(reply)[1]
    assert (" Reason: " in error(reply)[1]) == bool(reason)
    assert reply.root.find(f"{OAI}ListRecords") is None


def test_the_body_is_utf8_and_nothing_says_so_but_the_declaration(double: Double) -> None:
    double.catalogue.touch(double.catalogue.ids[0], title="Größe", abstract="  Über é\n")
    reply = ask(double.oai_url, verb="ListRecords", metadataPrefix="arXivRaw", from_=double.clock.now().date())
    assert reply.headers["Content-Type"] == "text/xml"
    assert reply.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert "Größe".encode() in reply.body


def test_until_may_be_today_and_not_tomorrow(double: Double) -> None:
    for moment in (NOW, NOW.replace(hour=23, minute=59, second=58)):
        double.clock.set(moment)
        day = moment.date()
        assert "<record>" in ask(double.oai_url, verb="ListRecords", metadataPrefix="arXiv", until=day).text
        late = ask(double.oai_url, verb="ListRecords", metadataPrefix="arXiv", until=day + dt.timedelta(days=1))
        assert "until date too late" in error(late)[1]


def test_get_and_post_are_one(double: Double) -> None:
    form = {"verb": "ListIdentifiers", "metadataPrefix": "arXivRaw", "from": "2020-01-01", "set": "cs:cs:LG"}
    got = ask(double.oai_url, **{name: value for name, value in form.items() if name != "from"}, from_=form["from"])
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = ask(double.oai_url, "POST", kind, urlencode(form))
    assert ids(got.body) == ids(posted.body) != []
    twice = ask(f"{double.oai_url}?verb=Identify&verb=Identify")
    assert error(twice)[0] == "badArgument"
    assert error(twice)[1].endswith(" Reason: Duplicate parameters not allowed")
    assert ask(double.oai_url, "PUT", verb="Identify").status == 405
    assert ask(f"{double.origin('oai')}/oai2", verb="Identify").status == 404


def test_an_error_can_stay_in_the_cache_until_midnight(double: Double) -> None:
    double.clock.set(NOW)
    double.oai.caches_errors = True
    asked = {"verb": "ListRecords", "metadataPrefix": "arXivRaw", "from_": "2026-09-14"}
    assert error(ask(double.oai_url, **asked))[0] == "noRecordsMatch"
    [paper] = double.catalogue.add()
    assert error(ask(double.oai_url, **asked))[0] == "noRecordsMatch"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = "verb=ListRecords&metadataPrefix=arXivRaw&from=2026-09-14"
    assert ids(ask(double.oai_url, "POST", kind, body).body) == [paper]
    double.clock.advance(days=1)
    assert ids(ask(double.oai_url, **asked).body) == [paper]


# ---- sets


def test_a_set_takes_in_cross_lists_and_twins(double: Double) -> None:
    catalogue = Catalogue(0)
    several = ("cs.LG stat.ML", "stat.ML cs.LG", "eess.SY cs.SY", "math-ph math.MP", "cmp-lg cs.CL", "hep-th math.AG")
    for categories in (*several, "cs.CL", "cs.SY", "astro-ph", "cmp-lg"):
        catalogue.add(categories=categories)
    names = {paper: catalogue.categories(paper) for paper in catalogue.ids}
    wanted = {
        "cs:cs:LG": {"cs.LG stat.ML", "stat.ML cs.LG"},
        "cs:cs:SY": {"eess.SY cs.SY", "cs.SY"},
        "eess:eess:SY": {"eess.SY cs.SY", "cs.SY"},
        "math:math:MP": {"math-ph math.MP"},
        "physics:math-ph": {"math-ph math.MP"},
        "cs:cs:CL": {"cs.CL", "cmp-lg cs.CL", "cmp-lg"},
        "physics:astro-ph": {"astro-ph"},
        "physics:hep-th": {"hep-th math.AG"},
        "math": {"math-ph math.MP", "hep-th math.AG"},
        "stat:stat": {"cs.LG stat.ML", "stat.ML cs.LG"},
    }
    with Double(catalogue) as served:
        for spec, categories in wanted.items():
            assert {names[paper] for paper in walk(served.oai_url, set_=spec)} == categories, spec
        found = {names[paper]: specs(served, paper) for paper in catalogue.ids}
        listed = ask(served.oai_url, verb="ListIdentifiers", metadataPrefix="arXiv").text
    assert found["math-ph math.MP"] == ["physics:math-ph", "math:math:MP"]
    assert found["cs.SY"] == ["cs:cs:SY", "eess:eess:SY"]
    assert found["cmp-lg"] == found["cmp-lg cs.CL"] == found["cs.CL"] == ["cs:cs:CL"]
    assert listed.count("cs:cs:SY") == 2 > listed.count("eess:eess:SY") == 1
    sets = ask(double.oai_url, verb="ListSets").root
    known = [element.text for element in sets.iter(f"{OAI}setSpec")]
    assert {"cs", "cs:cs", "cs:cs:LG", "physics:hep-th", "physics:physics:flu-dyn", "math:math:MP"} <= set(known)
    assert not {"test", "physics:adap-org", "cs:LG"} & set(known)


# ---- records


def test_the_page_of_the_description_is_what_the_double_writes() -> None:
    catalogue = Catalogue(0)
    catalogue.insert(GARDENS)
    catalogue.add(at=NOW - dt.timedelta(days=3))
    catalogue.touch(catalogue.ids[1], dt.datetime.fromtimestamp(GARDENS.modtime + 1, dt.UTC))
    catalogue.clock.set(NOW)
    with Double(catalogue, page=1) as double:
        host = {"Host": "oaipmh.arxiv.org"}
        reply = ask(double.oai_url, headers=host, verb="ListRecords", metadataPrefix="arXivRaw", from_="2014-12-15")
        late = ask(double.oai_url, headers=host, verb="ListRecords", metadataPrefix="arXiv", until="2026-09-15")
    page = (FIXTURES / "list_records.xml").read_text("utf-8")
    assert canonical(reply.body) == canonical(page)
    for exact in (r"<version version=.*", r" *<(abstract|title|submitter)>[^<]*<", "<resumptionToken .*"):
        assert [match[0].strip() for match in re.finditer(exact, reply.text)] == [
            match[0].strip() for match in re.finditer(exact, page)
        ]
    assert late.text.replace("  ", " ") == (FIXTURES / "error.xml").read_text("utf-8").replace("  ", " ")


def test_raw_keeps_tex_and_arxiv_has_letters_and_the_date_of_the_current_version() -> None:
    catalogue = Catalogue(0)
    catalogue.insert(GARDENS)
    with Double(catalogue) as double:
        texts = {
            prefix: ask(double.oai_url, verb="ListRecords", metadataPrefix=prefix).text
            for prefix in ("arXivRaw", "arXivOld", "arXiv", "oai_dc")
        }
    assert "H\\&#34;older" in texts["arXivRaw"]
    assert "H\\&#34;older" in texts["arXivOld"]
    assert "Hölder" in texts["arXiv"]
    assert "Ostvåg" in texts["arXiv"]
    assert "Hölder" in texts["oai_dc"]
    assert "<created>2008-09-01</created>" in texts["arXiv"]
    root = ET.fromstring(texts["arXivRaw"])  # noqa: S314
    [first] = root.iterfind(f".//{RAW}version[@version='v1']/{RAW}date")
    assert first.text == "Wed, 25 Jun 2008 15:29:38 GMT"
    assert "math-ph" not in texts["oai_dc"].split("<metadata>")[1]
    assert "Mathematical Physics" in texts["oai_dc"]


def test_what_python_leaks_and_what_is_left_out() -> None:
    catalogue = Catalogue(0)
    catalogue.add(submitter=None, categories=None, abstract=None, comments=None, doi=None, license=None)
    catalogue.add(acm_class="I.2", msc_class="11A41", title="0")
    with Double(catalogue) as double:
        bare, slip = ask(double.oai_url, verb="ListRecords", metadataPrefix="arXivRaw").text.split("</record>")[:2]
        assert "<submitter>None</submitter>" in bare
        assert "<categories>None</categories>" in bare
        assert not re.findall("<(abstract|comments|doi|license)>", bare)
        assert "setSpec" not in bare
        assert "<acm-class>11A41</acm-class>" in slip
        assert "<title>0</title>" in slip
        arxiv = ask(double.oai_url, verb="ListRecords", metadataPrefix="arXiv").text.split("</record>")[0]
        assert "<categories>" not in arxiv


def test_nothing_is_ever_deleted_and_the_withdrawn_are_records() -> None:
    with Double(Catalogue(1_500)) as double:
        text = ask(double.oai_url, verb="ListRecords", metadataPrefix="arXivRaw").text
        says = ask(double.oai_url, verb="Identify").root.find(f"{OAI}Identify")
    assert 'status="deleted"' not in text
    assert text.count("<source_type>I</source_type>") == text.count("has been withdrawn by the authors") > 0
    assert says is not None
    assert {name: says.findtext(f"{OAI}{name}") for name in ("deletedRecord", "granularity", "earliestDatestamp")} == {
        "deletedRecord": "persistent", "granularity": "YYYY-MM-DD", "earliestDatestamp": "2005-09-16",
    }  # fmt: skip


def test_the_request_element_shows_the_query_of_the_next_page(double: Double) -> None:
    first = ask(double.oai_url, verb="ListRecords", metadataPrefix="arXivRaw", from_="2016-01-01", until="2024-01-01")
    request = first.root.find(f"{OAI}request")
    assert request is not None
    assert request.get("from") >= headers(first.body)[-1][0] > "2016-01-01"
    assert request.get("from") == dict(parse_qsl(unquote(token(first.body) or "")))["from"]
    assert (request.text or "").startswith("http://")
    refused = ask(double.oai_url, verb="ListRecords", metadataPrefix="arXiv", until="1999-01-01")
    assert "<request>" in refused.text


def test_formats_are_four(double: Double) -> None:
    root = ask(double.oai_url, verb="ListMetadataFormats").root
    assert [element.text for element in root.iter(f"{OAI}metadataPrefix")] == [
        "oai_dc",
        "arXiv",
        "arXivOld",
        "arXivRaw",
    ]


def test_a_version_in_an_identifier_is_overlooked(double: Double) -> None:
    paper = double.catalogue.ids[-1]
    reply = ask(double.oai_url, verb="GetRecord", metadataPrefix="arXiv", identifier=f"oai:arXiv.org:{paper}v7")
    assert ids(reply.body) == [paper]


# ---- the collection


def test_the_collection_is_the_same_each_time_and_has_all_that_arxiv_has() -> None:
    one, other = Catalogue(3_000), Catalogue(3_000)
    papers = [one.paper(paper) for paper in one.ids]
    assert papers == [other.paper(paper) for paper in one.ids]
    assert papers[5] != Catalogue(3_000, seed=1).paper(Catalogue(3_000, seed=1).ids[5])
    assert len({paper.abstract for paper in papers}) == len({paper.title for paper in papers}) == 3_000
    shapes = Counter(re.sub("[a-z-]+/", "a/", re.sub(r"\d", "9", paper.id)) for paper in papers)
    assert set(shapes) == {"9999.9999", "9999.99999", "a/9999999"}
    assert all(paper.title.count("\n") == paper.title.count("\n  ") for paper in papers)
    assert all(re.fullmatch(r"  \S[^\0]*\n", paper.abstract or "") for paper in papers)
    assert {len(paper.versions) for paper in papers} == {1, 2, 3, 5}
    assert any(list(paper.versions) != sorted(paper.versions, key=lambda version: version.created) for paper in papers)
    names = Counter(name for paper in papers for name in (paper.categories or "").split())
    assert {"math.MP", "math.IT", "stat.TH", "q-fin.EC", "cs.SY", "cs.NA", "astro-ph", "cmp-lg"} <= set(names)
    share = sum(" " in (paper.categories or "") for paper in papers) / 3_000
    assert 0.4 < share < 0.7


def test_a_large_collection_costs_little() -> None:
    began = time.process_time()
    catalogue = Catalogue(50_000)
    assert len(set(catalogue.ids)) == 50_000
    assert time.process_time() - began < 5


def test_changes_move_records_and_add_some(double: Double) -> None:
    double.clock.set(NOW)
    catalogue, paper = double.catalogue, double.catalogue.ids[3]
    before = catalogue.paper(paper)
    catalogue.revise(paper, title="Once more")
    after = catalogue.paper(paper)
    assert (after.title, len(after.versions)) == ("Once more", len(before.versions) + 1)
    new = catalogue.add(2, categories="cs.LG")
    assert all(name.startswith("2609.0000") for name in new)
    assert walk(double.oai_url, from_="2026-09-14") == sorted([paper, *new])
    assert sorted(walk(double.oai_url)) == sorted(catalogue.ids)
    assert len(catalogue) == 302
    with pytest.raises(ValueError, match=paper):
        catalogue.insert(before)


# ---- a process of its own


def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    ports, log = tmp_path / "ports.json", tmp_path / "log.jsonl"
    command = [sys.executable, "-m", "tests.double", "--papers", "50", "--page", "20"]
    with subprocess.Popen(
        [*command, "--port-file", str(ports), "--log-file", str(log)],
        cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 30
        while not ports.exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        urls = json.loads(ports.read_text("utf-8"))
        assert len(walk(urls["oai"])) == 50
        assert ask(urls["query"], search_query="cat:cs.*").status == 200
        assert ask(urls["snapshot"]).status == 302
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=10)
        assert process.returncode == 0
    assert printed.splitlines() == [f"{name:8} {urls[name]}" for name in ("oai", "query", "snapshot")]
    entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert [(entry["site"], entry["status"]) for entry in entries] == [("oai", 200)] * 3 + [
        ("query", 200),
        ("kaggle", 302),
    ]
