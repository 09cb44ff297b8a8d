"""An invented arXiv: as many papers as a test wants, the same for the same seed, and changeable while it is served."""

from __future__ import annotations

import bisect
import datetime as dt
import threading
from array import array
from dataclasses import dataclass, replace
from typing import Any

from . import sets, words

START = int(dt.datetime(1991, 8, 14, tzinfo=dt.UTC).timestamp())
END = int(dt.datetime(2025, 12, 31, 18, tzinfo=dt.UTC).timestamp())
"""First and last submission: long enough ago that no machine's clock lies before it."""
EARLIEST = int(dt.datetime(2005, 9, 16, 4, tzinfo=dt.UTC).timestamp())
"""No record has an older datestamp, and many have exactly this one."""
BULK = int(dt.datetime(2015, 3, 10, 2, 0, 30, tzinfo=dt.UTC).timestamp())
"""The bulk update: very many records have the datestamp of this day."""
_NEW_IDS = int(dt.datetime(2007, 4, 1, tzinfo=dt.UTC).timestamp())
_LICENSES = (
    "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
    "http://creativecommons.org/licenses/by/4.0/",
    "http://creativecommons.org/licenses/by-nc-sa/3.0/",
)
_DAY = 86_400


class Clock:
    """What time the servers think it is: the machine's, or any other once `set`."""

    def __init__(self) -> None:
        self._ahead = dt.timedelta(0)
        self._fixed: dt.datetime | None = None

    def now(self) -> dt.datetime:
        """UTC, whole seconds."""
        return ((self._fixed or dt.datetime.now(dt.UTC)) + self._ahead).replace(microsecond=0)

    def set(self, now: dt.datetime | None) -> None:
        """Stand still at a moment (UTC); None goes back to the machine's time."""
        self._fixed, self._ahead = now and now.replace(tzinfo=now.tzinfo or dt.UTC), dt.timedelta(0)

    def advance(self, **span: float) -> None:
        """Move on: `advance(hours=13)`."""
        self._ahead += dt.timedelta(**span)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a paper; `created` in seconds since 1970."""

    number: int
    created: int
    size_kb: int = 14
    source: str | None = "D"


@dataclass(frozen=True, slots=True)
class Paper:
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


class Catalogue:
    """`count` papers in the order of their first submission, and the server's order: datestamp to the second, id.

    Papers are made when they are asked for, so that 200,000 cost little. Everything may be called from any thread.
    """

    def __init__(self, count: int, *, seed: int = 0, bulk: float = 0.12) -> None:
        self.clock = Clock()
        self.revision = 0
        self._seed, self._bulk = seed, bulk
        self._lock = threading.RLock()
        self._serials: dict[tuple[str, str], int] = {}
        self._ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._categories: list[str | None] = []
        self._first = array("q")
        self._modtimes = array("q")
        self._own: dict[int, Paper] = {}
        for number in range(count):
            place = number - number % 4 if words.mix(number // 4) % 3 == 0 else number
            self._begin(number, START + int((END - START) * ((place + 0.5) / count) ** 0.5))
        self._order = sorted(zip(self._modtimes, self._ids, strict=True))

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, paper: str) -> bool:
        return paper in self._numbers

    @property
    def ids(self) -> list[str]:
        """Every id, first submitted first."""
        with self._lock:
            return list(self._ids)

    def order(self) -> list[tuple[int, str]]:
        """(datestamp in seconds, id) of every record in the server's order."""
        with self._lock:
            return list(self._order)

    def between(self, start: int, end: int, wanted: str | None, skip: int, most: int) -> list[str]:
        """At most `most` ids with a datestamp from `start` to `end`, of one set, after `skip` of them."""
        with self._lock:
            low, high = bisect.bisect_left(self._order, (start, "")), bisect.bisect_right(self._order, (end, "\x7f"))
            if wanted is None:
                return [paper for _, paper in self._order[low + skip : min(high, low + skip + most)]]
            has, found = sets.scope(wanted).has, []
            for _, paper in self._order[low:high]:
                if has(self.categories(paper) or ""):
                    found.append(paper)
                    if len(found) == skip + most:
                        break
            return found[skip:]

    def categories(self, paper: str) -> str | None:
        """Space-separated, primary first."""
        return self._categories[self._numbers[paper]]

    def submitted(self, paper: str) -> int:
        """When version 1 came, in seconds since 1970."""
        return self._first[self._numbers[paper]]

    def modtime(self, paper: str) -> int:
        """The datestamp to the second."""
        return self._modtimes[self._numbers[paper]]

    def paper(self, paper: str) -> Paper:
        """The whole paper; KeyError when there is none."""
        with self._lock:
            number = self._numbers[paper]
            return self._own.get(number) or self._made(number)

    def touch(self, paper: str, at: dt.datetime | None = None, **changes: Any) -> None:
        """Change a record: it moves to the end of the list, to today (or to `at`), as arXiv's do."""
        with self._lock:
            old = self.paper(paper)
            number, modtime = self._numbers[paper], self._moment(at)
            place = bisect.bisect_left(self._order, (old.modtime, paper))
            del self._order[place]
            bisect.insort(self._order, (modtime, paper))
            self._own[number] = new = replace(old, modtime=modtime, **changes)
            self._modtimes[number], self._categories[number] = modtime, new.categories
            self._first[number] = min(new.versions, key=lambda version: version.number).created
            self.revision += 1

    def revise(self, paper: str, at: dt.datetime | None = None, **changes: Any) -> None:
        """Give a paper one more version, and so a new datestamp."""
        old = self.paper(paper)
        newest = Version(len(old.versions) + 1, self._moment(at) - 3_600)
        self.touch(paper, at, versions=(*old.versions, newest), **changes)

    def add(self, count: int = 1, at: dt.datetime | None = None, **changes: Any) -> list[str]:
        """New papers of today (or of `at`), with the fields given; their ids."""
        with self._lock:
            moment = self._moment(at)
            for number in range(len(self), len(self) + count):
                self._begin(number, moment - 3_600, moment)
                bisect.insort(self._order, (moment, self._ids[number]))
            added = self._ids[-count:]
            for paper in added if changes else ():
                self.touch(paper, at, **changes)
            self.revision += 1
            return list(added)

    def insert(self, paper: Paper) -> str:
        """One more paper, exactly as given; its id."""
        with self._lock:
            if paper.id in self:
                raise ValueError(paper.id)
            number = self._numbers[paper.id] = len(self)
            self._ids.append(paper.id)
            self._categories.append(paper.categories)
            self._first.append(paper.versions[0].created)
            self._modtimes.append(paper.modtime)
            self._own[number] = paper
            bisect.insort(self._order, (paper.modtime, paper.id))
            self.revision += 1
            return paper.id

    def _moment(self, at: dt.datetime | None) -> int:
        return int((at.replace(tzinfo=at.tzinfo or dt.UTC) if at else self.clock.now()).timestamp())

    def _begin(self, number: int, first: int, modtime: int | None = None) -> None:
        chance = words.mix(self._seed << 32 | number)
        categories = _categories(first, chance)
        versions = _versions(first, chance)
        paper = self._id(first, categories)
        self._ids.append(paper)
        self._numbers[paper] = number
        self._categories.append(categories)
        self._first.append(first)
        self._modtimes.append(modtime or self._modtime(chance, versions[-1].created))

    def _modtime(self, chance: int, last: int) -> int:
        """A day after the last version, or any time later, or the day of the bulk update, or the earliest of all."""
        draw = (chance >> 20) % 1000 / 1000
        if last < BULK and draw < self._bulk:
            return BULK + (chance >> 40) % 3
        if last < EARLIEST and draw > 0.9:
            return EARLIEST
        if draw > 0.6:
            return last + _DAY if last > EARLIEST else EARLIEST + (chance >> 12) % (400 * _DAY)
        later = max(last, EARLIEST) + _DAY
        return later + (chance >> 24) % max(1, END + _DAY - later)

    def _id(self, first: int, categories: str) -> str:
        moment = dt.datetime.fromtimestamp(first, dt.UTC)
        archive, month = "" if first >= _NEW_IDS else _archive(categories), f"{moment:%y%m}"
        serial = self._serials[archive, month] = self._serials.get((archive, month), 0) + 1
        if archive:
            return f"{archive}/{month}{serial:03d}"
        return f"{month}.{serial:0{4 if moment.year < 2015 else 5}d}"

    def _made(self, number: int) -> Paper:
        chance = words.mix(self._seed << 32 | number)
        more, text = words.mix(chance), words.mix(chance + 1)
        categories, versions = self._categories[number], _versions(self._first[number], chance)
        primary = (categories or "").partition(" ")[0]
        withdrawn = more % 200 == 0
        if withdrawn:
            versions = (*versions[:-1], replace(versions[-1], size_kb=0, source="I"))
        people = words.authors(more)
        return Paper(
            id=self._ids[number],
            versions=versions,
            title=words.title(number, text, primary),
            abstract=words.abstract(number, text, primary),
            people=people,
            categories=categories,
            modtime=self._modtimes[number],
            submitter=None if more % 97 == 0 else f"{people[0].forenames} {people[0].keyname}",
            comments=_comments(withdrawn, more),
            journal_ref=f"J.Invent.Res.{more % 90 + 1}:{more % 9000},{2000 + more % 25}"
            if more >> 8 & 3 == 0
            else None,
            doi=f"10.1234/invented.{number}.{more % 977}" if (more >> 10) % 100 < 43 else None,
            report_no=f"INV-{more % 900}/{number}" if more >> 12 & 15 == 0 else None,
            license=None if number < len(self) // 3 else _LICENSES[more % 3],
            msc_class="11A41, 35Q30" if primary.startswith("math") and more >> 16 & 1 else None,
            acm_class="I.2.7" if primary.startswith("cs") and more >> 16 & 3 == 0 else None,
            proxy="ccsd hal-00000001" if more % 311 == 0 else None,
        )


