"""The two sides that are compared: every paper counted, a sample of them kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import splits, taxonomy
from arxivcli.errors import FolderError, InputError, unknown
from arxivcli.papers import PAPERS
from arxivcli.shards import MANIFEST, Shards
from arxivcli.sources import folders, prediction_log
from arxivcli.sources.readings import EMPTY_LINE
from arxivcli.sources.streams import name_of
from arxivcli.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from arxivcli.models.card import Card
    from arxivcli.progress import Progress
    from arxivcli.taxonomy import Level

_BATCH = 4096
SAMPLED = pa.schema([*PAPERS, pa.field("answer", pa.string()), pa.field("confidence", pa.float32())])
"""A paper and what a log says was answered, null where it says nothing."""


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: where it comes from.
        papers: how many it has.
        level: what its categories are.
        labels: how many have each primary label.
        months: how many are of each month, `2026-01`; those of unknown months are left out.
        sample: some of them, `SAMPLED`.
        left_out: how many records are not among the papers, by reason.
    """

    name: str
    papers: int
    level: Level
    labels: dict[str, int]
    months: dict[str, int]
    sample: pa.Table
    left_out: dict[str, int]

    @property
    def labelled(self) -> int:
        """Papers whose primary label is known."""
        return sum(self.labels.values())

    def at(self, level: Level) -> Side:
        """The same with labels of `level`. Raises FolderError when its own are too coarse for that."""
        if level == self.level:
            return self
        if self.level != "category":
            raise FolderError(
                f"{self.name} is at {self.level} level, not at {level} level",
                "preprocess the papers with the same --level",
            )
        labels: Counter[str] = Counter()
        for label, papers in self.labels.items():
            labels.update({parent: papers for parent in [taxonomy.parent(label, level)] if parent})
        categories = taxonomy.fold(self.sample["categories"].combine_chunks(), level)
        place = SAMPLED.names.index("categories")
        sample = self.sample.set_column(place, SAMPLED.field(place), categories)
        return replace(self, level=level, labels=dict(sorted(labels.items())), sample=sample)

    @property
    def answered(self) -> bool:
        """Whether it is a log of predictions."""
        return bool(self.sample["answer"].null_count < self.sample.num_rows)

    @property
    def redacted(self) -> bool:
        """Whether it is a log that has an `x` for every word."""
        return self.answered and prediction_log.is_crossed_out(self.sample["title"])


class Sample:
    """At most `size` of all papers that are added, each as likely as any other; the same for the same order and seed.

    Every paper draws a number, the smallest are kept; memory holds two samples at most.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._chance = np.random.default_rng(seed)
        self._limit = 1.0
        self._batches: list[pa.RecordBatch] = []
        self._drawn: list[NDArray[np.float64]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Papers that may be kept."""
        self._keep(batch, self._chance.random(batch.num_rows))
        if sum(map(len, self._drawn)) > 2 * self._size:
            self._cut()

    def _keep(self, batch: pa.RecordBatch, drawn: NDArray[np.float64]) -> None:
        kept = drawn <= self._limit
        if kept.any():
            self._batches.append(batch.filter(pa.array(kept)))
            self._drawn.append(drawn[kept])

    def _cut(self) -> None:
        self._limit = float(np.partition(np.concatenate(self._drawn), self._size - 1)[self._size - 1])
        batches, drawn, self._batches, self._drawn = self._batches, self._drawn, [], []
        for batch, numbers in zip(batches, drawn, strict=True):
            self._keep(batch, numbers)

    def take(self) -> pa.Table:
        """What was kept, in its order."""
        if sum(map(len, self._drawn)) > self._size:
            self._cut()
        return pa.Table.from_batches(self._batches, SAMPLED).combine_chunks()


@dataclass
class _Gathering:
    """A side while it is read."""

    name: str
    level: Level
    sample: Sample
    papers: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    months: Counter[int] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, batch: pa.RecordBatch, months: NDArray[np.int32]) -> None:
        self.papers += batch.num_rows
        listed = batch["categories"]
        primaries = pc.list_element(listed.filter(pc.greater(pc.list_value_length(listed), 0)), 0)
        for found in pc.value_counts(primaries).to_pylist():
            self.labels[found["values"]] += found["counts"]
        values, counts = np.unique(months, return_counts=True)
        self.months.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        self.sample.add(batch)

    def side(self) -> Side:
        """Raises InputError when there is nothing in it."""
        if self.papers == 0:
            reasons = ", ".join(f"{reason} ({count:,})" for reason, count in sorted(self.left_out.items()))
            raise InputError(
                f"{self.name} has no papers{f': {reasons}' if reasons else ''}", "give papers for both sides"
            )
        self.months.pop(splits.NO_MONTH, None)
        months = {splits.month_name(number): self.months[number] for number in sorted(self.months)}
        labels = dict(sorted(self.labels.items()))
        return Side(self.name, self.papers, self.level, labels, months, self.sample.take(), dict(self.left_out))


