"""Training: a corpus folder and settings in, a calibrated model folder out."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from arxivcli import __version__, calibration, metrics, settings, splits, storage, taxonomy, text
from arxivcli.errors import FolderError, InputError, UsageError
from arxivcli.learning import devices
from arxivcli.learning.checkpoints import Checkpoints, differences
from arxivcli.learning.loop import Epoch, fit
from arxivcli.learning.observers import Audience, Observer
from arxivcli.metrics.selective import selective
from arxivcli.models import card as cards
from arxivcli.models import shelf
from arxivcli.models.base import LabelledTexts
from arxivcli.progress import Silent
from arxivcli.shards import Shards
from arxivcli.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from arxivcli.models.base import Classifier
    from arxivcli.progress import Progress

SETTINGS = "settings.toml"
_CHECKPOINTS = ".checkpoints"


@dataclass(frozen=True)
class TrainingReport:
    """A finished model: its folder, its card, and whether this command made it or found it made."""

    folder: Path
    card: cards.Card
    was_there: bool


def train(
    corpus: Path,
    preset: str,
    output: Path,
    progress: Progress,
    config: Path | None = None,
    changes: tuple[str, ...] = (),
    restart: bool = False,
    device: str = "auto",
    precision: str = "auto",
    observers: Sequence[Observer] = (),
) -> TrainingReport | None:
    """Train a model of a preset on a corpus folder; the same command continues an interrupted run.

    Of several processes that train together (`torchrun`), the first returns the report and the others None.

    Raises:
        UsageError: unknown preset or setting, or the output belongs to another run.
        RemoteError: an encoder cannot be downloaded.
        FolderError: the corpus is damaged.
        InputError: a split that is needed is empty, or the corpus has only one label.
        StoppedError, TrainingError, StorageError: see `learning.loop.fit`.
    """
    values = shelf.preset(preset)
    chosen = settings.resolve(shelf.settings(values["kind"]), values, config, changes)
    if not corpus.exists():
        raise FolderError(
            f"there is no corpus {corpus}",
            f"make one with two commands: arxivcli fetch -o data/raw, then arxivcli preprocess data/raw -o {corpus}",
        )
    shards = Shards.open(corpus)
    # A label nobody has cannot be learned; answering it by chance would be worse than not knowing it.
    labels = tuple(label for label in shards.labels if shards.manifest.splits["train"].labels.get(label))
    _check(shards, labels)
    run = _Run(chosen, shards, labels, output)
    _refuse_foreign(output)
    place = devices.find(device, precision, progress, chosen.mixed_on_cpu)
    first = place.rank == 0
    if first and shards.rows("calibration") < calibration.ENOUGH:
        progress.note(f"only {shards.rows('calibration')} calibration papers: probabilities stay as they come")
    with storage.owned(output) if first else nullcontext(), devices.together(place):
        if restart and first:
            run.clear()
        devices.wait(place)
        made = run.made_before()
        if made is not None:
            return TrainingReport(output, made, was_there=True) if first else None
        checkpoints = Checkpoints(output / _CHECKPOINTS)
        if first:
            checkpoints.claim(run.identity)
            progress.note(f"reading {shards.rows('train'):,} papers of {corpus}")
        surroundings = Surroundings(storage.cache_folder(), place, progress if first else Silent())
        trainee = shelf.trainee(chosen.kind).prepare(
            chosen, run.papers("train"), run.papers("validation"), surroundings
        )
        audience = Audience(observers if first else (), progress)
        facts = run.facts() | {"device": place.device, "precision": place.precision, "processes": place.processes}
        fitted = fit(trainee, checkpoints, surroundings.progress, (audience,), place, facts)
        if not first:
            return None
        try:
            card = run.save(trainee.classifier(fitted.weights), fitted.epochs, trainee.facts())
        except BaseException:
            audience.stopped()
            raise
        checkpoints.discard()
        audience.finished(output, card)
    return TrainingReport(output, card, was_there=False)


def _check(shards: Shards, labels: tuple[str, ...]) -> None:
    if len(labels) < 2:  # noqa: PLR2004  with one label there is nothing to learn
        raise InputError(
            f"the training papers need at least two labels, these have {len(labels)}",
            "preprocess more papers, or with other --labels",
        )
    for split in ("train", "validation"):
        if shards.rows(split) == 0:
            raise InputError(f"the {split} split of the corpus is empty", "preprocess more papers, or other --shares")


def _refuse_foreign(output: Path) -> None:
    """Raises UsageError for a folder of somebody else's files: a model would overwrite some of them."""
    if not output.is_dir() or (output / cards.CARD).is_file() or (output / _CHECKPOINTS).is_dir():
        return
    strangers = sorted(path.name for path in output.iterdir() if path.name != storage.LOCK)
    if strangers:
        raise UsageError(
            f"{output} is no model and holds {strangers[0]}", "choose a new or an empty folder with --output"
        )


