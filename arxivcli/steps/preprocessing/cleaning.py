"""One unit of input made into cleaned papers by split, and into the keys that later decide between duplicates."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import rules, shards, splits, storage, taxonomy, text
from arxivcli.papers import PAPERS
from arxivcli.shards import Shard
from arxivcli.sources.readings import EMPTY_LINE
from arxivcli.steps.preprocessing.units import Read, Readings, Unit

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from arxivcli.steps.preprocessing.recipe import Recipe

KEYS = np.dtype(
    [("id", "<u8"), ("group", "<u8"), ("revised", "<i8"), ("order", "<u4"), ("label", "<i2"), ("split", "<i1")]
)
"""What is kept in mind of each paper: 31 bytes."""

_FIRST_BAD = 5


@dataclass(frozen=True)
class Piece:
    """What became of a unit. read = kept + the sum of dropped; its keys lie beside it, by split and then in order."""

    read: int
    kept: int
    dropped: dict[str, int]
    bad: int
    """How many of the dropped were no papers at all; empty lines are dropped, but nobody meant them as papers."""
    first_bad: tuple[tuple[int, str], ...]
    """Line (in the unit for `lines` units, else in the file) and reason of the first of them."""
    lines: int
    parts: dict[str, Shard]
    """By split: a shard in the staging folder."""

    @classmethod
    def load(cls, staging: Path, number: int) -> Piece | None:
        """The piece of a unit that is done; None when it is not."""
        try:
            fields = json.loads(_record(staging, number).read_bytes())
        except FileNotFoundError:
            return None
        parts = {split: Shard(**part) for split, part in fields["parts"].items()}
        bad = tuple((int(line), str(reason)) for line, reason in fields["first_bad"])
        return cls(**{**fields, "parts": parts, "first_bad": bad})


def _record(staging: Path, number: int) -> Path:
    return staging / f"unit-{number:05d}.json"


def load_keys(staging: Path, number: int) -> NDArray[np.void]:
    """The keys of a unit that is done, (kept,) of KEYS."""
    return np.fromfile(_keys_file(staging, number), KEYS)


def _keys_file(staging: Path, number: int) -> Path:
    return staging / f"unit-{number:05d}.keys"


@dataclass(frozen=True)
class Cleaning:
    """Cleans units into the staging folder; crosses process borders."""

    recipe: Recipe
    staging: Path

    def __call__(self, unit: Unit) -> Piece:
        """Read, clean, judge and write one unit; its record is written last. Raises StorageError."""
        if unit.spooled and not unit.path.exists() and (done := Piece.load(self.staging, unit.number)):
            return done  # by somebody who died before he could say so
        counted = _Counted()
        readings = Readings(unit, self.recipe)
        kept = [_by_split(*_kept(reading, self.recipe, counted)) for reading in readings]
        piece = self._written(unit.number, kept, counted, readings.lines)
        if unit.spooled:
            unit.path.unlink(missing_ok=True)
        return piece

    def _written(self, number: int, kept: list[_BySplit], counted: _Counted, lines: int) -> Piece:
        parts = {}
        for index, split in enumerate(splits.SPLITS):
            papers = pa.Table.from_batches([batch.papers[index] for batch in kept], PAPERS)
            if len(papers):
                parts[split] = shards.write_shard(self.staging, f"unit-{number:05d}-{split}.parquet", papers)
        keys = [batch.keys[index] for index in range(len(splits.SPLITS)) for batch in kept]
        storage.write_whole(_keys_file(self.staging, number), b"".join(some.tobytes() for some in keys))
        piece = Piece(
            read=counted.read,
            kept=sum(map(len, keys)),
            dropped=dict(counted.dropped),
            bad=counted.bad,
            first_bad=tuple(counted.first_bad),
            lines=lines,
            parts=parts,
        )
        storage.write_whole(_record(self.staging, number), json.dumps(asdict(piece)).encode())
        return piece


@dataclass(frozen=True)
class _BySplit:
    """The papers and keys of a batch for each split, in the order of SPLITS."""

    papers: list[pa.RecordBatch]
    keys: list[NDArray[np.void]]


def _by_split(papers: pa.RecordBatch, keys: NDArray[np.void]) -> _BySplit:
    rows = np.argsort(keys["split"], kind="stable")
    ends = np.cumsum(np.bincount(keys["split"], minlength=len(splits.SPLITS))).tolist()
    spans = list(zip([0, *ends], ends, strict=False))
    papers, keys = papers.take(pa.array(rows)), keys[rows]
    return _BySplit([papers.slice(a, b - a) for a, b in spans], [keys[a:b] for a, b in spans])


class _Counted:
    """What a unit's records came to so far."""

    def __init__(self) -> None:
        self.read = 0
        self.bad = 0
        self.dropped: Counter[str] = Counter()
        self.first_bad: list[tuple[int, str]] = []

    def add_bad(self, reading: Read) -> None:
        """Count the records that are no papers."""
        self.read += len(reading.errors)
        if reading.errors.null_count == len(reading.errors):
            return
        empty = pc.equal(reading.errors, EMPTY_LINE)
        self.add_dropped(EMPTY_LINE, pc.sum(empty).as_py() or 0)
        failed = pc.invert(empty).fill_null(False)
        reasons = reading.errors.filter(failed).to_pylist()
        self.bad += len(reasons)
        self.dropped.update(reasons)
        wanted = _FIRST_BAD - len(self.first_bad)
        lines = reading.lines.filter(failed)[:wanted].to_pylist()
        self.first_bad.extend(zip(lines, reasons, strict=False))

    def add_dropped(self, reason: str, papers: int) -> None:
        """Count papers that are left out."""
        if papers:
            self.dropped[reason] += papers


