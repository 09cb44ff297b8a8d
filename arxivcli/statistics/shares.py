"""Counts of the same L labels on two sides, compared: how far apart the shares are, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from arxivcli.metrics import bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

SMOOTHING = 0.5
"""What is added to each count before a logarithm is taken, as for a prior of Jeffreys: no share is zero."""

LEAST_EXPECTED = 5.0
"""Papers a label must be expected to have on either side for the limits of large numbers to hold (Cochran 1954)."""

RARE = 0.05
"""Labels too rare for that count together when they are at most so large a share of both sides."""

DEALT = 4_999
"""How often papers are dealt to the sides anew when they are more than that."""


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test that both sides have the same shares; `effect` is Cramér's V, between 0 and 1."""

    statistic: float
    freedom: int
    p: float
    effect: float


def stability_index(before: Counts, after: Counts) -> float:
    """Population stability index of two sides' counts (L,): sum of (a - b) ln(a / b) over the shares, in nats.

    The symmetric Kullback-Leibler divergence (Jeffreys 1946), named so by credit scoring, whose rule of thumb is:
    below 0.1 nothing, above 0.25 a shift (Siddiqi 2006).
    """
    return float(stability_parts(before, after).sum())


def stability_parts(before: Counts, after: Counts) -> Floats:
    """What each label adds to the population stability index, (L,), none below zero."""
    if before.sum() == 0 or after.sum() == 0:
        return np.zeros(len(before))
    first, second = _smoothed(before), _smoothed(after)
    parts: Floats = (second - first) * np.log(second / first)
    return parts


def stability_by_chance(before: Counts, after: Counts, seed: int = 0) -> float:
    """The index that two samples of one population have on average, of these sizes and with these labels.

    With many papers of each label (L - 1) (1/n + 1/m) (Yurdakul and Naranjo 2020), else the mean of many dealings.
    """
    before, after = _seen(before, after)
    if before.sum() == 0 or after.sum() == 0 or len(before) == 1:
        return 0.0
    if _many(before, after).all():
        return float((len(before) - 1) * (1 / before.sum() + 1 / after.sum()))
    first, second = (_smoothed(side) for side in _dealt(before, after, seed))
    return float(((second - first) * np.log(second / first)).sum(axis=1).mean())


def _smoothed(counts: Counts) -> Floats:
    padded = counts + SMOOTHING
    shares: Floats = padded / padded.sum(axis=-1, keepdims=True)
    return shares


def _seen(before: Counts, after: Counts) -> tuple[Counts, Counts]:
    """The counts of the labels that either side has."""
    seen = before + after > 0
    return before[seen], after[seen]


def _rare_together(before: Counts, after: Counts) -> tuple[Counts, Counts]:
    """The counts; rare labels, with the next ones until together they are not rare, as one where that loses little."""
    if _many(before, after).all():
        return before, after
    order = np.argsort(before + after, kind="stable")
    least = LEAST_EXPECTED / _smaller_share(before, after)
    rare = order[: max((before + after < least).sum(), ((before + after)[order].cumsum() < least).sum() + 1)]
    if any(side[rare].sum() > RARE * side.sum() for side in (before, after)):
        return before, after
    first, second = (np.append(np.delete(side, rare), side[rare].sum()) for side in (before, after))
    return first, second


def _many(before: Counts, after: Counts) -> NDArray[np.bool_]:
    """Of which labels enough papers are expected on both sides."""
    many: NDArray[np.bool_] = (before + after) * _smaller_share(before, after) >= LEAST_EXPECTED
    return many


def _smaller_share(before: Counts, after: Counts) -> float:
    """The share of all papers that are on the smaller side."""
    return float(min(before.sum(), after.sum()) / (before.sum() + after.sum()))


