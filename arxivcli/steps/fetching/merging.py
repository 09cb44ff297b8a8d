"""Pages into papers: merged by id, the newest version wins, whatever order and however often they came.

The result follows from the papers alone: a file for each month of the id, sorted. Merging the same pages twice changes
nothing, so a merge that was killed is simply done again.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import orjson

from arxivcli import storage
from arxivcli.steps.fetching import raw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from arxivcli.progress import Progress
    from arxivcli.sources.entries import Entry

_HELD_BYTES = 32 << 20
"""Lines kept in memory before they go to the disk, sorted by month."""

_INDEX = ".index.json"
_SCRATCH = ".merging"


def merge(parts: Sequence[Path], folder: Path, progress: Progress) -> int:
    """Bring the papers of parts into `folder`/papers; how many papers are new or newer comes back.

    Raises:
        FolderError: A part or a month is damaged.
        StorageError: Disk full, ...
    """
    papers, scratch = folder / raw.PAPERS, folder / raw.HARVESTS / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    sorter = _Sorter(scratch)
    progress.begin("merging", len(parts), "parts")
    for part in parts:
        for entry in raw.read_entries(part):
            sorter.add(entry)
        progress.advance(1)
    progress.end()
    months = sorter.months()
    counts, changed = index(folder), 0
    progress.begin("merging", len(months), "months")
    for month in months:
        counts[month], newer = _merge_month(papers / f"{month}{raw.LINES}", sorter.take(month))
        changed += newer
        progress.advance(1, papers=f"{sum(counts.values()):,}")
    progress.end()
    if counts:
        storage.write_whole(papers / _INDEX, orjson.dumps(counts, option=orjson.OPT_SORT_KEYS))
    shutil.rmtree(scratch, ignore_errors=True)
    return changed


def index(folder: Path) -> dict[str, int]:
    """How many papers each month has; counted where the index is gone, damaged or of other months.

    Raises FolderError when a month is damaged that has to be counted.
    """
    months = {path.name.removesuffix(raw.LINES): path for path in (folder / raw.PAPERS).glob(f"[!.]*{raw.LINES}")}
    try:
        counts = orjson.loads((folder / raw.PAPERS / _INDEX).read_bytes())
    except (OSError, ValueError):
        counts = None
    if isinstance(counts, dict) and set(counts) == set(months) and all(type(n) is int for n in counts.values()):
        return counts
    return {month: sum(1 for _ in raw.read_lines(path)) for month, path in sorted(months.items())}


def _merge_month(path: Path, fresh: Iterable[Entry]) -> tuple[int, int]:
    """Papers in the month, and how many of them are new or newer."""
    best = {entry.id: entry for entry in (raw.read_entries(path) if path.exists() else ())}
    changed = set()
    for entry in fresh:
        known = best.get(entry.id)
        if known is None or entry.rank > known.rank:
            best[entry.id] = entry
            changed.add(entry.id)
    if changed:
        raw.write_lines(path, (best[identifier].line for identifier in sorted(best)))
    return len(best), len(changed)


class _Sorter:
    """Entries by month, in memory as long as they are few, then in files."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._held: dict[str, list[Entry]] = {}
        self._bytes = 0
        self._spilt: set[str] = set()

    def add(self, entry: Entry) -> None:
        """Keep one."""
        self._held.setdefault(entry.month, []).append(entry)
        self._bytes += len(entry.line)
        if self._bytes > _HELD_BYTES:
            self._spill()

    def months(self) -> list[str]:
        """The months there are."""
        if self._spilt:
            self._spill()
        return sorted(self._spilt | set(self._held))

    def take(self, month: str) -> Iterator[Entry]:
        """All entries of a month."""
        path = self._scratch / f"{month}{raw.LINES}"
        if path.exists():
            yield from raw.read_entries(path)
        yield from self._held.pop(month, [])

    def _spill(self) -> None:
        with storage.storage_errors(self._scratch):
            self._scratch.mkdir(parents=True, exist_ok=True)
            for month, entries in self._held.items():
                with (self._scratch / f"{month}{raw.LINES}").open("ab") as file:
                    file.write(raw.frame(entry.line for entry in entries))
        self._spilt.update(self._held)
        self._held, self._bytes = {}, 0
