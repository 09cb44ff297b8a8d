"""Which words spoke for an answer and which against it, as clients get it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from arxivcli import metrics, text
from arxivcli.errors import UsageError
from arxivcli.models import contributions
from arxivcli.models.base import Explains

if TYPE_CHECKING:
    import pyarrow as pa

    from arxivcli.models.shelf import Model

_MOST: Final = 30
_PLACES: Final = 4
_GRADIENTS: Final = 8
"""What an explanation by gradients costs, in papers that are only scored: forth and back alone, not in a batch."""


def able(model: Model) -> bool:
    """Whether the model can say which words count."""
    return isinstance(model.classifier, Explains)


def cost(model: Model) -> int:
    """What a paper costs that is explained, in papers that are only scored; a fast model looks its words up."""
    return 1 if model.card.kind == "fast" else _GRADIENTS


def explained(model: Model, papers: pa.RecordBatch, predictions: pa.RecordBatch) -> list[dict[str, Any]]:
    """What is added to each answer: `explanation`, strongest first, and `cleaned`, the texts its places are in.

    Nothing is added where there is no answer, or for a model that finds out only now that it cannot say.
    """
    answered = pc.is_null(predictions["error"]).to_numpy(zero_copy_only=False)
    towards, _ = metrics.label_indices(predictions["labels"], model.card.labels)
    texts = text.model_input(papers)
    try:
        found = contributions.explained(model.classifier, texts, towards[answered], answered, _MOST)
    except UsageError:
        return [{} for _ in range(len(papers))]
    return [
        _more(cleaned, words) if given else {}
        for cleaned, words, given in zip(texts.to_pylist(), found.to_pylist(), answered.tolist(), strict=True)
    ]


def _more(cleaned: str, words: list[dict[str, Any]]) -> dict[str, Any]:
    title, _, abstract = cleaned.partition("\n")
    rounded = [one | {"contribution": round(one["contribution"], _PLACES)} for one in words]
    return {"explanation": rounded, "cleaned": {"title": title, "abstract": abstract}}
