"""Which texts go through a network together: those of like length, so that little is padded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_TOKENS_AT_ONCE = 8192
_TEXTS_AT_ONCE = 64
_WINDOW = 64
"""Steps whose texts are sorted by length together: enough for little padding, few enough to stay mixed."""


def batches(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows of texts of like length, longest first: a bounded number of padded tokens in each."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = int(np.clip(_TOKENS_AT_ONCE // max(1, lengths[order[start]]), 1, _TEXTS_AT_ONCE))
        yield order[start : start + count]
        start += count


class Steps:
    """The texts of each step of a training: alike in length, in an order that seed and epoch alone decide."""

    def __init__(self, lengths: NDArray[np.int64], texts_per_step: int, seed: int) -> None:
        self._lengths = lengths
        self._size = texts_per_step
        self._seed = seed
        self.per_epoch = len(lengths) // texts_per_step
        self._epoch, self._order = -1, np.empty((0, 0), np.int64)

    def __getitem__(self, step: int) -> NDArray[np.int64]:
        """Rows of the texts of a step, counted over all epochs."""
        epoch, place = divmod(step, self.per_epoch)
        if self._epoch != epoch:
            chance = np.random.default_rng([self._seed, 1, epoch])
            order = chance.permutation(len(self._lengths))
            window = np.arange(len(order)) // (_WINDOW * self._size)
            order = order[np.lexsort((self._lengths[order], window))][: self.per_epoch * self._size]
            self._epoch, self._order = epoch, chance.permutation(order.reshape(self.per_epoch, -1))
        rows: NDArray[np.int64] = self._order[place]
        return rows
