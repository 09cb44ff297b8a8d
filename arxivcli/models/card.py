"""A model folder explains itself: model.json with everything needed to trust and to repeat it, hashes of every file."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import orjson

from arxivcli import storage, text
from arxivcli.calibration import Calibration
from arxivcli.errors import FolderError

if TYPE_CHECKING:
    from pathlib import Path

    from arxivcli.taxonomy import Level

CARD = "model.json"
_OWN_HASH = "sha256"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Card:
    """What model.json says.

    Attributes:
        kind: which class of models/ this is ("fast").
        name: what its maker called it.
        labels: what it can answer, in the order of its logits.
        level: category, archive or group.
        recipe: the text recipe it was trained with (`text.RECIPE`).
        settings: every setting of its training.
        corpus: manifest hash and row counts of the corpus it was trained on, and training papers by label.
        metrics: what was measured when it was made.
        calibration: temperature and conformal quantiles.
        files: sha256 of every other file of the folder by its path in it (`head.safetensors`, `encoder/config.json`).
    """

    kind: str
    name: str
    labels: tuple[str, ...]
    level: Level
    recipe: str
    settings: dict[str, Any]
    corpus: dict[str, Any]
    metrics: dict[str, Any]
    calibration: Calibration
    files: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


def write(folder: Path, card: Card) -> None:
    """Hash the files of `folder` and its subfolders, hidden ones aside, and write model.json last."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if name != CARD and _inside(name)]
    values = {f.name: getattr(card, f.name) for f in fields(card)}
    whole = Card(**values | {"files": {name: storage.sha256(folder / name) for name in names}})
    written = asdict(whole)
    storage.write_whole(folder / CARD, _content(written | {_OWN_HASH: _own_hash(written)}))


def _content(values: dict[str, Any]) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def _own_hash(values: dict[str, Any]) -> str:
    """sha256 of what the card says, without this hash itself."""
    return hashlib.sha256(_content(values)).hexdigest()


def readme(card: Card) -> str:
    """A model card for people: what it is, what it learned from, how good it was, how to use it."""
    figures = "\n".join(f"| {name} | {value:.4f} |" for name, value in card.metrics["validation"].items())
    papers = ", ".join(f"{split} {count:,}" for split, count in card.corpus["papers"].items())
    quality = card.metrics["calibration"]
    return f"""# {card.name}

Puts scientific papers into {len(card.labels)} arXiv labels ({card.level} level) from title and abstract.

- Kind: `{card.kind}`, made by `arxivcli train`; every setting is in `settings.toml`.
- Corpus: {papers} papers; manifest sha256 `{card.corpus["manifest_sha256"]}`.
- Calibration: temperature {card.calibration.temperature:.3f}, slope {card.calibration.slope:.3f} and intercept
  {card.calibration.intercept:.3f} of the best label's log-odds; expected calibration error on the calibration split
  {quality["ece_before"]:.4f} before and {quality["ece_after"]:.4f} after{_by_titles(card)}.

| on the validation split | |
|---|---|
{figures}

Use it: `arxivcli classify --model FOLDER paper.json`. Measure it: `arxivcli eval FOLDER --data CORPUS`.
"""


def _by_titles(card: Card) -> str:
    alone = card.calibration.title_only
    if alone is None:
        return ""
    return f"; texts without an abstract have their own: temperature {alone.temperature:.3f}, slope {alone.slope:.3f}"


def read(folder: Path) -> Card:
    """The card of a model folder, its files checked against their hashes. Raises FolderError."""
    path = folder / CARD
    if not path.is_file():
        raise FolderError(f"{folder} is no model: it has no {CARD}", "see `arxivcli models list`, or train one")
    try:
        values = orjson.loads(path.read_bytes())
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise FolderError(
                f"{path} has format version {version}, this program reads {FORMAT_VERSION}", "update arxivcli"
            )
        expected, actual = values.pop(_OWN_HASH, "nothing"), _own_hash(values)
        if expected != actual:
            raise FolderError(
                f"{path} is not as it was saved: sha256 expected {expected}, found {actual}",
                "copy or train the model again",
            )
        card = Card(
            **values | {"labels": tuple(values["labels"]), "calibration": Calibration.of(values["calibration"])},
        )
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise FolderError(f"{path} cannot be read: {error}", "copy or train the model again") from error
    _check(folder, card)
    return card


def _inside(name: str) -> bool:
    """Whether a path is one of a file in the folder, none of its parts hidden or leading out."""
    return "\\" not in name and all(part and not part.startswith(".") for part in name.split("/"))


def _check(folder: Path, card: Card) -> None:
    if card.recipe != text.RECIPE:
        raise FolderError(
            f"{folder} was made with text recipe {card.recipe}, this program has {text.RECIPE}", "train it again"
        )
    for name, expected in card.files.items():
        if not _inside(name):
            raise FolderError(f"{folder / CARD} names a file outside its folder: {name}", "do not use this model")
        path = folder / name
        actual = storage.sha256(path) if path.is_file() else "missing"
        if actual != expected:
            raise FolderError(
                f"{path} is not the file the model was saved with: sha256 expected {expected}, found {actual}",
                "copy or train the model again",
            )
