"""A frozen encoder with a small trained head: embeddings standardised, one hidden layer, logits.

The folder holds the encoder in full, so the model works wherever it is copied, without a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from arxivcli import accelerators, storage
from arxivcli.errors import FolderError
from arxivcli.models import bert_encoder, contributions
from arxivcli.models.contributions import Explanation
from arxivcli.surroundings import Place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from arxivcli.models.bert_encoder import BertEncoder
    from arxivcli.models.encoder import Encoder

HEAD = "head.safetensors"
ENCODER = "encoder"
_BLOCK = 8
"""Rows that go through the head at once, the last of them padded: see `fast`."""
_TENSORS = ("mean", "scale", "hidden", "hidden_bias", "output", "output_bias")
_HINT = "train it again, or copy all of its folder again"


class Embedder(Protocol):
    """An encoder, with or without a cache before it."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """(len(texts), D), in their order."""


@dataclass(frozen=True, eq=False)
class Head:
    """From embeddings (n, D) to logits (n, L): `relu((e - mean) * scale @ hidden + bias) @ output + bias`, float32."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output: NDArray[np.float32]
    output_bias: NDArray[np.float32]

    def logits(self, embeddings: NDArray[np.float16]) -> NDArray[np.float32]:
        """(n, L); a row's bits do not depend on the other rows."""
        rows = np.zeros((-(-len(embeddings) // _BLOCK), _BLOCK, len(self.mean)), np.float32)
        rows.reshape(-1, len(self.mean))[: len(embeddings)] = (embeddings.astype(np.float32) - self.mean) * self.scale
        hidden = np.maximum(np.matmul(rows, self.hidden) + self.hidden_bias, 0)
        logits: NDArray[np.float32] = np.matmul(hidden, self.output) + self.output_bias
        return logits.reshape(-1, len(self.output_bias))[: len(embeddings)]

    def slope(self, embedding: NDArray[np.float32], label: int) -> NDArray[np.float32]:
        """How the lead of a label (see `contributions`) changes with each number of an embedding, (D,)."""
        active = (embedding - self.mean) * self.scale @ self.hidden + self.hidden_bias > 0
        towards = contributions.towards(self.output, label)
        changes: NDArray[np.float32] = self.scale * (self.hidden @ (active * towards))
        return changes

    def fits(self, labels: int) -> bool:
        """Whether its parts fit together and give so many logits."""
        width, units = self.hidden.shape
        return (
            self.mean.shape == self.scale.shape == (width,)
            and self.hidden_bias.shape == (units,)
            and self.output.shape == (units, labels)
            and self.output_bias.shape == (labels,)
        )


@dataclass(frozen=True, eq=False)
class FrozenClassifier:
    """An encoder, a head, and what embeds (the encoder itself, or a cache before it)."""

    labels: tuple[str, ...]
    encoder: Encoder | BertEncoder
    head: Head
    embedder: Embedder | None = None

    def scores(self, texts: pa.StringArray) -> NDArray[np.float32]:
        """Logits, float32 (len(texts), len(labels))."""
        return self.head.logits((self.embedder or self.encoder).embed(texts.to_pylist()))

    def vectors(self, texts: pa.StringArray) -> NDArray[np.float32]:
        """The encoder's embeddings, float32 (len(texts), D)."""
        return (self.embedder or self.encoder).embed(texts.to_pylist()).astype(np.float32)

    def contributions(self, texts: pa.StringArray, towards: NDArray[np.int64]) -> list[Explanation]:
        """Gradient times input of each token, summed over the pieces of a word: what the lead of a label would lose if
        the word were missing, as far as the slope tells. They do not add up to it.
        """
        found = []
        for text, label in zip(texts.to_pylist(), towards.tolist(), strict=True):
            places = self.encoder.influences(text, partial(self.head.slope, label=label))
            found.append(Explanation(0.0, contributions.gathered(text, contributions.word_occurrences(text, places))))
        return found

    def save(self, folder: Path) -> None:
        """Write head.safetensors and the encoder's folder."""
        tensors = {name: np.ascontiguousarray(getattr(self.head, name)) for name in _TENSORS}
        tensors["labels"] = np.frombuffer("\n".join(self.labels).encode(), np.uint8)
        storage.write_whole(folder / HEAD, to_bytes(tensors))
        self.encoder.save(folder / ENCODER)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Read head and encoder.

        Raises:
            FolderError: they do not fit together.
            UsageError: the device cannot be used.
        """
        place = Place(accelerators.for_scoring(device))
        path = folder / HEAD
        try:
            tensors = load_file(path)
            labels = tuple(tensors["labels"].tobytes().decode().split("\n"))
            head = Head(*(tensors[name] for name in _TENSORS))
            fits = head.fits(len(labels))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise FolderError(f"{path} is no head of a frozen model: {error}", _HINT) from error
        if not fits:
            raise FolderError(f"the tensors of {path} do not fit together", _HINT)
        encoder = bert_encoder.load(folder / ENCODER, place)
        if encoder.dimension != len(head.mean):
            raise FolderError(
                f"the encoder of {folder} gives {encoder.dimension} numbers, its head reads {len(head.mean)}", _HINT
            )
        return cls(labels, encoder, head)
