"""arXiv by OAI-PMH: pages of records that changed between two days.

Source: the OAI-PMH 2.0 specification, and arXiv's own server (arXiv/oaipmh), whose habits differ: errors come with
status 200, no list has a size, a list that fits one page has no resumption token at all, dates are days.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from arxivcli import taxonomy
from arxivcli.errors import RemoteError, UsageError, unknown
from arxivcli.sources import entries, xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from arxivcli.sources.entries import Entry
    from arxivcli.sources.web import Reply, Web

URL = "https://oaipmh.arxiv.org/oai"
PREFIX = "arXivRaw"
"""The only format that has texts as the snapshot has them, and the date of the first version."""

EARLIEST = date(2005, 9, 16)
"""No record of arXiv's has an earlier datestamp."""

_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_RAW = "{http://arxiv.org/OAI/arXivRaw/}"
_ROOT = f"{_OAI}OAI-PMH"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SET = re.compile(r"[A-Za-z0-9.:-]+")
_SAID = 200
_NOBODY = "None"
"""What the server writes for a value it does not have."""


@dataclass(frozen=True)
class Slice:
    """Which records: of a set, changed from one day on until another, both included."""

    set: str | None = None
    first: str | None = None
    until: str | None = None

    def params(self) -> dict[str, str]:
        """As the protocol names them."""
        named = {"set": self.set, "from": self.first, "until": self.until}
        return {"metadataPrefix": PREFIX} | {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Header:
    """A record's id and the day of its last change."""

    id: str
    stamp: str


@dataclass(frozen=True)
class Page:
    """What one request brought.

    Attributes:
        entries: The records that are papers (none after `headers`).
        headers: Id and day of every record.
        token: What asks for the rest; None at the end of the list.
        answered: When the server answered, ISO 8601 in UTC.
        dropped: How many records are no papers, by reason.
        mended: Ids of records in which characters were mended.
    """

    entries: list[Entry]
    headers: list[Header]
    token: str | None
    answered: str
    dropped: Counter[str] = field(default_factory=Counter)
    mended: tuple[str, ...] = ()

    @property
    def reached(self) -> str | None:
        """The last day on the page."""
        return max((header.stamp for header in self.headers), default=None)


class BadTokenError(RemoteError):
    """The server does not know the resumption token any more."""


class Oai:
    """The questions of a harvest."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def records(self, wanted: Slice, token: str | None = None) -> Page:
        """A page of records: the first of a slice, or the one a token asks for.

        Raises:
            BrokenAnswerError: The server fails on this page for ever.
            BadTokenError: It does not take the token.
            UsageError: It does not have such a slice.
            RemoteError: It refuses, or there was trouble for too long.
        """
        return self._list("ListRecords", wanted, token)

    def headers(self, wanted: Slice, token: str | None = None) -> Page:
        """A page of headers alone. Raises as `records`."""
        return self._list("ListIdentifiers", wanted, token)

    def record(self, identifier: str) -> Page | None:
        """The record of one paper; None when the server has none. Raises as `records`."""
        params = {"verb": "GetRecord", "metadataPrefix": PREFIX, "identifier": f"oai:arXiv.org:{identifier}"}
        return self._web.ask(params, _page)

    def _list(self, verb: str, wanted: Slice, token: str | None) -> Page:
        params = {"verb": verb} | ({"resumptionToken": token} if token else wanted.params())
        found = self._web.ask(params, _page)
        if found is None:
            raise RemoteError("the server says that a list does not exist", "try again later")
        return found


def _page(reply: Reply) -> Page | None:
    """The page in an answer; None for a record that does not exist. Raises TransientError and what `records` does."""
    root = xml.tree(reply.body, _ROOT)
    answered = root.findtext(f"{_OAI}responseDate", "").strip()
    error = root.find(f"{_OAI}error")
    if error is not None:
        return _failed(error, answered)
    page = Page([], [], _token(root), answered)
    mended = []
    for record in root.iter(f"{_OAI}record"):
        head, found = _entry(record, page.dropped)
        if head:
            page.headers.append(head)
        if found:
            page.entries.append(found)
            if xml.MENDED.encode() in found.line:
                mended.append(found.id)
    if not page.headers:
        page.headers.extend(filter(None, (_header(head) for head in root.iter(f"{_OAI}header"))))
    return Page(page.entries, page.headers, page.token, answered, page.dropped, tuple(mended))


def _failed(error: Element, answered: str) -> Page | None:
    code, said = error.get("code", ""), " ".join((error.text or "").split())[:_SAID]
    if code == "noRecordsMatch":
        return Page([], [], None, answered)
    if code == "idDoesNotExist":
        return None
    if code == "badResumptionToken":
        raise BadTokenError(f"the server does not take the resumption token: {said}", "run the same command again")
    if code in {"badArgument", "cannotDisseminateFormat"}:
        raise UsageError(f"the server says {code}: {said}", "check --set, --from and --until")
    raise RemoteError(f"the server says {code}: {said}", "try again later")


def _token(root: Element) -> str | None:
    found = root.find(f".//{_OAI}resumptionToken")
    return ((found.text or "").strip() or None) if found is not None else None


def _header(head: Element | None) -> Header | None:
    if head is None:
        return None
    identifier = head.findtext(f"{_OAI}identifier", "").strip().rpartition(":")[2]
    stamp = head.findtext(f"{_OAI}datestamp", "").strip()[:10]
    if not entries.is_identifier(identifier) or not _DAY.fullmatch(stamp):
        return None
    return Header(identifier, stamp)


def _entry(record: Element, dropped: Counter[str]) -> tuple[Header | None, Entry | None]:
    """The record's header, and its paper unless it is none, which is counted."""
    element = record.find(f"{_OAI}header")
    head = _header(element)
    if head is None or element is None:
        dropped["no id or no date"] += 1
        return None, None
    if element.get("status") == "deleted":
        dropped["deleted"] += 1
        return head, None
    raw = record.find(f"{_OAI}metadata/{_RAW}{PREFIX}")
    if raw is None:
        dropped[f"no {PREFIX} metadata"] += 1
        return head, None
    values = {child.tag.removeprefix(_RAW): child.text or "" for child in raw}
    known = {key: text for key, text in values.items() if text != _NOBODY or key in {"title", "abstract"}}
    versions = [
        (version.get("version", ""), version.findtext(f"{_RAW}date", "").strip())
        for version in raw.iter(f"{_RAW}version")
    ]
    return head, entries.entry(
        head.id,
        known.get("title", ""),
        known.get("abstract", ""),
        " ".join(known.get("categories", "").split()),
        versions,
        head.stamp,
        {key: known.get(key) or None for key in entries.PLAIN},
    )


def set_name(name: str) -> str:
    """The server's name for a category, an archive or a group, in any case: `cs.LG` -> `cs:cs:LG`, `math` ->
    `math:math`, `grp_physics` -> `physics` (`physics` is the archive).

    Raises UsageError for names nobody knows and for retired ones, whose sets are gone.
    """
    if ":" in name:
        if not _SET.fullmatch(name):
            raise UsageError(f"{name} is no name of a set", "give a category, an archive or a group")
        return name
    categories = taxonomy.categories()
    found = categories.get(name) or {known.lower(): c for known, c in categories.items()}.get(name.lower())
    archives = {c.archive: c.oai_set.rpartition(":")[0] for c in categories.values() if c.active and "." in c.id}
    if name.lower() in archives:
        return archives[name.lower()]
    groups = {c.group: c.oai_set.partition(":")[0] for c in categories.values() if c.active}
    if name.lower() in groups:
        return groups[name.lower()]
    if found is None:
        raise unknown("category", name, [*(c.id for c in categories.values() if c.active), *archives])
    if not found.active:
        hint = f"its papers are in {found.successor} now" if found.successor else "harvest everything, without --set"
        raise UsageError(f"{name} is retired and has no set of its own", hint)
    return found.oai_set


def plain_name(name: str) -> str:
    """How a set is called in a folder's name, however it was spelled: `cs:cs:LG` -> `cs.LG`."""
    if ":" not in name:
        return f"grp_{name}"  # `physics` is an archive too
    known = {c.oai_set: c.id for c in taxonomy.categories().values() if c.active}
    archives = {c.oai_set.rpartition(":")[0]: c.archive for c in taxonomy.categories().values() if "." in c.id}
    return (known.get(name) or archives.get(name) or name).replace(":", "-")


def narrower(name: str | None) -> list[str]:
    """Sets that together are a set (everything without a name); none where nothing is narrower."""
    leaves = sorted({c.oai_set for c in taxonomy.categories().values() if c.active})
    archives = sorted({leaf if leaf.count(":") < 2 else leaf.rpartition(":")[0] for leaf in leaves})  # noqa: PLR2004
    if name is None:
        return archives
    if ":" not in name:
        return [archive for archive in archives if archive.startswith(f"{name}:")]
    return [leaf for leaf in leaves if leaf.startswith(f"{name}:")]


def day_before(moment: str) -> str:
    """The day before that of a date or date and time, not before EARLIEST."""
    return max(EARLIEST, date.fromisoformat(moment[:10]) - timedelta(days=1)).isoformat()


def day_after(day: str) -> str:
    """The day after a date."""
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def today() -> date:
    """The day it is at arXiv's server."""
    return datetime.now(UTC).date()
