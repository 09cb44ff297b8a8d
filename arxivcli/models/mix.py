"""What papers of each label count in training, how logits are shifted towards the mix of labels that is wanted, and
which mix a finished model's probabilities follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from arxivcli import metrics, priors
from arxivcli.splits import NO_MONTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts
    from arxivcli.models.card import Card

_LEAST_FRESH = 0.2
"""What the oldest papers count beside the newest ones."""


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

    def of_papers(self, papers: LabelledTexts, half_life: float) -> NDArray[np.float32]:
        """What each of n papers counts in the loss, (n,), on average of a label's papers what one of that label does.

        After `half_life` years a paper counts half as much, but never less than a fifth of the newest; with 0 all count
        alike. One whose month nobody knows counts as the average of its label.
        """
        counts = self.weights[papers.truth]
        if half_life and papers.months and len(counts):
            months = papers.months()
            known = months != NO_MONTH
            age = (months[known].max(initial=NO_MONTH) - months[known]) / 12
            fresh = _LEAST_FRESH + (1 - _LEAST_FRESH) * 0.5 ** (age / half_life)
            truth, labels = papers.truth[known], len(papers.labels)
            mean = np.bincount(truth, fresh, labels) / np.maximum(np.bincount(truth, minlength=labels), 1)
            counts[known] *= fresh / mean[truth]
        return counts.astype(np.float32)

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
