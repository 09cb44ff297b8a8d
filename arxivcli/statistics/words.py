"""Which words tell two sides apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PRIOR = 0.1
"""Weight of the prior: so large a share of what both sides have together."""


def log_odds(before: NDArray[np.int64], after: NDArray[np.int64], prior: float = PRIOR) -> tuple[Floats, Floats]:
    """Log-odds ratio of each of V words, after against before, and its z-score, both (V,).

    With an informative Dirichlet prior in the shares of both sides together (Monroe, Colaresi and Quinn 2008, "Fightin'
    Words", equations 16, 20 and 22), so that rare words need more to stand out. Words no side has are 0.

    Args:
        before: (V,) how often each word occurs on one side.
        after: (V,) on the other.
        prior: weight of the prior, see PRIOR.
    """
    both = before + after
    seen = (both > 0) & (both < both.sum())
    pseudo = prior * both[seen]
    strength = prior * both.sum()
    first, second = before[seen] + pseudo, after[seen] + pseudo
    ratio = np.log(second / (after.sum() + strength - second)) - np.log(first / (before.sum() + strength - first))
    found, z = np.zeros(len(both)), np.zeros(len(both))
    found[seen] = ratio
    z[seen] = ratio / np.sqrt(1 / first + 1 / second)
    return found, z
