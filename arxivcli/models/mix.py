"""What papers of each label count in training, and how logits are shifted towards the mix of labels that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts


@dataclass(frozen=True, eq=False)
class Mix:
    """Towards the wanted mix of labels: half of the way by what papers count, half by logits shifted at the end.

    The first spends the model's room where the mix wants it, the second keeps rare labels learned.

    Attributes:
        weights: (L,) what a paper of each label counts in the loss; on average over the training papers 1.
        shift: (L,) what is added to the logits of the finished model.
    """

    weights: NDArray[np.float64]
    shift: NDArray[np.float64]

    @classmethod
    def of(cls, training: LabelledTexts, balance: float) -> Self:
        """For training papers; `balance` 0 counts papers alike, 1 labels alike."""
        truth, labels = training.truth, len(training.labels)
        shift = np.log(training.importance) / 2
        counts = np.maximum(np.bincount(truth, minlength=labels), 1)
        weights = (len(truth) / (labels * counts)) ** balance * np.exp(shift)
        weights *= len(truth) / weights[truth].sum()
        return cls(weights, shift)

    @property
    def importance(self) -> NDArray[np.float64]:
        """(L,) what validation papers of each label count."""
        return np.exp(2 * self.shift)
