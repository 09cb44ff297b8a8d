"""What papers of each label count in training, how logits are shifted towards the mix of labels that is wanted, and
which mix a finished model's probabilities follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from arxivcli import metrics, priors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts
    from arxivcli.models.card import Card


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


def learned(card: Card) -> NDArray[np.float64] | None:
    """The mix of labels that a model's probabilities follow, (L,), see `Mix`; None when its card does not say.

    Papers balanced by b count for the power 1 - b of how many there were, times what the wanted mix is off from theirs.
    A model of all categories of a paper follows no mix of primary ones.
    """
    here, prior = trained_on(card), card.settings.get("prior")
    power = (prior == "corpus") - card.settings.get("balance", 0)
    if prior not in {"corpus", "arxiv"} or not of_primaries(card) or (power and here is None):
        return None
    mix: NDArray[np.float64] = np.ones(len(card.labels)) if here is None else here**power
    if prior == "arxiv":
        mix *= priors.arxiv(card.labels, card.level)
    mix /= mix.sum()
    return mix


def trained_on(card: Card) -> NDArray[np.float64] | None:
    """The mix of labels of the papers that a model was trained on, (L,); None when its card does not say."""
    papers = card.corpus.get("labels")
    return None if papers is None else metrics.label_mix(card.labels, papers)


def of_primaries(card: Card) -> bool:
    """Whether a model learned nothing but primary categories."""
    return card.settings.get("task", "primary") == "primary" and not card.settings.get("cross_lists")
