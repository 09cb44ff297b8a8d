"""What a fetch is asked for, and what comes of it, whichever server it comes from."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from arxivcli.errors import InputError, RemoteError, UsageError
from arxivcli.sources import oai
from arxivcli.steps.fetching import merging

if TYPE_CHECKING:
    from pathlib import Path

    from arxivcli.progress import Progress
    from arxivcli.steps.fetching.raw import Harvest, State

Source = Literal["snapshot", "oai", "api"]

_SHOWN = 10
_BELONGS = {"set": "oai", "query": "api", "limit": "api", "identifiers": "api"}
"""Which source an option is for."""

_OPTIONS = {"set": "--set", "first": "--from", "until": "--until", "query": "--query", "limit": "--limit"}


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

    def __post_init__(self) -> None:
        """Raises UsageError when the parts do not go together."""
        for name, option in _OPTIONS.items():
            value = getattr(self, name)
            if name != "query" and isinstance(value, str) and not value.strip():
                raise UsageError(f"{option} is empty", "give a value, or leave it out")
        for name, source in _BELONGS.items():
            if getattr(self, name) and self.source != source:
                option = _OPTIONS.get(name, "an id")
                raise UsageError(f"{option} is not for --source {self.source}", f"use --source {source}")
        if self.source == "snapshot" and (self.first or self.until):
            raise UsageError("the snapshot has no --from and --until", "use --source oai")
        if self.identifiers and (self.query or self.limit or self.first or self.until):
            raise UsageError("ids are fetched as they are", "leave out --query, --limit, --from and --until")
        if self.source == "api" and not self.identifiers and not self.query:
            raise UsageError("nothing to search for", "give --query, or ids of papers")

    @classmethod
    def guessed(cls, source: Source | None, urls: dict[str, str | None], **parts: Any) -> Wanted:
        """What the options mean when no source is named: ids and queries are for the API, sets and days for OAI."""
        if source is None:
            dated = parts.get("set") or parts.get("first") or parts.get("until")
            named = parts.get("query") is not None or parts.get("identifiers")
            source = "api" if named else "oai" if dated else "snapshot"
        return cls(source=source, url=urls.get(source), **parts)

    @property
    def options(self) -> str:
        """What to type for it after `arxivcli fetch`."""
        given = {option: getattr(self, name) for name, option in _OPTIONS.items()}
        words = ["--source", self.source, *(str(w) for pair in given.items() if pair[1] for w in pair)]
        return shlex.join([*self.identifiers] if self.identifiers else words)


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
        megabytes: Size of the snapshot.
        by_name: Whether papers were asked for by id, so that each of them counts.
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
    megabytes: float | None = None
    by_name: bool = False
    already: bool = False

    def figures(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self) | {"folder": str(self.folder)}

    def notes(self) -> list[str]:
        """What people should know beside the numbers, a line each."""
        said = [f"{self.name} was finished before: nothing to do"] if self.already else []
        said += [f"{count:,} records left out: {reason}" for reason, count in self.dropped.items()]
        for what, names in (
            ("characters that XML does not allow were mended in", self.mended),
            ("the server cannot give", self.bad),
        ):
            if names:
                said.append(f"{what} {_named(names)}")
        return said

    def judge(self, strict: bool) -> None:
        """Raises InputError for ids that are none, and RemoteError for papers asked for by id that the server cannot
        give, with `strict` for all it cannot give.
        """
        wrong = {"not an arXiv id": self.malformed, "not on arXiv": self.missing}
        if any(wrong.values()):
            said = "; ".join(f"{what}: {_named(names)}" for what, names in wrong.items() if names)
            raise InputError(said, "the others are fetched" if self.fetched else "")
        if self.bad and (strict or self.by_name):
            raise RemoteError(f"the server cannot give {_named(self.bad)}", "run the same command again later")


def _named(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


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
