"""A fine-tuned BERT on the CPU, from the folder of any fine-tuned model: there in a second, and no padding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from torch.nn import functional

from arxivcli import accelerators
from arxivcli.models import bert, tokens

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor

    from arxivcli.models.bert import Opened
    from arxivcli.models.contributions import Explanation
    from arxivcli.models.finetuned import FinetunedClassifier

_HEAD = ("pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias")


def load(folder: Path, device: str = "auto") -> BertClassifier | FinetunedClassifier:
    """The fine-tuned model of a folder, read by `transformers` unless it is a BERT for the CPU.

    Raises:
        FolderError: it does not fit together.
        UsageError: the device cannot be used, or not for this model.
    """
    place = accelerators.for_scoring(device)
    found = bert.Opened.of(folder, place)
    names = found.config.get("id2label", {}) if found else {}
    if found and set(found.above) == set(_HEAD) and len(found.above["classifier.bias"]) == len(names):
        return BertClassifier(tuple(names[str(number)] for number in range(len(names))), found, folder)
    bert.leave_to_others(folder, place)
    from arxivcli.models.finetuned import FinetunedClassifier

    return FinetunedClassifier.load(folder, place)


@dataclass(frozen=True, eq=False)
class BertClassifier:
    """Labels, what was read of the folder, and the folder."""

    labels: tuple[str, ...]
    opened: Opened
    folder: Path

    def scores(self, texts: pa.StringArray) -> NDArray[np.float32]:
        """Logits, float32 (len(texts), len(labels))."""
        ids = tokens.encoded(self.opened.cutter, texts.to_pylist())
        return bert.one_by_one(self._logits, ids, len(self.labels), strict=False)

    def _logits(self, ids: Tensor) -> Tensor:
        pool, pool_bias, head, bias = (self.opened.above[name] for name in _HEAD)
        pooled = functional.linear(self.opened.network.first(ids), pool, pool_bias).tanh()
        return functional.linear(pooled, head, bias)

    def contributions(self, texts: pa.StringArray, towards: NDArray[np.int64]) -> list[Explanation]:
        """See `FinetunedClassifier`, which is loaded for it: slopes take what is left out here."""
        return self._with_slopes.contributions(texts, towards)

    def save(self, folder: Path) -> None:
        """Copy what was read. Raises StorageError."""
        bert.Opened.copy(self.folder, folder)

    @cached_property
    def _with_slopes(self) -> FinetunedClassifier:
        from arxivcli.models.finetuned import FinetunedClassifier

        return FinetunedClassifier.load(self.folder, "cpu")
