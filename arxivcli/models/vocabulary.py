"""Which words and word pairs a fast model knows: learned by counting, in memory bounded by what is kept.

Words are chosen by how often they occur, pairs by how much they tell about the label: `to address` is in more papers
than `bin packing`, but says less.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import parallel
from arxivcli.models.features import Bags, Vocabulary, joined, pair_keys, tokenise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts

    Texts = Callable[[], Iterable[pa.StringArray]]
    Counts = tuple[NDArray[np.int64], NDArray[np.int64]]

T = TypeVar("T")
R = TypeVar("R")
_CANDIDATES = 4
"""Frequent pairs looked at for each that is kept."""
_PAIRS_AT_ONCE = 65_536
_RARE_AFTER = 30_000_000
"""Distinct pairs kept while counting; beyond it those seen once are forgotten."""


def learn(papers: LabelledTexts, min_count: int, max_words: int, max_pairs: int) -> Vocabulary:
    """The most frequent words, and the pairs of them that tell most about the label.

    Args:
        papers: the training papers.
        min_count: least number of occurrences of a word, a pair; in small corpora it sinks, to 2 at least.
        max_words: most words kept.
        max_pairs: most pairs kept.
    """
    least = max(2, min(min_count, len(papers.truth) // 5000))
    words = _frequent_words(papers.texts, least, max_words)
    keys, counts = _pair_counts(papers.texts, Vocabulary(words, np.empty(0, np.int64)))
    keys, counts = keys[counts >= least], counts[counts >= least]
    order = np.argsort(-counts, kind="stable")[: _CANDIDATES * max_pairs]
    candidates = Vocabulary(words, np.sort(keys[order]))
    if len(candidates.pairs) <= max_pairs:
        return candidates
    told = _told(papers, candidates)
    return Vocabulary(words, np.sort(candidates.pairs[np.argsort(-told, kind="stable")[:max_pairs]]))


def _told(papers: LabelledTexts, vocabulary: Vocabulary) -> NDArray[np.float64]:
    """How much each pair tells about the label, in nats over all papers that have it: their number times the
    Kullback-Leibler divergence of their labels from those of all papers (the G statistic of Dunning 1993, halved).
    """
    labels = len(papers.labels)
    words = len(vocabulary.words)
    counts = np.zeros(len(vocabulary.pairs) * labels, np.int32)
    start = 0
    for bags in in_threads(vocabulary.bags, papers.texts()):
        truth = papers.truth[start : start + len(bags.offsets) - 1]
        start += len(truth)
        of = np.repeat(truth, np.diff(bags.offsets))
        is_pair = bags.features >= words
        np.add.at(counts, (bags.features[is_pair] - words) * np.int64(labels) + of[is_pair], 1)
    prior = np.bincount(papers.truth, minlength=labels) / max(1, len(papers.truth))
    told = np.zeros(len(vocabulary.pairs))
    for first in range(0, len(told), _PAIRS_AT_ONCE):
        found = counts[first * labels : (first + _PAIRS_AT_ONCE) * labels].reshape(-1, labels)
        # Two papers' worth of the prior on top: of a pair that two papers have, little is known.
        share = (found + 2 * prior) / (found.sum(axis=1, keepdims=True) + 2)
        ratio = np.log(np.divide(share, prior, out=np.ones_like(share), where=prior > 0))
        told[first : first + _PAIRS_AT_ONCE] = (found * ratio).sum(axis=1)
    return told


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


def in_threads(work: Callable[[T], R], batches: Iterable[T]) -> Iterator[R]:
    """`work` of each batch, in order, on all cores, with no more batches under way than twice the cores."""
    cores = parallel.cores()
    with ThreadPoolExecutor(cores) as pool:
        under_way: deque[Future[R]] = deque()
        for batch in batches:
            under_way.append(pool.submit(work, batch))
            if len(under_way) > 2 * cores:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
