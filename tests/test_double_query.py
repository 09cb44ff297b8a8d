"""The double's query API against what is known of arXiv's: searches, dates, lists of ids, walls, Atom."""

from __future__ import annotations

import datetime as dt
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest
from asking import ARXIV, ATOM, SEARCH, Reply, ask, ids
from double import Catalogue, Double, Version
from double.words import Author
from test_double import GARDENS, NOW, canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parent / "fixtures" / "fetch"


@pytest.fixture(scope="module")
def served() -> Iterator[Double]:
    """Six hundred papers that nobody changes."""
    with Double(Catalogue(600)) as double:
        yield double


@pytest.fixture
def double() -> Iterator[Double]:
    catalogue = Catalogue(0)
    catalogue.clock.set(NOW)
    with Double(catalogue) as double:
        yield double


def total(reply: Reply) -> int:
    return int(reply.root.findtext(f"{SEARCH}totalResults") or -1)


def find(double: Double, search: str, **params: object) -> list[str]:
    reply = ask(double.query_url, **{"search_query": search, "max_results": 2_000, **params})
    assert reply.status == 200, reply.text
    assert reply.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
    return ids(reply.body)


def when(*moment: int) -> tuple[Version, ...]:
    return (Version(1, int(dt.datetime(*moment, tzinfo=dt.UTC).timestamp())),)


# ---- Atom


def test_the_entry_of_the_description_is_what_the_double_writes(double: Double) -> None:
    double.catalogue.insert(GARDENS)
    reply = ask(double.query_url, id_list=GARDENS.id)
    assert canonical(reply.body) == canonical((FIXTURES / "atom_entry.xml").read_text("utf-8"))
    assert reply.body.startswith(b"<?xml version='1.0' encoding='UTF-8'?>\n<feed xmlns:opensearch=")


def test_an_error_is_an_entry(double: Double) -> None:
    reply = ask(double.query_url, id_list=f"{GARDENS.id},abc")
    assert reply.status == 400
    assert reply.text == (FIXTURES / "atom_error.xml").read_text("utf-8")
    double.query.legacy = True
    assert ask(double.query_url, id_list="abc").status == 200


def test_entries_say_what_the_catalogue_says(served: Double) -> None:
    root = ask(served.query_url, search_query="cat:*", max_results=600).root
    entries = root.findall(f"{ATOM}entry")
    assert len(entries) == total(ask(served.query_url, search_query="cat:*")) == 600
    leading = 0
    for entry in entries:
        number = (entry.findtext(f"{ATOM}id") or "").removeprefix("http://arxiv.org/abs/")
        name, _, version = number.rpartition("v")
        paper = served.catalogue.paper(name)
        assert int(version) == len(paper.versions)
        assert entry.findtext(f"{ATOM}title") == " ".join(paper.title.split())
        assert (entry.findtext(f"{ATOM}summary") or "").split() == (paper.abstract or "").split()
        leading += (entry.findtext(f"{ATOM}summary") or "").startswith("  ")
        terms = [element.get("term") for element in entry.findall(f"{ATOM}category")]
        assert " ".join(term or "" for term in terms) == paper.categories
        primary = entry.find(f"{ARXIV}primary_category")
        assert primary is not None
        assert primary.get("term") == terms[0]
        assert entry.findtext(f"{ATOM}published") == iso(paper.versions[0].created)
        assert entry.findtext(f"{ATOM}updated") == iso(paper.versions[-1].created)
        assert entry.findtext(f"{ARXIV}doi") == paper.doi
        assert len(entry.findall(f"{ATOM}author")) == len(paper.people)
    assert 0 < leading < 600


def iso(moment: int) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_paper_may_be_called_0_and_classes_were_categories_once(double: Double) -> None:
    [paper] = double.catalogue.add(title="0", categories="math.CO", msc_class="11A41, 35Q30")
    assert "<title>0</title>" in ask(double.query_url, id_list=paper).text
    double.query.legacy = True
    terms = re.findall('category term="([^"]+)"', ask(double.query_url, id_list=paper).text)
    assert terms == ["math.CO", "11A41, 35Q30", "math.CO"]


# ---- lists of ids