def _dealt(before: Counts, after: Counts, seed: int) -> tuple[Counts, Counts]:
    """Counts of both sides, (DEALT, L) each, when it is chance on which of them a paper is."""
    both = before + after
    chance = np.random.default_rng(seed)
    first = chance.multivariate_hypergeometric(both, int(before.sum()), DEALT, method="marginals")
    return first, both - first


def chi_square(before: Counts, after: Counts, seed: int = 0) -> ChiSquare:
    """The test, rare labels taken together; where much is rare, by dealing papers anew: p is at least 1 / (1 + DEALT).

    With fewer than two labels, or no papers on a side, there is nothing to tell apart.
    """
    before, after = _seen(before, after)
    if before.sum() == 0 or after.sum() == 0:
        return ChiSquare(0.0, 0, 1.0, 0.0)
    before, after = _rare_together(before, after)
    if len(before) < 2:  # noqa: PLR2004
        return ChiSquare(0.0, 0, 1.0, 0.0)
    statistic, freedom = float(_pearson(before, before, after)), len(before) - 1
    if _many(before, after).all():
        p = float(stats.chi2.sf(statistic, freedom))
    else:
        as_large = _pearson(_dealt(before, after, seed)[0], before, after) >= statistic * (1 - 1e-12)
        p = float((1 + as_large.sum()) / (1 + DEALT))
    return ChiSquare(statistic, freedom, p, min(1.0, float(np.sqrt(statistic / (before.sum() + after.sum())))))


def _pearson(first: Counts, before: Counts, after: Counts) -> Floats:
    """The statistic of `first` (..., L) and what is left, with the margins of `before` and `after`: (...)."""
    both, n, m = before + after, before.sum(), after.sum()
    expected = both * (n / (n + m))
    statistic: Floats = (np.square(first - expected) * (1 / expected + 1 / (both - expected))).sum(axis=-1)
    return statistic


def wilson(hits: Counts, papers: int | Counts) -> tuple[Floats, Floats]:
    """Low and high end of each share's interval (Wilson 1927); 0 and 1 where there are no papers."""
    return bootstrap.wilson(hits / np.maximum(papers, 1), papers)


def ratios(before: Counts, after: Counts) -> tuple[Floats, Floats, Floats]:
    """Share after / share before of each label and its interval (Katz et al. 1978), SMOOTHING added to each count."""
    z = stats.norm.ppf((1 + bootstrap.LEVEL) / 2)
    n, m = before.sum() + SMOOTHING, after.sum() + SMOOTHING
    first, second = before + SMOOTHING, after + SMOOTHING
    middle = np.log(second / m) - np.log(first / n)
    half = z * np.sqrt(np.maximum(1 / first - 1 / n + 1 / second - 1 / m, 0))
    return np.exp(middle), np.exp(middle - half), np.exp(middle + half)


def two_proportions(hits: Counts, papers: int, later_hits: Counts, later_papers: int) -> Floats:
    """Two-sided p-value of each pair of shares being one (pooled z-test); 1 where nothing can be told."""
    if papers == 0 or later_papers == 0:
        return np.ones(len(hits))
    together = (hits + later_hits) / (papers + later_papers)
    spread = np.sqrt(together * (1 - together) * (1 / papers + 1 / later_papers))
    gap = np.abs(later_hits / later_papers - hits / papers)
    z = np.divide(gap, spread, out=np.zeros_like(spread), where=spread > 0)
    p: Floats = 2 * stats.norm.sf(z)
    return p


def difference(hits: int, papers: int, later_hits: int, later_papers: int) -> tuple[float, float]:
    """Interval of the later share minus the earlier one (Newcombe 1998, method 10)."""
    counts, sizes = np.array([hits, later_hits]), np.array([papers, later_papers])
    low, high = wilson(counts, sizes)
    first, second = counts / np.maximum(sizes, 1)
    gap = second - first
    below = np.hypot(second - low[1], high[0] - first)
    above = np.hypot(high[1] - second, first - low[0])
    return float(gap - below), float(gap + above)
