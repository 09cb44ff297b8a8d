"""The figures of one model on one set of papers, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from arxivcli.metrics.bootstrap import Estimate, effective, estimate, share
from arxivcli.metrics.reliability import ECE_BINS, bins_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.metrics.bootstrap import Resampling
    from arxivcli.metrics.outcomes import Outcomes

SHARES: Final = frozenset({"top1", "top3", "top5", "any_listed", "archive", "group", "coverage"})
"""Figures that are shares of papers, between 0 and 1 and better when larger."""

_BOUNDED: Final = SHARES | {"macro_f1", "weighted_f1", "mrr"}
"""Figures between 0 and 1, for which 0 or 1 in every resample proves nothing."""


@dataclass(frozen=True)
class Quality:
    """Figures of a model on some papers. 0/0 is 0: without papers every value is 0.

    Attributes:
        papers: how many.
        top1: share whose primary label is the best answer (accuracy).
        top3: ... is among the first three.
        top5: ... is among the first five.
        any_listed: share whose best answer is any of the paper's labels, cross-lists included.
        archive: share whose best answer is of the primary label's archive.
        group: ... of its group.
        macro_f1: mean F1 of the labels that are any paper's primary, labels alike.
        weighted_f1: the same, labels weighed by their papers.
        mrr: mean of 1 / place of the primary label among the answers.
        nll: mean negative log likelihood of the primary label, nats.
        brier: mean squared distance of the probabilities from the truth, 0 to 2 (Brier 1950).
        ece: expected calibration error of the best answers, ECE_BINS bins of equal width.
        ece_before: the same before calibration.
        coverage: share whose conformal set holds the primary label; None when the model makes no sets.
        set_size: mean number of labels in a set; None likewise.
    """

    papers: int
    top1: Estimate
    top3: Estimate
    top5: Estimate
    any_listed: Estimate
    archive: Estimate
    group: Estimate
    macro_f1: Estimate
    weighted_f1: Estimate
    mrr: Estimate
    nll: Estimate
    brier: Estimate
    ece: Estimate
    ece_before: Estimate
    coverage: Estimate | None
    set_size: Estimate | None

    def figures(self) -> dict[str, Estimate]:
        """Those there are, by name."""
        every = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "papers"}
        return {name: figure for name, figure in every.items() if figure is not None}


@dataclass(frozen=True, eq=False)
class Draws:
    """Values and resampled values (B,) of each figure; F1 of each of L labels, (L,) and (B, L)."""

    values: dict[str, float]
    resampled: dict[str, NDArray[np.float64]]
    f1: NDArray[np.float64]
    f1_resampled: NDArray[np.float64]


def draws(
    found: Outcomes,
    weights: NDArray[np.float64],
    parents: dict[str, NDArray[np.int64]],
    labels: int,
    resamples: Resampling,
) -> Draws:
    """Every figure of `Quality`, of the papers and of each resample.

    Args:
        found: what became of n papers.
        weights: (n,) what each counts, any scale. They stay what they are in resamples: intervals of re-weighted
            papers err on the wide side.
        parents: (L,) number of the "archive" and of the "group" of each label.
        labels: L.
        resamples: of the n papers.
    """
    sums = _sums(found, weights, parents, labels, resamples)
    totals = {name: column.sum(axis=0, keepdims=True) for name, column in sums.items()}
    drawn = {name: resamples.counts @ column for name, column in sums.items()}
    values, f1 = _figures(totals)
    resampled, f1_resampled = _figures(drawn)
    return Draws({name: float(value[0]) for name, value in values.items()}, resampled, f1[0], f1_resampled)


def quality(drawn: Draws, weights: NDArray[np.float64]) -> Quality:
    """The figures with their intervals; those of a share that is 0 or 1 are Wilson's."""
    many = effective(weights)
    every: dict[str, Estimate | None] = {"coverage": None, "set_size": None}
    for name, value in drawn.values.items():
        resampled = drawn.resampled[name]
        certain = name in _BOUNDED and (value <= 0 or value >= 1)
        every[name] = share(value, many) if certain else estimate(value, resampled)
    return Quality(papers=len(weights), **every)  # type: ignore[arg-type]


def _sums(
    found: Outcomes,
    weights: NDArray[np.float64],
    parents: dict[str, NDArray[np.int64]],
    labels: int,
    resamples: Resampling,
) -> dict[str, NDArray[np.float64]]:
    """What the figures are made of, summed over each of G blocks: (G, 1), (G, bins) or (G, L)."""
    truth, best, right = found.truth, found.best, found.right
    rank = found.rank
    shares: dict[str, NDArray[Any]] = {
        "top1": right,
        "top3": rank <= 3,  # noqa: PLR2004
        "top5": rank <= 5,  # noqa: PLR2004
        "any_listed": found.listed,
        **{name: number[best] == number[truth] for name, number in parents.items()},
        "mrr": 1 / rank.astype(np.float64),
        "nll": -np.log(np.maximum(found.chance.astype(np.float64), np.finfo(np.float32).tiny)),
        "brier": found.brier,
    }
    if found.inside.shape[1]:
        shares |= {"coverage": found.inside[:, 0], "set_size": found.sizes[:, 0]}
    sums = {name: resamples.sums(weights * column)[:, None] for name, column in shares.items()}
    sums["weight"] = resamples.sums(weights)[:, None]
    for name, confidence in (("ece", found.confidence), ("ece_before", found.plain)):
        gap = weights * (confidence.astype(np.float64) - right)
        sums[name] = resamples.sums_by(bins_of(confidence), gap, ECE_BINS)
    sums["support"] = resamples.sums_by(truth, weights, labels)
    sums["answered"] = resamples.sums_by(best, weights, labels)
    sums["hits"] = resamples.sums_by(truth, weights * right, labels)
    return sums


def _figures(
    sums: dict[str, NDArray[np.float64]],
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Each figure (R,) and the F1 of each label (R, L) from R rows of sums."""
    parts = dict(sums)
    weight = parts.pop("weight")[:, 0]
    support, answered, hits = (parts.pop(name) for name in ("support", "answered", "hits"))
    f1 = ratio(2 * hits, support + answered)
    figures = {
        name: ratio(np.abs(part).sum(axis=1) if "ece" in name else part[:, 0], weight) for name, part in parts.items()
    }
    figures["macro_f1"] = ratio(f1.sum(axis=1, where=support > 0), (support > 0).sum(axis=1).astype(np.float64))
    figures["weighted_f1"] = ratio((f1 * support).sum(axis=1), weight)
    return figures, f1


def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotients; 0/0 is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
