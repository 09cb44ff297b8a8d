"""Which figures crossed which thresholds: effects that are large enough and no chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from arxivcli.errors import UsageError, unknown
from arxivcli.statistics.significance import holm
from arxivcli.steps.drift.report import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arxivcli.steps.drift.report import (
        Accuracy,
        Estimate,
        LabelShift,
        Level,
        NumberShift,
        PredictionShift,
        Reach,
        TextShift,
        VectorShift,
        Verdict,
    )

DEFAULTS: dict[str, tuple[float, float]] = {
    "psi": (0.10, 0.25),
    "ks": (0.10, 0.20),
    "oov": (0.01, 0.03),
    "auc": (0.65, 0.80),
    "mmd": (0.10, 0.20),
    "accuracy": (0.02, 0.05),
}
"""By measure, from which effect on it is some drift and from which drift.

psi: population stability index less what chance makes of it; credit scoring's rule of thumb (Siddiqi 2006).
ks: gap of two cumulative distributions; of normal ones 0.10 and 0.20 are a quarter and a half standard deviation apart,
what Cohen (1988) calls small and medium.
oov: points of unknown words more.
auc: area under the ROC curve of a classifier that tells the sides apart; 0.5 is chance.
mmd: maximum mean discrepancy.
accuracy: points of right answers lost.
"""

SIGNIFICANCE = 0.05
_NAME = "significance"


@dataclass(frozen=True)
class Thresholds:
    """From which effect of each measure on it is some drift, and from which drift; the largest p-value of either."""

    limits: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(DEFAULTS))
    significance: float = SIGNIFICANCE

    @classmethod
    def of(cls, changes: Sequence[str]) -> Thresholds:
        """DEFAULTS with some changed: `psi=0.2`, where crossing is drift, `psi=0.1:0.25`, `significance=0.01`.

        Raises UsageError for what is no such thing.
        """
        limits, significance = dict(DEFAULTS), SIGNIFICANCE
        for change in (part for several in changes for part in several.split(",")):
            name, _, written = (part.strip() for part in change.partition("="))
            if name not in {*limits, _NAME}:
                raise unknown("threshold", name, [*limits, _NAME])
            numbers = _numbers(change, written)
            if name == _NAME:
                significance = numbers[0]
            else:
                limits[name] = numbers[0], numbers[-1]
        return cls(limits, significance)


def _numbers(change: str, written: str) -> list[float]:
    parts = written.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2 or not all(0 <= n < np.inf for n in numbers) or numbers != sorted(numbers):  # noqa: PLR2004
        raise UsageError(f"{change} is no threshold", "write psi=0.2, or psi=0.1:0.25 for some drift and drift")
    return numbers


@dataclass(frozen=True)
class _Figure:
    """A finding before it is judged."""

    name: str
    measure: str
    effect: float
    p: float
    reference: float | None = None
    current: float | None = None


def judged(
    thresholds: Thresholds,
    labels: LabelShift | None,
    text: TextShift,
    vectors: VectorShift | None,
    predictions: PredictionShift | None,
    reach: Reach | None,
    accuracy: Accuracy | None,
    estimate: Estimate | None,
) -> tuple[Finding, ...]:
    """Every figure there is against its thresholds, p-values adjusted for how many they are (Holm)."""
    figures = [
        *_mix("labels", labels),
        *_text(text),
        *_vectors(vectors),
        *_mix("answers", predictions.labels if predictions else None),
        *_number("confidence", "ks", predictions.confidence if predictions else None),
        *_reach(reach),
        *_right(accuracy, estimate),
    ]
    adjusted = holm(np.array([figure.p for figure in figures]))
    return tuple(_judged(figure, float(p), thresholds) for figure, p in zip(figures, adjusted, strict=True))


def worst(findings: Sequence[Finding]) -> Verdict:
    """The verdict on all of them."""
    levels = {finding.level for finding in findings}
    return "drift" if "drift" in levels else "some drift" if "some" in levels else "no drift"


def _mix(name: str, shift: LabelShift | None) -> list[_Figure]:
    return [_Figure(name, "psi", max(0.0, shift.psi - shift.psi_by_chance), shift.p)] if shift else []


def _number(name: str, measure: str, shift: NumberShift | None) -> list[_Figure]:
    if shift is None:
        return []
    return [_Figure(name, measure, shift.effect, shift.p, shift.reference_mean, shift.current_mean)]


def _text(text: TextShift) -> list[_Figure]:
    return [
        *_number("words a title", "ks", text.title_words),
        *_number("words an abstract", "ks", text.abstract_words),
        *_number("unknown words", "oov", text.unknown_words),
        *_number("unknown to the model", "oov", text.unknown_to_model),
    ]


def _vectors(vectors: VectorShift | None) -> list[_Figure]:
    if vectors is None:
        return []
    return [
        _Figure("telling apart", "auc", vectors.area, vectors.area_p),
        _Figure("distance", "mmd", vectors.discrepancy, vectors.discrepancy_p),
    ]


def _reach(reach: Reach | None) -> list[_Figure]:
    """Papers whose label cannot be answered are answers lost."""
    if reach is None:
        return []
    return [
        _Figure(
            "labels it can answer", "accuracy", reach.reference - reach.current, reach.p, reach.reference, reach.current
        )
    ]


def _right(accuracy: Accuracy | None, estimate: Estimate | None) -> list[_Figure]:
    """What is lost; where the truth is known, estimates do not count."""
    if accuracy is not None:
        first, second, same = accuracy.reference.share, accuracy.current.share, accuracy.same_mix
        return [
            _Figure("top-1", "accuracy", -accuracy.change, accuracy.p, first, second),
            _Figure("top-1, one mix of labels", "accuracy", -same.change, same.p, same.reference, same.current),
        ]
    if estimate is not None:
        change = -estimate.change
        return [_Figure("top-1, estimated", "accuracy", change, estimate.p, estimate.reference, estimate.current)]
    return []


def _judged(figure: _Figure, p: float, thresholds: Thresholds) -> Finding:
    some, drift = thresholds.limits[figure.measure]
    level: Level = "none"
    if p <= thresholds.significance:
        level = "drift" if figure.effect > drift else "some" if figure.effect > some else "none"
    effect = figure.effect + 0.0  # never -0.0
    return Finding(figure.name, figure.measure, figure.reference, figure.current, effect, p, some, drift, level)
