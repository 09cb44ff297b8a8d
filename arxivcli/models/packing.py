"""Embeddings in a few bits: the numbers that matter most in 4, the next in 2, one scale a row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FINE = 1 / 2
"""Of D numbers, how many have four bits: the others, which matter less, say as much in two."""
_ZERO, _LARGEST = 8, 7
_UNIT = 16
"""Steps of an unpacked row in one step of its fine numbers."""
LARGEST = 128
"""No number of an unpacked row is larger."""
_MOST = 42
"""The largest coarse step: three of it still fit into eight bits."""


def widths(dimension: int) -> tuple[int, int]:
    """How many of so many numbers are fine (an even number), and how many coarse (a multiple of four)."""
    coarse = int(dimension * (1 - _FINE)) // 4 * 4
    fine = dimension - coarse
    return fine + fine % 2, coarse


@dataclass(frozen=True, eq=False)
class Packed:
    """Rows of n numbers: `fine` (F, A / 2) uint8 of two 4-bit numbers each, plus 8, entries d (low half) and d + A / 2;
    `coarse` (F, B / 4) uint8 of four 2-bit numbers c each, of 2 c - 3; `steps` (F,) uint8, what coarse numbers are
    multiplied by where fine ones are multiplied by 16; `scales` (F,) float16 of a sixteenth of a fine step.
    """

    fine: NDArray[np.uint8]
    coarse: NDArray[np.uint8]
    steps: NDArray[np.uint8]
    scales: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.fine)

    @property
    def width(self) -> int:
        """Numbers in a row, D = A + B."""
        return 2 * int(self.fine.shape[1]) + 4 * int(self.coarse.shape[1])

    @property
    def fits(self) -> bool:
        """Whether all parts are of the same rows."""
        return len(self.fine) == len(self.coarse) == len(self.steps) == len(self.scales)

    def rows(self, which: NDArray[np.int32] | slice) -> NDArray[np.int8]:
        """Some rows in steps of their scales, (n, D)."""
        fine, coarse, steps = self.fine[which], self.coarse[which], self.steps[which]
        half, quarter = fine.shape[1], coarse.shape[1]
        numbers = np.empty((len(fine), self.width), np.int8)
        # Sixteen times a number, less 8: the upper half of the byte, and its first bit turned over.
        numbers[:, :half] = ((fine << np.uint8(4)) ^ np.uint8(_ZERO * _UNIT)).view(np.int8)
        numbers[:, half : 2 * half] = ((fine & np.uint8(240)) ^ np.uint8(_ZERO * _UNIT)).view(np.int8)
        factor = steps[:, None].astype(np.int8)
        for place in range(4):
            level = ((coarse >> (2 * place)) & 3).astype(np.int8) * np.int8(2) - np.int8(3)
            start = 2 * half + place * quarter
            np.multiply(level, factor, out=numbers[:, start : start + quarter])
        return numbers

    @cached_property
    def table(self) -> NDArray[np.int8]:
        """All rows, (F, D)."""
        table = np.empty((len(self), self.width), np.int8)
        for start in range(0, len(self), 4096):
            table[start : start + 4096] = self.rows(slice(start, start + 4096))
        return table


def packed(embeddings: NDArray[np.float32], fine: int) -> Packed:
    """Rows (F, D), the first `fine` numbers of each in four bits and the others in two.

    The scale of a row is the one of least squared error among a few, which cuts the largest numbers of some rows.
    """
    first, second = embeddings[:, :fine], embeddings[:, fine:]
    most = np.abs(first).max(axis=1, initial=0) / _LARGEST
    best, least = _scales(most), np.full(len(most), np.inf, np.float32)
    for share in np.linspace(0.5, 1.0, 11):
        scales = _scales(most * share)
        error = np.square(_whole(first, scales) * _fine_step(scales) - first).sum(axis=1)
        better = error < least
        best[better], least[better] = scales[better], error[better]
    low, high = np.split((_whole(first, best) + _ZERO).astype(np.uint8), 2, axis=1)
    joined: NDArray[np.uint8] = low | (high << np.uint8(4))
    codes, steps = _coarse(second, best)
    return Packed(joined, codes, steps, best)


def _coarse(rows: NDArray[np.float32], scales: NDArray[np.float16]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two bits a number, and the step of each row in units of its scale."""
    unit = scales.astype(np.float32)[:, None]
    spread = np.sqrt(np.square(rows).mean(axis=1, keepdims=True)) if rows.shape[1] else np.zeros_like(unit)
    step = np.maximum(spread / 2, np.finfo(np.float32).tiny)
    levels = np.clip(np.floor(rows / (2 * step)) + 2, 0, 3)
    # The step of least squared error for these levels.
    signed = 2 * levels - 3
    step = (signed * rows).sum(axis=1, keepdims=True) / np.maximum(np.square(signed).sum(axis=1, keepdims=True), 1)
    steps = np.clip(np.rint(step / unit), 0, _MOST).astype(np.uint8)
    parts = np.split(levels.astype(np.uint8), 4, axis=1)
    codes = np.zeros((len(rows), rows.shape[1] // 4), np.uint8)
    for place, part in enumerate(parts):
        codes |= part << (2 * place)
    return codes, steps[:, 0]


def _fine_step(scales: NDArray[np.float16]) -> NDArray[np.float32]:
    return scales.astype(np.float32)[:, None] * np.float32(_UNIT)


def _scales(steps: NDArray[np.float32]) -> NDArray[np.float16]:
    """A sixteenth of the fine steps as float16, none of them zero."""
    return np.maximum((steps / _UNIT).astype(np.float16), np.finfo(np.float16).smallest_subnormal)


def _whole(rows: NDArray[np.float32], scales: NDArray[np.float16]) -> NDArray[np.float32]:
    whole: NDArray[np.float32] = np.clip(np.rint(rows / _fine_step(scales)), -_LARGEST, _LARGEST)
    return whole
