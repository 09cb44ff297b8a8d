"""A model folder that travels: its files as bytes, unpacked and loaded where they arrive."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from arxivcli.models import card as cards
from arxivcli.models import shelf

if TYPE_CHECKING:
    from arxivcli.models.shelf import Model


@dataclass(frozen=True)
class Packed:
    """The files of a model folder by their paths in it, and the device it is for."""

    files: dict[str, bytes]
    device: str

    @classmethod
    def of(cls, name: str, device: str) -> Self:
        """The model of a name or folder, its files checked. Raises UsageError, FolderError."""
        place = shelf.folder(name)
        return cls({file: (place / file).read_bytes() for file in (cards.CARD, *cards.read(place).files)}, device)

    def loaded(self) -> Model:
        """The model, its files checked again after the journey. Raises FolderError."""
        with tempfile.TemporaryDirectory(prefix="arxivcli-") as place:
            for file, content in self.files.items():
                path = Path(place, file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return shelf.load(place, self.device)
