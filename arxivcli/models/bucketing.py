"""Which texts go through a network together: in training by chance, and of like length where they are padded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

TOKENS_AT_ONCE, TOKENS_OF_A_CORE = 8192, 2048
"""Padded tokens in a batch for a whole device, and for one core, whose caches hold no more."""

_TEXTS_AT_ONCE = 64
_WINDOW = 64
"""Steps whose texts are sorted by length together: enough for little padding, few enough to stay mixed."""


def batches(lengths: NDArray[np.int64], tokens: int = TOKENS_AT_ONCE) -> Iterator[NDArray[np.int64]]:
    """Rows of texts of like length, longest first: at most so many padded tokens in each, but for a single text."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = int(np.clip(tokens // max(1, lengths[order[start]]), 1, _TEXTS_AT_ONCE))
        yield order[start : start + count]
        start += count


class Steps:
    """The texts of each step of a training, in an order that seed and epoch alone decide."""

    def __init__(self, texts: int, texts_per_step: int, seed: int) -> None:
        self._texts = texts
        self._size = texts_per_step
        self._seed = seed
        self.per_epoch = texts // texts_per_step
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __getitem__(self, step: int) -> NDArray[np.int64]:
        """Rows of the texts of a step, counted over all epochs."""
        epoch, place = divmod(step, self.per_epoch)
        if self._epoch != epoch:
            self._epoch, self._order = epoch, self._ordered(np.random.default_rng([self._seed, 1, epoch]))
        return self._order[place * self._size : (place + 1) * self._size]

    def _ordered(self, chance: np.random.Generator) -> NDArray[np.int64]:
        return chance.permutation(self._texts)


class LikeLengths(Steps):
    """The same with texts of like length in each step."""

    def __init__(self, lengths: NDArray[np.int64], texts_per_step: int, seed: int) -> None:
        super().__init__(len(lengths), texts_per_step, seed)
        self._lengths = lengths

    def _ordered(self, chance: np.random.Generator) -> NDArray[np.int64]:
        order = super()._ordered(chance)
        window = np.arange(len(order)) // (_WINDOW * self._size)
        order = order[np.lexsort((self._lengths[order], window))][: self.per_epoch * self._size]
        return chance.permutation(order.reshape(self.per_epoch, -1)).ravel()
