"""What the page of an evaluation is made from: plain arrays and numbers, whoever measured them.

What is left out of `Results` is not on the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from arxivcli.reporting.tables import decimal, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from arxivcli.reporting.calibration_figures import Reliability
    from arxivcli.reporting.figures import Line

Kind = Literal["percent", "decimal"]


@dataclass(frozen=True)
class Measure:
    """A figure of a model and the ends of its 95 % interval (None: not known)."""

    value: float
    low: float | None = None
    high: float | None = None

    def written(self, kind: Kind = "percent") -> str:
        """`66.1 %` or `1.2345`."""
        return percent(self.value) if kind == "percent" else decimal(self.value, 4)

    def interval(self, kind: Kind = "percent") -> str:
        """`65.8 % to 66.4 %`; empty when it is not known."""
        if self.low is None or self.high is None:
            return ""
        return f"{Measure(self.low).written(kind)} to {Measure(self.high).written(kind)}"


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
class Coverage:
    """Conformal sets, (n,) each: coverage promised, coverage achieved, mean number of labels in a set."""

    promised: ArrayLike
    achieved: ArrayLike
    sizes: ArrayLike | None = None


@dataclass(frozen=True)
class Yearly:
    """Share right of the papers of each of n years with its 95 % interval, and how many papers there are."""

    years: ArrayLike
    accuracy: ArrayLike
    low: ArrayLike
    high: ArrayLike
    papers: ArrayLike


@dataclass(frozen=True)
class Slice:
    """Some papers that belong together ("without abstract", "hep-*") and how good the model is on them."""

    name: str
    papers: int
    top1: Measure


@dataclass(frozen=True)
class Results:
    """What one evaluation found.

    Attributes:
        model: name of the model.
        corpus: name of the papers' folder.
        split: which of its splits.
        papers: how many.
        weighted: what the papers are weighted to; empty when each counts one.
        measures: name of a figure -> model -> its value; the first model is `model`. The first figures become cards.
        decimal_measures: names of those figures that are no shares (nll, ece).
        significance: a sentence on whether the models differ by more than chance.
        labels: the L labels.
        confusion: (L, L) papers whose label is the row's and whose answer is the column's.
        per_label: precision, recall, F1, support.
        reliability: for example {"before calibration": ..., "after": ...}.
        coverage: of conformal sets.
        yearly: by model.
        abstention: by model: x the share of papers answered, y the share right of these.
        confusions: the most frequent, largest first.
        slices: in the order they are shown.
    """

    model: str
    corpus: str
    split: str
    papers: int
    measures: Mapping[str, Mapping[str, Measure]]
    weighted: str = ""
    decimal_measures: tuple[str, ...] = ("nll", "ece")
    significance: str = ""
    labels: tuple[str, ...] = ()
    confusion: ArrayLike | None = None
    per_label: Labels | None = None
    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    coverage: Coverage | None = None
    yearly: Mapping[str, Yearly] = field(default_factory=dict)
    abstention: Mapping[str, Line] = field(default_factory=dict)
    confusions: tuple[Confusion, ...] = ()
    slices: tuple[Slice, ...] = ()

    def kind(self, measure: str) -> Kind:
        """How a figure is written."""
        return "decimal" if measure in self.decimal_measures else "percent"
