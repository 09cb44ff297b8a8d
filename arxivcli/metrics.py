"""How good predictions are: vectorised, weighted, never NaN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ECE_BINS = 15
NOT_LISTED = -1
"""Index of a category that is none of the labels (padding, or a retired archive)."""

MOST_LISTED = 13
"""The largest number of categories any paper on arXiv has."""


_SOME = 50
"""Up to so many of the largest are found one after the other, which is several times as quick as sorting."""


@dataclass(frozen=True)
class Quality:
    """Figures of one model on one set of papers; shares are between 0 and 1, `papers` counts, nll is in nats.

    0/0 is 0: with no papers every figure is 0.
    """

    papers: int
    top1: float
    top3: float
    top5: float
    any_listed: float
    archive: float
    macro_f1: float
    nll: float
    ece: float


@dataclass(frozen=True)
class LabelQuality:
    """Per label: papers that have it, and precision, recall, F1 of answering it; arrays of length L."""

    support: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def label_indices(
    categories: pa.ListArray, labels: tuple[str, ...], most: int = MOST_LISTED
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Categories as numbers: the primary of each of n papers (n,), and all its labels (n, most), NOT_LISTED elsewhere.

    Categories beyond `most` are not looked at.
    """
    numbers = pc.index_in(categories.flatten(), value_set=pa.array(labels)).fill_null(NOT_LISTED)
    numbers = numbers.to_numpy(zero_copy_only=False).astype(np.int64)
    lengths = pc.list_value_length(categories).to_numpy(zero_copy_only=False).astype(np.int64)
    row = np.repeat(np.arange(len(lengths)), lengths)
    column = np.arange(len(numbers)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    listed = np.full((len(lengths), most), NOT_LISTED, np.int64)
    kept = column < most
    listed[row[kept], column[kept]] = numbers[kept]
    return listed[:, 0].copy(), listed


def importance(truth: NDArray[np.int64], labels: tuple[str, ...], papers: Mapping[str, int]) -> NDArray[np.float64]:
    """What each label's papers must count, (L,), so that papers with these true labels are in the mix of `papers`.

    Args:
        truth: (n,) indices of the papers' labels.
        labels: the L labels.
        papers: how many papers each label has in the mix that is wanted; a label it has none of counts as one.
    """
    wanted = np.array([max(papers.get(label, 0), 1) for label in labels], np.float64)
    here = np.maximum(np.bincount(truth, minlength=len(labels)), 1).astype(np.float64)
    ratio: NDArray[np.float64] = (wanted / wanted.sum()) / (here / here.sum())
    return ratio


def quality(
    probs: NDArray[np.float32],
    truth: NDArray[np.int64],
    listed: NDArray[np.int64],
    archives: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> Quality:
    """The figures of `Quality`, each paper counting `weights`.

    Args:
        probs: (n, L) probabilities.
        truth: (n,) index of the primary label.
        listed: (n, most) indices of all listed labels, padded with NOT_LISTED.
        archives: (L,) number of the archive of each label.
        weights: (n,) importance of each paper; any scale.
    """
    if len(truth) == 0:
        return Quality(0, *[0.0] * 8)
    order = top(probs, min(5, probs.shape[1]))
    best = order[:, 0]
    hit = order == truth[:, None]

    def mean(values: NDArray[np.bool_] | NDArray[np.float64]) -> float:
        return float(values @ weights / weights.sum())

    chosen = probs[np.arange(len(truth)), truth].astype(np.float64)
    per_label = label_quality(best, truth, probs.shape[1], weights)
    seen = per_label.support > 0
    return Quality(
        papers=len(truth),
        top1=mean(hit[:, 0]),
        top3=mean(hit[:, :3].any(axis=1)),
        top5=mean(hit.any(axis=1)),
        any_listed=mean((listed == best[:, None]).any(axis=1)),
        archive=mean(archives[best] == archives[truth]),
        macro_f1=float(per_label.f1[seen].mean()),
        nll=mean(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny))),
        ece=calibration_error(probs, truth, weights),
    )


def top(probs: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Indices of the `count` largest of each row, largest first and of equals the first: (n, min(count, L))."""
    count = min(count, probs.shape[1])
    if count > _SOME:
        return np.argsort(-probs, axis=1, kind="stable")[:, :count]
    order = np.empty((len(probs), count), np.int64)
    left, rows = probs.copy(), np.arange(len(probs))
    for place in range(count):
        order[:, place] = left.argmax(axis=1)
        left[rows, order[:, place]] = -np.inf
    return order


def label_quality(
    best: NDArray[np.int64], truth: NDArray[np.int64], labels: int, weights: NDArray[np.float64]
) -> LabelQuality:
    """Precision, recall and F1 of each label; 0 where nothing was predicted or nothing has it."""
    support = _sums(truth, weights, labels)
    answered = _sums(best, weights, labels)
    right = _sums(truth[best == truth], weights[best == truth], labels)
    return LabelQuality(support, _ratio(right, answered), _ratio(right, support), _ratio(2 * right, support + answered))


def _sums(index: NDArray[np.int64], weights: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    return np.bincount(index, weights, length).astype(np.float64)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def calibration_error(
    probs: NDArray[np.float32], truth: NDArray[np.int64], weights: NDArray[np.float64], bins: int = ECE_BINS
) -> float:
    """Expected calibration error of the best answers, equal-width bins (Naeini et al. 2015; Guo et al. 2017)."""
    if len(truth) == 0:
        return 0.0
    confidence, right = probs.max(axis=1).astype(np.float64), probs.argmax(axis=1) == truth
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(bin_of, weights * (confidence - right), bins)
    return float(np.abs(gap).sum() / weights.sum())