def _kept(reading: Read, recipe: Recipe, counted: _Counted) -> tuple[pa.RecordBatch, NDArray[np.void]]:
    """The papers of a batch that stay, cleaned, and their keys (split and order among them)."""
    first = counted.read
    counted.add_bad(reading)
    alive = reading.errors.is_null().to_numpy(zero_copy_only=False)
    papers = _with_ids(reading.papers)
    keys = np.zeros(len(alive), KEYS)
    keys["id"] = splits.id_keys(papers["id"])
    keys["revised"] = reading.revised.to_numpy()
    keys["order"] = np.arange(first, first + len(alive), dtype=np.uint32)
    if recipe.sample is not None:
        drawn = splits.fractions(keys["id"], recipe.seed, "sample") < recipe.sample
        counted.add_dropped("not in the sample", int((alive & ~drawn).sum()))
        alive &= drawn
    papers, keys = _rows(papers, keys, alive)
    papers = _cleaned(papers, recipe)
    papers, keys = _judged(papers, keys, recipe, counted)
    keys["group"] = splits.group_keys(papers["title"], papers["abstract"])
    return _placed(papers, keys, recipe, counted)


def _rows(papers: Any, keys: NDArray[np.void], mask: NDArray[np.bool_]) -> tuple[pa.RecordBatch, NDArray[np.void]]:
    return (papers, keys) if mask.all() else (papers.filter(pa.array(mask)), keys[mask])


def _with_ids(papers: pa.RecordBatch) -> pa.RecordBatch:
    """Papers without an id are known by what they say, so that the same paper is the same in every file."""
    missing = pc.equal(papers["id"], "")
    if not pc.any(missing).as_py():
        return papers
    groups = splits.group_keys(papers["title"].filter(missing), papers["abstract"].filter(missing))
    made = pc.replace_with_mask(
        papers["id"], missing, pa.array([f"text:{group:016x}" for group in groups], pa.string())
    )
    return papers.set_column(0, PAPERS.field("id"), made)


def _cleaned(papers: pa.RecordBatch, recipe: Recipe) -> pa.RecordBatch:
    categories = papers["categories"]
    if recipe.level != "category":
        categories = taxonomy.fold(categories, recipe.level)
    columns = [papers["id"], text.clean(papers["title"]), text.clean(papers["abstract"]), categories, papers["created"]]
    return pa.RecordBatch.from_arrays(columns, schema=PAPERS)


def _judged(
    papers: pa.RecordBatch, keys: NDArray[np.void], recipe: Recipe, counted: _Counted
) -> tuple[pa.RecordBatch, NDArray[np.void]]:
    verdicts = rules.verdicts(papers, recipe.level, recipe.answers)
    for index, papers_of_it in enumerate(np.bincount(verdicts, minlength=len(rules.REASONS))):
        if index:
            counted.add_dropped(rules.REASONS[index], int(papers_of_it))
    keys["label"] = rules.label_indices(papers["categories"], recipe.answers)
    return _rows(papers, keys, verdicts == 0)


def _placed(
    papers: pa.RecordBatch, keys: NDArray[np.void], recipe: Recipe, counted: _Counted
) -> tuple[pa.RecordBatch, NDArray[np.void]]:
    """The papers with their split; with a split by date those without one are left out."""
    if recipe.test_month is None:
        keys["split"] = splits.random_split(keys["group"], recipe.seed, recipe.shares)
        return papers, keys
    months = splits.months(papers)
    keys["split"] = splits.time_split(keys["group"], months, recipe.test_month, recipe.seed, recipe.shares)
    dated = months != splits.NO_MONTH
    counted.add_dropped("no date", int((~dated).sum()))
    return _rows(papers, keys, dated)
