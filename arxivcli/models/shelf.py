"""From a name to a model: which class each kind is, which presets and which models come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arxivcli import parallel
from arxivcli.errors import FolderError, unknown
from arxivcli.models import card as cards

if TYPE_CHECKING:
    from arxivcli.models.base import Classifier
    from arxivcli.models.card import Card

BUILTIN = "builtin"
_LOADERS = {
    "fast": "arxivcli.models.fast:FastClassifier.load",
    "finetuned": "arxivcli.models.bert_classifier:load",
    "frozen": "arxivcli.models.frozen:FrozenClassifier.load",
}
_TRAINEES = {
    "fast": "arxivcli.models.fast_training:FastTrainee",
    "finetuned": "arxivcli.models.finetuned_training:FinetunedTrainee",
    "frozen": "arxivcli.models.frozen_training:FrozenTrainee",
}
_SETTINGS = {
    "fast": "arxivcli.models.fast_settings:FastSettings",
    "finetuned": "arxivcli.models.finetuned_settings:FinetunedSettings",
    "frozen": "arxivcli.models.frozen_settings:FrozenSettings",
}
_FORKED = {"fast"}
"""Kinds that worker processes may share; the others use all cores by themselves, and a fork would break their threads.
"""
_MANY, _FEW, _A_CORE = 8192, 256, 12
_PRESETS = files("arxivcli.models") / "presets"


@dataclass(frozen=True)
class Model:
    """A classifier and what its folder says about it."""

    card: Card
    classifier: Classifier

    @property
    def forked(self) -> bool:
        """Whether several processes of this program may use it at once."""
        return self.card.kind in _FORKED

    @property
    def most_at_once(self) -> int:
        """How many texts to ask it about at once: few where each takes long, so that people see how it goes on, but
        enough that every core has some.
        """
        return _MANY if self.forked else max(_FEW, _A_CORE * parallel.cores())


def names() -> tuple[str, ...]:
    """Models that can be named without a folder."""
    return (BUILTIN,)


def folder(name: str) -> Path:
    """Where a named model, or a model folder given by its path, lies. Raises UsageError."""
    if name in names():
        return Path(str(files("arxivcli.models") / name))
    path = Path(name)
    if path.exists():
        return path
    raise unknown("model", name, names(), f"name a model folder, or one of: {', '.join(names())}")


def load(name: str, device: str = "auto") -> Model:
    """The model of a name or folder, its files checked. Raises UsageError, FolderError."""
    place = folder(name)
    card = cards.read(place)
    if card.kind not in _LOADERS:
        raise FolderError(f"{place} is of kind {card.kind}, which this program does not know", "update arxivcli")
    classifier: Classifier = _named(_LOADERS[card.kind])(place, device)
    if classifier.labels != card.labels:
        raise FolderError(f"the weights of {place} have other labels than its model.json", "copy or train it again")
    return Model(card, classifier)


def presets() -> tuple[str, ...]:
    """Names for `train --model`."""
    found = (entry.name for entry in _PRESETS.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def preset(name: str) -> dict[str, Any]:
    """The settings of a preset; its `kind` says which recipe reads them. Raises UsageError."""
    from arxivcli.settings import read_toml

    if name not in presets():
        raise unknown("preset", name, presets())
    return read_toml(Path(str(_PRESETS / f"{name}.toml")))


def settings(kind: str) -> Any:
    """The settings class of a kind, which presets are checked against; quick to load."""
    return _named(_SETTINGS[kind])


def trainee(kind: str) -> Any:
    """The class that trains models of a kind."""
    return _named(_TRAINEES[kind])


def _named(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return attrgetter(attribute)(import_module(module))
