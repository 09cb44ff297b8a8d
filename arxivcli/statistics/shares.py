"""Counts of the same L labels on two sides, compared: how far apart the shares are, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

SMOOTHING = 0.5
"""What is added to each count before a logarithm is taken, as for a prior of Jeffreys: no share is zero."""

LEAST_EXPECTED = 5.0
"""Papers a label must be expected to have on either side; rarer ones count together (Cochran 1954)."""

LEVEL = 0.95
"""Confidence level of every interval."""


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test that both sides have the same shares; `effect` is Cramér's V, between 0 and 1."""

    statistic: float
    freedom: int
    p: float
    effect: float


def pooled(before: Counts, after: Counts) -> tuple[Counts, Counts]:
    """The counts of labels that are frequent enough for tests, then those of all others together where there are any.

    Args:
        before: (L,) papers of each label on one side.
        after: (L,) on the other side.
    """
    both = before + after
    smaller = min(before.sum(), after.sum()) / max(both.sum(), 1)
    often = both * smaller >= LEAST_EXPECTED
    if often.all() or not both[~often].any():
        return before[often], after[often]
    return np.append(before[often], before[~often].sum()), np.append(after[often], after[~often].sum())


def stability_index(before: Counts, after: Counts) -> float:
    """Population stability index of two sides' counts (L,): sum of (a - b) ln(a / b) over the shares, in nats.

    The symmetric Kullback-Leibler divergence (Jeffreys 1946), named so by credit scoring, whose rule of thumb is:
    below 0.1 nothing, above 0.25 a shift (Siddiqi 2006).
    """
    if before.sum() == 0 or after.sum() == 0:
        return 0.0
    first, second = _smoothed(before), _smoothed(after)
    return float(((second - first) * np.log(second / first)).sum())


def stability_by_chance(labels: int, before: int, after: int) -> float:
    """The index two samples of one population have on average: (L - 1) (1/n + 1/m) (Yurdakul and Naranjo 2020)."""
    return (labels - 1) * (1 / before + 1 / after) if labels and before and after else 0.0


def _smoothed(counts: Counts) -> Floats:
    padded = counts + SMOOTHING
    shares: Floats = padded / padded.sum()
    return shares


def jensen_shannon(before: Counts, after: Counts) -> Floats:
    """What each label adds to the Jensen-Shannon divergence in bits, (L,); its sum is between 0 and 1 (Lin 1991).

    The square root of the sum is the distance. All zero where a side has no papers.
    """
    if before.sum() == 0 or after.sum() == 0:
        return np.zeros(len(before))
    first, second = before / before.sum(), after / after.sum()
    middle = (first + second) / 2
    added: Floats = (_relative(first, middle) + _relative(second, middle)) / 2
    return np.maximum(added, 0)  # each is; rounding may say otherwise


def _relative(shares: Floats, middle: Floats) -> Floats:
    """shares * log2(shares / middle), 0 where the share is."""
    ratio = np.divide(shares, middle, out=np.ones_like(shares), where=shares > 0)
    product: Floats = shares * np.log2(ratio)
    return product


def chi_square(before: Counts, after: Counts) -> ChiSquare:
    """The test on `pooled` counts; with fewer than two labels left there is nothing to tell apart."""
    table = np.stack(pooled(before, after))
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():  # noqa: PLR2004
        return ChiSquare(0.0, 0, 1.0, 0.0)
    found = stats.chi2_contingency(table, correction=False)
    effect = np.sqrt(found.statistic / table.sum())
    return ChiSquare(float(found.statistic), int(found.dof), float(found.pvalue), float(effect))


def wilson(hits: Counts, papers: int | Counts) -> tuple[Floats, Floats]:
    """Low and high end of each share's interval (Wilson 1927); 0 and 1 where there are no papers."""
    z = stats.norm.ppf((1 + LEVEL) / 2)
    n = np.maximum(papers, 1).astype(np.float64)
    share = hits / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    known = np.asarray(papers) > 0
    low, high = np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
    # Rounding aside an interval holds its own share, also at 0 and 1.
    return np.where(known, np.minimum(low, share), 0.0), np.where(known, np.maximum(high, share), 1.0)


def ratios(before: Counts, after: Counts) -> tuple[Floats, Floats, Floats]:
    """Share after / share before of each label and its interval (Katz et al. 1978), SMOOTHING added to each count."""
    z = stats.norm.ppf((1 + LEVEL) / 2)
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
