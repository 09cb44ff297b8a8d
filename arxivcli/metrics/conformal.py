"""Whether conformal sets keep their promise, and what is gained by answering only when sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from arxivcli.metrics.outcomes import Outcomes

STEPS: Final = 20
"""Points of an abstention curve: the surest 5 %, 10 %, ... of the papers are answered."""


@dataclass(frozen=True)
class Covered:
    """Conformal sets of one coverage, from the quantiles that the model's calibration stored.

    Attributes:
        promised: the coverage that was asked for.
        achieved: share of papers whose set holds the primary label.
        mean_size: mean number of labels in a set.
        median_size: half of the papers have sets of at most so many labels.
    """

    promised: float
    achieved: float
    mean_size: float
    median_size: int


@dataclass(frozen=True, eq=False)
class Abstention:
    """Accuracy when only the surest papers are answered; arrays of STEPS points, the last of them all papers.

    Attributes:
        answered: share of the papers that are answered.
        accuracy: share of these whose best answer is right.
        confidence: how sure one must be to be among them.
    """

    answered: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    confidence: NDArray[np.float64]


def covered(found: Outcomes, coverages: Sequence[float], weights: NDArray[np.float64]) -> tuple[Covered, ...]:
    """The sets of each coverage; there is at least one paper."""
    total = weights.sum()
    return tuple(
        Covered(
            promised,
            float(weights @ found.inside[:, column] / total),
            float(weights @ found.sizes[:, column] / total),
            median(found.sizes[:, column], weights),
        )
        for column, promised in enumerate(coverages)
    )


def median(sizes: NDArray[np.integer], weights: NDArray[np.float64]) -> int:
    """The least size that at least half of the weight does not exceed."""
    share = np.cumsum(np.bincount(sizes, weights))
    return int(np.searchsorted(share, share[-1] / 2 * (1 - 1e-12)))


def abstention(found: Outcomes, weights: NDArray[np.float64], steps: int = STEPS) -> Abstention:
    """The curve; of papers as sure as each other those that come first are answered first."""
    order = np.argsort(-found.confidence, kind="stable")
    weight = np.cumsum(weights[order])
    hits = np.cumsum((weights * found.right)[order])
    wanted = np.arange(1, steps + 1) / steps * weight[-1]
    at = np.minimum(np.searchsorted(weight, wanted * (1 - 1e-12)), len(order) - 1)
    return Abstention(weight[at] / weight[-1], hits[at] / weight[at], found.confidence[order][at].astype(np.float64))
