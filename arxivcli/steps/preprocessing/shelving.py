"""The parts of all units made into the final shards: whole parts as they are, others filtered, small ones joined."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from arxivcli import shards, splits, storage

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from arxivcli.shards import Shard
    from arxivcli.steps.preprocessing.cleaning import Piece

ENOUGH = 3_000
"""Papers that make a shard of their own; fewer are joined with the following ones."""


@dataclass(frozen=True)
class Part:
    """A staged shard and which of its papers stay (None: all of them)."""

    staged: Shard
    stays: NDArray[np.bool_] | None
    rows: int


@dataclass(frozen=True)
class Job:
    """A final shard and the parts it is made of."""

    file: str
    parts: tuple[Part, ...]

    @property
    def whole(self) -> bool:
        """Whether it is a staged shard as it is."""
        return len(self.parts) == 1 and self.parts[0].stays is None

    def __str__(self) -> str:
        return self.file


def jobs(pieces: list[Piece], stays: NDArray[np.bool_]) -> list[Job]:
    """The final shards of a corpus, in order; depends on nothing but what stays."""
    by_split: dict[str, list[Part]] = {split: [] for split in splits.SPLITS}
    start = 0
    for piece in pieces:
        for split, staged in piece.parts.items():
            kept = stays[start : start + staged.rows]
            start += staged.rows
            if kept.any():
                by_split[split].append(Part(staged, None if kept.all() else kept, int(kept.sum())))
    return [job for split, parts in by_split.items() for job in _joined(split, parts)]


def _joined(split: str, parts: list[Part]) -> list[Job]:
    groups: list[list[Part]] = []
    for part in parts:
        if groups and sum(other.rows for other in groups[-1]) < ENOUGH:
            groups[-1].append(part)
        else:
            groups.append([part])
    return [Job(f"{split}/{number:05d}.parquet", tuple(group)) for number, group in enumerate(groups)]


@dataclass(frozen=True)
class Shelving:
    """Makes final shards out of the staging folder; crosses process borders."""

    staging: Path
    folder: Path

    def __call__(self, job: Job) -> Shard:
        """Make one shard, or find it made by an earlier run. Raises StorageError."""
        target = self.folder / job.file
        rows = sum(part.rows for part in job.parts)
        if job.whole:
            _place(self.staging / job.parts[0].staged.file, target)
            return replace(job.parts[0].staged, file=job.file)
        if target.exists():
            return shards.shard_of(self.folder, job.file, rows)
        return shards.write_shard(self.folder, job.file, pa.concat_tables([self._read(part) for part in job.parts]))

    def _read(self, part: Part) -> pa.Table:
        table = pq.read_table(self.staging / part.staged.file, use_threads=False)
        return table if part.stays is None else table.filter(pa.array(part.stays))


def _place(staged: Path, target: Path) -> None:
    """Give a staged file its final name too; where the file system cannot, copy it."""
    if target.exists():
        return
    with storage.storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(staged, target)
            storage.sync_folder(target.parent)
        except OSError:
            storage.write_whole(target, staged.read_bytes())
