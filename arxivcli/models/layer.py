"""A hidden layer beside a linear head: units of a vector, and what they add to its logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Layer:
    """Units `relu(v @ inner + start)` (U,) of vectors v (D,), which add `units @ outer` (L,) to the logits."""

    inner: Floats
    start: Floats
    outer: Floats

    def fits(self, width: int, labels: int) -> bool:
        """Whether all parts are of the same units, for vectors and labels of so many numbers."""
        units = len(self.start)
        return self.inner.shape == (width, units) and self.outer.shape == (units, labels)

    def added(self, vectors: Floats) -> Floats:
        """What is added to the logits of vectors (..., D)."""
        units = np.matmul(vectors, self.inner)
        units += self.start
        np.maximum(units, 0, out=units)
        added: Floats = np.matmul(units, self.outer)
        return added
