"""Logits -> probabilities that mean what they say, and sets that hold the truth as often as promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from arxivcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_Float = TypeVar("_Float", np.float32, np.float64)

COVERAGES = tuple(round(0.50 + 0.01 * step, 2) for step in range(50))
"""The coverages (0.50 to 0.99) whose conformal quantiles are stored with a model."""

ENOUGH = 50
"""Papers from which a temperature is fitted; from fewer it would be chance."""

_TINY = 1e-46  # below any float32 but zero
_PULL = 10.0  # as much as some papers: enough to tame a split of thirty, nothing beside one of thousands
_SMALL = 1e-8
_FLATTEST = 0.05
"""Least slope: more confidence before means no less after."""


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities (see `calibrated`), and for each coverage ("0.90") the largest nonconformity
    1 - p(truth) that is let into a set; and the same for texts without an abstract, where they have their own.
    """

    temperature: float = 1.0
    slope: float = 1.0
    intercept: float = 0.0
    quantiles: dict[str, float] = field(default_factory=dict)
    title_only: Calibration | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """From the values of `dataclasses.asdict`. Raises TypeError or ValueError for what is none."""
        alone = values.get("title_only")
        return cls(**values | {"title_only": None if alone is None else cls.of(alone)})

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that no fit makes; NaN is never in a range."""
        for name, least, most in (("temperature", 0.01, 100), ("slope", 0.01, 100), ("intercept", -100, 100)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} {getattr(self, name)} is not between {least} and {most}")
        for coverage, quantile in self.quantiles.items():
            if not 0 <= float(coverage) <= 1 or not 0 <= quantile <= 1:
                raise ValueError(f"the quantile {quantile} of coverage {coverage} is not between 0 and 1")


def probabilities(logits: NDArray[_Float], temperature: float = 1.0) -> NDArray[_Float]:
    """Softmax of logits / temperature: (..., L), which sum to one."""
    scaled: NDArray[_Float] = logits / np.float32(temperature)
    scaled -= scaled.max(axis=-1, keepdims=True, initial=-np.inf) if len(scaled) else 0
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=-1, keepdims=True)
    return scaled


def calibrated(
    logits: NDArray[np.float32], fitted: Calibration, title_only: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Probabilities (n, L): one temperature for all labels, then one straight line for the best label's log-odds.

    The line (Platt 1999, on the top label as in Gupta and Ramdas 2022) mends what no temperature can: a model sure of
    too much when it is sure and of too little when it is not. The other labels share what is left as they did before;
    the best label stays the best. Texts that have no abstract, (n,) `title_only`, follow their own calibration.
    """
    if title_only is not None and fitted.title_only is not None and title_only.any():
        found = np.empty_like(logits)
        for some, how in ((~title_only, fitted), (title_only, fitted.title_only)):
            found[some] = calibrated(logits[some], how)
        return found
    probs = probabilities(logits, fitted.temperature)
    if probs.size == 0 or probs.shape[1] == 1 or (fitted.slope, fitted.intercept) == (1.0, 0.0):
        return probs
    rows, best = np.arange(len(probs)), probs.argmax(axis=1)
    odds, rest, others = _best_log_odds(probs, best)
    second = others.max(axis=1).astype(np.float64)
    confidence = _sigmoid(fitted.intercept + fitted.slope * odds)
    confidence = np.maximum(confidence, second / (rest + second))
    confidence[rest <= _TINY] = 1  # nobody else is left to share with
    shared: NDArray[np.float32] = (others * ((1 - confidence) / rest)[:, None]).astype(np.float32)
    shared[rows, best] = confidence
    return shared


