"""Products of matrices that come out the same to the last bit, whatever is multiplied beside them and by whatever.

A BLAS adds in an order that depends on how many rows it is given, on the processor and on its version, and rounds after
each step. Single precision holds every whole number up to 2**24, so that sums of whole numbers which stay below it are
exact, in any order: rounded to such numbers, rows can be multiplied in any company.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

EXACT = 1 << 24
"""Up to here single precision holds every whole number."""
_TINY = np.float32(1e-30)


def rounded(rows: Floats, levels: int) -> tuple[Floats, Floats]:
    """Whole numbers of -levels to levels (n, K), and what they are to be multiplied by, (n, 1).

    Each row has a step of its own: its largest number is `levels` of them.
    """
    most = np.maximum(rows.max(axis=1, keepdims=True, initial=0), -rows.min(axis=1, keepdims=True, initial=0))
    np.maximum(most, _TINY, out=most)
    whole: Floats = rows * (np.float32(levels) / most)
    np.rint(whole, out=whole)
    return whole, most / np.float32(levels)


def shares(weights: Floats, offsets: NDArray[np.int64], largest: int) -> tuple[Floats, Floats]:
    """Of n bags of positive weights, these as whole numbers, and what sums of them are to be multiplied by, (n,).

    They are as large as they can be where each is to be multiplied by a number of at most `largest` and the products
    of a bag are to be added up exactly.

    Args:
        weights: of all bags in a row.
        offsets: (n + 1,) where each of them begins.
        largest: see above.
    """
    sizes = np.diff(offsets)
    filled = sizes > 0
    sums = np.ones(len(sizes), np.float32)
    if filled.any():
        sums[filled] = np.add.reduceat(weights, offsets[:-1][filled])
    # Rounding may add a half to each.
    most = np.maximum(1, EXACT // largest - sizes // 2 - 1).astype(np.float32)
    whole: Floats = weights * np.repeat(most / sums, sizes)
    np.rint(whole, out=whole)
    return whole, sums / most


@dataclass(frozen=True, eq=False)
class Factor:
    """A matrix (K, N) as a sum of `parts` of whole numbers, each with a scale a column, (N,) in `scales`."""

    parts: tuple[Floats, ...]
    scales: tuple[Floats, ...]

    @classmethod
    def of(cls, matrix: Floats, levels: int, parts: int = 1) -> Self:
        """As exact as so many parts allow whose products with whole numbers of up to `levels` have to be exact."""
        found: list[tuple[Floats, Floats]] = []
        room = np.float32(EXACT / levels - len(matrix) / 2 - 1)
        for _ in range(parts):
            scale = np.maximum(np.abs(matrix).sum(axis=0) / room, _TINY)
            whole = np.rint(matrix / scale)
            found.append((whole, scale))
            matrix = matrix - whole * scale
        wholes, scales = zip(*found, strict=True)
        return cls(wholes, scales)

    def times(self, whole: Floats, steps: Floats) -> Floats:
        """`(whole * steps) @ matrix`, (n, N), of what `rounded` gives."""
        found: Floats = np.matmul(whole, self.parts[0])
        found *= self.scales[0]
        for part, scale in zip(self.parts[1:], self.scales[1:], strict=True):
            more = np.matmul(whole, part)
            more *= scale
            found += more
        found *= steps
        return found
