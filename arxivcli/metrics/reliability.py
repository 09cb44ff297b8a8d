"""Whether confidence is what it says: expected calibration error, and the bins a reliability diagram is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ECE_BINS: Final = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """Papers in bins of confidence of equal width, from 0 to 1; arrays of one number a bin.

    Attributes:
        weight: share of all papers that is in the bin; sums to one.
        confidence: mean confidence of them; 0 where there are none.
        accuracy: share of them whose best answer is right; 0 where there are none.
    """

    weight: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap between confidence and accuracy."""
        return float(self.weight @ np.abs(self.confidence - self.accuracy))


def bins_of(confidence: NDArray[np.floating], bins: int = ECE_BINS) -> NDArray[np.int64]:
    """The bin of each confidence; 1.0 is in the last."""
    return np.minimum((confidence.astype(np.float64) * bins).astype(np.int64), bins - 1)


def reliability(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], weights: NDArray[np.float64], bins: int = ECE_BINS
) -> Reliability:
    """The bins of n best answers, each paper counting `weights` (any scale); without papers all are 0."""
    number = bins_of(confidence, bins)
    weight, sure, hits = (np.bincount(number, w, bins) for w in (weights, weights * confidence, weights * right))
    filled = weight > 0
    mean = [np.divide(part, weight, out=np.zeros(bins), where=filled) for part in (sure, hits)]
    return Reliability(weight / (weight.sum() or 1.0), mean[0], mean[1])


def calibration_error(
    probs: NDArray[np.float32], truth: NDArray[np.int64], weights: NDArray[np.float64], bins: int = ECE_BINS
) -> float:
    """Expected calibration error of the best answers, equal-width bins (Naeini et al. 2015; Guo et al. 2017)."""
    if len(truth) == 0:
        return 0.0
    return reliability(probs.max(axis=1), probs.argmax(axis=1) == truth, weights, bins).error
