"""A frozen encoder that is a BERT, on the CPU: its embeddings without the import of sentence-transformers."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from torch.nn import functional

from arxivcli import storage, tensors
from arxivcli.models import bert, tokens
from arxivcli.surroundings import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from arxivcli.models.bert import Opened
    from arxivcli.models.encoder import Encoder

_POOLS = {"mean": lambda found: found.mean(dim=0), "cls": lambda found: found[0]}


def load(folder: Path, place: Place) -> BertEncoder | Encoder:
    """The encoder of a folder, read by sentence-transformers unless it is a BERT for the CPU.

    Raises FolderError, and UsageError where only a BERT can be read.
    """
    if found := BertEncoder.of(folder, place.device):
        return found
    bert.leave_to_others(folder, place.device)
    from arxivcli.models.encoder import Encoder

    return Encoder.load(folder, place)


@dataclass(frozen=True, eq=False)
class BertEncoder:
    """What was read of a sentence-transformers folder: how its tokens become one embedding, and the folder.

    A text's embedding is that of `Encoder` to the last bits of half precision, and like there does not depend on its
    company.
    """

    opened: Opened
    pool: str
    normalised: bool
    folder: Path

    @classmethod
    def of(cls, folder: Path, device: str = "cpu") -> Self | None:
        """Read a folder that sentence-transformers wrote; None for anything but a BERT, its pooling and its norm."""
        try:
            parts = bert.read_json(folder / "modules.json")
            kinds, paths = [part["type"].rpartition(".")[2] for part in parts], [part["path"] for part in parts]
            pooling = bert.read_json(folder / paths[1] / "config.json")
            told = bert.read_json(folder / "config_sentence_transformers.json")
            prompted = told["prompts"].get(told["default_prompt_name"] or "")
        except (OSError, ValueError, LookupError, TypeError):
            return None
        normalised = kinds[2:] == ["Normalize"]
        if kinds[:2] != ["Transformer", "Pooling"] or (kinds[2:] and not normalised) or prompted:
            return None
        if pooling.get("pooling_mode") not in _POOLS or any(".." in path for path in paths):
            return None
        opened = bert.Opened.of(folder / paths[0], device)
        return None if opened is None else cls(opened, pooling["pooling_mode"], normalised, folder)

    @property
    def dimension(self) -> int:
        """Numbers in an embedding."""
        return int(self.opened.network.words.shape[1])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """(len(texts), dimension), in their order."""
        ids = tokens.encoded(self.opened.cutter, texts)
        return bert.one_by_one(self._embedding, ids, self.dimension, strict=True).astype(np.float16)

    def _embedding(self, ids: Tensor) -> Tensor:
        pooled: Tensor = _POOLS[self.pool](self.opened.network.every(ids))
        return functional.normalize(pooled, dim=0) if self.normalised else pooled

    def influences(
        self, text: str, slope: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    ) -> list[tuple[int, int, float]]:
        """See `Encoder`, which is loaded for it: slopes take what is left out here."""
        return self._with_slopes.influences(text, slope)

    def save(self, folder: Path) -> None:
        """Copy the folder. Raises StorageError."""
        with tensors.written(folder):
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
            storage.sync_files(folder)

    @cached_property
    def _with_slopes(self) -> Encoder:
        from arxivcli.models.encoder import Encoder

        return Encoder.load(self.folder, Place())
