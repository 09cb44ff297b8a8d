"""Texts -> bags of known words and known word pairs, vectorised over Arrow buffers.

A word is a run of ASCII letters and digits or non-ASCII characters, lower-cased (ASCII); a pair is two known words in a
row inside the title or inside the abstract. Words of the title count twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

_SPACE = 32
_NEWLINE = 10
_GENERAL_PUNCTUATION = (0xE2, 0x80)  # U+2000..U+203F in UTF-8: dashes, quotes, ellipsis; the third byte is anything

_FOLD = np.full(256, _SPACE, np.uint8)
_FOLD[48:58] = np.arange(48, 58)
_FOLD[65:91] = np.arange(97, 123)
_FOLD[97:123] = np.arange(97, 123)
_FOLD[128:] = np.arange(128, 256)
_FOLD_TABLE = _FOLD.tobytes()

_FEW_LOOKUPS = 4096
"""Below this many pairs a binary search is quicker than making the hash table."""
_MOST_COUNTED = 255
_PART = 256
"""Texts whose features are looked up at once: so few that what is worked on stays in the processor's cache."""
_LETTERS = 1 << 17
"""Letters whose words are told apart at once, and how many of a word count: again so few that they stay there."""
_GOLDEN = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio: the usual multiplier of multiplicative hashing."""


@dataclass(frozen=True)
class Tokens:
    """Words of n texts in a row: `words` (string), `text` (int32, which text), `in_title` (bool), one entry a token."""

    words: pa.StringArray
    text: NDArray[np.int32]
    in_title: NDArray[np.bool_]


@dataclass(frozen=True)
class Bags:
    """Features of n texts in a row: text i has `features[offsets[i]:offsets[i + 1]]` (int32, none twice),
    each occurring `counts` times (uint8, saturated).
    """

    features: NDArray[np.int32]
    counts: NDArray[np.uint8]
    offsets: NDArray[np.int64]


def tokenise(texts: pa.StringArray) -> Tokens:
    """The words of n texts; what stands before a text's first newline is its title."""
    if len(texts) == 0:
        return Tokens(pa.array([], pa.string()), np.empty(0, np.int32), np.empty(0, bool))
    # A space after each text, so that no word reaches from one into the next.
    _, offset_buffer, value_buffer = pc.binary_join_element_wise(texts, "", " ").buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[: len(texts) + 1]
    raw = np.frombuffer(value_buffer, np.uint8)[: offsets[-1]]
    folded = np.frombuffer(bytearray(raw).translate(_FOLD_TABLE), np.uint8)
    if raw.max() == _GENERAL_PUNCTUATION[0] or (raw == _GENERAL_PUNCTUATION[0]).any():
        found = np.flatnonzero((raw[:-2] == _GENERAL_PUNCTUATION[0]) & (raw[1:-1] == _GENERAL_PUNCTUATION[1]))
        folded[found[:, None] + np.arange(3)] = _SPACE
    inside = np.zeros(len(raw) + 1, bool)
    np.not_equal(folded, _SPACE, out=inside[1:])
    begins, ends = np.flatnonzero(inside[1:] != inside[:-1]).reshape(-1, 2).T
    per_text = np.diff(np.searchsorted(begins, offsets))
    word_offsets = np.zeros(len(begins) + 1, np.int32)
    np.cumsum(ends - begins, out=word_offsets[1:])
    letters = np.compress(inside[1:], folded)  # twice as quick as folded[inside[1:]] or bytes.translate
    return Tokens(
        words=pa.StringArray.from_buffers(len(begins), pa.py_buffer(word_offsets), pa.py_buffer(letters)),
        text=np.repeat(np.arange(len(texts), dtype=np.int32), per_text),
        in_title=begins < np.repeat(_title_ends(raw, offsets), per_text),
    )


def _title_ends(raw: NDArray[np.uint8], offsets: NDArray[np.int32]) -> NDArray[np.int64]:
    """Where each text's title ends; at its beginning when it has no newline."""
    newlines = np.flatnonzero(raw == _NEWLINE)
    first = np.searchsorted(newlines, offsets[:-1])
    padded = np.append(newlines, len(raw))
    return np.where(padded[first] < offsets[1:], padded[first], offsets[:-1])


