"""Numbers and vectors of two sides, compared: lengths, confidences, documents."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Vectors = NDArray[np.float32]

FOLDS = 5
_EXACT = 100
"""Up to so many on each side the distribution of the KS statistic is computed, beyond it its limit is near enough."""
_STRENGTH = 0.1
"""Inverse strength of the classifier's ridge: enough that a few hundred vectors are not learned by heart."""
_MEDIAN_OF = 1_000
"""Vectors whose distances the median heuristic looks at."""


@dataclass(frozen=True)
class Test:
    """A difference and its p-value: how large, and how often chance alone makes one as large."""

    __test__ = False  # pytest takes the name for a test

    effect: float
    p: float


def kolmogorov_smirnov(before: Floats, after: Floats) -> Test:
    """The largest gap between the two cumulative distributions; numbers that tie make the p-value careful."""
    if len(before) == 0 or len(after) == 0:
        return Test(0.0, 1.0)
    method = "exact" if max(len(before), len(after)) <= _EXACT else "asymp"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where the exact p-value cannot be had, scipy approximates it
        found = stats.ks_2samp(before, after, method=method)
    return Test(float(found.statistic), min(1.0, float(found.pvalue)))


def mean_change(before: Floats, after: Floats) -> Test:
    """Mean after minus mean before; Welch's test. One number on a side tells nothing of its spread: p is 1 then."""
    if len(before) == 0 or len(after) == 0:
        return Test(0.0, 1.0)
    gap = float(after.mean() - before.mean())
    if min(len(before), len(after)) == 1:
        return Test(gap, 1.0)
    if before.min() == before.max() and after.min() == after.max():
        return Test(gap, 1.0 if before[0] == after[0] else 0.0)
    first, second = before.var(ddof=1) / len(before), after.var(ddof=1) / len(after)
    spread = first + second
    freedom = spread**2 / (first**2 / (len(before) - 1) + second**2 / (len(after) - 1))
    return Test(gap, float(2 * stats.t.sf(abs(gap) / np.sqrt(spread), freedom)))


def classifier_test(before: Vectors, after: Vectors, seed: int = 0) -> Test:
    """Can a logistic regression tell the sides apart (Lopez-Paz and Oquab 2017)? The effect is the area under the ROC
    curve on vectors it did not learn from, 0.5 when it cannot, the mean of five folds.

    Each fold is a Mann-Whitney test of the scores, one-sided. The folds depend on each other through what was learned;
    twice the mean of their p-values is one whatever that dependence (Rüschendorf 1982, Vovk and Wang 2020).

    Args:
        before: (n, D), at least FOLDS of them.
        after: (m, D), likewise.
        seed: which fold a vector is in.
    """
    vectors = np.concatenate([before, after]).astype(np.float64)
    side = np.repeat([0, 1], [len(before), len(after)])
    found = []
    for learned, held in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(vectors, side):
        classifier = make_pipeline(
            StandardScaler(), LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=1000)
        )
        classifier.fit(vectors[learned], side[learned])
        scores = classifier.decision_function(vectors[held])
        first, second = scores[side[held] == 0], scores[side[held] == 1]
        test = stats.mannwhitneyu(second, first, alternative="greater", method="asymptotic")
        p = 0.5 if scores.min() == scores.max() else float(test.pvalue)
        found.append((float(test.statistic) / (len(first) * len(second)), p))
    areas, ps = np.array(found).T
    return Test(float(areas.mean()), min(1.0, 2 * float(ps.mean())))


def mean_discrepancy(before: Vectors, after: Vectors, permutations: int = 999, seed: int = 0) -> Test:
    """Maximum mean discrepancy with a Gaussian kernel as wide as the median distance (Gretton et al. 2012).

    The effect is the root of its unbiased square, 0 when that is below zero; the p-value is by permutation.

    Args:
        before: (n, D), at least two of them; memory grows as (n + m) squared.
        after: (m, D), likewise.
        permutations: how often the sides are dealt anew.
        seed: of the dealing.
    """
    vectors = np.concatenate([before, after]).astype(np.float64)
    squares = cdist(vectors, vectors, "sqeuclidean")
    width = _median_width(squares, seed)
    kernel = np.exp(-squares / (2 * width), out=squares)
    np.fill_diagonal(kernel, 0)
    chance = np.random.default_rng(seed)
    sides = np.repeat([1.0, 0.0], [len(before), len(after)])
    dealt = np.stack([sides, *(chance.permutation(sides) for _ in range(permutations))], axis=1)
    found = _discrepancies(kernel, dealt, len(before), len(after))
    as_large = int((found[1:] >= found[0] - 1e-12).sum())
    return Test(float(np.sqrt(max(found[0], 0.0))), (1 + as_large) / (1 + permutations))


def _median_width(squares: Floats, seed: int) -> float:
    """The median of the squared distances of some vectors; 1 where all are one."""
    some = np.random.default_rng(seed).permutation(len(squares))[:_MEDIAN_OF]
    median = float(np.median(squares[np.ix_(some, some)][np.triu_indices(len(some), 1)]))
    return median if median > 0 else 1.0


def _discrepancies(kernel: Floats, dealt: Floats, n: int, m: int) -> Floats:
    """The unbiased squared discrepancy of each column of `dealt` (N, P), which says who is on the first side."""
    rows = kernel @ dealt
    within = (dealt * rows).sum(axis=0)
    whole, first = kernel.sum(), rows.sum(axis=0)
    across = first - within
    others = whole - within - 2 * across
    squared: Floats = within / (n * (n - 1)) + others / (m * (m - 1)) - 2 * across / (n * m)
    return squared
