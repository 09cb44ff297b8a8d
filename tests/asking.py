"""The plainest client there is: asks one thing, keeps every byte, follows tokens only when told to."""

from __future__ import annotations

import http.client
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

OAI = "{http://www.openarchives.org/OAI/2.0/}"
RAW = "{http://arxiv.org/OAI/arXivRaw/}"
ATOM = "{http://www.w3.org/2005/Atom}"
ARXIV = "{http://arxiv.org/schemas/atom}"
SEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"


@dataclass
class Reply:
    """A response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def root(self) -> ET.Element:
        return ET.fromstring(self.body)  # noqa: S314


def ask(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, body: str | None = None, **params: object
) -> Reply:
    """One request on a connection of its own; a trailing underscore of a parameter's name is cut off."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    query = urlencode({name.rstrip("_"): value for name, value in params.items()})
    target = parts.path + (f"?{parts.query or query}" if parts.query or query else "")
    try:
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def token(page: bytes) -> str | None:
    """The resumption token: empty at the end of a sequence, None where there is no element."""
    found = re.search(rb"<resumptionToken(?:/>|[^>]*>([^<]*)</resumptionToken>)", page)
    return None if found is None else (found[1] or b"").decode()


def pages(url: str, verb: str = "ListRecords", **params: object) -> Iterator[Reply]:
    """Page after page, until there is no token."""
    reply = ask(url, verb=verb, **{"metadataPrefix": "arXivRaw", **params})
    yield reply
    while following := token(reply.body):
        reply = ask(url, verb=verb, resumptionToken=following)
        yield reply


def headers(page: bytes) -> list[tuple[str, str]]:
    """(datestamp, id) of the records or headers of a page, as shown."""
    found = re.findall(rb"<identifier>oai:arXiv.org:([^<]+)</identifier>\s*<datestamp>([^<]+)<", page)
    return [(day.decode(), paper.decode()) for paper, day in found]


def ids(page: bytes) -> list[str]:
    """Of records, headers or entries, as shown."""
    return [paper for _, paper in headers(page)] or [
        paper.decode() for paper in re.findall(rb"<id>http://arxiv.org/abs/([^<]+)v\d+</id>", page)
    ]


def walk(url: str, verb: str = "ListRecords", **params: object) -> list[str]:
    """All ids of a list."""
    return [paper for page in pages(url, verb, **params) for paper in ids(page.body)]


def error(reply: Reply) -> tuple[str, str]:
    """Code and text of an OAI error."""
    [found] = re.findall(r"<error code='(\w+)'>([^<]*)</error>", reply.text)
    return found
