"""The model that answers now, and how another takes its place while requests go on."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from arxivcli import calibration, storage
from arxivcli.errors import UsageError
from arxivcli.models import card as cards
from arxivcli.models import shelf
from arxivcli.papers import one_paper
from arxivcli.serving.refusals import Refusal
from arxivcli.steps import classification

if TYPE_CHECKING:
    from arxivcli.models.shelf import Model

_SHORT = 12


@dataclass(frozen=True)
class Loaded:
    """A model, a short hash that names its very files, and where it computes."""

    model: Model
    version: str
    device: str


class Holder:
    """Keeps the model of a name or folder."""

    def __init__(self, name: str, device: str) -> None:
        """Raises UsageError, FolderError."""
        self._name = name
        self._device = device
        self._turn = threading.Lock()
        self.now = self._load()

    def reload(self) -> Loaded:
        """Read the same name or folder again and let it answer from now on.

        Raises UsageError, FolderError when it is damaged or gone: then what answered so far goes on.
        """
        with self._turn:
            self.now = self._load()
            return self.now

    def _load(self) -> Loaded:
        model = shelf.load(self._name, self._device)
        version = storage.sha256(shelf.folder(self._name) / cards.CARD)[:_SHORT]
        # What is slow or broken at the first paper is so before anybody has asked.
        classification.answer(model, one_paper("A title", "An abstract"), classification.Question())
        return Loaded(model, version, _device(model, self._device))


def _device(model: Model, asked: str) -> str:
    """Where the model computes; PyTorch is asked only by models that have loaded it."""
    if "torch" not in sys.modules or model.card.kind == "fast":
        return "cpu"
    return str(import_module("arxivcli.accelerators").for_scoring(asked))


def require_coverage(model: Model, coverage: float) -> None:
    """Raises Refusal (422) when the model makes no sets of that coverage."""
    quantiles = model.card.calibration.quantiles
    try:
        calibration.threshold(model.card.calibration, coverage)
    except UsageError:
        known = sorted(quantiles, key=float)
        told = f"coverage must be between {known[0]} and {known[-1]}" if known else "this model makes no sets"
        raise Refusal(422, told) from None