def _best_log_odds(
    probs: NDArray[np.float32], best: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Log-odds of the best label of each row, the probability of all others, never quite zero, and `probs` of these."""
    rows, others = np.arange(len(probs)), probs.copy()
    others[rows, best] = 0
    # Summed without the best: 1 - p(best) would have lost all its digits where the model is sure.
    rest = np.maximum(others.sum(axis=1, dtype=np.float64), _TINY)
    return np.log(probs[rows, best].astype(np.float64)) - np.log(rest), rest, others


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
    return share


def fit(
    logits: NDArray[np.float32], truth: NDArray[np.int64], weights: NDArray[np.float64] | None = None
) -> Calibration:
    """Temperature, line and conformal quantiles from held-out papers.

    The temperature minimises the negative log likelihood (Guo et al. 2017, "On Calibration of Modern Neural
    Networks"); the quantiles are those of split-conformal prediction with scores 1 - p(truth) (Sadinle, Lei and
    Wasserman 2019), weighted as in Tibshirani et al. 2019 where weights are given.

    Args:
        logits: (n, L).
        truth: (n,) index of the true label.
        weights: (n,) how much each paper counts; all alike when None.

    From fewer than ENOUGH papers only the quantiles are taken, which are then wide.
    """
    if len(truth) == 0:
        return Calibration()
    weights = np.ones(len(truth)) if weights is None else weights / weights.mean()
    temperature, slope, intercept = 1.0, 1.0, 0.0
    if len(truth) >= ENOUGH:
        temperature = fit_temperature(logits, truth, weights)
        slope, intercept = _fit_line(probabilities(logits, temperature), truth, weights)
    probs = calibrated(logits, Calibration(temperature, slope, intercept))
    scores = 1 - probs[np.arange(len(truth)), truth].astype(np.float64)
    order = np.argsort(scores, kind="stable")
    # The paper to come counts as one more of average weight with an infinite score: what makes the promise hold for n.
    share = np.cumsum(weights[order]) / (len(truth) + 1)
    at = np.searchsorted(share, np.array(COVERAGES))
    quantiles = np.append(scores[order], 1.0)[at]
    stored = {f"{c:.2f}": float(q) for c, q in zip(COVERAGES, quantiles, strict=True)}
    return Calibration(temperature, slope, intercept, stored)


def _fit_line(
    probs: NDArray[np.float32], truth: NDArray[np.int64], weights: NDArray[np.float64], rounds: int = 50
) -> tuple[float, float]:
    """Slope and intercept of the best label's log-odds: logistic regression of being right, by Newton's method.

    A small pull towards slope 1 and intercept 0 keeps both where they are when there is little to learn from.
    """
    best = probs.argmax(axis=1)
    odds, _, _ = _best_log_odds(probs, best)
    inputs = np.stack([odds, np.ones_like(odds)], axis=1)
    right = (best == truth).astype(np.float64)
    start = np.array([1.0, 0.0])

    def loss(line: NDArray[np.float64]) -> float:
        margin = np.clip(inputs @ line, -50, 50)
        return float(weights @ (np.logaddexp(0, margin) - right * margin) + _PULL / 2 * np.square(line - start).sum())

    line = start
    for _ in range(rounds):
        share = _sigmoid(inputs @ line)
        slope = inputs.T @ (weights * (share - right)) + _PULL * (line - start)
        curve = (inputs * (weights * share * (1 - share))[:, None]).T @ inputs + _PULL * np.eye(2)
        step = np.linalg.solve(curve, slope)
        while loss(line - step) > loss(line) and np.abs(step).max() > _SMALL:
            step = step / 2
        line = line - step
        if np.abs(step).max() <= _SMALL:
            break
    return max(float(line[0]), _FLATTEST), float(line[1])


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


def threshold(calibration: Calibration, coverage: float) -> float:
    """The least probability that a conformal set of that coverage lets in.

    Raises UsageError when the coverage is not between 0.50 and 0.99 or the model has no quantiles.
    """
    if not calibration.quantiles:
        raise UsageError("this model has no conformal quantiles", "train it with a calibration split to use --coverage")
    known = sorted(calibration.quantiles.items(), key=lambda pair: float(pair[0]))
    fitting = [quantile for name, quantile in known if float(name) >= coverage - 1e-9]
    if not fitting or not coverage >= float(known[0][0]):
        raise UsageError(
            f"--coverage {coverage:g} is not to be had", f"choose between {known[0][0]} and {known[-1][0]}"
        )
    return 1 - fitting[0]


def thresholds(
    calibration: Calibration, coverages: Sequence[float], title_only: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The `threshold` of each text and coverage, (n, C): of those that have a title only, their own."""
    whole = [threshold(calibration, coverage) for coverage in coverages]
    least = np.tile(np.array(whole, np.float32), (len(title_only), 1))
    if calibration.title_only is not None and title_only.any():
        least[title_only] = [threshold(calibration.title_only, coverage) for coverage in coverages]
    return least


def conformal_sets(
    probs: NDArray[np.float32],
    calibration: Calibration,
    coverage: float,
    title_only: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Which labels are in each paper's set: bool (n, L); the best label always is.

    Over many papers like those of the calibration split, the sets hold the true label with at least `coverage`; over
    many (n,) `title_only` ones too, where the calibration knows about these. Raises UsageError as `threshold` does.
    """
    bare = np.zeros(len(probs), bool) if title_only is None else title_only
    inside = probs >= thresholds(calibration, [coverage], bare)
    inside[np.arange(len(probs)), probs.argmax(axis=1)] = True
    return inside
