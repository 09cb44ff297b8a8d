"""The one interface of everything that scores texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from arxivcli.models.contributions import Explanation


class Classifier(Protocol):
    """Texts in, logits out. Batching, calibration, top-k, sets and files are written once, outside it."""

    labels: tuple[str, ...]

    def scores(self, texts: pa.StringArray) -> NDArray[np.float32]:
        """Logits, (len(texts), len(labels)), any length including 0. A text's row does not depend on its neighbours.

        Safe to call from several threads at once.
        """

    def save(self, folder: Path) -> None:
        """Write weights and vocabulary (safetensors, json or text; never a pickle) into an existing folder."""

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Read back what `save` wrote. Raises FolderError when it does not fit together."""


@runtime_checkable
class MakesVectors(Protocol):
    """What a classifier can do besides, when it makes a vector of each text on the way to its logits."""

    def vectors(self, texts: pa.StringArray) -> NDArray[np.float32]:
        """The vectors its last layers read, (len(texts), D), any length including 0."""


@runtime_checkable
class Explains(Protocol):
    """What a classifier can do besides, when it can say which words spoke for a label."""

    def contributions(self, texts: pa.StringArray, towards: NDArray[np.int64]) -> list[Explanation]:
        """What the words of each of n texts add to the lead of a label, `towards` (n,): see `contributions`."""


@dataclass(frozen=True)
class LabelledTexts:
    """The papers of one split as a model learns from them.

    Attributes:
        texts: makes a new iteration over batches of `text.model_input` each time it is called; n texts in all.
        truth: (n,) index of each paper's primary label.
        labels: the L labels.
        importance: (L,) what papers of each label must count for the mix of labels that is wanted; ones for the mix
            there is.
        listed: (n, most) indices of all labels of each paper, its primary first, padded with `metrics.NOT_LISTED`.
        ids: makes a new iteration over the n papers' ids, in batches as `texts`.
        key: a hash of all that the texts depend on; empty when they must not be cached.
        months: makes the n papers' months since January 1970, `splits.NO_MONTH` where nobody knows.
    """

    texts: Callable[[], Iterable[pa.StringArray]]
    truth: NDArray[np.int64]
    labels: tuple[str, ...]
    importance: NDArray[np.float64]
    listed: NDArray[np.int64] | None = None
    ids: Callable[[], Iterable[pa.StringArray]] | None = None
    key: str = ""
    months: Callable[[], NDArray[np.int32]] | None = None
