"""How far best answers can be trusted: what share of papers is below a confidence, how often those above are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""The shares of papers left out (0.05 to 0.95) whose confidences are looked for."""


def selective(
    probs: NDArray[np.float32], truth: NDArray[np.int64], weights: NDArray[np.float64]
) -> list[dict[str, float]]:
    """For growing confidences what a model is worth that answers only from there on; nothing without papers.

    Each `{"confidence": c, "share": s, "accuracy": a}` says that the best answers of a share s of the papers have less
    confidence than c, and that a share a of the others is right (El-Yaniv and Wiener 2010, "On the Foundations of
    Noise-free Selective Classification": the curve of coverage, 1 - s, and selective risk, 1 - a).

    Args:
        probs: (n, L) calibrated.
        truth: (n,) index of the true label.
        weights: (n,) how much each paper counts.
    """
    if len(truth) == 0:
        return []
    confidence = probs.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    sure, weight = confidence[order], weights[order] / weights.sum()
    right = weight * (probs.argmax(axis=1) == truth)[order]
    before = np.cumsum(weight) - weight
    cuts = sure[np.minimum(np.searchsorted(np.cumsum(weight), SHARES), len(sure) - 1)]
    starts = np.unique(np.searchsorted(sure, cuts))  # papers of one confidence are on one side
    return [
        {
            "confidence": float(sure[start]),
            "share": float(before[start]),
            "accuracy": float(min(1.0, right[start:].sum() / weight[start:].sum())),
        }
        for start in starts.tolist()
    ]
