"""From which confidence on a model's answer stands, when a better and slower one could be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from arxivcli.models.card import Card

SENT_ON: Final = 0.3
"""The share of papers a model gives up, those it is least sure of: what takes its time in a cascade is the second
model, and beyond a third little is left of the first one's speed."""

EVEN: Final = 0.5
"""The confidence for models whose card does not say how sure they usually are: below it an answer is likelier wrong
than right, if the probabilities are calibrated."""


def below(card: Card) -> float:
    """The confidence under which papers are sent on: SENT_ON of the calibration papers, or what is next below it."""
    fitting = [row["confidence"] for row in card.metrics.get("selective", ()) if row["share"] <= SENT_ON]
    return max(fitting, default=EVEN)
