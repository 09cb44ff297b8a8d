"""One invented paper: its fields, and how they follow from a number."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from . import sets, words

START = int(dt.datetime(1991, 8, 14, tzinfo=dt.UTC).timestamp())
END = int(dt.datetime(2025, 12, 31, 18, tzinfo=dt.UTC).timestamp())
"""First and last submission: long enough ago that no machine's clock lies before it."""
EARLIEST = int(dt.datetime(2005, 9, 16, 4, tzinfo=dt.UTC).timestamp())
"""No record has an older datestamp, and many have exactly this one."""
BULK = int(dt.datetime(2015, 3, 10, 2, 0, 30, tzinfo=dt.UTC).timestamp())
"""The bulk update: very many records have the datestamp of this day."""
NEW_IDS = int(dt.datetime(2007, 4, 1, tzinfo=dt.UTC).timestamp())
_LICENSES = (
    "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
    "http://creativecommons.org/licenses/by/4.0/",
    "http://creativecommons.org/licenses/by-nc-sa/3.0/",
)
DAY = 86_400


class Version(NamedTuple):
    """One version of a paper; `created` in seconds since 1970."""

    number: int
    created: int
    size_kb: int = 14
    source: str | None = "D"


class Paper(NamedTuple):
    """A paper as arXiv's database has it: TeX in the texts, line breaks where the submitter put them.

    A `submitter` or `categories` of None is written as the word None by the server, as the real one does.
    """

    id: str
    versions: tuple[Version, ...]
    title: str
    abstract: str | None
    people: tuple[words.Author, ...]
    categories: str | None
    modtime: int
    submitter: str | None = "Mira Zudo"
    comments: str | None = None
    journal_ref: str | None = None
    doi: str | None = None
    report_no: str | None = None
    license: str | None = None
    msc_class: str | None = None
    acm_class: str | None = None
    proxy: str | None = None

    @property
    def authors(self) -> str:
        """The free-form field."""
        return words.listed(self.people)


def made(number: int, chance: int, ident: str, first: int, categories: str | None, modtime: int) -> Paper:
    """The whole paper, from what the catalogue keeps of it."""
    more, text = words.mix(chance), words.mix(chance + 1)
    several = versions(first, chance)
    primary = (categories or "").partition(" ")[0]
    withdrawn = more % 200 == 0
    if withdrawn:
        several = (*several[:-1], several[-1]._replace(size_kb=0, source="I"))
    people = words.authors(more)
    return Paper(
        id=ident,
        versions=several,
        title=words.title(number, text, primary),
        abstract=words.abstract(number, text, primary),
        people=people,
        categories=categories,
        modtime=modtime,
        submitter=None if more % 97 == 0 else f"{people[0].forenames} {people[0].keyname}",
        comments=_comments(withdrawn, more),
        journal_ref=f"J.Invent.Res.{more % 90 + 1}:{more % 9000},{2000 + more % 25}" if more >> 8 & 3 == 0 else None,
        doi=f"10.1234/invented.{number}.{more % 977}" if (more >> 10) % 100 < 43 else None,
        report_no=f"INV-{more % 900}/{number}" if more >> 12 & 15 == 0 else None,
        license=None if first < NEW_IDS else _LICENSES[more % 3],
        msc_class="11A41, 35Q30" if primary.startswith("math") and more >> 16 & 1 else None,
        acm_class="I.2.7" if primary.startswith("cs") and more >> 16 & 3 == 0 else None,
        proxy="ccsd hal-00000001" if more % 311 == 0 else None,
    )


def archive(categories: str) -> str:
    """Of the primary category."""
    return categories.partition(" ")[0].partition(".")[0]


def _comments(withdrawn: bool, chance: int) -> str | None:
    if withdrawn:
        return "This paper has been withdrawn by the authors"
    return (
        f'{chance % 40 + 4} pages, {chance % 9} figures; "long" version of a talk in Orl\\\'eans'
        if chance & 3
        else None
    )


def versions(first: int, chance: int) -> tuple[Version, ...]:
    """One to five versions; in one paper of five hundred the dates run backwards."""
    count = (1, 1, 1, 2, 3, 1, 1, 2, 1, 5)[(chance >> 4) % 10]
    gap = 5 * DAY + (chance >> 30) % (200 * DAY) if chance % 500 else -DAY
    return tuple(
        Version(
            place + 1,
            max(START, min(first + place * gap, max(END, first))),
            10 + (chance >> 8) % 900,
            (None, "D", "A", "DS"[: chance % 3])[(chance >> 6) % 4] or None,
        )
        for place in range(count)
    )


def categories(first: int, chance: int) -> str:
    """Primary, its alias twin where it has one, a cross-list in half of the papers; retired names in old papers."""
    known, twins = sets.labels(), sets.twins()
    primary = known[chance % len(known)]
    found = [primary]
    for twin in twins.get(primary, ()):
        if not sets.retired(twin):
            found = [twin, primary] if twin in {"cs.SY", "cs.NA"} and chance >> 16 & 1 else [primary, twin]
        elif first < NEW_IDS and chance >> 17 & 1:
            found = [twin, *found]
    if found[0].startswith("astro-ph.") and first < NEW_IDS:
        found = ["astro-ph"]
    if chance >> 18 & 1 and (other := known[(chance >> 19) % len(known)]) not in found:
        found.append(other)
    return " ".join(found)