@dataclass(frozen=True)
class Source:
    """Papers of one place: a corpus folder and the splits of it that are read, or files."""

    name: str
    shards: Shards | None
    splits: tuple[str, ...]
    files: tuple[Path | BinaryIO, ...]

    @property
    def level(self) -> Level:
        """What its categories are."""
        return self.shards.level if self.shards else "category"

    def batches(self, left_out: Counter[str]) -> Iterator[pa.RecordBatch]:
        """Its papers as `SAMPLED`; what is no paper is counted in `left_out`. Raises InputError, FolderError."""
        if self.shards is not None:
            for batch in chain.from_iterable(self.shards.batches(split, _BATCH) for split in self.splits):
                nothing = pa.nulls(batch.num_rows, pa.string())
                yield _sampled(batch, nothing, nothing.cast(pa.float32()))
        for file in self.files:
            for found in prediction_log.read(file):
                errors = found.reading.errors
                left_out.update(error for error in errors.drop_null().to_pylist() if error != EMPTY_LINE)
                papers = _sampled(found.reading.papers, found.categories, found.confidences)
                yield papers.filter(errors.is_null()) if errors.null_count < len(errors) else papers


def _sampled(papers: pa.RecordBatch, answers: pa.StringArray, confidences: pa.FloatArray) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([*papers.columns, answers, confidences], schema=SAMPLED)


def source(place: Path | BinaryIO, split: str | None, card: Card | None, note: Callable[[str], None]) -> Source:
    """The papers of a corpus folder, a file, a folder of files, or an open binary file.

    Of the very corpus a model learned from, the train split is left out unless it is asked for: what a model knows by
    heart says nothing of what it will do.

    Raises:
        InputError: there is no such place, or nothing to read in it.
        FolderError: the corpus folder is damaged.
        UsageError: there is no such split.
    """
    if not isinstance(place, Path):
        return Source(name_of(place), None, (), (place,))
    if not (place / MANIFEST).is_file():
        return Source(name_of(place), None, (), tuple(folders.spread([place])))
    shards = Shards.open(place)
    if split is not None and split not in shards.splits:
        raise unknown("split", split, shards.splits)
    wanted = shards.splits if split is None else (split,)
    if split is None and card is not None and card.corpus.get("manifest_sha256") == shards.manifest_sha256:
        wanted = tuple(name for name in wanted if name != SPLITS[0])
        note(f"{card.name} learned from the train split of {place}: it is left out (--split chooses)")
    return Source(name_of(place), shards, wanted, ())


def two(reference: Source, current: Source, size: int, seed: int, progress: Progress) -> tuple[Side, Side]:
    """Both sides, a sample of at most `size` of each. Raises InputError when one has no papers."""
    first, second = (_gathered(found, size, seed, progress) for found in (reference, current))
    return first, second


def _gathered(found: Source, size: int, seed: int, progress: Progress) -> Side:
    gathering = _Gathering(found.name, found.level, Sample(size, seed))
    for batch in _read(found, gathering.left_out, progress):
        gathering.add(batch, splits.months(batch))
    return gathering.side()


def parted(found: Source, month: int, size: int, seed: int, progress: Progress) -> tuple[Side, Side]:
    """The papers before a month, counted from January 1970, and those since; of an unknown month they are left out.

    Raises InputError when one of the sides has no papers.
    """
    sides = [
        _Gathering(f"{found.name} {word} {splits.month_name(month)}", found.level, Sample(size, seed))
        for word in ("before", "since")
    ]
    left_out: Counter[str] = Counter()
    for batch in _read(found, left_out, progress):
        months = splits.months(batch)
        known = months != splits.NO_MONTH
        left_out["no date"] += int((~known).sum())
        for side, mask in zip(sides, (known & (months < month), known & (months >= month)), strict=True):
            side.add(batch.filter(pa.array(mask)), months[mask])
    for side in sides:
        side.left_out = +left_out
    return sides[0].side(), sides[1].side()


def _read(found: Source, left_out: Counter[str], progress: Progress) -> Iterator[pa.RecordBatch]:
    total = sum(found.shards.rows(split) for split in found.splits) if found.shards else None
    progress.begin(f"reading {found.name}", total)
    for batch in found.batches(left_out):
        yield batch
        progress.advance(batch.num_rows)
    progress.end()
