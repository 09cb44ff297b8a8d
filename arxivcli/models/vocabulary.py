"""Which words and word pairs a fast model knows: learned by counting, in memory bounded by what is kept."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli.models.features import Bags, Vocabulary, joined, pair_keys, tokenise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray

    Texts = Callable[[], Iterable[pa.StringArray]]
    Counts = tuple[NDArray[np.int64], NDArray[np.int64]]

T = TypeVar("T")
R = TypeVar("R")
_RARE_AFTER = 30_000_000
"""Distinct pairs kept while counting; beyond it those seen once are forgotten."""


def learn(texts: Texts, papers: int, min_count: int, max_words: int, max_pairs: int) -> Vocabulary:
    """The most frequent words (at least `min_count` times) and the most frequent pairs of them.

    Args:
        texts: makes a new iteration over the batches of training texts each time it is called.
        papers: how many texts there are; in small corpora the minimum count sinks with them, to 2 at least.
        min_count: least number of occurrences of a word.
        max_words: most words kept.
        max_pairs: most pairs kept.
    """
    least = max(2, min(min_count, papers // 5000))
    words = _frequent_words(texts, least, max_words)
    counts = _pair_counts(texts, Vocabulary(words, np.empty(0, np.int64)))
    keys = counts[0][counts[1] >= least]
    order = np.argsort(-counts[1][counts[1] >= least], kind="stable")
    return Vocabulary(words, np.sort(keys[order[:max_pairs]]))


def _frequent_words(texts: Texts, least: int, most: int) -> pa.StringArray:
    """Sorted by frequency, then alphabet."""
    counted = None
    for found in in_threads(lambda batch: pc.value_counts(tokenise(batch).words), texts()):
        one = pa.table({"word": found.field("values"), "count": found.field("counts")})
        both = one if counted is None else pa.concat_tables([counted, one])
        counted = both.group_by("word").aggregate([("count", "sum")]).rename_columns(["word", "count"])
    if counted is None:
        return pa.array([], pa.string())
    kept = counted.filter(pc.greater_equal(counted["count"], least))
    return kept.sort_by([("count", "descending"), ("word", "ascending")])["word"].combine_chunks().slice(0, most)


def _pair_counts(texts: Texts, vocabulary: Vocabulary) -> Counts:
    """Ascending keys of all neighbouring known words, and how often each occurs."""

    def count(batch: pa.StringArray) -> Counts:
        tokens = tokenise(batch)
        keys = pair_keys(tokens, vocabulary.word_ids(tokens.words), len(vocabulary.words))
        values, counts = np.unique(keys[keys >= 0], return_counts=True)
        return values, counts

    total: Counts = (np.empty(0, np.int64), np.empty(0, np.int64))
    waiting: list[Counts] = []
    for found in in_threads(count, texts()):
        waiting.append(found)
        if sum(len(keys) for keys, _ in waiting) > max(len(total[0]), 1_000_000):
            total, waiting = _merged([total, *waiting]), []
            if len(total[0]) > _RARE_AFTER:
                often = total[1] > 1
                total = total[0][often], total[1][often]
    return _merged([total, *waiting])


def _merged(counts: list[Counts]) -> Counts:
    keys = np.concatenate([k for k, _ in counts])
    order = np.argsort(keys, kind="stable")
    keys, numbers = keys[order], np.concatenate([n for _, n in counts])[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[first], np.add.reduceat(numbers, first) if len(first) else numbers


def all_bags(vocabulary: Vocabulary, texts: Iterable[pa.StringArray]) -> Bags:
    """The bags of all texts in a row, the features of each ascending."""
    return joined(in_threads(lambda batch: _ascending(vocabulary.bags(batch)), texts))


def _ascending(bags: Bags) -> Bags:
    text = np.repeat(np.arange(len(bags.offsets) - 1), np.diff(bags.offsets))
    order = np.lexsort((bags.features, text))
    return Bags(bags.features[order], bags.counts[order], bags.offsets)


def inverse_document_frequencies(bags: Bags, features: int) -> NDArray[np.float16]:
    """Smoothed: ln((1 + n) / (1 + df)) + 1, float16 (features,)."""
    papers = len(bags.offsets) - 1
    found = np.bincount(bags.features, minlength=features)
    return (np.log((1 + papers) / (1 + found)) + 1).astype(np.float16)


def in_threads(work: Callable[[T], R], batches: Iterable[T]) -> Iterator[R]:
    """`work` of each batch, in order, on all cores, with no more batches under way than twice the cores."""
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        under_way: deque[Future[R]] = deque()
        for batch in batches:
            under_way.append(pool.submit(work, batch))
            if len(under_way) > 2 * cores:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
