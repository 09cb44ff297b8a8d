"""A harvest by OAI-PMH: list, check, merge; it survives whatever happens and ends with every record once.

A list moves while it is read: a record that changes goes to today's end of it, and all behind its old place move up by
one, so that one record is skipped. Therefore the ids of the whole slice are listed once more at the end and what is
missing is fetched by itself, and the next pass begins a day before this one did.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from arxivcli.errors import RemoteError
from arxivcli.sources import oai
from arxivcli.sources.oai import BadTokenError, Page, Slice
from arxivcli.sources.trouble import BrokenAnswerError
from arxivcli.sources.web import Manners, Web
from arxivcli.steps.fetching import orders, raw
from arxivcli.steps.fetching.orders import Report, Wanted
from arxivcli.steps.fetching.raw import Harvest, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from arxivcli.progress import Progress

_TOKEN_SECONDS = 12 * 3600
"""A token is of a moving list: an older one would skip too much."""

_FRUITLESS = 3
"""Pages in a row with nothing new after which the server goes round in circles."""

_MOST_RESTARTS = 3
"""Restarts on one day after which there is no way on."""

_REMEMBERED = 200_000
_WORTH_LISTING = 20
"""Missing records of a day from which listing the day is quicker than asking for each."""


def by_oai(wanted: Wanted, folder: Path, manners: Manners, progress: Progress, restart: bool, check: bool) -> Report:
    """Everything, or a slice, as `fetch` says."""
    first, until = orders.days(wanted, progress, oai.EARLIEST)
    of_set = wanted.set and oai.set_name(wanted.set)
    named = of_set and oai.plain_name(of_set)
    name = "-".join(filter(None, ("oai", named, first and f"from-{first}", until and f"until-{until}")))
    harvest = Harvest(folder, name)
    if restart:
        harvest.forget()
    asked = {"set": of_set, "from": first, "until": until}
    state = harvest.load() or State(asked, options=wanted.options)
    harvest.sweep(state)
    if state.finished and until and until < state.finished[:10]:
        return Report(folder, harvest.name, orders.papers(folder), already=True)
    if not state.pages:
        state.first = max(filter(None, (first, state.finished and oai.day_before(state.finished))), default=None)
    with Web(wanted.url or oai.URL, manners, progress) as web:
        if state.pages:
            progress.note(f"going on from {state.reached or 'the beginning'}: {state.papers:,} papers are here")
        elif state.finished:
            progress.note(f"bringing in what changed from {state.first} on")
        listing = Listing(oai.Oai(web), harvest, state, progress)
        progress.begin(f"harvesting {wanted.set or 'everything'}")
        if state.papers:
            progress.advance(state.papers, pages=f"{state.pages:,}", reached=state.reached or "-")
        listing.list()
        progress.end()
        expected = listing.check() if check else None
    report = orders.merged(harvest, state, folder, progress, expected)
    orders.passed(harvest, state)
    return report


class Listing:
    """Brings a slice of arXiv's records into the parts of a harvest, page by page."""

    def __init__(self, server: oai.Oai, harvest: Harvest, state: State, progress: Progress) -> None:
        self._server = server
        self._harvest = harvest
        self._state = state
        self._progress = progress
        self._recent: set[str] = set()
        self._size = 0
        self._whole = Slice(state.asked["set"], state.first, state.asked["until"])

    # -- the list -----------------------------------------------------------------------------------------------------

    def list(self) -> None:
        """Bring in all that the state does not say is there; the state is saved after each page."""
        state = self._state
        wanted, token = self._resumed()
        tokens: set[str] = set()
        restarts = fruitless = 0
        while not state.listed:
            before = state.reached
            try:
                page = self._server.records(wanted, token)
            except BadTokenError:
                restarts = self._restart(restarts, token, "the server does not take its token any more")
                wanted, token = self._by_date(), None
                continue
            except BrokenAnswerError as error:
                wanted, token = self._around(wanted, str(error)), None
                continue
            fruitless = 0 if self._news(page) else fruitless + 1
            state.token, state.token_at, state.listed = page.token, time.time(), page.token is None
            self._keep(page)
            restarts = 0 if state.reached != before else restarts
            if page.token is None:
                return
            if page.token in tokens or fruitless >= _FRUITLESS:
                restarts = self._restart(restarts + 1, token, "the server goes round in circles")
                tokens.clear()
                fruitless = 0
                wanted, token = self._by_date(), None
            else:
                tokens.add(page.token)
                token = page.token

    def _resumed(self) -> tuple[Slice, str | None]:
        """Where to go on: with the token while it is fresh, else at the last day with a day of overlap."""
        state = self._state
        if state.token and time.time() - state.token_at < _TOKEN_SECONDS:
            return self._whole, state.token
        return self._by_date(), None

    def _by_date(self) -> Slice:
        reached, first = self._state.reached, self._state.first
        if reached is None:
            return self._whole
        return replace(self._whole, first=max(oai.day_before(reached), first or ""))

    def _restart(self, restarts: int, token: str | None, why: str) -> int:
        """Count a restart. Raises RemoteError when there were too many without getting on."""
        if token is None or restarts >= _MOST_RESTARTS:
            raise RemoteError(f"{why}, also from {self._state.reached} on", "run the same command again later")
        self._progress.note(f"{why}: going on from {self._state.reached or 'the beginning'}")
        self._state.token = None
        self._recent.clear()
        return restarts + 1

    def _news(self, page: Page) -> bool:
        """Whether the page has a record that did not come lately."""
        ids = {header.id for header in page.headers}
        fresh = not ids <= self._recent
        if len(self._recent) > _REMEMBERED:
            self._recent.clear()
        self._recent |= ids
        return fresh

    def _keep(self, page: Page) -> None:
        """Write what came, then the state that says so."""
        state = self._state
        state.began = state.began or page.answered or datetime.now(UTC).isoformat()
        state.pages += 1
        self._size = max(self._size, len(page.headers))
        state.reached = max(filter(None, (state.reached, page.reached)), default=None)
        self._harvest.add(state, page.entries, page.dropped, page.mended)
        self._harvest.save(state)
        self._progress.advance(len(page.entries), pages=f"{state.pages:,}", reached=state.reached or "-")

    # -- pages the server cannot make ---------------------------------------------------------------------------------

    def _around(self, failed: Slice, why: str) -> Slice:
        """Bring in the days near a page that fails, all but what makes it fail; the slice that comes after them."""
        state = self._state
        start = max(filter(None, (failed.first, state.reached, state.first)), default=oai.EARLIEST.isoformat())
        self._progress.note(f"{why}: going around it, from {start} on")
        state.token = None
        rest = self._server.headers(replace(self._whole, first=start))
        near = sorted(header.stamp for header in rest.headers)[: 2 * max(self._size, 1)]
        if near:
            self._days(sorted(set(near)), self._whole.set)
        following = oai.day_after(max(near, default=start))
        whole = len(near) == len(rest.headers) and rest.token is None
        state.listed = whole or following > (self._whole.until or oai.today().isoformat())
        self._harvest.save(state)
        return replace(self._whole, first=following)

    def _days(self, days: Sequence[str], name: str | None) -> None:
        """List some days of a set; where that fails, half of them, smaller sets of one, or paper by paper."""
        wanted = Slice(name, days[0], days[-1])
        there: set[str] = set()
        try:
            for page in _pages(self._server.records, wanted):
                self._keep(page)
                there.update(header.id for header in page.headers)
        except BrokenAnswerError:
            half = len(days) // 2
            smaller = oai.narrower(name)
            if half:
                self._days(days[:half], name)
                self._days(days[half:], name)
            elif smaller:
                for narrow in smaller:
                    self._days(days, narrow)
            else:
                pages = _pages(self._server.headers, wanted)
                self._one_by_one(h.id for page in pages for h in page.headers if h.id not in there)

    def _one_by_one(self, identifiers: Iterator[str]) -> None:
        """Papers asked for by id; those the server cannot give are noted and left out."""
        for identifier in identifiers:
            if identifier in self._state.bad:
                continue
            try:
                page = self._server.record(identifier)
            except BrokenAnswerError as error:
                self._state.bad.append(identifier)
                self._progress.note(f"{identifier} cannot be had: {error}")
                self._harvest.save(self._state)
            else:
                if page is not None:
                    self._keep(replace(page, headers=[]))

    # -- the check ----------------------------------------------------------------------------------------------------

    def check(self) -> int:
        """Fetch what the list left out; how many ids the server has in the slice comes back."""
        self._progress.begin("checking", None, "ids")
        there, expected = self._there(), 0
        missing: list[oai.Header] = []
        for page in _pages(self._server.headers, self._whole):
            expected += len(page.headers)
            new = ~np.isin(_keys(header.id for header in page.headers), there)
            missing += [page.headers[place] for place in np.flatnonzero(new)]
            self._progress.advance(len(page.headers))
        self._progress.end()
        if missing:
            self._progress.note(f"{len(missing):,} of {expected:,} papers moved while they were listed: fetching them")
            self._progress.begin("fetching what is missing", len(missing))
            for day, papers in sorted(Counter(header.stamp for header in missing).items()):
                if papers >= _WORTH_LISTING:
                    self._days([day], self._whole.set)
            still = ~np.isin(_keys(header.id for header in missing), self._there())
            self._one_by_one(missing[place].id for place in np.flatnonzero(still))
            self._progress.end()
        return expected

    def _there(self) -> NDArray[np.uint64]:
        """Keys of all papers in the parts: three million ids as text would fill the memory."""
        parts = self._harvest.parts(self._state)
        return np.unique(_keys(entry.id for part in parts for entry in raw.read_entries(part)))


def _pages(ask: Callable[[Slice, str | None], Page], wanted: Slice) -> Iterator[Page]:
    """All pages of a list, ended also by a server that repeats itself."""
    token: str | None = None
    tokens: set[str] = set()
    while True:
        page = ask(wanted, token)
        yield page
        token = page.token
        if token is None or token in tokens:
            return
        tokens.add(token)


def _keys(identifiers: Iterable[str]) -> NDArray[np.uint64]:
    """A number for each id: 64 bits of BLAKE2, of which three million have no two alike (chance 1 in 4 million)."""
    digests = (hashlib.blake2b(identifier.encode(), digest_size=8).digest() for identifier in identifiers)
    return np.fromiter((int.from_bytes(digest) for digest in digests), np.uint64)
