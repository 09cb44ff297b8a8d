"""arXiv by its query API: searches and papers by id, answered as Atom feeds.

Source: arXiv's API user manual, and the server's code (arXiv/arxiv-search), whose habits differ: a complaint is a feed
with one entry called `Error` (status 400, or 200 in former years), results beyond the ten thousandth are status 500,
a page is empty now and then though there are results, and ids that do not exist are left out without a word.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from arxivcli import taxonomy
from arxivcli.errors import UsageError
from arxivcli.sources import entries, xml
from arxivcli.sources.trouble import TransientError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from arxivcli.sources.entries import Entry
    from arxivcli.sources.web import Reply, Web

URL = "https://export.arxiv.org/api/query"
MANUAL = "https://info.arxiv.org/help/api/user-manual.html#query_details"

BATCH = 100
"""Ids in one request: the address stays short enough for every proxy."""

_ATOM = "{http://www.w3.org/2005/Atom}"
_ARXIV = "{http://arxiv.org/schemas/atom}"
_TOTAL = "{http://a9.com/-/spec/opensearch/1.1/}totalResults"
_BAD_REQUEST = 400
_TRIES = 3
_SAID = 200
_VERSIONED = re.compile(r"(.+?)(?:v(\d{1,4}))?")
_COPIED = re.compile(r"\+(?:AND|OR|ANDNOT|TO)\+|%2[0289]")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Feed:
    """What one request brought.

    Attributes:
        entries: The papers.
        total: How many results the server has.
        answered: When the server answered, ISO 8601 in UTC.
        oldest: Day of the oldest first version among the papers.
        dropped: How many results are no papers, by reason.
        mended: Ids of papers in which characters were mended.
    """

    entries: list[Entry]
    total: int
    answered: str
    oldest: str | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    mended: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many results came."""
        return len(self.entries) + self.dropped.total()


class BadQueryError(UsageError):
    """The server does not take the query, or an id in the list."""