class _Run:
    """One training: what tells it from others, and how its folder is kept."""

    def __init__(self, chosen: Any, shards: Shards, labels: tuple[str, ...], output: Path) -> None:
        self._chosen = chosen
        self._shards = shards
        self._labels = labels
        self._output = output
        self._answers = (np.empty(0, np.int64), np.empty(0, np.int64))
        self.identity = {
            "settings": chosen.model_dump(),
            "corpus": shards.manifest_sha256,
            "recipe": text.RECIPE,
            "version": __version__,
        }

    def facts(self) -> dict[str, Any]:
        """What an observer may want to know about it."""
        return {
            "name": self._output.name,
            "folder": self._output,
            "settings": self.identity["settings"],
            "labels": self._labels,
            "corpus": self.identity["corpus"],
            "answers": lambda: self._answers,
        }

    def clear(self) -> None:
        """Remove what an earlier training left, and nothing else."""
        Checkpoints(self._output / _CHECKPOINTS).discard()
        if (self._output / cards.CARD).is_file():
            paths = [self._output / name for name in (*cards.read(self._output).files, cards.CARD)]
            for path in paths:
                path.unlink(missing_ok=True)
            for folder in sorted({path.parent for path in paths} - {self._output}, reverse=True):
                if not any(folder.iterdir()):
                    folder.rmdir()

    def made_before(self) -> cards.Card | None:
        """The finished model of this very run, None when there is no model. Raises UsageError for another run's."""
        if not (self._output / cards.CARD).is_file():
            return None
        card = cards.read(self._output)
        made = {"settings": card.settings, "corpus": card.corpus.get("manifest_sha256")}
        changed = differences(made, {name: self.identity[name] for name in made})
        if not changed:
            return card
        raise UsageError(
            f"{self._output} holds a finished model that differs in: {', '.join(changed)}",
            "choose another --output, or --restart to replace it",
        )

    def papers(self, split: str) -> LabelledTexts:
        """The papers of a split whose primary is one of the labels."""
        labels, shards = self._labels, self._shards

        def known(batch: pa.RecordBatch) -> pa.BooleanArray:
            return pa.array(metrics.label_indices(batch["categories"], labels)[0] != metrics.NOT_LISTED)

        def texts() -> Iterator[pa.StringArray]:
            for batch in shards.batches(split):
                yield text.model_input(batch).filter(known(batch))

        def ids() -> Iterator[pa.StringArray]:
            for batch in shards.batches(split, columns=["id", "categories"]):
                yield batch["id"].filter(known(batch))

        def months() -> NDArray[np.int32]:
            dated = shards.batches(split, columns=["id", "created", "categories"])
            found = [splits.months(batch)[known(batch).to_numpy(zero_copy_only=False)] for batch in dated]
            return np.concatenate([np.empty(0, np.int32), *found])

        found = [metrics.label_indices(b["categories"], labels) for b in shards.batches(split, columns=["categories"])]
        truth = np.concatenate([np.empty(0, np.int64), *(primaries for primaries, _ in found)])
        listed = np.concatenate([np.empty((0, metrics.MOST_LISTED), np.int64), *(every for _, every in found)])
        listed = listed[truth != metrics.NOT_LISTED]
        truth = truth[truth != metrics.NOT_LISTED]
        importance = np.ones(len(labels))
        if self._chosen.prior == "arxiv":
            importance = metrics.importance(truth, labels, taxonomy.papers_per_label(shards.level))
        key = hashlib.sha256("\n".join((self.identity["corpus"], split, text.RECIPE, *labels)).encode()).hexdigest()
        return LabelledTexts(texts, truth, labels, importance, listed, ids, key, months)

    def save(self, classifier: Classifier, epochs: tuple[Epoch, ...], told: dict[str, Any]) -> cards.Card:
        """Calibrate, and write the folder, its card last; the card."""
        fitted, figures, trust = self._calibrated(classifier)
        best = max((epoch for epoch in epochs if epoch.best), key=lambda epoch: epoch.number)
        card = cards.Card(
            kind=self._chosen.kind,
            name=self._output.name,
            labels=classifier.labels,
            level=self._shards.level,
            recipe=text.RECIPE,
            settings=self.identity["settings"],
            corpus={
                "manifest_sha256": self.identity["corpus"],
                "papers": {split: self._shards.rows(split) for split in ("train", "validation", "calibration")},
                "labels": {label: self._shards.manifest.splits["train"].labels[label] for label in self._labels},
            },
            metrics=told
            | {"epochs": [asdict(e) for e in epochs], "validation": best.validation, "calibration": figures}
            | trust,
            calibration=fitted,
        )
        with storage.storage_errors(self._output):
            classifier.save(self._output)
            (self._output / SETTINGS).write_text(settings.to_toml(self._chosen), "utf-8")
            (self._output / "README.md").write_text(cards.readme(card), "utf-8")
            cards.write(self._output, card)
        return cards.read(self._output)

    def _calibrated(self, classifier: Classifier) -> tuple[calibration.Calibration, dict[str, float], dict[str, Any]]:
        held_out = self.papers("calibration")
        weights = held_out.importance[held_out.truth]
        whole, titles = (
            _logits(classifier, texts) for texts in (held_out.texts(), map(text.title_only, held_out.texts()))
        )
        self._answers = (held_out.truth, whole.argmax(axis=1))
        fitted = calibration.fit(whole, held_out.truth, weights)
        if len(held_out.truth) >= calibration.ENOUGH:
            fitted = replace(fitted, title_only=calibration.fit(titles, held_out.truth, weights))
        figures = {}
        for name, how in (("ece_before", calibration.Calibration()), ("ece_after", fitted)):
            probs = calibration.calibrated(whole, how)
            figures[name] = metrics.calibration_error(probs, held_out.truth, weights)
        if len(held_out.truth) < calibration.ENOUGH:
            return fitted, figures, {}
        return fitted, figures, {"selective": selective(probs, held_out.truth, weights)}


def _logits(classifier: Classifier, texts: Iterable[pa.StringArray]) -> NDArray[np.float32]:
    none = np.empty((0, len(classifier.labels)), np.float32)
    return np.concatenate([none, *(classifier.scores(batch) for batch in texts)])
