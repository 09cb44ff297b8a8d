"""Texts -> bags of known words and known word pairs, vectorised over Arrow buffers.

A word is a run of ASCII letters and digits or non-ASCII characters, lower-cased (ASCII); a pair is two known words in a
row inside the title or inside the abstract. Words of the title count twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class Tokens:
    """Words of n texts in a row: `words` (string), `text` (int32, which text), `in_title` (bool), one entry a token."""

    words: pa.StringArray
    text: NDArray[np.int32]
    in_title: NDArray[np.bool_]


@dataclass(frozen=True)
class Bags:
    """Features of n texts in a row: text i has `features[offsets[i]:offsets[i + 1]]` (int32, ascending, none twice),
    each occurring `counts` times (uint8, saturated).
    """

    features: NDArray[np.int32]
    counts: NDArray[np.uint8]
    offsets: NDArray[np.int64]


def tokenise(texts: pa.StringArray) -> Tokens:
    """The words of n texts; what stands before a text's first newline is its title."""
    _, offset_buffer, value_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if len(texts) == 0 or offsets[0] == offsets[-1]:
        return Tokens(pa.array([], pa.string()), np.empty(0, np.int32), np.empty(0, bool))
    raw = np.frombuffer(value_buffer, np.uint8)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    folded = np.frombuffer(bytearray(raw).translate(_FOLD_TABLE), np.uint8)
    if raw.max() == _GENERAL_PUNCTUATION[0] or (raw == _GENERAL_PUNCTUATION[0]).any():
        found = np.flatnonzero((raw[:-2] == _GENERAL_PUNCTUATION[0]) & (raw[1:-1] == _GENERAL_PUNCTUATION[1]))
        folded[found[:, None] + np.arange(3)] = _SPACE
    inside = folded != _SPACE
    begins, ends = _edges(inside, offsets)
    per_text = np.diff(np.searchsorted(begins, offsets))
    text = np.repeat(np.arange(len(texts), dtype=np.int32), per_text)
    word_offsets = np.zeros(len(begins) + 1, np.int32)
    np.cumsum(ends - begins, out=word_offsets[1:])
    letters = folded.tobytes().translate(None, bytes([_SPACE]))  # several times as quick as folded[inside]
    words = pa.StringArray.from_buffers(len(begins), pa.py_buffer(word_offsets), pa.py_buffer(letters))
    return Tokens(words, text, begins < _title_ends(raw, offsets)[text])


def _edges(inside: NDArray[np.bool_], offsets: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where words begin and end: at a change, or where one text meets the next."""
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    seams = offsets[1:-1][offsets[1:-1] < len(inside)]
    begins[seams] = inside[seams]
    ends = np.zeros(len(inside) + 1, bool)
    ends[1:] = inside
    ends[1:-1] &= ~inside[1:]
    before = seams[seams > 0]
    ends[before] = inside[before - 1]
    return np.flatnonzero(begins), np.flatnonzero(ends)


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
        tokens = tokenise(texts)
        known = self.word_ids(tokens.words)
        firsts, keys = pair_keys(tokens, known, len(self.words))
        found = self._find(keys)
        hit = found >= 0
        is_word = known >= 0
        text = np.concatenate([tokens.text[is_word], tokens.text[firsts[hit]]])
        twice = np.concatenate([tokens.in_title[is_word], tokens.in_title[firsts[hit]]])
        feature = np.concatenate([known[is_word], found[hit] + np.int32(len(self.words))])
        return _counted(text, feature, twice, len(texts), max(1, len(self)))

    def word_ids(self, words: pa.StringArray) -> NDArray[np.int32]:
        """Number of each word in the vocabulary, -1 for unknown ones."""
        ids: NDArray[np.int32] = pc.index_in(words, value_set=self.words).fill_null(-1).to_numpy(zero_copy_only=False)
        return ids

    def _find(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """Number of each pair in the vocabulary, -1 for unknown ones."""
        if len(self.pairs) == 0:
            return np.full(len(keys), -1, np.int32)
        if len(keys) < _FEW_LOOKUPS:
            at = np.minimum(np.searchsorted(self.pairs, keys), len(self.pairs) - 1).astype(np.int32)
            return np.where(self.pairs[at] == keys, at, np.int32(-1))
        return self._table.find(keys)

    @cached_property
    def _table(self) -> _HashTable:
        return _HashTable(self.pairs)


def pair_keys(tokens: Tokens, known: NDArray[np.int32], words: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All neighbouring known words of one field: position of the first of them, and its key."""
    together = (known[:-1] >= 0) & (known[1:] >= 0)
    together &= (tokens.text[:-1] == tokens.text[1:]) & (tokens.in_title[:-1] == tokens.in_title[1:])
    firsts = np.flatnonzero(together)
    return firsts, known[firsts].astype(np.int64) * words + known[firsts + 1]


def _counted(
    text: NDArray[np.int32], feature: NDArray[np.int32], twice: NDArray[np.bool_], texts: int, features: int
) -> Bags:
    """Occurrences -> sorted features with counts, text by text."""
    keys = text.astype(np.int64) * features + feature
    keys = np.sort(np.concatenate([keys, keys[twice]]))
    first = np.empty(len(keys), bool)
    first[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    at = np.flatnonzero(first)
    distinct = keys[at]
    counts = np.minimum(np.diff(at, append=len(keys)), _MOST_COUNTED).astype(np.uint8)
    offsets = np.searchsorted(distinct, np.arange(texts + 1, dtype=np.int64) * features)
    owner = np.repeat(np.arange(texts, dtype=np.int64), np.diff(offsets))
    return Bags((distinct - owner * features).astype(np.int32), counts, offsets)


class _HashTable:
    """Distinct int64 keys -> their positions, by open addressing with linear probing; all probes are vectorised."""

    _MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

    def __init__(self, keys: NDArray[np.int64]) -> None:
        self._keys = keys
        bits = max(4, int(len(keys) * 4).bit_length())
        self._shift = np.uint64(64 - bits)
        self._positions = np.full((1 << bits) + len(keys), -1, np.int32)
        self._longest = 0
        waiting, slots = np.arange(len(keys), dtype=np.int32), self._slots(keys)
        while len(waiting):
            free = self._positions[slots] < 0
            _, chosen = np.unique(slots[free], return_index=True)
            placed = np.flatnonzero(free)[chosen]
            self._positions[slots[placed]] = waiting[placed]
            left = np.ones(len(waiting), bool)
            left[placed] = False
            waiting, slots = waiting[left], slots[left] + 1
            self._longest += 1

    def _slots(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        return ((keys.view(np.uint64) * self._MULTIPLIER) >> self._shift).view(np.int64)

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """Position of each key, -1 where it is unknown."""
        slots = self._slots(keys)
        found = self._positions[slots]
        open_ = np.flatnonzero(found >= 0)
        open_ = open_[self._keys[found[open_]] != keys[open_]]
        for step in range(1, self._longest):
            candidate = self._positions[slots[open_] + step]
            found[open_] = candidate
            going = candidate >= 0
            going[going] = self._keys[candidate[going]] != keys[open_[going]]
            open_ = open_[going]
        found[open_] = -1
        return found
