"""Logits -> probabilities that mean what they say, and sets that hold the truth as often as promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from arxivcli.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

COVERAGES = tuple(round(0.50 + 0.01 * step, 2) for step in range(50))
"""The coverages (0.50 to 0.99) whose conformal quantiles are stored with a model."""


@dataclass(frozen=True)
class Calibration:
    """One temperature, and for each coverage ("0.90") the largest nonconformity 1 - p(truth) that is let in."""

    temperature: float = 1.0
    quantiles: dict[str, float] = field(default_factory=dict)


def probabilities(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """Softmax of logits / temperature: float32 (n, L), rows sum to one."""
    scaled = logits / np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True, initial=-np.inf) if len(scaled) else 0
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def fit(
    logits: NDArray[np.float32], truth: NDArray[np.int64], weights: NDArray[np.float64] | None = None
) -> Calibration:
    """Temperature and conformal quantiles from held-out papers.

    The temperature minimises the negative log likelihood (Guo et al. 2017, "On Calibration of Modern Neural
    Networks"); the quantiles are those of split-conformal prediction with scores 1 - p(truth) (Sadinle, Lei and
    Wasserman 2019), weighted as in Tibshirani et al. 2019 where weights are given.

    Args:
        logits: (n, L).
        truth: (n,) index of the true label.
        weights: (n,) how much each paper counts; all alike when None.
    """
    if len(truth) == 0:
        return Calibration()
    weights = np.ones(len(truth)) if weights is None else weights
    temperature = fit_temperature(logits, truth, weights)
    scores = 1 - probabilities(logits, temperature)[np.arange(len(truth)), truth].astype(np.float64)
    order = np.argsort(scores, kind="stable")
    # The paper to come counts as one more of average weight with an infinite score: what makes the promise hold for n.
    share = np.cumsum(weights[order]) / (weights.sum() + weights.mean())
    at = np.searchsorted(share, np.array(COVERAGES))
    quantiles = np.append(scores[order], 1.0)[at]
    return Calibration(temperature, {f"{c:.2f}": float(q) for c, q in zip(COVERAGES, quantiles, strict=True)})


def fit_temperature(
    logits: NDArray[np.float32], truth: NDArray[np.int64], weights: NDArray[np.float64], rounds: int = 60
) -> float:
    """The temperature of least weighted negative log likelihood, by golden-section search on its logarithm.

    The likelihood is convex in 1 / temperature, so there is one minimum; it is looked for between 1/20 and 20.
    """
    ratio = (np.sqrt(5) - 1) / 2
    low, high = -np.log(20), np.log(20)

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) * np.exp(-log_temperature)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float(weights @ (log_sum - scaled[np.arange(len(truth)), truth]))

    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(rounds):
        if high - low < 1e-4:  # noqa: PLR2004  a ten-thousandth of a temperature is beyond what data can tell
            break
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return float(np.exp((low + high) / 2))


def conformal_sets(probs: NDArray[np.float32], calibration: Calibration, coverage: float) -> NDArray[np.bool_]:
    """Which labels are in each paper's set: bool (n, L); the best label always is.

    Over many papers like those of the calibration split, the sets hold the true label with at least `coverage`.
    Raises UsageError when the coverage is not between 0.50 and 0.99 or the model has no quantiles.
    """
    if not calibration.quantiles:
        raise UsageError("this model has no conformal quantiles", "train it with a calibration split to use --coverage")
    known = sorted(calibration.quantiles.items(), key=lambda pair: float(pair[0]))
    fitting = [quantile for name, quantile in known if float(name) >= coverage - 1e-9]
    if not fitting or coverage < float(known[0][0]):
        raise UsageError(
            f"--coverage {coverage:g} is not to be had", f"choose between {known[0][0]} and {known[-1][0]}"
        )
    inside = probs >= np.float32(1 - fitting[0])
    inside[np.arange(len(probs)), probs.argmax(axis=1)] = True
    return inside
