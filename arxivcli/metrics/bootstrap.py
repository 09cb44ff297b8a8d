"""How far figures may be off because other papers could have been drawn: bootstrap resamples and intervals."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

RESAMPLES: Final = 1000
LEVEL: Final = 0.95
BLOCKS: Final = 2000
"""Up to so many papers are resampled one by one; more are dealt into so many random blocks, and blocks are resampled.

The papers of a random block are as independent as papers are, so the spread is the same (its own error is a few
percent), and the cost no longer depends on how many papers there are.
"""

_NORMAL: Final = NormalDist()
_EQUAL: Final = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval that holds its true value in about 95 of 100 cases; low <= value <= high."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Resampling:
    """The same resamples of the same n papers for every figure and model, so that differences are paired.

    Attributes:
        blocks: (n,) the block of each paper.
        counts: (B, G) how often each of the G blocks is in each of the B resamples.
    """

    blocks: NDArray[np.int64]
    counts: NDArray[np.float64]

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """(G,) sums of a column of n numbers over the papers of each block."""
        return np.bincount(self.blocks, values, self.counts.shape[1]).astype(np.float64, copy=False)

    def sums_by(self, number: NDArray[np.integer], values: NDArray[Any], length: int) -> NDArray[np.float64]:
        """(G, length) sums over the papers of each block that have each number."""
        cells = self.blocks * length + number
        sums = np.bincount(cells, values, self.counts.shape[1] * length).astype(np.float64, copy=False)
        return sums.reshape(-1, length)


def resampling(papers: int, resamples: int = RESAMPLES, seed: int = 0, blocks: int = BLOCKS) -> Resampling:
    """Resamples of so many papers; the same seed draws the same. With no papers there is nothing to draw."""
    chance = np.random.default_rng(seed)
    groups = min(papers, blocks)
    if groups == 0:
        return Resampling(np.empty(0, np.int64), np.zeros((resamples, 0)))
    dealt = chance.permutation(papers) % groups
    drawn = chance.integers(0, groups, (resamples, groups))
    drawn += np.arange(resamples)[:, None] * groups
    counts = np.bincount(drawn.ravel(), minlength=resamples * groups).reshape(resamples, groups)
    return Resampling(dealt, counts.astype(np.float64))


def estimate(value: float, draws: NDArray[np.float64]) -> Estimate:
    """A figure with its bias-corrected percentile interval (Efron 1981), widened where it would miss the value.

    Plain percentiles would lie too high for figures that chance can only raise, such as the calibration error.

    Args:
        value: the figure of the papers themselves.
        draws: (B,) the figure of each resample.
    """
    if len(draws) == 0:
        return Estimate(value, value, value)
    tied = np.abs(draws - value) <= _EQUAL
    below = float(((draws < value) & ~tied).mean() + tied.mean() / 2)
    edge = 1 / (len(draws) + 1)
    shift = 2 * _NORMAL.inv_cdf(min(max(below, edge), 1 - edge))
    reach = _NORMAL.inv_cdf((1 + LEVEL) / 2)
    low, high = np.quantile(draws, [_NORMAL.cdf(shift - reach), _NORMAL.cdf(shift + reach)])
    return Estimate(value, min(float(low), value), max(float(high), value))


def share(value: float, papers: float) -> Estimate:
    """A share of independent papers with Wilson's score interval (1927), which no 0 % and no 100 % makes certain.

    Args:
        value: between 0 and 1; without papers it is 0, and may be anything.
        papers: how many, or for weighted papers as many as would tell as much: see `effective`.
    """
    if papers <= 0:
        return Estimate(0.0, 0.0, 1.0)
    low, high = wilson(value, papers)
    return Estimate(value, float(low), float(high))


def wilson(shares: ArrayLike, papers: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high ends of the intervals of shares, each of so many papers (see `share`); 0 and 1 where of none."""
    value, size = np.asarray(shares, np.float64), np.asarray(papers, np.float64)
    square = _NORMAL.inv_cdf((1 + LEVEL) / 2) ** 2 / np.where(size > 0, size, 1.0)
    middle = (value + square / 2) / (1 + square)
    half = np.sqrt(square * (value * (1 - value) + square / 4)) / (1 + square)
    # Rounding aside an interval holds its own share, also at 0 and 1.
    low, high = np.maximum(np.minimum(middle - half, value), 0), np.minimum(np.maximum(middle + half, value), 1)
    return np.where(size > 0, low, 0.0), np.where(size > 0, high, 1.0)


def effective(weights: NDArray[np.float64]) -> float:
    """How many papers that count alike tell as much as these (Kish 1965)."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0