def test_lists_of_ids(double: Double) -> None:
    new, old = double.catalogue.add(2)
    double.catalogue.insert(GARDENS)
    double.catalogue.revise(new)
    unknown = "2101.00001"
    assert ids(ask(double.query_url, id_list=f"{old},{unknown},{new},{GARDENS.id}v1").body) == [old, new, GARDENS.id]
    reply = ask(double.query_url, id_list=f"{new}v1,{GARDENS.id}v3,{unknown}v1")
    assert re.findall("<id>http://arxiv.org/abs/(.*)</id>", reply.text) == [f"{new}v1"]
    assert total(reply) == 1
    assert total(ask(double.query_url, id_list=unknown)) == 0
    both = ask(double.query_url, id_list=f"{new},{GARDENS.id}", search_query="ti:gardens")
    assert ids(both.body) == [GARDENS.id]


@pytest.mark.parametrize("bad", ["abc", "1234.123", "2101.00001v", "hep-th/12", " 2101.00001", "", "2101.00001.pdf"])
def test_one_bad_id_fails_them_all(served: Double, bad: str) -> None:
    good = served.catalogue.ids[0]
    reply = ask(served.query_url, id_list=f"{good},{bad}")
    assert reply.status == 400
    assert f"<summary>incorrect id format for {bad}</summary>" in reply.text
    assert ids(reply.body) == []


# ---- searching


def test_the_language(double: Double) -> None:
    texts = {
        "a": ("Language models that hum", "  They hum.\n", "cs.CL cs.LG"),
        "b": ("A model of language", "  It is silent about bees and\nhums.\n", "cs.LG"),
        "c": ("Bees", "  Language model bees.\n", "math-ph math.MP"),
        "d": ('H\\"older bees', "  Flat.\n", "hep-th"),
    }
    names = {}
    for name, (title, abstract, categories) in texts.items():
        people = (Author("Zudo", name),)
        names |= {double.catalogue.add(title=title, abstract=abstract, categories=categories, people=people)[0]: name}
    expected = {
        "cat:cs.LG": "ab",
        "cat:cs.*": "ab",
        "cat:cs": "",
        "cat:math.MP": "c",
        "cat:hep-th": "d",
        "ti:language": "ab",
        'ti:"language models"': "a",
        "ti:LANGUAGE": "ab",
        'all:"language model"': "c",
        'all:"language model*"': "ac",
        "abs:hum*": "ab",
        "ti:hölder": "d",
        "au:zudo": "abcd",
        "au:b_zudo": "b",
        "bees": "bcd",
        "ti:bees AND cat:hep-th": "d",
        "ti:bees OR cat:cs.CL": "acd",
        "all:bees ANDNOT ti:bees": "b",
        "ti:bees ti:silent": "cd",
        "all:bees ANDNOT (cat:hep-th OR cat:cs.LG)": "c",
        "(ti:bees OR ti:language) AND cat:cs.CL": "a",
        "ti:bees OR ti:language AND cat:cs.CL": "a",
        "ti:bees OR (ti:language AND cat:cs.CL)": "acd",
        "((ti:bees))": "cd",
        f"id:{[*names][2]}": "c",
    }
    assert {search: "".join(names[paper] for paper in find(double, search)) for search in expected} == expected


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ('ti:"open', "Quotation does not close"),
        ("(ti:a", "Parenthesis does not close"),
        ("ti:a)", "Cannot parse fragment"),
        ("AND ti:a", "consecutive operators"),
        ("ti:a AND OR ti:b", "consecutive operators"),
        ("ti:a AND", "Cannot parse fragment"),
        ("title:a", "Invalid field: title"),
        ("submittedDate:[2020+TO+2021]", "Cannot parse date range"),
        ("submittedDate:[20201301 TO 2021]", "Cannot parse date range"),
        ("submittedDate:[202 TO 2021]", "Cannot parse date range"),
        ("", "Either a search_query or id_list must be specified"),
    ],
)
def test_what_cannot_be_read_is_refused(served: Double, search: str, says: str) -> None:
    reply = ask(served.query_url, search_query=search)
    assert reply.status == 400
    assert says in reply.text


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ("[2024 TO 2024]", "bcd"),
        ("[202401 TO 202402]", "bc"),
        ("[20240131 TO 20240229]", "bc"),
        ("[202401312359 TO 202402290000]", "b"),
        ("[202401312359 TO 202402291159]", "b"),
        ("[202401312359 TO 202402291200]", "bc"),
        ("[202312310000 TO 202401010000]", "a"),
        ("[20231231235959 TO 20240131235930]", "ab"),
    ],
)
def test_dates_are_of_the_first_version_and_may_be_partial(double: Double, dates: str, expected: str) -> None:
    moments = {
        "a": (2023, 12, 31, 23, 59, 59),
        "b": (2024, 1, 31, 23, 59, 30),
        "c": (2024, 2, 29, 12),
        "d": (2024, 12, 31),
    }
    names = {double.catalogue.add(versions=when(*moment))[0]: name for name, moment in moments.items()}
    double.catalogue.revise(next(iter(names)))
    for field in ("submittedDate", "lastUpdatedDate"):
        assert "".join(names[paper] for paper in find(double, f"{field}:{dates}")) == expected
    spaces = ask(f"{double.query_url}?search_query=submittedDate:{quote(dates).replace('%20', '+')}")
    assert len(ids(spaces.body)) == len(expected)


