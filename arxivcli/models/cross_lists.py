"""Which categories a paper may be cross-listed in, beside the one that comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.models.card import Card
    from arxivcli.views import View

SUGGESTED: Final = 0.1
"""The least probability of a suggestion by a model of primary categories, whose probabilities sum to one.

Of the built-in model this has the highest micro-F1 of all categories papers have, in arXiv's mix: 0.64 (precision 0.65,
recall 0.62) on papers it never saw, where the first category alone has 0.56. `examples/builtin/threshold.py` finds it.
"""


def suggested(
    card: Card, logits: NDArray[np.float32], probs: NDArray[np.float32], view: View | None
) -> NDArray[np.bool_]:
    """Which answers are suggested beside the first of each paper, (n, K).

    A model that learned all categories of papers says yes or no to each of its labels by itself, more likely yes where
    its logit is positive; an answer that several labels are part of is suggested where one of them is.

    Args:
        card: of the model.
        logits: (n, L).
        probs: (n, K) of the answers.
        view: that made the K answers of the L labels; None where they are the same.
    """
    if card.settings.get("task") == "all":
        inside = logits > 0
        inside = inside if view is None else view.sets(inside, probs)
    else:
        inside = probs >= np.float32(SUGGESTED)
    inside[np.arange(len(probs)), probs.argmax(axis=1)] = False
    return inside
