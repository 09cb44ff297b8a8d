"""Labels as numbers, the largest of many scores, and how well each label is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NOT_LISTED = -1
"""Index of a category that is none of the labels (padding, or a retired archive)."""

MOST_LISTED = 13
"""The largest number of categories any paper on arXiv has."""

_SOME = 50
"""Up to so many of the largest are found one after the other, which is several times as quick as sorting."""


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


def label_mix(labels: tuple[str, ...], papers: Mapping[str, int]) -> NDArray[np.float64]:
    """The mix of a collection with so many papers of each label, (L,), its sum 1; a label of none counts as of one."""
    counts = np.array([max(papers.get(label, 0), 1) for label in labels], np.float64)
    counts /= counts.sum()
    return counts


def importance(truth: NDArray[np.integer], labels: tuple[str, ...], papers: Mapping[str, int]) -> NDArray[np.float64]:
    """What each label's papers must count, (L,), so that papers with these true labels are in the mix of `papers`.

    Args:
        truth: (n,) indices of the papers' labels.
        labels: the L labels.
        papers: how many papers each label has in the mix that is wanted; a label it has none of counts as one.
    """
    here = np.maximum(np.bincount(truth, minlength=len(labels)), 1).astype(np.float64)
    ratio: NDArray[np.float64] = label_mix(labels, papers) / (here / here.sum())
    return ratio


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
