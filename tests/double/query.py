"""arXiv's query API: a search over the catalogue, answered in Atom, with the walls and quirks of the real one."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import re
from typing import TYPE_CHECKING

from . import atom, grammar, words
from .exchange import Answer, Request, page
from .grammar import Both, Query, QueryError, Term

if TYPE_CHECKING:
    from .catalogue import Catalogue
    from .papers import Paper

_ID = re.compile(r"(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v(\d+))?")
_ERRORS = "https://arxiv.org/api/errors"
_INTERNAL = (
    "The server encountered an internal error and was unable to complete your request. Either the server is "
    "overloaded or there is an error in the application."
)
_SORTS = ("relevance", "lastUpdatedDate", "submittedDate")
_ORDERS = ("ascending", "descending")


class ApiError(Exception):
    """An error entry: the sentence, where it links to, the status."""

    def __init__(self, says: str, link: str = _ERRORS, status: int = 400) -> None:
        super().__init__(says)
        self.says, self.link, self.status = says, link, status


class QueryServer:
    """Answers under `/api/query`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.wall = 10_000
        """Pages that reach beyond so many results are HTTP 500."""
        self.refused = 30_000
        """A `max_results` above this is HTTP 400."""
        self.page_limit = 2_000
        """No answer has more entries."""
        self.shuffles_ties = False
        """Whether papers of the same date come in another order on each page, so that some repeat and some are lost."""
        self.through_minute = False
        """Whether a date range takes in the seconds of its last minute."""
        self.legacy = False
        """Whether errors are HTTP 200 and MSC and ACM classes are categories too, as before November 2025."""
        self._found: dict[tuple[int, bool, Term], set[str]] = {}

    def respond(self, request: Request) -> Answer:
        """The answer to one request."""
        if request.path.rstrip("/") != "/api/query":
            return page(404, "text/html", "<!doctype html>\n<title>404 Not Found</title>\n")
        try:
            return self._answered(request.params)
        except QueryError as error:
            return self._error(ApiError(str(error)))
        except ApiError as error:
            return self._error(error)

    def _answered(self, params: dict[str, str]) -> Answer:
        search, wanted = params.get("search_query", "").strip(), params.get("id_list", "")
        listed = _ids(wanted) if wanted else None
        size, start = _count("max_results", params, 10), _count("start", params, 0)
        sort, order = _choice("sortBy", params, _SORTS), _choice("sortOrder", params, _ORDERS[::-1])
        if not search and listed is None:
            raise ApiError("Either a search_query or id_list must be specified for the classic API.")
        if size > self.refused:
            raise ApiError(f"max_results must not be greater than {self.refused}")
        if size == 0 or 1 + round(start / size) > self.wall // size:
            raise ApiError(_INTERNAL, status=500)
        found = self._search(search, listed)
        ordered = self._sorted(found, sort, order, start)
        shown = ordered[start : start + min(size, self.page_limit)]
        echo = f"search_query={search}&id_list={wanted}&start={start}&max_results={size}"
        body = atom.feed(
            "".join(atom.entry(self.catalogue.paper(paper), version, legacy=self.legacy) for paper, version in shown),
            self.catalogue.clock.now(),
            counts=(size, len(found), start),
            ident=f"https://arxiv.org/api/{_digest(echo)}",
            title=f"arXiv Query: {echo}",
            link=f"https://arxiv.org/api/query?{echo}",
        )
        ids = tuple(paper for paper, _ in shown)
        return Answer(200, (("Content-Type", atom.KIND),), body.encode(), ids=ids, compressible=True)

    def _search(self, search: str, listed: list[tuple[str, int | None]] | None) -> list[tuple[str, int | None]]:
        """(id, version asked for) of what matches, in the catalogue's order or in that of the list."""
        matching = self._matching(grammar.parse(search)) if search else None
        if listed is None:
            return [(paper, None) for paper in self.catalogue.ids if matching is None or paper in matching]
        return [
            (paper, version)
            for paper, version in dict.fromkeys(listed)
            if paper in self.catalogue
            and (matching is None or paper in matching)
            and (version is None or 1 <= version <= len(self.catalogue.paper(paper).versions))
        ]

    def _matching(self, query: Query) -> set[str]:
        if isinstance(query, Both):
            left, right = self._matching(query.left), self._matching(query.right)
            return left & right if query.operator == "AND" else left | right if query.operator == "OR" else left - right
        key = (self.catalogue.revision, self.through_minute, query)
        if key not in self._found:
            self._found[key] = self._holding(query)
        return self._found[key]

    def _holding(self, term: Term) -> set[str]:
        ids = self.catalogue.ids
        value = term.value.strip('"')
        if term.field in {"submittedDate", "lastUpdatedDate"}:
            # Not a slip: the real one looks at the first submission for both.
            first, last = grammar.dates(term.value, through_minute=self.through_minute)
            return {paper for paper in ids if first <= self.catalogue.submitted(paper) <= last}
        if term.field == "cat":
            return {
                paper
                for paper in ids
                if any(fnmatch.fnmatchcase(name, value) for name in (self.catalogue.categories(paper) or "").split())
            }
        if term.field == "id":
            found = _ID.fullmatch(value)
            return {found[1]} & set(ids) if found else set()
        looks = grammar.pattern(term.value)
        return {paper for paper in ids if looks.search(_text(self.catalogue.paper(paper), term.field))}

    def _sorted(
        self, found: list[tuple[str, int | None]], sort: str, order: str, start: int
    ) -> list[tuple[str, int | None]]:
        if sort == "relevance":
            return found
        place = {paper: number for number, (paper, _) in enumerate(found)}

        def key(hit: tuple[str, int | None]) -> tuple[int, int]:
            paper, _ = hit
            when = self.catalogue.submitted(paper)
            if sort == "lastUpdatedDate":
                when = self.catalogue.paper(paper).versions[-1].created
            tie = words.mix(place[paper] * 1_000_003 + start) if self.shuffles_ties else place[paper]
            return (when, tie) if order == "ascending" else (-when, tie)

        return sorted(found, key=key)

    def _error(self, error: ApiError) -> Answer:
        status = 200 if self.legacy and error.status < 500 else error.status
        return page(status, atom.KIND, atom.failure(error.says, error.link, self.catalogue.clock.now()))


