"""How the words of papers changed: lengths, unknown words, words and pairs that came and went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from arxivcli.models.features import Tokens, Vocabulary, pair_keys, tokenise
from arxivcli.statistics import significance, words
from arxivcli.steps.drift import numbers
from arxivcli.steps.drift.report import TextShift, WordRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from arxivcli.progress import Progress
    from arxivcli.steps.drift.report import NumberShift

    Texts = Sequence[pa.StringArray]
    Counts = NDArray[np.int64]

LEAST_PAPERS = 5
"""A word must be in so many papers of both sides together before it is looked at."""
MOST_WORDS = 100_000
"""Words whose pairs are looked at: the most frequent ones."""
LISTED = 25
"""Words and pairs in a list."""
LEAST_RATIO = 1.5
"""A word that is listed became so many times as frequent, or as rare."""
LEVEL = 0.01
"""Largest adjusted p-value (false discovery rate) of a word that is listed."""
_HAS_LETTER = r"[a-z]|[^\x00-\x7f]"
_TWO_LETTERS = r"..|[^\x00-\x7f]"


def shift(reference: Texts, current: Texts, seed: int, known: Vocabulary | None, progress: Progress) -> TextShift:
    """The change from one side's texts to the other's, each side in batches of `text.model_input`.

    A paper counts a word once, however often it says it: one long paper is no trend.

    Args:
        reference: batches of one side.
        current: of the other.
        seed: which half of the reference is looked up in the other.
        known: what words a model knows, None when they are not a list.
        progress: hears of it.
    """
    progress.begin("reading words", 2 * sum(map(len, [*reference, *current])))
    first, second = _count(reference, progress), _count(current, progress)
    sizes = len(first.title_words), len(second.title_words)
    found, before, after = _together(first.words, second.words)
    grown, shrunk = _listed(found, before, after, sizes)
    vocabulary = Vocabulary(found.slice(0, MOST_WORDS), np.empty(0, np.int64))
    pairs, pairs_before, pairs_after = _pairs(vocabulary, reference, current, progress)
    progress.end()
    grown_pairs, shrunk_pairs = _listed(pairs, pairs_before, pairs_after, sizes)
    return TextShift(
        title_words=numbers.distributions(first.title_words, second.title_words),
        abstract_words=numbers.distributions(first.abstract_words, second.abstract_words),
        without_abstract=(first.without_abstract, second.without_abstract),
        unknown_words=_unknown_words(reference, current, seed),
        unknown_to_model=None if known is None else _unknown(known, reference, current),
        grown=grown,
        shrunk=shrunk,
        grown_pairs=grown_pairs,
        shrunk_pairs=shrunk_pairs,
    )


# -- words ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Counted:
    """Words a title and words an abstract, (n,) each, and a table of words: in how many of the n papers each is."""

    title_words: NDArray[np.float64]
    abstract_words: NDArray[np.float64]
    words: pa.Table

    @property
    def without_abstract(self) -> float:
        return float((self.abstract_words == 0).mean())


def _count(batches: Texts, progress: Progress) -> _Counted:
    lengths: list[NDArray[np.int64]] = []
    counted = pa.table({"word": pa.array([], pa.string()), "papers": pa.array([], pa.int64())})
    for batch in batches:
        tokens = tokenise(batch)
        lengths.append(np.bincount(tokens.text * 2 + tokens.in_title, minlength=2 * len(batch)).reshape(-1, 2))
        counted = pa.concat_tables([counted, _papers_of_words(tokens)])
        counted = counted.group_by("word").aggregate([("papers", "sum")]).rename_columns(["word", "papers"])
        progress.advance(len(batch))
    abstracts, titles = np.concatenate(lengths).T.astype(np.float64)
    return _Counted(titles, abstracts, counted)


def _papers_of_words(tokens: Tokens) -> pa.Table:
    coded = tokens.words.dictionary_encode()
    size = max(1, len(coded.dictionary))
    once = np.unique(tokens.text * np.int64(size) + coded.indices.to_numpy(zero_copy_only=False))
    papers = np.bincount(once % size, minlength=len(coded.dictionary))
    return pa.table({"word": coded.dictionary, "papers": pa.array(papers, pa.int64())})


def _together(first: pa.Table, second: pa.Table) -> tuple[pa.StringArray, Counts, Counts]:
    """Words that are frequent enough, most frequent first and of equals by the alphabet, and the papers of each."""
    joined = first.join(second, "word", join_type="full outer", left_suffix="_1", right_suffix="_2")
    before, after = (pc.fill_null(joined[name], 0) for name in ("papers_1", "papers_2"))
    table = pa.table({"word": joined["word"], "both": pc.add(before, after), "before": before, "after": after})
    table = table.filter(pc.greater_equal(table["both"], LEAST_PAPERS))
    table = table.sort_by([("both", "descending"), ("word", "ascending")])
    return table["word"].combine_chunks(), table["before"].to_numpy(), table["after"].to_numpy()


def _pairs(
    vocabulary: Vocabulary, reference: Texts, current: Texts, progress: Progress
) -> tuple[pa.StringArray, Counts, Counts]:
    """Pairs of known words that are frequent enough, and in how many papers of each side they are."""
    (keys, counts), (later_keys, later_counts) = (
        _pair_counts(vocabulary, side, progress) for side in (reference, current)
    )
    every, place = np.unique(np.concatenate([keys, later_keys]), return_inverse=True)
    before = np.bincount(place[: len(keys)], counts, len(every)).astype(np.int64)
    after = np.bincount(place[len(keys) :], later_counts, len(every)).astype(np.int64)
    often = before + after >= LEAST_PAPERS
    first, second = np.divmod(every[often], max(1, len(vocabulary.words)))
    named = pc.binary_join_element_wise(
        vocabulary.words.take(pa.array(first)), vocabulary.words.take(pa.array(second)), " "
    )
    return named, before[often], after[often]


def _pair_counts(vocabulary: Vocabulary, batches: Texts, progress: Progress) -> tuple[Counts, Counts]:
    """Ascending keys of the pairs of known words, and in how many papers each is."""
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for batch in batches:
        tokens = tokenise(batch)
        pairs = pair_keys(tokens, vocabulary.word_ids(tokens.words), len(vocabulary.words))
        there = pairs >= 0
        order = np.lexsort((tokens.text[there], pairs[there]))
        key, paper = pairs[there][order], tokens.text[there][order]
        again = np.zeros(len(key), bool)
        again[1:] = (key[1:] == key[:-1]) & (paper[1:] == paper[:-1])
        found, papers = np.unique(key[~again], return_counts=True)
        both, place = np.unique(np.concatenate([keys, found]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, papers]), len(both)).astype(np.int64)
        keys = both
        progress.advance(len(batch))
    return keys, counts


def _listed(
    found: pa.StringArray, before: Counts, after: Counts, papers: tuple[int, int]
) -> tuple[tuple[WordRow, ...], tuple[WordRow, ...]]:
    """The words that grew and those that shrank, of each the most certain."""
    ratio, z = words.log_odds(before, after)
    p = significance.benjamini_hochberg(2 * stats.norm.sf(np.abs(z)))
    sure = (p <= LEVEL) & (np.abs(ratio) >= np.log(LEAST_RATIO)) & _is_word(found)
    rows = np.flatnonzero(sure)
    rows = rows[np.argsort(-np.abs(z[rows]), kind="stable")]
    grown, shrunk = ([i for i in rows.tolist() if sign * z[i] > 0][:LISTED] for sign in (1, -1))

    def row(i: int) -> WordRow:
        first, second = int(before[i]), int(after[i])
        shares = first / papers[0], second / papers[1]
        return WordRow(found[i].as_py(), first, second, *shares, float(ratio[i]), float(z[i]))

    return tuple(map(row, grown)), tuple(map(row, shrunk))


def _is_word(found: pa.StringArray) -> NDArray[np.bool_]:
    """Neither a number nor a single letter."""
    fine = pc.and_(pc.match_substring_regex(found, _HAS_LETTER), pc.match_substring_regex(found, _TWO_LETTERS))
    there: NDArray[np.bool_] = fine.to_numpy(zero_copy_only=False)
    return there


# -- unknown words ----------------------------------------------------------------------------------------------------


def _unknown_words(reference: Texts, current: Texts, seed: int) -> NumberShift | None:
    """Words that half of the reference does not have: how many there are in its other half and in the current side.

    The other half is what the current side must be held against: some words are new in any new paper. None when the
    reference cannot be halved.
    """
    chance = np.random.default_rng(seed)
    masks = [chance.random(len(batch)) < 0.5 for batch in reference]  # noqa: PLR2004
    inside, outside = (
        [batch.filter(pa.array(mask == side)) for batch, mask in zip(reference, masks, strict=True)]
        for side in (True, False)
    )
    if not sum(map(len, inside)) or not sum(map(len, outside)):
        return None
    words = pc.unique(pa.chunked_array([pc.unique(tokenise(batch).words) for batch in inside], pa.string()))
    return _unknown(Vocabulary(words, np.empty(0, np.int64)), outside, current)


def _unknown(known: Vocabulary, reference: Texts, current: Texts) -> NumberShift:
    """The share of each paper's words that are not among the known ones; papers without a word are left out."""
    first, second = (
        np.concatenate([np.empty(0), *(_unknown_shares(known, batch) for batch in side)])
        for side in (reference, current)
    )
    return numbers.means(first, second, most=1.0)


def _unknown_shares(known: Vocabulary, batch: pa.StringArray) -> NDArray[np.float64]:
    tokens = tokenise(batch)
    unknown = known.word_ids(tokens.words) < 0
    of, without = (np.bincount(tokens.text, weights, len(batch)) for weights in (None, unknown))
    shares: NDArray[np.float64] = without[of > 0] / of[of > 0]
    return shares
