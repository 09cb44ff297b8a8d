"""arXiv's OAI-PMH server: six verbs, stateless tokens over a moving list, errors that are HTTP 200."""

from __future__ import annotations

import datetime as dt
import re
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlencode

from . import records, sets
from .exchange import Answer, Request, escaped, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from .catalogue import Catalogue

EARLIEST = "2005-09-16"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation='
    '"http://www.openarchives.org/OAI/2.0/ http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">\n'
)
_SAYS = {
    "badArgument": "The request includes illegal arguments, is missing required arguments, includes a repeated "
    "argument, or values for arguments have an illegal syntax.",
    "badResumptionToken": "The value of the resumptionToken argument is invalid or expired.",
    "badVerb": "Value of the verb argument is not a legal OAI-PMH verb, the verb argument is missing, or the verb "
    "argument is repeated.",
    "cannotDisseminateFormat": "The metadata format identified by the value given for the metadataPrefix argument is "
    "not supported by the item or by the repository.",
    "idDoesNotExist": "The value of the identifier argument is unknown or illegal in this repository.",
    "noRecordsMatch": "The combination of the values of the from, until, set and metadataPrefix arguments results in "
    "an empty list.",
}
_ID = re.compile(r"(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})(v\d+)?")
_LIST = {"verb", "metadataPrefix", "from", "until", "set"}


class OaiError(Exception):
    """An error of the protocol: a code, the server's reason, and what the `<request>` element still says."""

    def __init__(self, code: str, reason: str = "", asked: dict[str, str] | None = None) -> None:
        super().__init__(code, reason)
        self.code, self.reason, self.asked = code, reason, asked or {}


