"""Survey: a finished corpus folder in, what is in it out: mixes of the splits, years, lengths, what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from arxivcli import distributions, splits
from arxivcli.progress import Progress, Silent

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from arxivcli.shards import Shards
    from arxivcli.taxonomy import Level

LONGEST = 600
"""Words from which all lengths count as one."""

_BATCH = 20_000
_COLUMNS = ("id", "title", "abstract", "categories", "created")
_FIRST_YEAR, _YEARS = 1900, 300


@dataclass(frozen=True)
class Lengths:
    """Words of the titles or abstracts of a corpus: `papers[w]` have w words, the last LONGEST or more."""

    papers: NDArray[np.int64]

    @property
    def empty(self) -> int:
        """How many have none at all."""
        return int(self.papers[0])

    def quantile(self, share: float) -> int:
        """The number of words that this share of those that are not empty does not exceed; 0 when all are."""
        filled = self.papers[1:]
        if not filled.any():
            return 0
        return 1 + int(np.searchsorted(np.cumsum(filled), share * filled.sum()))


@dataclass(frozen=True)
class Survey:
    """What is in a corpus. S splits, L labels; counts are of papers.

    Attributes:
        name: of its folder.
        level: what its labels are.
        sources: names of the files it was made from.
        split_rule: "random" or "time".
        read: records looked at; kept + the sum of dropped.
        kept: papers in the corpus.
        dropped: papers left out, by reason.
        splits: names of the splits.
        labels: labels a paper may have.
        counts: (S, L) papers by split and primary label.
        distances: (S,) Jensen-Shannon distance of each split's mix of labels from that of the first, train.
        by_chance: (S,) the distance to expect from chance alone.
        years: (Y,) years from the first to the last that is known.
        yearly: (S, Y) papers by split and year.
        undated: papers without a date.
        titles: lengths of the titles.
        abstracts: lengths of the abstracts.
        listed: papers by their number of categories, from 0 on.
    """

    name: str
    level: Level
    sources: tuple[str, ...]
    split_rule: str
    read: int
    kept: int
    dropped: dict[str, int]
    splits: tuple[str, ...]
    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    distances: NDArray[np.float64]
    by_chance: NDArray[np.float64]
    years: NDArray[np.int64]
    yearly: NDArray[np.int64]
    undated: int
    titles: Lengths
    abstracts: Lengths
    listed: NDArray[np.int64]

    @property
    def unrepresented(self) -> tuple[str, ...]:
        """Labels without a single paper."""
        return self._named(self.counts.sum(axis=0) == 0)

    def absent(self, split: str) -> tuple[str, ...]:
        """Labels that have papers, but none in this split."""
        return self._named((self.counts.sum(axis=0) > 0) & (self.counts[self.splits.index(split)] == 0))

    def _named(self, which: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(self.labels[index] for index in np.flatnonzero(which))


def survey(corpus: Shards, name: str, progress: Progress | None = None) -> Survey:
    """Read a corpus once, batch by batch.

    Raises FolderError when a shard is damaged.
    """
    progress = progress or Silent()
    manifest = corpus.manifest
    progress.begin("surveying", manifest.kept)
    readings = [_read(corpus, split, progress) for split in corpus.splits]
    progress.end()
    counts = np.array(
        [[manifest.splits[split].labels.get(label, 0) for label in manifest.labels] for split in corpus.splits],
        np.int64,
    ).reshape(len(corpus.splits), len(manifest.labels))
    yearly = np.array([reading.yearly for reading in readings])
    filled = np.flatnonzero(yearly[:, 1:].any(axis=0)) + 1
    seen = np.arange(filled[0], filled[-1] + 1) if len(filled) else filled
    return Survey(
        name=name,
        level=manifest.level,
        sources=tuple(source.name for source in manifest.sources),
        split_rule=str(manifest.settings.get("split", "random")),
        read=manifest.read,
        kept=manifest.kept,
        dropped=manifest.dropped,
        splits=corpus.splits,
        labels=manifest.labels,
        counts=counts,
        distances=np.array([distributions.distance(counts[0], some) for some in counts]),
        by_chance=np.array([distributions.chance_distance(counts[0], some) for some in counts]),
        years=seen + _FIRST_YEAR,
        yearly=yearly[:, seen],
        undated=int(yearly[:, 0].sum()),
        titles=Lengths(np.sum([reading.titles for reading in readings], axis=0)),
        abstracts=Lengths(np.sum([reading.abstracts for reading in readings], axis=0)),
        listed=_trimmed(np.sum([reading.listed for reading in readings], axis=0)),
    )


@dataclass
class _Reading:
    """What one split adds up to. `yearly[0]` counts papers without a date, `yearly[y]` those of _FIRST_YEAR + y."""

    yearly: NDArray[np.int64]
    titles: NDArray[np.int64]
    abstracts: NDArray[np.int64]
    listed: NDArray[np.int64]


def _read(corpus: Shards, split: str, progress: Progress) -> _Reading:
    tallies = _Reading(*(np.zeros(size, np.int64) for size in (_YEARS, LONGEST + 1, LONGEST + 1, LONGEST + 1)))
    for batch in corpus.batches(split, _BATCH, _COLUMNS):
        tallies.yearly += _tally(_years(batch), _YEARS)
        tallies.titles += _tally(_words(batch["title"]), LONGEST + 1)
        tallies.abstracts += _tally(_words(batch["abstract"]), LONGEST + 1)
        listed = pc.list_value_length(batch["categories"]).fill_null(0).to_numpy(zero_copy_only=False)
        tallies.listed += _tally(listed, LONGEST + 1)
        progress.advance(len(batch))
    return tallies


def _tally(numbers: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.bincount(np.clip(numbers, 0, size - 1), minlength=size)


def _years(papers: pa.RecordBatch) -> NDArray[np.int64]:
    """Years since _FIRST_YEAR of n papers, 0 for those without a date or with one that cannot be."""
    found = 1970 - _FIRST_YEAR + splits.months(papers).astype(np.int64) // 12
    return np.where((found > 0) & (found < _YEARS), found, 0)


def _words(texts: pa.StringArray) -> NDArray[np.int64]:
    """Words of n cleaned texts, which have one space between words."""
    spaces = pc.count_substring(texts, " ").fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    filled = pc.binary_length(texts).fill_null(0).to_numpy(zero_copy_only=False) > 0
    return np.where(filled, spaces + 1, 0)


def _trimmed(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Without the zeros at the end."""
    last = np.flatnonzero(counts)
    return counts[: last[-1] + 1] if len(last) else counts[:1]