def _archive(categories: str) -> str:
    return categories.partition(" ")[0].partition(".")[0]


def _comments(withdrawn: bool, chance: int) -> str | None:
    if withdrawn:
        return "This paper has been withdrawn by the authors"
    return (
        f'{chance % 40 + 4} pages, {chance % 9} figures; "long" version of a talk in Orl\\\'eans'
        if chance & 3
        else None
    )


def _versions(first: int, chance: int) -> tuple[Version, ...]:
    """One to five versions; in one paper of five hundred the dates run backwards."""
    count = (1, 1, 1, 2, 3, 1, 1, 2, 1, 5)[(chance >> 4) % 10]
    gap = 5 * _DAY + (chance >> 30) % (200 * _DAY) if chance % 500 else -_DAY
    return tuple(
        Version(
            place + 1,
            max(START, min(first + place * gap, max(END, first))),
            10 + (chance >> 8) % 900,
            (None, "D", "A", "DS"[: chance % 3])[(chance >> 6) % 4] or None,
        )
        for place in range(count)
    )


def _categories(first: int, chance: int) -> str:
    """Primary, its alias twin where it has one, a cross-list in half of the papers; retired names in old papers."""
    known, twins = sets.labels(), sets.twins()
    primary = known[chance % len(known)]
    found = [primary]
    for twin in twins.get(primary, ()):
        if not sets.retired(twin):
            found = [twin, primary] if twin in {"cs.SY", "cs.NA"} and chance >> 16 & 1 else [primary, twin]
        elif first < _NEW_IDS and chance >> 17 & 1:
            found = [twin, *found]
    if found[0].startswith("astro-ph.") and first < _NEW_IDS:
        found = ["astro-ph"]
    if chance >> 18 & 1 and (other := known[(chance >> 19) % len(known)]) not in found:
        found.append(other)
    return " ".join(found)