def _ids(wanted: str) -> list[tuple[str, int | None]]:
    found = []
    for name in wanted.split(","):
        match = _ID.fullmatch(name)
        if match is None:
            raise ApiError(f"incorrect id format for {name}", f"{_ERRORS}#incorrect_id_format_for_{name}")
        found.append((match[1], int(match[2]) if match[2] else None))
    return found


def _count(name: str, params: dict[str, str], default: int) -> int:
    text = params.get(name, str(default))
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ApiError(f"{name} must be an integer", f"{_ERRORS}#{name}_must_be_an_integer")
    if int(text) < 0:
        raise ApiError(f"{name} must be non-negative", f"{_ERRORS}#{name}_must_be_non-negative")
    return int(text)


def _choice(name: str, params: dict[str, str], known: tuple[str, ...]) -> str:
    value = params.get(name, known[0])
    if value not in known:
        raise ApiError(f"{name} must be in: {', '.join(known)}", "https://arxiv.org/help/api/user-manual#sort")
    return value


def _text(paper: Paper, field: str) -> str:
    """What a field's words are looked for in."""
    parts = {
        "ti": words.utf8(paper.title),
        "au": words.utf8(paper.authors),
        "abs": words.utf8(paper.abstract or ""),
        "co": words.utf8(paper.comments or ""),
        "jr": paper.journal_ref or "",
        "rn": paper.report_no or "",
        "doi": paper.doi or "",
    }
    if field != "all":
        return grammar.words(parts[field])
    return grammar.words(" . ".join((*parts.values(), paper.categories or "", paper.id)))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()[:-1]
