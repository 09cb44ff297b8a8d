"""From what became of each paper to figures, slices and curves, all of them on the same weights and resamples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from arxivcli import splits, taxonomy
from arxivcli.metrics import conformal, quality, slices
from arxivcli.metrics.reliability import Reliability, reliability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.metrics.bootstrap import Resampling
    from arxivcli.metrics.outcomes import Outcomes
    from arxivcli.metrics.quality import Draws, Quality
    from arxivcli.metrics.slices import Slice
    from arxivcli.steps.evaluation.scoring import Facts

_LENGTHS: Final = (1, 500, 1000, 1500)
_LENGTH_NAMES: Final = ("no abstract", "1-499", "500-999", "1000-1499", "1500 or more")
_LISTING_NAMES: Final = ("one category", "cross-listed")


@dataclass(frozen=True, eq=False)
class Measured:
    """The figures of one model, without texts; the fields are those of `ModelReport`."""

    whole: Quality
    title_only: Quality
    reliability: Reliability
    reliability_before: Reliability
    covered: tuple[conformal.Covered, ...]
    set_sizes: NDArray[np.float64]
    abstention: conformal.Abstention
    per_label: tuple[slices.LabelRow, ...]
    per_archive: tuple[Slice, ...]
    per_year: tuple[Slice, ...]
    per_month: tuple[Slice, ...]
    per_length: tuple[Slice, ...]
    per_listing: tuple[Slice, ...]
    confusion: NDArray[np.float64]
    archive_confusion: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measuring:
    """Measures models on the same n papers.

    Attributes:
        labels: the L labels.
        facts: what is known of the papers.
        weights: (n,) what each counts, on average one.
        resamples: of the papers.
    """

    labels: tuple[str, ...]
    facts: Facts
    weights: NDArray[np.float64]
    resamples: Resampling

    @cached_property
    def archives(self) -> taxonomy.Parents:
        """Of the labels."""
        return taxonomy.parents(self.labels, "archive")

    @cached_property
    def _groups(self) -> taxonomy.Parents:
        return taxonomy.parents(self.labels, "group")

    def draws(self, found: Outcomes) -> Draws:
        """Every figure and its resamples."""
        numbers = {"archive": self.archives.number, "group": self._groups.number}
        return quality.draws(found, self.weights, numbers, len(self.labels), self.resamples)

    def measured(self, found: Outcomes, drawn: Draws, titles: Draws, coverages: tuple[float, ...]) -> Measured:
        """Everything of one model; what was drawn are the figures by title and abstract, and by title alone."""
        weights = self.weights
        confusion = slices.confusion(found, len(self.labels), weights)
        sizes = np.bincount(found.sizes[:, 0], weights) / weights.sum() if coverages else np.empty(0)
        return Measured(
            whole=quality.quality(drawn, weights),
            title_only=quality.quality(titles, weights),
            reliability=reliability(found.confidence, found.right, weights),
            reliability_before=reliability(found.plain, found.right, weights),
            covered=conformal.covered(found, coverages, weights),
            set_sizes=sizes,
            abstention=conformal.abstention(found, weights),
            per_label=slices.label_rows(found, confusion, self.labels, drawn),
            per_archive=slices.slices(found, self.archives.number[found.truth], self.archives.names, weights),
            per_year=self._dated(found, "Y"),
            per_month=self._dated(found, "M"),
            per_length=slices.slices(
                found, np.searchsorted(_LENGTHS, self.facts.lengths, side="right"), _LENGTH_NAMES, weights
            ),
            per_listing=slices.slices(found, (self.facts.listings > 1).astype(np.int64), _LISTING_NAMES, weights),
            confusion=confusion,
            archive_confusion=slices.gathered(confusion, self.archives.number, len(self.archives.names)),
        )

    def _dated(self, found: Outcomes, unit: Literal["Y", "M"]) -> tuple[Slice, ...]:
        """By year ("2024") or month ("2024-03"), those of unknown date left out."""
        known = self.facts.months != splits.NO_MONTH
        dates = self.facts.months.astype("datetime64[M]").astype(f"datetime64[{unit}]")
        seen = np.unique(dates[known])
        number = np.where(known, np.searchsorted(seen, dates), slices.NO_SLICE)
        return slices.slices(found, number, [str(date) for date in seen], self.weights)
