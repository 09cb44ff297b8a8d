"""Which words spoke for an answer and which against it, as clients get it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.compute as pc

from arxivcli import text
from arxivcli.errors import UsageError
from arxivcli.models.base import Explains

if TYPE_CHECKING:
    import pyarrow as pa

    from arxivcli.models.contributions import Contribution
    from arxivcli.models.shelf import Model

_MOST: Final = 30
_PLACES: Final = 4


def able(model: Model) -> bool:
    """Whether the model can say which words count."""
    return isinstance(model.classifier, Explains)


def explained(model: Model, papers: pa.RecordBatch, predictions: pa.RecordBatch) -> list[dict[str, Any]]:
    """What is added to each answer: `explanation`, strongest first, and `cleaned`, the texts its places are in.

    Nothing is added where there is no answer, or for a model that finds out only now that it cannot say.
    """
    found: list[dict[str, Any]] = [{} for _ in range(len(papers))]
    classifier = model.classifier
    answered = pc.is_null(predictions["error"])
    places = np.flatnonzero(answered.to_numpy(zero_copy_only=False)).tolist()
    if not isinstance(classifier, Explains) or not places:
        return found
    labels = model.card.labels
    towards = np.array([labels.index(predictions["labels"][place][0].as_py()) for place in places], np.int64)
    texts = text.model_input(papers).filter(answered)
    try:
        explanations = classifier.contributions(texts, towards)
    except UsageError:
        return found
    for place, cleaned, explanation in zip(places, texts.to_pylist(), explanations, strict=True):
        title, _, abstract = cleaned.partition("\n")
        found[place] = {
            "explanation": [_entry(one) for one in explanation.strongest(_MOST)],
            "cleaned": {"title": title, "abstract": abstract},
        }
    return found


def _entry(one: Contribution) -> dict[str, Any]:
    return {
        "text": one.text,
        "contribution": round(one.value, _PLACES),
        "where": one.where,
        "begins": [begin for begin, _ in one.spans],
        "ends": [end for _, end in one.spans],
    }
