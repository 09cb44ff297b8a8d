"""How far two sets of papers are apart in what they are about: distances between counts by label, never NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def shares(counts: ArrayLike) -> NDArray[np.float64]:
    """Counts (n,) as shares of their sum; all 0 when there are none."""
    found = np.asarray(counts, np.float64)
    total = found.sum()
    return found / total if total > 0 else np.zeros_like(found)


def divergences(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """What each label adds to the Jensen-Shannon divergence of two counts (n,), in bits; none is below 0.

    Their sum is the divergence, between 0 (the same mix) and 1 (no label in common). Where one side has no papers at
    all there is no mix to compare, and all are 0. (Lin 1991, "Divergence Measures Based on the Shannon Entropy".)
    """
    p, q = shares(first), shares(second)
    if p.sum() == 0 or q.sum() == 0:
        return np.zeros_like(p)
    middle = (p + q) / 2
    terms: NDArray[np.float64] = (_information(p, middle) + _information(q, middle)) / 2
    return np.maximum(terms, 0)


def distance(first: ArrayLike, second: ArrayLike) -> float:
    """The Jensen-Shannon distance of two counts (n,): the root of their divergence in bits, a metric from 0 to 1.

    (Endres and Schindelin 2003, "A New Metric for Probability Distributions".)
    """
    return float(np.sqrt(min(1.0, divergences(first, second).sum())))


def chance_distance(first: ArrayLike, second: ArrayLike) -> float:
    """About the distance that counts (n,) of these sizes would have by chance alone, drawn from one mix.

    The divergence is then near chi-square / (8 ln 2) with as many degrees of freedom as labels in use, less one.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.sum() == 0 or other.sum() == 0:
        return 0.0
    labels = np.count_nonzero(one + other)
    divergence = (labels - 1) / (8 * np.log(2)) * (1 / one.sum() + 1 / other.sum())
    return float(np.sqrt(min(1.0, divergence)))


def _information(of: NDArray[np.float64], against: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = np.divide(of, against, out=np.ones_like(of), where=of > 0)
    return np.asarray(of * np.log2(ratio), np.float64)