def test_the_seconds_of_the_last_minute_are_in_doubt(double: Double) -> None:
    double.catalogue.add(versions=when(2024, 1, 31, 23, 59, 30))
    assert find(double, "submittedDate:[202401310000 TO 202401312359]") == []
    double.query.through_minute = True
    assert len(find(double, "submittedDate:[202401310000 TO 202401312359]")) == 1


# ---- order and pages


def test_orders(double: Double) -> None:
    one, two, three = (double.catalogue.add(versions=when(2024, month, 1))[0] for month in (5, 3, 4))
    double.catalogue.revise(two)
    assert find(double, "cat:*") == [one, two, three]
    assert find(double, "cat:*", sortBy="submittedDate") == [one, three, two]
    assert find(double, "cat:*", sortBy="submittedDate", sortOrder="ascending") == [two, three, one]
    assert find(double, "cat:*", sortBy="lastUpdatedDate") == [two, one, three]
    assert ask(double.query_url, search_query="cat:*", sortBy="date").status == 400
    assert ask(double.query_url, search_query="cat:*", sortOrder="up").status == 400


def paged(double: Double, size: int) -> list[str]:
    asked = {"search_query": "cat:*", "sortBy": "submittedDate", "max_results": size}
    return [paper for start in range(0, 600, size) for paper in ids(ask(double.query_url, **asked, start=start).body)]


def test_pages_fit_together_unless_ties_are_shuffled() -> None:
    with Double(Catalogue(600)) as double:
        assert sorted(paged(double, 50)) == sorted(double.catalogue.ids)
        double.query.shuffles_ties = True
        found = paged(double, 50)
        assert len(found) == 600 > len(set(found)) > 500
        assert len(set(paged(double, 600))) == 600


def test_post_is_as_good_as_get(served: Double) -> None:
    form = {"search_query": "cat:cs.LG OR cat:cs.CL", "max_results": "7", "start": "2"}
    posted = ask(served.query_url, "POST", {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(form))
    assert ids(posted.body) == ids(ask(served.query_url, **form).body) != []
    assert ask(f"{served.origin('query')}/api/search", search_query="a").status == 404


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"start": 90, "max_results": 10}, 200),
        ({"start": 100, "max_results": 10}, 500),
        ({"start": 50, "max_results": 50}, 200),
        ({"start": 0, "max_results": 101}, 500),
        ({"max_results": 0}, 500),
        ({"max_results": 301}, 400),
        ({"max_results": -1}, 400),
        ({"start": "x"}, 400),
        ({"start": -5}, 400),
        ({"start": 80, "max_results": 20}, 200),
    ],
)
def test_walls(params: dict[str, object], status: int) -> None:
    with Double(Catalogue(600)) as double:
        double.query.wall, double.query.refused = 100, 300
        reply = ask(double.query_url, search_query="cat:*", **params)
    assert reply.status == status
    if status != 200:
        assert "<title>Error</title>" in reply.text


def test_the_walls_of_arxiv_are_the_usual_ones(served: Double) -> None:
    assert ask(served.query_url, search_query="cat:*", start=9_990).status == 200
    assert ask(served.query_url, search_query="cat:*", start=10_000).status == 500
    assert ask(served.query_url, search_query="cat:*", max_results=30_001).status == 400
    served.query.page_limit = 30
    assert len(find(served, "cat:*", max_results=100)) == 30
    served.query.page_limit = 2_000


def test_the_feed_says_what_was_asked(served: Double) -> None:
    root = ask(served.query_url, search_query='ti:"a b" AND cat:cs.LG', start=3, max_results=5).root
    assert (
        root.findtext(f"{ATOM}title")
        == 'arXiv Query: search_query=ti:"a b" AND cat:cs.LG&id_list=&start=3&max_results=5'
    )
    assert (root.findtext(f"{SEARCH}startIndex"), root.findtext(f"{SEARCH}itemsPerPage")) == ("3", "5")
    assert isinstance(root, ET.Element)
