"""A search with more results than the server shows: cut into stretches of time, the newest first.

The server shows no result beyond the ten thousandth, so a stretch with more is halved until it has few enough. Its
results are in no firm order: papers of one second change places between two pages, so that some come twice and others
not at all. Therefore the ids are counted, and a stretch that came short is asked for again with other pages.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from arxivcli.errors import FolderError, UsageError
from arxivcli.sources import api
from arxivcli.sources.trouble import BrokenAnswerError
from arxivcli.sources.web import Manners, Web
from arxivcli.steps.fetching import orders, raw
from arxivcli.steps.fetching.orders import Report, Wanted
from arxivcli.steps.fetching.raw import Harvest, State

if TYPE_CHECKING:
    from pathlib import Path

    from arxivcli.progress import Progress
    from arxivcli.sources.api import Feed

WALL = 10_000
"""The server fails on results beyond this one."""

SIZES = (1_000, 200, 50, 10, 1)
"""Results on a page: as many as possible, fewer where the server fails."""

_TENTHS = (7, 9, 4, 6)
"""Shares of the largest page with which a stretch that came short is asked for again."""

_WORTH_HALVING = 2
"""Place in SIZES of the page that is small enough: if it fails too, the stretch is halved, or a bad result is near."""

_MOST_FAILURES = 5
"""Pages of no more than that size failed in a row, after which it is not the page."""

_OVERLAP = timedelta(days=14)
"""Papers appear days after they were submitted, some after weeks: so far before the last pass does the next begin."""

_EARLIEST = date(1980, 1, 1)
_FOREVER = "210001010000"
_MINUTE = "%Y%m%d%H%M"
_SLUG = 40


def by_search(wanted: Wanted, folder: Path, manners: Manners, progress: Progress, restart: bool, check: bool) -> Report:
    """All papers that a query finds, or the newest of them, as `fetch` says."""
    query, first, until = checked(wanted, progress)
    asked = {"query": query, "from": first, "until": until, "limit": str(wanted.limit) if wanted.limit else None}
    harvest = Harvest(folder, folder_name(query, first, until, wanted.limit))
    if restart:
        harvest.forget()
    state = harvest.load() or State(asked, options=wanted.options)
    harvest.sweep(state)
    known = (datetime.fromisoformat(state.finished) - _OVERLAP).date().isoformat() if state.finished else None
    if known and until and until < known:
        return Report(folder, harvest.name, orders.papers(folder), already=True)
    if state.left is None:
        state.first = max(filter(None, (first, known)), default=None)
    with Web(wanted.url or api.URL, manners, progress) as web:
        progress.note(f"searching for {query}" + (f", submitted from {state.first} on" if state.first else ""))
        progress.begin("searching")
        if state.papers:
            progress.advance(state.papers, pages=f"{state.pages:,}", reached=state.reached or "-")
        Searching(api.Api(web), harvest, state, progress, check).run()
        progress.end()
    report = orders.merged(harvest, state, folder, progress, state.expected)
    orders.passed(harvest, state)
    return report


def checked(wanted: Wanted, progress: Progress) -> tuple[str, str | None, str | None]:
    """The query, the first and the last day, as the server takes them. Raises UsageError."""
    query = api.plain_query(wanted.query or "")
    if wanted.limit is not None and wanted.limit < 1:
        raise UsageError(f"--limit {wanted.limit} leaves nothing to fetch", "give a number from 1 on")
    return query, *orders.days(wanted, progress, _EARLIEST)


def folder_name(query: str, first: str | None, until: str | None, limit: int | None) -> str:
    """A name that people can read and no other search has: `api-cat-cs.LG-1a2b3c4d-from-2026-01-01`."""
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", query)[:_SLUG].strip("-.")
    digest = hashlib.sha256(query.encode()).hexdigest()[:8]
    bounds = {"from": first, "until": until, "limit": limit}
    named = (f"{name}-{bound}" for name, bound in bounds.items() if bound)
    return "-".join(("api", slug or "query", digest, *named))


@dataclass
class Window:
    """A stretch of submission time, and how far it is; kept in `State.left`.

    Attributes:
        first: Its first minute, YYYYMMDDHHMM.
        last: Its last minute; the stretch after it begins with the same one.
        start: How many results were asked for.
        size: How many are asked for next.
        part: How many parts there were before it.
        total: The most results that the server said there are.
        dropped: How many results were no papers.
        skipped: Places of results that cannot be had.
        again: How many times it was asked for before.
    """

    first: str
    last: str
    start: int = 0
    size: int = 0
    part: int = 0
    total: int = 0
    dropped: int = 0
    skipped: list[int] = field(default_factory=list)
    again: int = 0

    def __str__(self) -> str:
        return f"submittedDate:[{self.first} TO {self.last}]"

    def middle(self, now: str) -> str | None:
        """The minute in its middle, of what is over of it; None when it is too short to be halved."""
        begin, end = (datetime.strptime(minute, _MINUTE).replace(tzinfo=UTC) for minute in (self.first, self.last))
        soon = datetime.fromisoformat(now) + timedelta(days=1)
        minutes = ((min(end, soon) if soon > begin else end) - begin) // timedelta(minutes=1)
        return (begin + timedelta(minutes=minutes // 2)).strftime(_MINUTE) if minutes > 1 else None


class Searching:
    """Brings the results of a search into the parts of a harvest, one answer at a time."""

    def __init__(self, server: api.Api, harvest: Harvest, state: State, progress: Progress, check: bool) -> None:
        self._server = server
        self._harvest = harvest
        self._state = state
        self._progress = progress
        self._check = check
        self._query = state.asked["query"] or ""
        self._limit = int(state.asked["limit"] or 0)
        self._failures = 0
        self._left: list[Window] = []
        self._all: set[str] = set()
        """Ids of all papers that came; only where their number is limited."""
        self._ids: set[str] = set()
        """Ids of those that came in the first window."""

    def run(self) -> None:
        """Bring in all that the state does not say is there; it is saved after each answer."""
        self._left = self._resumed()
        if self._left:
            self._ids = self._there(self._left[0].part)
            self._all = self._there(0) if self._limit else set()
        while self._left and not self._enough():
            self._step(self._left[0])

    def _resumed(self) -> list[Window]:
        """The windows that are left."""
        first = f"{(self._state.first or _EARLIEST.isoformat()).replace('-', '')}0000"
        if self._state.left is None:
            return [Window(first, self._end(), size=SIZES[0])]
        try:
            return [Window(**values) for values in self._state.left]
        except TypeError as error:
            raise FolderError(f"{self._harvest.folder} is damaged: {error}", "start over with --restart") from error

    def _end(self) -> str:
        """The minute after the last day: that papers of midnight are in or out is the server's habit."""
        until = self._state.asked["until"]
        if until is None:
            return _FOREVER
        return f"{(date.fromisoformat(until) + timedelta(days=1)).isoformat().replace('-', '')}0000"

    def _there(self, part: int) -> set[str]:
        """Ids in the parts after the first so many."""
        parts = self._harvest.parts(self._state)[part:]
        return {entry.id for path in parts for entry in raw.read_entries(path)}

    def _enough(self) -> bool:
        return 0 < self._limit <= len(self._all)

    def _left_over(self) -> int:
        """How many papers may still come."""
        return self._limit - len(self._all) if self._limit else WALL

    def _step(self, window: Window) -> None:
        """Ask for the next page of a window; keep it, or make the window shorter."""
        size = min(window.size, WALL - window.start, self._left_over())
        try:
            feed = self._server.search(api.within(self._query, window.first, window.last), window.start, size)
        except BrokenAnswerError as error:
            self._around(window, size, error)
            return
        self._failures = 0
        state = self._state
        state.began = state.began or feed.answered
        state.pages += 1
        if state.expected is None:
            state.expected = min(feed.total, self._limit or feed.total)
        # A page of margin, since the number of results grows while they are read.
        if min(feed.total, window.start + self._left_over()) <= WALL - SIZES[0] or not self._halve(window):
            self._keep(window, feed)

    def _keep(self, window: Window, feed: Feed) -> None:
        """Write what came, then the state that says so."""
        state = self._state
        fresh = [paper for paper in feed.entries if paper.id not in self._ids]
        self._ids.update(paper.id for paper in fresh)
        self._all.update(paper.id for paper in fresh if self._limit)
        state.reached = feed.oldest or state.reached
        self._harvest.add(state, fresh, feed.dropped, feed.mended)
        window.start += feed.size
        window.total = max(window.total, feed.total)
        window.dropped += feed.dropped.total()
        window.size = max(size for size in (*SIZES, window.size) if size == window.size or window.start % size == 0)
        if window.start >= min(feed.total, WALL):
            self._close(window)
        self._save()
        self._progress.advance(len(fresh), pages=f"{state.pages:,}", reached=state.reached or "-")

    def _close(self, window: Window) -> None:
        """A window came to its end: it is done with, or asked for once more when papers are missing."""
        short = window.total - window.dropped - len(window.skipped) - len(self._ids)
        if short > 0 and self._check and window.again < len(_TENTHS) and window.total <= WALL:
            # Pages that end elsewhere: what fell between two of them is inside one now.
            size = max(1, SIZES[0] * _TENTHS[window.again] // 10)
            again = Window(window.first, window.last, size=size, part=window.part, again=window.again + 1)
            self._replace(again)
            return
        if short > 0:
            self._progress.note(f"{short:,} of {window.total:,} papers did not come: {window}")
        if window.total > WALL:
            self._state.bad.append(f"{short} papers beyond {WALL:,}: {window}")
        self._state.bad += [f"result {place}: {window}" for place in window.skipped]
        self._replace()

    def _replace(self, *windows: Window) -> None:
        """Other windows in the place of the first one; the new first one may be fresh."""
        self._left[:1] = windows
        if self._left and not self._left[0].again:
            self._left[0].part = self._state.parts
            self._ids = set()

    def _save(self) -> None:
        self._state.left = [asdict(window) for window in self._left]
        self._harvest.save(self._state)

    def _halve(self, window: Window) -> bool:
        """Two windows instead of one, the newer one first; whether it is long enough for that."""
        middle = window.middle(self._state.began)
        if middle is None:
            return False
        newer, older = Window(middle, window.last, size=SIZES[0]), Window(window.first, middle, size=SIZES[0])
        self._replace(newer, older)
        self._save()
        return True

    def _around(self, window: Window, size: int, error: BrokenAnswerError) -> None:
        """After a page failed: a smaller page, then half of the window; at last one result is left out.

        Raises `error` when no answer comes whatever is asked.
        """
        enough = SIZES[_WORTH_HALVING]
        self._failures += size <= enough
        if self._failures > _MOST_FAILURES:
            raise error
        if size <= enough <= window.start and self._halve(window):
            self._progress.note(f"{error.what}: going on with {window} in halves")
            return
        smaller = next((fewer for fewer in SIZES if fewer < size), None)
        if smaller is None:
            self._progress.note(f"{error.what}: leaving out result {window.start + 1} of {window}")
            window.start += 1
            window.skipped.append(window.start)
            if window.start == WALL:
                self._close(window)
        else:
            window.size = smaller
