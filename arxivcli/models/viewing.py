"""From what somebody asks of a model's probabilities to a view of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from arxivcli import priors
from arxivcli.errors import UsageError, unknown
from arxivcli.models import mix
from arxivcli.views import View, above, among

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from arxivcli.models.card import Card
    from arxivcli.taxonomy import Level

PRIORS: Final = ("uniform", "arxiv", "corpus")
"""Mixes that have a name; all others are files."""


def view(card: Card, prior: str | None = None, labels: str | None = None, level: Level | None = None) -> View | None:
    """The view of a model's probabilities under a mix, among labels, at a level; None when all stays as it is.

    Args:
        card: of the model.
        prior: one of PRIORS, or a file as `priors.named` reads it; None for the model's own.
        labels: names with commas between them, as `views.among` reads them; None for all.
        level: of the answers; None for the model's.

    Raises:
        UsageError: a name that nobody knows, a level finer than the model's, or the model's own mix is not known.
    """
    if prior is None and labels is None and level is None:
        return None
    answers = above(card.labels, card.level, level or card.level)
    kept = card.labels if labels is None else among(labels, card.labels, card.level)
    factors = None if prior is None else _factors(card, prior)
    return View.of(card.labels, {label: answers[label] for label in kept}, factors)


def _factors(card: Card, prior: str) -> NDArray[np.float64] | None:
    """Wanted mix by the model's own, (L,); None when they are the same."""
    if prior not in PRIORS and not Path(prior).exists():
        raise unknown("prior or file", prior, PRIORS, f"choose {', '.join(PRIORS)}, or a file of shares")
    if prior == card.settings.get("prior") and not card.settings.get("balance") and mix.of_primaries(card):
        return None
    learned = mix.learned(card)
    if learned is None:
        raise UsageError(
            f"the mix of labels that the probabilities of {card.name} follow is not known from its card",
            "leave out --prior, or train the model again"
            if mix.of_primaries(card)
            else "leave out --prior, or train it without cross-lists",
        )
    if prior == "uniform":
        return 1 / learned
    if prior == "arxiv":
        return priors.arxiv(card.labels, card.level) / learned
    if prior != "corpus":
        return priors.named(Path(prior), card.labels, card.level, learned) / learned
    trained_on = mix.trained_on(card)
    if trained_on is None:
        raise UsageError(
            f"the card of {card.name} does not say how many papers of each label it was trained on",
            "give the shares of your own papers in a file: --prior FILE",
        )
    return trained_on / learned
