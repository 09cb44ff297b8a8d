"""Papers by id: asked for a hundred at a time, and an id the server does not take never costs the others."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from arxivcli.sources import api, entries
from arxivcli.sources.api import BATCH, BadQueryError, Feed
from arxivcli.sources.trouble import BrokenAnswerError
from arxivcli.sources.web import Manners, Web
from arxivcli.steps.fetching import orders, raw
from arxivcli.steps.fetching.orders import Report, Wanted
from arxivcli.steps.fetching.raw import Harvest, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from arxivcli.progress import Progress

_HOPELESS = 10
"""After so many failures in a row it is not the ids."""


def by_identifiers(
    wanted: Wanted, folder: Path, manners: Manners, progress: Progress, restart: bool, check: bool
) -> Report:
    """The newest versions of papers named one by one, as `fetch` says; there is nothing to check afterwards."""
    del check
    known, malformed = sorted_out(wanted.identifiers)
    harvest = Harvest(folder, f"ids-{hashlib.sha256(' '.join(known).encode()).hexdigest()[:8]}")
    if not known:
        return Report(folder, harvest.name, orders.papers(folder), malformed=tuple(malformed))
    if restart:
        harvest.forget()
    batches = [known[start : start + BATCH] for start in range(0, len(known), BATCH)]
    state = harvest.load() or State({"ids": str(len(known))}, left=batches, options=wanted.options)
    harvest.sweep(state)
    progress.begin("asking for papers", len(known))
    with Web(wanted.url or api.URL, manners, progress) as web:
        _ask(api.Api(web), harvest, state, progress)
    progress.end()
    report = orders.merged(harvest, state, folder, progress, None)
    there = {entry.id for part in harvest.parts(state) for entry in raw.read_entries(part)}
    harvest.forget()  # the next time all of them are asked for again: there may be new versions
    missing = [name for name in known if name not in there and name not in state.bad]
    return replace(report, missing=tuple(missing), malformed=tuple(malformed), by_name=True)


def sorted_out(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Ids without prefix, subject class and version, each once, and what is no id, as it was given."""
    known: dict[str, None] = {}
    malformed: dict[str, None] = {}
    for name in names:
        found = entries.identifier_in(name)
        if found:
            known[found] = None
        else:
            malformed[name] = None
    return list(known), list(malformed)


def _ask(server: api.Api, harvest: Harvest, state: State, progress: Progress) -> None:
    """Bring in all batches that are left; the state is saved after each answer."""
    failed: list[str] = []
    while state.left:
        batch: list[str] = state.left[0]
        try:
            feed = server.papers(batch)
        except (BadQueryError, BrokenAnswerError) as error:
            if len(batch) > 1:
                state.left[:1] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
                continue
            failed += batch
            if len(failed) >= _HOPELESS and (isinstance(error, BrokenAnswerError) or not state.pages):
                raise  # nothing of this streak was saved
            state.left.pop(0)
            progress.note(f"{batch[0]} cannot be had: {error.what}")
        else:
            state.left.pop(0)
            state.bad += failed
            failed = []
            _keep(feed, harvest, state)
            progress.advance(len(batch), pages=f"{state.pages:,}", reached=state.reached or "-")
    state.bad += failed


def _keep(feed: Feed, harvest: Harvest, state: State) -> None:
    """Write what came, then the state that says so."""
    state.began = state.began or feed.answered
    state.pages += 1
    state.reached = max(filter(None, (state.reached, feed.oldest)), default=None)
    harvest.add(state, feed.entries, feed.dropped, feed.mended)
    harvest.save(state)
