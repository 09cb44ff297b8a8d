"""What there is in a folder and how to go on, and what a fetch would ask for, without asking anybody."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from arxivcli import taxonomy
from arxivcli.errors import FolderError, InputError, StorageError
from arxivcli.progress import Silent
from arxivcli.sources import api, oai, snapshot
from arxivcli.sources.web import Web
from arxivcli.steps.fetching import merging, naming, orders, raw, searching

if TYPE_CHECKING:
    from pathlib import Path

    from arxivcli.steps.fetching import Manners
    from arxivcli.steps.fetching.orders import Wanted

Row = dict[str, str | int | None]

_PAGE = 1_800
"""Records on a page of arXiv's: 1,300 to 2,500 were seen."""

_ANSWER_SECONDS = {"oai": 10.0, "api": 5.0}
"""How long a page takes to come."""

_LISTED, _LISTED_WIDELY = 1.7, 1.3
"""Papers in a category for each whose primary it is; in an archive or a group, whose categories share many."""

_CHANGES_A_DAY = 1_600
"""Records that change on a day: new papers, new versions, mended metadata."""

_SNAPSHOT_MB, _MB_A_SECOND = 1_600, 10.0


@dataclass(frozen=True)
class Forecast:
    """What a fetch would do.

    Attributes:
        asks: Address of the server.
        for_what: What it is asked for.
        requests: About how many times.
        papers: About how many papers come; None when only the server knows.
        megabytes: About how much, for a file.
        seconds: About how long it takes.
        into: Where it goes.
    """

    asks: str
    for_what: str
    requests: int
    papers: int | None
    megabytes: int | None
    seconds: float
    into: str

    def figures(self) -> Row:
        """What there is to say, by name."""
        said: Row = {
            "asks": self.asks,
            "for": self.for_what,
            "requests": self.requests,
            "papers": self.papers,
            "megabytes": self.megabytes,
            "minutes": max(1, round(self.seconds / 60)),
            "into": self.into,
        }
        return {name: value for name, value in said.items() if value is not None}


def forecast(wanted: Wanted, folder: Path, manners: Manners) -> Forecast:
    """What a fetch would ask for and about how long it takes; nobody is asked.

    Raises:
        UsageError: As `fetch` does.
        InputError: An id is none.
    """
    server = wanted.url or {"snapshot": snapshot.DEFAULT_URL, "oai": oai.URL, "api": api.URL}[wanted.source]
    with Web(server, manners, Silent()):
        pass  # it refuses what cannot be
    if wanted.source == "snapshot":
        seconds = _SNAPSHOT_MB / _MB_A_SECOND
        whole = sum(taxonomy.papers_per_label().values())
        return Forecast(server, "the snapshot", 1, whole, _SNAPSHOT_MB, seconds, str(folder))
    papers: int | None
    if wanted.source == "oai":
        asked = oai.Slice(wanted.set and oai.set_name(wanted.set), *orders.days(wanted, Silent(), oai.EARLIEST))
        papers, size = _oai_papers(asked), _PAGE
        what = " ".join(f"{k}={v}" for k, v in asked.params().items())
    elif wanted.identifiers:
        known, malformed = naming.sorted_out(wanted.identifiers)
        if malformed:
            raise InputError(f"not an arXiv id: {', '.join(malformed)}", "fetch leaves them out")
        papers, size, what = (
            len(known),
            api.BATCH,
            f"{_counted(len(known), 'paper')} by id",
        )
    else:
        papers, size, what = wanted.limit, searching.SIZES[0], searching.checked(wanted, Silent())[0]
    requests = max(1, -(-(papers or 1) // size))
    return Forecast(
        server, what, requests, papers, None, requests * (manners.pace + _ANSWER_SECONDS[wanted.source]), str(folder)
    )


def _oai_papers(wanted: oai.Slice) -> int:
    """About how many records of a set changed between two days."""
    everything = sum(taxonomy.papers_per_label().values())
    share = 1.0
    if wanted.set:
        inside = {c.canonical for c in taxonomy.categories().values() if f"{c.oai_set}:".startswith(f"{wanted.set}:")}
        papers = taxonomy.papers_per_label()
        listed = _LISTED if len(inside) == 1 else _LISTED_WIDELY
        share = min(1.0, listed * sum(papers.get(label, 0) for label in inside) / everything)
    if not wanted.first:
        return round(everything * share)
    last = date.fromisoformat(wanted.until) if wanted.until else oai.today()
    days = max(1, (last - date.fromisoformat(wanted.first)).days + 1)
    return round(min(everything, days * _CHANGES_A_DAY) * share)


def status(folder: Path) -> list[Row]:
    """What is in a folder, a row each: the snapshot, the merged papers, and every harvest with how to go on.

    Raises StorageError for what is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"{folder} is a file", "name a folder that something was fetched into")
    rows: list[Row] = []
    into = f"-o {shlex.quote(str(folder))}"
    held = snapshot.standing(folder)
    sizes = [f"{held.size / 1e6:,.1f} MB"] if held else []
    coming = snapshot.coming(folder)
    if coming is not None:
        sizes.append(f"unfinished, {coming[0] / 1e6:,.1f} of {coming[1] / 1e6:,.1f} MB")
    if sizes:
        rows.append(_row("snapshot", "; newer: ".join(sizes), None, None, f"arxivcli fetch {into}"))
    counts = merging.index(folder)
    if counts:
        rows.append(
            _row(
                "papers",
                f"merged, {_counted(len(counts), 'month')}",
                sum(counts.values()),
                None,
                None,
            )
        )
    for harvest in raw.harvests(folder):
        try:
            state = harvest.load()
        except FolderError:
            how = f"damaged: remove {harvest.folder}, or run its command with --restart"
            rows.append(_row(harvest.name, how, None, None, None))
            continue
        if state is None:
            continue
        if state.pages:
            how = f"unfinished, {_counted(state.pages, 'page')}"
        else:
            how = f"finished {state.finished[:10]}" if state.finished else "begun"
        command = f"arxivcli fetch {state.options} {into}"
        rows.append(_row(harvest.name, how, state.papers or None, state.reached, command))
    return rows


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _row(what: str, state: str, papers: int | None, reached: str | None, command: str | None) -> Row:
    return {"what": what, "state": state, "papers": papers, "reached": reached, "command": command}
