"""A hidden layer beside a linear head: units of a vector and of the head's answer, and what they add to its logits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from arxivcli.calibration import probabilities
from arxivcli.models import contributions
from arxivcli.models.whole_numbers import Factor, rounded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

VECTOR_LEVELS = 2047
"""Steps in which vectors and probabilities are read, and units below: what is left of 24 bits is for the matrices."""
_UNIT_LEVELS = 511
_STEPS = 16
"""Steps of the way from nothing to a text, on which what units add is shared out: the rest is below a thousandth."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Units `relu(v @ inner + softmax(l + level) @ likely + start)` (U,), which add `units @ outer` (L,) to logits.

    v (D,) is the vector that the head reads, l (L,) are its logits. `level` takes out of them what was learned with the
    layer or is shifted after it, so that the probabilities are those it was trained on.
    """

    inner: Floats
    likely: Floats
    level: Floats
    start: Floats
    outer: Floats

    def fits(self, width: int, labels: int) -> bool:
        """Whether all parts are of the same units, for vectors and labels of so many numbers."""
        units = len(self.start)
        return (
            self.inner.shape == (width, units)
            and self.likely.shape == self.outer.shape[::-1] == (labels, units)
            and self.level.shape == (labels,)
        )

    def added(self, whole: Floats, steps: Floats, logits: Floats) -> Floats:
        """What is added to the logits (n, L) of vectors (n, D), which are given as `rounded` to VECTOR_LEVELS."""
        inner, likely, outer = self._factors
        units = inner.times(whole, steps)
        units += likely.times(*rounded(probabilities(logits + self.level), VECTOR_LEVELS))
        units += self.start
        np.maximum(units, 0, out=units)
        return outer.times(*rounded(units, _UNIT_LEVELS))

    @cached_property
    def _factors(self) -> tuple[Factor, Factor, Factor]:
        levels = ((self.inner, VECTOR_LEVELS), (self.likely, VECTOR_LEVELS), (self.outer, _UNIT_LEVELS))
        inner, likely, outer = (Factor.of(*pair) for pair in levels)
        return inner, likely, outer

    def shared_out(
        self, vectors: NDArray[np.float64], label: int, head: Floats, bias: Floats
    ) -> tuple[float, NDArray[np.float64]]:
        """What the layer adds to the lead of a label for a sum of nothing, and how much each of n summands adds, (n,).

        Integrated gradients as in `contributions.along_ray`, in steps: in each of them a unit grows by a known amount,
        and how the probabilities change is known at both ends and in the middle (Simpson's rule).

        Args:
            vectors: (n, D) the summands of what the head reads.
            label: whose lead.
            head: (D, L), with `bias` (L,): the logits of a vector.
            bias: see there.
        """
        whole, towards = vectors.sum(axis=0), contributions.towards(self.outer.astype(np.float64), label)
        at = np.linspace(0, 1, 2 * _STEPS + 1)[:, None]
        likely = probabilities(at * (whole @ head) + bias + self.level)
        units = at[::2] * (whole @ self.inner) + likely[::2].astype(np.float32) @ self.likely + self.start
        growth, way = np.diff(np.maximum(units, 0), axis=0), np.diff(units, axis=0)
        slopes = np.divide(growth, way, out=(units[1:] > 0).astype(np.float64), where=way != 0) * towards
        pulls = slopes.astype(np.float32) @ self.likely.T
        through = np.zeros(len(bias))
        for some, share in ((likely[:-1:2], 1 / 6), (likely[1::2], 4 / 6), (likely[2::2], 1 / 6)):
            through += share * (some * (pulls - (some * pulls).sum(axis=1, keepdims=True))).mean(axis=0)
        values = vectors @ (self.inner @ slopes.mean(axis=0) + head @ through)
        return float(np.maximum(units[0], 0) @ towards), values
