"""Whether the texts as a model sees them changed: can a classifier tell the sides apart, and how far apart are they."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from arxivcli.models.base import MakesVectors
from arxivcli.statistics import samples
from arxivcli.steps.drift.report import VectorShift

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from arxivcli.models.shelf import Model
    from arxivcli.progress import Progress

MOST = 2_000
"""Papers of each side that a classifier is to tell apart."""
MOST_IN_PAIRS = 1_000
"""Papers of each side whose distances from each other are taken: memory and time grow with the square."""
LEAST = 2 * samples.FOLDS
"""With fewer on a side there is nothing to learn from."""


def shift(
    model: Model, reference: Sequence[pa.StringArray], current: Sequence[pa.StringArray], seed: int, progress: Progress
) -> VectorShift | None:
    """The change of the texts' vectors; None with fewer than LEAST papers on a side.

    A vector is what the model's last layers read, where it makes such (`MakesVectors`), else its centred logits, which
    are the logarithms of its probabilities less their mean.
    """
    if min(sum(map(len, reference)), sum(map(len, current))) < LEAST:
        return None
    chosen = [_some(side, seed) for side in (reference, current)]
    progress.begin("vectors of texts", sum(map(len, chosen)))
    first, second = (_vectors(model, texts, progress) for texts in chosen)
    progress.end()
    progress.begin("telling the sides apart")
    apart = samples.classifier_test(first, second, seed)
    few = first[:MOST_IN_PAIRS], second[:MOST_IN_PAIRS]
    far = samples.mean_discrepancy(*few, seed=seed)
    progress.end()
    kind = "document vectors" if isinstance(model.classifier, MakesVectors) else "centred logits"
    return VectorShift(
        of=f"{kind} of {model.card.name}",
        papers=(len(first), len(second)),
        area=apart.effect,
        area_p=apart.p,
        discrepancy=far.effect,
        discrepancy_papers=(len(few[0]), len(few[1])),
        discrepancy_p=far.p,
    )


def _some(side: Sequence[pa.StringArray], seed: int) -> pa.StringArray:
    """At most MOST texts of a side, in an order of chance."""
    texts = pa.chunked_array(side, pa.string())
    order = np.random.default_rng(seed).permutation(len(texts))[:MOST]
    return texts.take(pa.array(order)).combine_chunks()


def _vectors(model: Model, texts: pa.StringArray, progress: Progress) -> NDArray[np.float32]:
    made = []
    for start in range(0, len(texts), model.most_at_once):
        some = texts.slice(start, model.most_at_once)
        made.append(_of(model, some))
        progress.advance(len(some))
    return np.concatenate(made)


def _of(model: Model, texts: pa.StringArray) -> NDArray[np.float32]:
    if isinstance(model.classifier, MakesVectors):
        return model.classifier.vectors(texts)
    logits = model.classifier.scores(texts)
    centred: NDArray[np.float32] = logits - logits.mean(axis=1, keepdims=True)
    return centred