class OaiServer:
    """Answers under `/oai`. `page` and `identifiers` are the numbers of records and of headers on one page."""

    def __init__(self, catalogue: Catalogue, page_size: int = 2_500, identifiers: int = 20_000) -> None:
        self.catalogue = catalogue
        self.page_size, self.identifiers = page_size, identifiers
        self.caches_errors = False
        """Whether errors to GET are served until midnight (UTC) to whoever asks the same again, as the CDN does."""
        self._cached: dict[str, tuple[dt.date, Answer]] = {}
        self._bodies: OrderedDict[tuple[object, ...], tuple[bytes, tuple[str, ...]]] = OrderedDict()

    def respond(self, request: Request) -> Answer:
        """The answer to one request."""
        if request.path.rstrip("/") != "/oai":
            return page(404, "text/html", "<!doctype html>\n<title>404 Not Found</title>\n")
        if request.method not in {"GET", "HEAD", "POST"}:
            return page(405, "text/html", "<!doctype html>\n<title>405 Method Not Allowed</title>\n", Allow="GET, POST")
        today, cached = self.now().date(), self._cached.get(request.target)
        if self.caches_errors and request.method == "GET" and cached and cached[0] == today:
            return cached[1]
        base = f"http://{request.headers.get('host', 'oaipmh.arxiv.org')}/oai"
        try:
            return self._answered(request, base)
        except OaiError as error:
            answer = failure(error.code, error.reason, self.now(), base, error.asked)
            self._cached[request.target] = today, answer
            return answer

    def now(self) -> dt.datetime:
        """The server's time, UTC."""
        return self.catalogue.clock.now()

    def _answered(self, request: Request, base: str) -> Answer:
        names = [name for name, _ in request.pairs]
        if len(set(names)) < len(names):
            raise OaiError("badArgument", "Duplicate parameters not allowed")
        verbs: dict[str, Callable[[dict[str, str]], tuple[dict[str, str], bytes, tuple[str, ...]]]] = {
            "Identify": partial(self._identify, base),
            "ListMetadataFormats": self._formats,
            "ListSets": self._sets,
            "GetRecord": self._get_record,
            "ListRecords": self._list,
            "ListIdentifiers": self._list,
        }
        params = request.params
        verb = params.get("verb", "")
        if verb not in verbs:
            raise OaiError("badVerb", "Invalid verb provided")
        asked, body, ids = verbs[verb](params)
        return envelope(body, self.now(), base, asked, ids)

    def _identify(self, base: str, params: dict[str, str]) -> tuple[dict[str, str], bytes, tuple[str, ...]]:
        if set(params) != {"verb"}:
            raise OaiError("badArgument", "No other parameters allowed for Identify")
        body = (
            f"  <Identify>\n   <repositoryName>arXiv</repositoryName>\n   <baseURL>{base}</baseURL>\n"
            "   <protocolVersion>2.0</protocolVersion>\n   <adminEmail>help@arxiv.org</adminEmail>\n"
            f"   <earliestDatestamp>{EARLIEST}</earliestDatestamp>\n   <deletedRecord>persistent</deletedRecord>\n"
            "   <granularity>YYYY-MM-DD</granularity>\n  </Identify>\n"
        )
        return params, body.encode(), ()

    def _formats(self, params: dict[str, str]) -> tuple[dict[str, str], bytes, tuple[str, ...]]:
        if set(params) - {"identifier"} != {"verb"}:
            raise OaiError("badArgument", "Only allowed parameters are verb, identifier")
        if "identifier" in params:
            _paper_id(params["identifier"])
        found = "".join(
            f"   <metadataFormat>\n    <metadataPrefix>{prefix}</metadataPrefix>\n    <schema>{schema}</schema>\n"
            f"    <metadataNamespace>{namespace}</metadataNamespace>\n   </metadataFormat>\n"
            for prefix, (schema, namespace) in records.FORMATS.items()
        )
        return params, f"  <ListMetadataFormats>\n{found}  </ListMetadataFormats>\n".encode(), ()

    def _sets(self, params: dict[str, str]) -> tuple[dict[str, str], bytes, tuple[str, ...]]:
        if "resumptionToken" in params:
            raise OaiError("badArgument", "Invalid token")
        if set(params) != {"verb"}:
            raise OaiError("badArgument", "No other parameters allowed")
        found = "".join(
            f"   <set>\n    <setSpec>{spec}</setSpec>\n    <setName>{escaped(name)}</setName>\n   </set>\n"
            for spec, name in sets.listed()
        )
        return params, f"  <ListSets>\n{found}  </ListSets>\n".encode(), ()

    def _get_record(self, params: dict[str, str]) -> tuple[dict[str, str], bytes, tuple[str, ...]]:
        if set(params) != {"verb", "identifier", "metadataPrefix"}:
            raise OaiError("badArgument", "Parameters provided did not match expected.")
        paper = _paper_id(params["identifier"])
        if params["metadataPrefix"] not in records.FORMATS:
            raise OaiError("cannotDisseminateFormat", "Did not recognize requested format", {"verb": "GetRecord"})
        if paper not in self.catalogue:
            raise OaiError("idDoesNotExist", "Nothing found for this ID", params)
        text = records.record(self.catalogue.paper(paper), params["metadataPrefix"])
        return params, f"  <GetRecord>\n{text}  </GetRecord>\n".encode(), (paper,)

    def _list(self, params: dict[str, str]) -> tuple[dict[str, str], bytes, tuple[str, ...]]:
        """A page of records or of headers.

        `asked` is what the `<request>` element shows, and what the token is made of: as in the real server the `from`
        of the next page is written into it before it is shown.
        """
        verb, skip = params["verb"], 0
        asked = {"verb": verb}
        if "resumptionToken" in params:
            if set(params) != {"verb", "resumptionToken"}:
                raise OaiError("badArgument", "No other paramters allowed with resumptionToken")
            asked["resumptionToken"] = params["resumptionToken"]
            params, skip = from_token(params["resumptionToken"])
            if params["verb"] != verb:
                raise OaiError("badResumptionToken", "token from different verb", asked)
        start, end = self._range(params, asked)
        limit = self.page_size if verb == "ListRecords" else self.identifiers
        found = self.catalogue.between(start, end, asked.get("set"), skip, limit + 1)
        if not found:
            raise OaiError("noRecordsMatch", asked=asked)
        token = "   <resumptionToken/>\n" if "resumptionToken" in asked else ""
        if len(found) > limit:
            token = self._token(found, asked, skip, limit)
        body = self._page(verb, params["metadataPrefix"], found[:limit])
        return asked, b"  <%b>\n%b%b  </%b>\n" % (verb.encode(), body, token.encode(), verb.encode()), tuple(found)

    def _token(self, found: list[str], asked: dict[str, str], skip: int, limit: int) -> str:
        """Where the next page begins: by position within a day, never by position in the whole list."""
        days = [records.day(self.catalogue.modtime(paper)) for paper in (found[0], *found[-1:])]
        if days[0] == days[1]:
            skip += limit
        else:
            asked["from"] = days[1]
            skip = 0
            for paper in reversed(found[:limit]):
                if records.day(self.catalogue.modtime(paper)) != days[1]:
                    break
                skip += 1
        kept = {name: value for name, value in asked.items() if name != "resumptionToken"}
        expires = (self.now() + dt.timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
        return f"   <resumptionToken expirationDate='{expires}'>{to_token(kept, skip)}</resumptionToken>\n"

    def _range(self, params: dict[str, str], asked: dict[str, str]) -> tuple[int, int]:
        """First and last second of the range; fills `asked`."""
        if "metadataPrefix" not in params:
            raise OaiError("badArgument", "metadataPrefix required.")
        if set(params) - _LIST:
            raise OaiError("badArgument", f"Unallowed parameter. Allowed parameters: {', '.join(sorted(_LIST))}")
        if params["metadataPrefix"] not in records.FORMATS:
            raise OaiError("cannotDisseminateFormat", "Did not recognize requested format", asked)
        asked["metadataPrefix"] = params["metadataPrefix"]
        start = _date("from", params, asked) or _day(EARLIEST)
        end = (_date("until", params, asked) or self.now()).replace(hour=23, minute=59, second=59)
        if params.get("set"):
            try:
                sets.scope(params["set"])
            except sets.UnknownSetError as error:
                raise OaiError("badArgument", str(error)) from None
            asked["set"] = params["set"]
        if start > end:
            raise OaiError("badArgument", "until date must be greater than or equal to from date")
        if start < _day(EARLIEST):
            raise OaiError("badArgument", "start date too early")
        if end > self.now() + dt.timedelta(days=1):
            raise OaiError("badArgument", "until date too late")
        return int(start.timestamp()), int(end.timestamp())

    def _page(self, verb: str, prefix: str, found: list[str]) -> bytes:
        """The records, shown by day and id whatever order they were cut in; a few pages are kept."""
        key = (self.catalogue.revision, verb, prefix, found[0], found[-1], len(found), hash(tuple(found)))
        if key not in self._bodies:
            papers = [self.catalogue.paper(paper) for paper in found]
            papers.sort(key=lambda paper: (records.day(paper.modtime), f"oai:arXiv.org:{paper.id}"))
            if verb == "ListRecords":
                text = "".join([records.record(paper, prefix) for paper in papers])
            else:
                text = "".join(
                    [records.header(paper.id, paper.modtime, sets.plain(paper.categories or "")) for paper in papers]
                )
            self._bodies[key] = text.encode(), tuple(found)
            while sum(len(body) for body, _ in self._bodies.values()) > 100_000_000:
                self._bodies.popitem(last=False)
        return self._bodies[key][0]


def envelope(
    body: bytes, now: dt.datetime, base: str, asked: dict[str, str] | None = None, ids: tuple[str, ...] = ()
) -> Answer:
    """The answer around a verb's element or an error: text/xml, and no charset."""
    attributes = "".join(f' {name}="{escaped(value)}"' for name, value in (asked or {}).items())
    head = f"{_HEAD} <responseDate>{now:%Y-%m-%dT%H:%M:%SZ}</responseDate>\n <request{attributes}>{base}</request>\n"
    content = b"%b%b</OAI-PMH>\n" % (head.encode(), body)
    return Answer(200, (("Content-Type", "text/xml"),), content, ids=ids, compressible=True)


def failure(
    code: str, reason: str = "", now: dt.datetime | None = None, base: str = "", asked: dict[str, str] | None = None
) -> Answer:
    """An error of the protocol: HTTP 200, the code in single quotes."""
    text = _SAYS.get(code, "Something else.") + (f" Reason: {reason}" if reason else "")
    body = f"  <error code='{code}'>{escaped(text)}</error>\n".encode()
    return envelope(body, now or dt.datetime.now(dt.UTC), base or "https://oaipmh.arxiv.org/oai", asked)


def to_token(asked: dict[str, str], skip: int) -> str:
    """`quote(urlencode(...))` of the query and the number of records to skip."""
    return quote(urlencode(asked | {"skip": skip}))


def from_token(token: str) -> tuple[dict[str, str], int]:
    """Query and skip of a token, of any age: nothing is remembered, nothing expires."""
    params = {name: values[0] for name, values in parse_qs(unquote(token)).items()}
    skip = params.pop("skip", "")
    if "verb" not in params or not skip.isdigit():
        raise OaiError("badResumptionToken", "Token decoding failed or format is invalid.")
    return params, int(skip)


def _paper_id(identifier: str) -> str:
    paper = identifier.removeprefix("oai:arXiv.org:")
    if paper == identifier or not (found := _ID.fullmatch(paper)):
        raise OaiError("badArgument")
    return found[1]


def _day(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=dt.UTC)


def _date(name: str, params: dict[str, str], asked: dict[str, str]) -> dt.datetime | None:
    """A parameter that is a day; None where there is none."""
    text = params.get(name)
    if not text:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError(text)
        found = _day(text)
    except ValueError:
        raise OaiError("badArgument", f"{name} date format must be YYYY-MM-DD") from None
    asked[name] = text
    return found
