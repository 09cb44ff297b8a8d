"""What a fetch is asked for, and what comes of it, whichever server it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal

from arxivcli.errors import UsageError
from arxivcli.sources import oai
from arxivcli.steps.fetching import merging

if TYPE_CHECKING:
    from pathlib import Path

    from arxivcli.progress import Progress
    from arxivcli.steps.fetching.raw import Harvest, State

Source = Literal["snapshot", "oai", "api"]


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
        bad: What the server cannot give: ids of papers, or places in a list where it fails.
        missing: Ids that were asked for and do not exist.
        malformed: What was given as an id and is none.
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
    missing: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    already: bool = False


def merged(harvest: Harvest, state: State, folder: Path, progress: Progress, expected: int | None) -> Report:
    """Bring a harvest that came to its end into the folder's papers; the state stays as it is."""
    newer = merging.merge(harvest.parts(state), folder, progress)
    return Report(
        folder, harvest.name, papers(folder), state.papers, newer, expected, state.pages,
        state.dropped, tuple(dict.fromkeys(state.mended)), tuple(dict.fromkeys(state.bad)),
    )  # fmt: skip


def passed(harvest: Harvest, state: State) -> None:
    """Remember only when this pass began: its papers are merged."""
    after = state.passed()
    harvest.save(after)
    harvest.sweep(after)


def papers(folder: Path) -> int:
    """How many papers are merged in a folder."""
    return sum(merging.index(folder).values())


def days(wanted: Wanted, progress: Progress, earliest: date) -> tuple[str | None, str | None]:
    """First and last day as a server takes them that has nothing before `earliest`; said where they differ.

    Raises UsageError.
    """
    first, until = _day(wanted.first, "--from"), _day(wanted.until, "--until")
    if first and until and first > until:
        raise UsageError(f"--from {first} is after --until {until}", "exchange them")
    today = oai.today()
    if first and first > today:
        raise UsageError(f"--from {first} is in the future: it is {today} in UTC", "give an earlier day")
    if first and first < earliest:
        progress.note(f"no record has an earlier date than {earliest}: fetching from there")
        first = earliest
    if until and until > today:
        progress.note(f"--until {until} is in the future: it is {today} in UTC")
        until = None
    if until and until < earliest:
        raise UsageError(f"no record has an earlier date than {earliest}", "give a later --until")
    return first.isoformat() if first else None, until.isoformat() if until else None


def _day(value: str | None, option: str) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UsageError(f"{option} {value} is no day", "write it as YYYY-MM-DD") from None
