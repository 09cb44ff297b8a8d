"""What became of each paper under one model: a few numbers a paper, from which every figure follows.

Nothing here is as wide as the labels are many: three million papers take a few hundred megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from arxivcli.metrics.labels import top

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

KEPT: Final = 5
"""How many of the best answers are kept of each paper."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One row for each of n papers; C coverages, each with its own conformal sets (C is 0 without quantiles).

    Attributes:
        truth: (n,) int16, index of the primary label.
        answers: (n, at most KEPT) int16, indices of the best labels, best first.
        scores: (n, at most KEPT) float32, their calibrated probabilities.
        plain: (n,) float32, the best label's probability before calibration.
        rank: (n,) int16, place of the primary label among the answers, 1 for the best.
        chance: (n,) float32, calibrated probability of the primary label.
        brier: (n,) float32, squared distance of the probabilities from the truth, between 0 and 2.
        listed: (n,) bool, whether the best label is any of the paper's labels, cross-lists included.
        inside: (n, C) bool, whether the primary label is in the set.
        sizes: (n, C) int16, how many labels the set has.
    """

    truth: NDArray[np.int16]
    answers: NDArray[np.int16]
    scores: NDArray[np.float32]
    plain: NDArray[np.float32]
    rank: NDArray[np.int16]
    chance: NDArray[np.float32]
    brier: NDArray[np.float32]
    listed: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    sizes: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def best(self) -> NDArray[np.int16]:
        """(n,) index of the best label."""
        return self.answers[:, 0]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether the best label is the primary one."""
        right: NDArray[np.bool_] = self.rank == 1
        return right

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(n,) calibrated probability of the best label."""
        return self.scores[:, 0]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, in order; there is at least one part."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def outcomes(
    probs: NDArray[np.float32],
    plain: NDArray[np.float32],
    truth: NDArray[np.int64],
    listed: NDArray[np.int64],
    places: NDArray[np.int64],
    thresholds: Sequence[float] | NDArray[np.float32] = (),
) -> Outcomes:
    """The outcomes of n papers.

    Args:
        probs: (n, L) calibrated probabilities of a model's L labels.
        plain: (n,) the best label's probability before calibration.
        truth: (n,) place of the primary label among the L.
        listed: (n, most) indices of all labels of each paper, padded with NOT_LISTED.
        places: (L,) index of each of the model's labels among those that `listed` counts in; also what comes back.
        thresholds: for each coverage the least probability that is let into a set, (C,) or (n, C) where the papers
            differ in it; the best label always is.
    """
    rows, count = np.arange(len(truth)), probs.shape[1]
    chance = probs[rows, truth]
    ahead = (probs > chance[:, None]).sum(axis=1)
    ahead += ((probs == chance[:, None]) & (np.arange(count) < truth[:, None])).sum(axis=1)
    order = top(probs, KEPT)
    least = np.atleast_2d(np.asarray(thresholds, np.float32))
    sizes = [np.maximum((probs >= column[:, None]).sum(axis=1), 1) for column in least.T]
    best = places[order[:, 0]]
    return Outcomes(
        truth=places[truth].astype(np.int16),
        answers=places[order].astype(np.int16),
        scores=np.take_along_axis(probs, order, axis=1),
        plain=plain,
        rank=(ahead + 1).astype(np.int16),
        chance=chance,
        brier=(np.square(probs).sum(axis=1) - 2 * chance + 1).astype(np.float32),
        listed=(listed == best[:, None]).any(axis=1),
        inside=(chance[:, None] >= least) | (ahead == 0)[:, None],
        sizes=np.stack(sizes, axis=1).astype(np.int16) if sizes else np.empty((len(truth), 0), np.int16),
    )
