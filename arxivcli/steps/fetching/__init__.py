"""Fetching: arXiv's metadata into a folder, from whichever of its servers, politely, and resumable at any moment."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from arxivcli import storage
from arxivcli.errors import RemoteError, StoppedError, UsageError
from arxivcli.progress import Progress, Silent
from arxivcli.sources import oai
from arxivcli.sources.web import Manners, Web
from arxivcli.steps.fetching import merging, raw
from arxivcli.steps.fetching.harvest import Listing
from arxivcli.steps.fetching.raw import Harvest, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Manners", "Report", "Wanted", "fetch"]

Source = Literal["snapshot", "oai", "api"]

_GOES_ON = "what was fetched is kept: the same command goes on"


@dataclass(frozen=True)
class Wanted:
    """What to fetch.

    Attributes:
        source: Which server.
        set: OAI: a category, an archive or a group; None is everything.
        first: First day, YYYY-MM-DD.
        until: Last day.
        query: API: what to search for.
        limit: API: at most so many papers, the newest.
        identifiers: API: papers by id, instead of a query.
        url: Another server than arXiv's own.
    """

    source: Source = "snapshot"
    set: str | None = None
    first: str | None = None
    until: str | None = None
    query: str | None = None
    limit: int | None = None
    identifiers: tuple[str, ...] = ()
    url: str | None = None


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        folder: Where it is.
        name: What was harvested.
        papers: Papers in the folder after merging.
        fetched: Papers that came.
        newer: How many of them are new, or newer than what was there.
        expected: How many the server says there are; None when nobody asked.
        pages: Answers it took.
        dropped: Records that are no papers, by reason.
        mended: Ids of papers in which characters were mended.
        bad: Ids of papers the server cannot give.
        already: Whether there was nothing to do.
    """

    folder: Path
    name: str
    papers: int
    fetched: int = 0
    newer: int = 0
    expected: int | None = None
    pages: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    mended: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    already: bool = False


def fetch(
    wanted: Wanted,
    folder: Path,
    manners: Manners | None = None,
    progress: Progress | None = None,
    *,
    restart: bool = False,
    check: bool = True,
) -> Report:
    """Fetch into a folder; the same call continues an interrupted one, and later brings in what is new.

    Args:
        wanted: What.
        folder: Where; see `raw`.
        manners: How to behave towards the server.
        progress: Who watches.
        restart: Forget how far an earlier run came; merged papers stay.
        check: Whether to list all ids once more at the end and fetch what was missed.

    Raises:
        UsageError: There is no such set, day, ...
        RemoteError: The server refuses, or failed for too long.
        StorageError: Disk full, or the folder belongs to another process.
        StoppedError: Interrupted.
    """
    progress = progress or Silent()
    with storage.owned(folder), _resumable():
        return _harvest(wanted, folder, manners or Manners(), progress, restart, check)


@contextmanager
def _resumable() -> Iterator[None]:
    """Interruptions say that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError("interrupted", _GOES_ON, signal.SIGINT) from None
    except StoppedError as error:
        raise StoppedError(error.what, _GOES_ON, error.signal_number) from None


def _harvest(wanted: Wanted, folder: Path, manners: Manners, progress: Progress, restart: bool, check: bool) -> Report:
    first, until = _days(wanted, progress)
    name = "-".join(filter(None, ("oai", wanted.set, first and f"from-{first}", until and f"until-{until}")))
    harvest = Harvest(folder, name.replace(":", "-"))
    if restart:
        harvest.forget()
    asked = {"set": wanted.set and oai.set_name(wanted.set), "from": first, "until": until}
    state = harvest.load() or State(asked)
    harvest.sweep(state)
    if state.finished and until and until < state.finished[:10]:
        return Report(folder, harvest.name, sum(merging.index(folder).values()), already=True)
    if not state.pages:
        state.first = max(filter(None, (first, state.finished and oai.day_before(state.finished))), default=None)
    progress.note(f"harvesting {harvest.name}" + (f" from {state.reached or state.first}" if state.reached else ""))
    with Web(wanted.url or oai.URL, manners, progress) as web:
        listing = Listing(oai.Oai(web), harvest, state, progress)
        progress.begin("harvesting")
        listing.list()
        progress.end()
        expected = listing.check() if check else None
    newer = merging.merge(harvest.parts(state), folder, progress)
    after = state.passed()
    harvest.save(after)
    harvest.sweep(after)
    return Report(
        folder, harvest.name, sum(merging.index(folder).values()), state.papers, newer, expected, state.pages,
        state.dropped, tuple(state.mended), tuple(state.bad),
    )  # fmt: skip


def _days(wanted: Wanted, progress: Progress) -> tuple[str | None, str | None]:
    """First and last day as the server takes them, said where they differ. Raises UsageError."""
    first, until = _day(wanted.first, "--from"), _day(wanted.until, "--until")
    if first and until and first > until:
        raise UsageError(f"--from {first} is after --until {until}", "exchange them")
    today = oai.today()
    if first and first > today:
        raise UsageError(f"--from {first} is in the future: it is {today} in UTC", "give an earlier day")
    if first and first < oai.EARLIEST:
        progress.note(f"no record has an earlier date than {oai.EARLIEST}: fetching from there")
        first = oai.EARLIEST
    if until and until > today:
        progress.note(f"--until {until} is in the future: it is {today} in UTC")
        until = None
    if until and until < oai.EARLIEST:
        raise UsageError(f"no record has an earlier date than {oai.EARLIEST}", "give a later --until")
    return first.isoformat() if first else None, until.isoformat() if until else None


def _day(value: str | None, option: str) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UsageError(f"{option} {value} is no day", "write it as YYYY-MM-DD") from None