@dataclass(frozen=True)
class Vocabulary:
    """The features a model knows: V words, then P pairs of them; feature i < V is `words[i]`, V + j is `pairs[j]`.

    `pairs` are ascending int64 keys `first * V + second`.
    """

    words: pa.StringArray
    pairs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words) + len(self.pairs)

    def bags(self, texts: pa.StringArray) -> Bags:
        """The features of n texts, any n including 0."""
        return joined(self.parts(texts))

    def parts(self, texts: pa.StringArray) -> Iterator[Bags]:
        """The bags of the texts in order, of _PART texts at once."""
        for start in range(0, len(texts), _PART):
            some = texts.slice(start, _PART)
            tokens = tokenise(some)
            yield self._bags(tokens, self.word_ids(tokens.words), len(some))

    def _bags(self, tokens: Tokens, known: NDArray[np.int32], texts: int) -> Bags:
        features = self.of_tokens(tokens, known).ravel()
        is_known = np.flatnonzero(features >= 0)
        features, token = features.take(is_known), is_known >> 1
        text = tokens.text.take(token)
        same = _one_of_the_same(text * np.int64(len(self)) + features)
        times = np.bincount(same, (1 + tokens.in_title).take(token), len(same))
        at = np.flatnonzero(same == np.arange(len(same)))
        counts = np.minimum(times.take(at), _MOST_COUNTED).astype(np.uint8)
        return Bags(features.take(at), counts, np.searchsorted(text.take(at), np.arange(texts + 1, dtype=np.int32)))

    def of_tokens(self, tokens: Tokens, known: NDArray[np.int32]) -> NDArray[np.int32]:
        """Of each of n tokens, whose words have the numbers `known`, its word and the pair it begins, (n, 2); -1 for
        unknown ones.
        """
        return np.stack([known, self._find(pair_keys(tokens, known, len(self.words)))], axis=1)

    def word_ids(self, words: pa.StringArray) -> NDArray[np.int32]:
        """Number of each word in the vocabulary, -1 for unknown ones."""
        if self._word_table is not None:
            return self._word_table.find(self._word_keys(words))
        ids: NDArray[np.int32] = pc.index_in(words, value_set=self.words).fill_null(-1).to_numpy(zero_copy_only=False)
        return ids

    @cached_property
    def _word_table(self) -> _HashTable | None:
        """Of digests, since Arrow would hash the whole vocabulary again for every lookup.

        None where two words have one digest, as it happens among millions of words.
        """
        if len(self.words) == 0:
            return None
        keys, numbers = self._word_keys(self.words), np.arange(len(self.words))
        table = _HashTable(keys, numbers)
        return table if np.array_equal(table.find(keys), numbers) else None

    def _word_keys(self, words: pa.StringArray) -> NDArray[np.int64]:
        """As many bits of each word's digest as the table has room for: unequal for unequal words but for one in
        billions.
        """
        room = _HashTable.ROOM - len(self.words).bit_length()
        return (_digests(words) >> np.uint64(64 - room)).view(np.int64)

    def _find(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """Feature number of each pair, -1 for unknown ones."""
        if len(self.pairs) == 0:
            return np.full(len(keys), -1, np.int32)
        if len(keys) < _FEW_LOOKUPS or not _HashTable.holds(self.pairs, len(self)):
            at = np.minimum(np.searchsorted(self.pairs, keys), len(self.pairs) - 1)
            return np.where(self.pairs[at] == keys, at + len(self.words), -1).astype(np.int32)
        return self._table.find(keys)

    @cached_property
    def _table(self) -> _HashTable:
        return _HashTable(self.pairs, np.arange(len(self.words), len(self)))


def pair_keys(tokens: Tokens, known: NDArray[np.int32], words: int) -> NDArray[np.int64]:
    """Of each token, the key of the pair it makes with the next; -1 unless both are known words of one field."""
    keys = np.full(len(known), -1, np.int64)
    together = (known[:-1] >= 0) & (known[1:] >= 0)
    together &= (tokens.text[:-1] == tokens.text[1:]) & (tokens.in_title[:-1] == tokens.in_title[1:])
    np.copyto(keys[:-1], known[:-1] * np.int64(words) + known[1:], where=together)
    return keys


def joined(parts: Iterable[Bags]) -> Bags:
    """The bags of all parts in a row."""
    some = list(parts)
    sizes = [np.zeros(1, np.int64), *(np.diff(part.offsets) for part in some)]
    features = np.concatenate([np.empty(0, np.int32), *(part.features for part in some)])
    counts = np.concatenate([np.empty(0, np.uint8), *(part.counts for part in some)])
    return Bags(features, counts, np.cumsum(np.concatenate(sizes)))


def _digests(words: pa.StringArray) -> NDArray[np.uint64]:
    """Of each word a polynomial in a large odd number, whose coefficients are its letters, modulo 2**64."""
    digests = np.zeros(len(words), np.uint64)
    if len(words) == 0:
        return digests
    _, offset_buffer, value_buffer = words.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[words.offset : words.offset + len(words) + 1]
    start = 0
    while start < len(words):
        end = max(start + 1, int(np.searchsorted(offsets, offsets[start] + _LETTERS, "right")) - 1)
        at = np.minimum(offsets[start : end + 1] - offsets[start], _LETTERS)
        if at[-1]:
            letters = np.frombuffer(value_buffer, np.uint8, at[-1], offsets[start])
            digests[start:end] = _polynomials(letters, at)
        start = end
    return digests


def _polynomials(letters: NDArray[np.uint8], at: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Of each part `letters[at[i]:at[i + 1]]`: differences of the sums so far, divided by the power they begin with."""
    powers, inverses = _powers()
    sums = np.zeros(len(letters) + 1, np.uint64)
    np.cumsum(letters * powers[: len(letters)], out=sums[1:])
    sums = sums.take(at)
    found: NDArray[np.uint64] = (sums[1:] - sums[:-1]) * inverses.take(at[:-1])
    return found


@cache
def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of _GOLDEN, from the first on, and of its inverse, from the zeroth on, modulo 2**64."""
    powers, inverses = (np.full(_LETTERS + 1, number, np.uint64) for number in (_GOLDEN, pow(_GOLDEN, -1, 1 << 64)))
    inverses[0] = 1
    return np.cumprod(powers, dtype=np.uint64), np.cumprod(inverses, dtype=np.uint64)


def _slots(keys: NDArray[np.int64], bits: int, multiplier: int = _GOLDEN) -> NDArray[np.int64]:
    """A place among 2**bits for each key: the high bits of a product (Knuth, TAOCP 6.4)."""
    return ((keys.view(np.uint64) * np.uint64(multiplier)) >> np.uint64(64 - bits)).view(np.int64)


def _one_of_the_same(keys: NDArray[np.int64], multiplier: int = _GOLDEN) -> NDArray[np.int64]:
    """For each key the position of one that equals it, the same one for all that are equal.

    `np.unique` would sort, which takes several times as long: here each key writes its position into its slot of a
    table, and those that then find the position of an unequal key there try again among themselves, with other slots.
    """
    bits = max(4, int(len(keys) * 2).bit_length())
    slots = _slots(keys, bits, multiplier)
    table = np.empty(1 << bits, np.int32)
    table[slots] = np.arange(len(keys), dtype=np.int32)
    same = table.take(slots).astype(np.int64)
    unequal = np.flatnonzero(keys.take(same) != keys)
    if len(unequal):
        same[unequal] = unequal[_one_of_the_same(keys[unequal], multiplier * 5 % 2**64)]
    return same


class _HashTable:
    """Distinct keys -> their numbers, none of them negative: open addressing, linear probing, all of it vectorised.

    An entry is the key with its number below it, so that a look costs one visit to memory.
    """

    _FREE = np.iinfo(np.int64).min
    ROOM = 63

    def __init__(self, keys: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        self._bits = max(4, int(len(keys) * 2).bit_length())
        self._below = int(numbers[-1]).bit_length()
        self._entries = np.full((1 << self._bits) + len(keys), self._FREE)
        waiting, slots = keys << self._below | numbers, _slots(keys, self._bits)
        while len(waiting):
            free = self._entries[slots] == self._FREE
            self._entries[slots[free]] = waiting[free]
            left = self._entries[slots] != waiting
            waiting, slots = waiting[left], slots[left] + 1

    @classmethod
    def holds(cls, keys: NDArray[np.int64], numbers: int) -> bool:
        """Whether an entry has room for the largest of these ascending keys and a number below `numbers`."""
        return int(keys[-1]).bit_length() + numbers.bit_length() <= cls.ROOM

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """Number of each key, -1 where it is unknown."""
        slots = _slots(keys, self._bits)
        entries = self._entries.take(slots)
        going = np.flatnonzero((entries >> self._below != keys) & (entries != self._FREE))
        while len(going):
            slots[going] += 1
            entries[going] = there = self._entries.take(slots[going])
            going = going[(there >> self._below != keys[going]) & (there != self._FREE)]
        held = (1 << self._below) - 1
        found: NDArray[np.int32] = np.where(entries >> self._below == keys, entries & held, -1).astype(np.int32)
        return found
