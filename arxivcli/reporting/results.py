"""What the page of an evaluation is made from: plain arrays and numbers, whoever measured them.

What is left out of `Results` is not on the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from arxivcli.reporting.tables import decimal, percent, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from arxivcli.reporting.calibration_figures import Coverage, Reliability
    from arxivcli.reporting.line_figures import Line

Kind = Literal["percent", "decimal"]
_LARGE = 10


@dataclass(frozen=True)
class Measure:
    """A figure of a model and the ends of its 95 % interval (None: not known)."""

    value: float
    low: float | None = None
    high: float | None = None

    def written(self, kind: Kind = "percent") -> str:
        """`66.1 %`, `1.234` or `12.3`."""
        return percent(self.value) if kind == "percent" else decimal(self.value, self._digits)

    def interval(self, kind: Kind = "percent") -> str:
        """`65.8 to 66.4`, shares in hundredths; empty when it is not known."""
        if self.low is None or self.high is None:
            return ""
        times, digits = (100, 1) if kind == "percent" else (1, self._digits)
        return f"{decimal(times * self.low, digits)} to {decimal(times * self.high, digits)}"

    def change(self, kind: Kind = "percent") -> str:
        """A difference: `+1.2 (+0.8 to +1.6)`, shares in points."""
        times, digits = (100, 1) if kind == "percent" else (1, self._digits)
        told = signed(times * self.value, digits)
        if self.low is None or self.high is None:
            return told
        return f"{told} ({signed(times * self.low, digits)} to {signed(times * self.high, digits)})"

    @property
    def _digits(self) -> int:
        """After the point of a number that is no share."""
        return 3 if abs(self.value) < _LARGE else 1


@dataclass(frozen=True)
class Labels:
    """What each of L labels comes to: precision, recall, F1, and papers that have it, (L,) each."""

    precision: ArrayLike
    recall: ArrayLike
    f1: ArrayLike
    support: ArrayLike


@dataclass(frozen=True)
class Confusion:
    """Papers of one label that were taken for another: how many, their share of the label's, titles of some."""

    truth: str
    answer: str
    papers: float
    share: float
    titles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Periods:
    """Share right of the papers of each of n years or months with its 95 % interval, and how many papers there are."""

    times: ArrayLike
    accuracy: ArrayLike
    low: ArrayLike
    high: ArrayLike
    papers: ArrayLike


@dataclass(frozen=True)
class Slice:
    """Some papers that belong together ("without abstract", "hep-*") and by model how often it is right on them."""

    name: str
    papers: int
    top1: Mapping[str, Measure]


@dataclass(frozen=True)
class Suspect:
    """A paper whose categories look wrong: what it has, what a model is surer of, and how sure it is of that."""

    title: str
    categories: str
    suggested: str
    confidence: float


@dataclass(frozen=True)
class Results:
    """What one evaluation found. Whatever is by model has `model` first, then those it is compared with.

    Attributes:
        model: name of the first model, which the others are compared with.
        corpus: name of the papers' folder.
        split: which of its splits.
        papers: how many.
        weighted: what the papers are weighted to; empty when each counts one.
        remarks: sentences on what should be known before the figures are believed.
        measures: name of a figure -> model -> its value. The first figures become cards.
        title_measures: the same from titles alone.
        differences: name of a figure -> the second model's less the first's; empty unless there are two.
        title_differences: the same from titles alone.
        decimal_measures: names of those figures that are no shares (nll, ece).
        significance: sentences on whether the models differ by more than chance.
        labels: the L labels.
        archives: the A archives of these.
        confusion: by model, (L, L) papers whose label is the row's and whose answer is the column's.
        archive_confusion: by model, (A, A) the same by archive.
        per_label: by model, precision, recall, F1, support.
        reliability: for example {"before calibration": ..., "after": ...}.
        coverage: by model, of conformal sets.
        set_sizes: by model, (largest + 1,) share of papers with so many labels in their set.
        yearly: by model.
        monthly: by model; months are counted from January 1970.
        abstention: by model: x the share of papers answered, y the share right of these.
        confusions: by model, the most frequent, largest first.
        suspects: by model, the most suspicious first; some of them.
        suspected: by model, how many there are.
        slices: by what they are, in the order they are shown.
    """

    model: str
    corpus: str
    split: str
    papers: int
    measures: Mapping[str, Mapping[str, Measure]]
    weighted: str = ""
    remarks: tuple[str, ...] = ()
    title_measures: Mapping[str, Mapping[str, Measure]] = field(default_factory=dict)
    differences: Mapping[str, Measure] = field(default_factory=dict)
    title_differences: Mapping[str, Measure] = field(default_factory=dict)
    decimal_measures: tuple[str, ...] = ("nll", "ece")
    significance: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    confusion: Mapping[str, ArrayLike] = field(default_factory=dict)
    archive_confusion: Mapping[str, ArrayLike] = field(default_factory=dict)
    per_label: Mapping[str, Labels] = field(default_factory=dict)
    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    set_sizes: Mapping[str, ArrayLike] = field(default_factory=dict)
    yearly: Mapping[str, Periods] = field(default_factory=dict)
    monthly: Mapping[str, Periods] = field(default_factory=dict)
    abstention: Mapping[str, Line] = field(default_factory=dict)
    confusions: Mapping[str, tuple[Confusion, ...]] = field(default_factory=dict)
    suspects: Mapping[str, tuple[Suspect, ...]] = field(default_factory=dict)
    suspected: Mapping[str, int] = field(default_factory=dict)
    slices: Mapping[str, tuple[Slice, ...]] = field(default_factory=dict)

    def kind(self, measure: str) -> Kind:
        """How a figure is written."""
        return "decimal" if measure in self.decimal_measures else "percent"

    @property
    def models(self) -> tuple[str, ...]:
        """All models, the first first."""
        return tuple(dict.fromkeys([self.model, *(name for found in self.measures.values() for name in found)]))