class Api:
    """The questions of a search."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def search(self, query: str, start: int, size: int) -> Feed:
        """Results of a search from `start` on, those that were submitted last first.

        Args:
            query: In arXiv's language, with plain spaces.
            start: How many results to leave out.
            size: How many to take at most.

        Raises:
            BrokenAnswerError: The server fails on this page, or leaves it empty though there are results.
            BadQueryError: It does not take the query.
            RemoteError: It refuses, or there was trouble for too long.
        """
        order = {"sortBy": "submittedDate", "sortOrder": "descending"}
        asked = {"search_query": query, "start": str(start), "max_results": str(size)}
        return self._web.ask(asked | order, lambda reply: _page(reply, start), frozenset({_BAD_REQUEST}))

    def papers(self, identifiers: Sequence[str]) -> Feed:
        """The papers with these ids that exist. One id that the server does not take fails all. Raises as `search`."""
        asked = {"id_list": ",".join(identifiers), "start": "0", "max_results": str(len(identifiers))}
        return self._web.ask(asked, _list, frozenset({_BAD_REQUEST}))


def plain_query(text: str) -> str:
    """A query as people mean it, also one that was copied out of an address (`cat:cs.LG+AND+ti:%22deep%22`).

    Raises UsageError for one that is empty or does not close what it opens.
    """
    query = " ".join((unquote_plus(text) if _COPIED.search(text) else text).split())
    if not query.encode(errors="ignore").decode() == query:
        raise UsageError(f"the query {query!a} has a character that is none", "is this terminal set to UTF-8?")
    if not query:
        raise UsageError("the query is empty", "give one like --query 'cat:cs.CL AND ti:transformer'")
    unquoted = "".join(query.split('"')[::2])
    depths = [0, *accumulate((sign == "(") - (sign == ")") for sign in unquoted)]
    if query.count('"') % 2 or min(depths) < 0 or depths[-1]:
        raise UsageError(f"a quotation mark or parenthesis has no counterpart in {query}", f"see {MANUAL}")
    return query


def within(query: str, first: str, last: str) -> str:
    """The query for papers first submitted between two minutes, YYYYMMDDHHMM in UTC.

    Whether the last minute is in or out differs between servers: stretches that follow each other should share it.
    """
    return f"{f'({query})' if ' ' in query else query} AND submittedDate:[{first} TO {last}]"


# -- Atom -------------------------------------------------------------------------------------------------------------


def _page(reply: Reply, start: int) -> Feed:
    """Results of a search from `start` on. Raises as `_feed`, also when their number cannot be."""
    feed = _feed(reply)
    if feed.size and start + feed.size > feed.total:
        raise TransientError(f"more results than the {feed.total:,} that the answer speaks of", tries=_TRIES)
    if not feed.size and start < feed.total:
        raise TransientError(f"an empty page, though there are {feed.total:,} results", tries=_TRIES)
    return feed


def _list(reply: Reply) -> Feed:
    """Papers by id. Raises as `_feed`, also when some are left out that exist."""
    feed = _feed(reply)
    if feed.size < feed.total:
        raise TransientError(f"only {feed.size} of {feed.total:,} papers, all of which were asked for", tries=_TRIES)
    return feed


def _feed(reply: Reply) -> Feed:
    """The results in an answer. Raises TransientError and BadQueryError."""
    try:
        root = xml.tree(reply.body, f"{_ATOM}feed")
    except TransientError as error:
        if reply.status != _BAD_REQUEST:
            raise
        raise BadQueryError("the server does not take the query (400)", f"see {MANUAL}") from error
    found = list(root.iter(f"{_ATOM}entry"))
    _complain(found)
    made = [_entry(element) for element in found]
    papers = [paper for paper, _ in made if paper]
    oldest = min((day for _, day in made if day), default=None)
    dropped = +Counter({"no id or no date": len(made) - len(papers)})
    mended = tuple(paper.id for paper in papers if xml.MENDED.encode() in paper.line)
    return Feed(papers, _total(root), _answered(reply), oldest, dropped, mended)


def _complain(found: list[Element]) -> None:
    """Raises BadQueryError when the answer is a complaint. A paper may be called `Error`, but has an id."""
    for element in found:
        if _text(element, "title").strip() == "Error" and _identified(element) is None:
            raise BadQueryError(f"the server says: {_said(_text(element, 'summary'))}", f"see {MANUAL}")


def _said(text: str) -> str:
    """What a server says, fit for a line."""
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
    return safe if len(safe) <= _SAID else f"{safe[: _SAID - 1]}…"


def _total(root: Element) -> int:
    text = root.findtext(_TOTAL, "").strip()
    if not text.isdecimal() or len(text) > 12:  # noqa: PLR2004  nobody has so many papers
        raise TransientError("the answer does not say how many results there are", tries=_TRIES)
    return int(text)


def _answered(reply: Reply) -> str:
    """By the server's clock; the feed's own date is no clock, it used to be that of the last midnight."""
    try:
        moment = parsedate_to_datetime(reply.headers.get("date", ""))
    except (ValueError, TypeError):
        moment = datetime.now(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _entry(element: Element) -> tuple[Entry | None, str]:
    """The paper of an entry, None for one that is none, and the day of its first version."""
    identified, newest = _identified(element), _moment(element, "updated")
    first = _moment(element, "published") or newest
    if identified is None or first is None:
        return None, ""
    identifier, number = identified
    versions = [("v1", _mail_date(first)), (f"v{number}", _mail_date(newest or first))]
    authors = [name.strip() for author in element.iter(f"{_ATOM}author") if (name := _text(author, "name"))]
    named = {"comments": "comment", "journal-ref": "journal_ref", "doi": "doi"}
    others = {key: element.findtext(f"{_ARXIV}{name}") or None for key, name in named.items()}
    paper = entries.entry(
        identifier,
        _text(element, "title"),
        _text(element, "summary"),
        " ".join(_categories(element)),
        versions[: 1 if number == 1 else 2],
        (newest or first).date().isoformat(),
        {"authors": ", ".join(authors) or None, **others},
    )
    return paper, first.date().isoformat()


def _identified(element: Element) -> tuple[str, int] | None:
    """Id and version of `http://arxiv.org/abs/quant-ph/0201082v1`; None for what is none."""
    found = _VERSIONED.fullmatch(_text(element, "id").strip().rpartition("/abs/")[2])
    if found is None or not entries.is_identifier(found[1]):
        return None
    return found[1], max(1, int(found[2] or 1))


def _categories(element: Element) -> list[str]:
    """arXiv's categories, the primary first; former servers gave MSC and ACM classes too."""
    listed = [*element.iter(f"{_ARXIV}primary_category"), *element.iter(f"{_ATOM}category")]
    known = taxonomy.categories()
    return list(dict.fromkeys(term for named in listed if (term := named.get("term", "").strip()) in known))


def _text(element: Element, name: str) -> str:
    return element.findtext(f"{_ATOM}{name}") or ""


def _moment(element: Element, name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(element, name).strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _mail_date(moment: datetime) -> str:
    """`Mon, 2 Apr 2007 19:18:42 GMT`, as the snapshot has it, whatever the locale."""
    day = f"{_WEEKDAYS[moment.weekday()]}, {moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
    return f"{day} {moment:%H:%M:%S} GMT"
