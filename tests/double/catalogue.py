"""An invented arXiv: as many papers as a test wants, the same for the same seed, and changeable while it is served."""

from __future__ import annotations

import bisect
import datetime as dt
import threading
from array import array
from typing import Any

from . import papers, sets, words
from .clock import Clock
from .papers import Paper, Version


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
            self._begin(number, papers.START + int((papers.END - papers.START) * ((place + 0.5) / count) ** 0.5))
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
            self._own[number] = new = old._replace(modtime=modtime, **changes)
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
        categories = papers.categories(first, chance)
        versions = papers.versions(first, chance)
        paper = self._id(first, categories)
        self._ids.append(paper)
        self._numbers[paper] = number
        self._categories.append(categories)
        self._first.append(first)
        self._modtimes.append(modtime or self._modtime(chance, versions[-1].created))

    def _modtime(self, chance: int, last: int) -> int:
        """A day after the last version, or any time later, or the day of the bulk update, or the earliest of all."""
        draw = (chance >> 20) % 1000 / 1000
        if last < papers.BULK and draw < self._bulk:
            return papers.BULK + (chance >> 40) % 3
        if last < papers.EARLIEST and draw > 0.9:
            return papers.EARLIEST
        if draw > 0.6:
            return (
                last + papers.DAY if last > papers.EARLIEST else papers.EARLIEST + (chance >> 12) % (400 * papers.DAY)
            )
        later = max(last, papers.EARLIEST) + papers.DAY
        return later + (chance >> 24) % max(1, papers.END + papers.DAY - later)

    def _id(self, first: int, categories: str) -> str:
        moment = dt.datetime.fromtimestamp(first, dt.UTC)
        archive, month = "" if first >= papers.NEW_IDS else papers.archive(categories), f"{moment:%y%m}"
        serial = self._serials[archive, month] = self._serials.get((archive, month), 0) + 1
        if archive:
            return f"{archive}/{month}{serial:03d}"
        return f"{month}.{serial:0{4 if moment.year < 2015 else 5}d}"

    def _made(self, number: int) -> Paper:
        chance = words.mix(self._seed << 32 | number)
        modtime = self._modtimes[number]
        return papers.made(number, chance, self._ids[number], self._first[number], self._categories[number], modtime)
