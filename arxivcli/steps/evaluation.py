"""Evaluation: a model and a split of a corpus in, figures out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from arxivcli import calibration, metrics, splits, taxonomy, text
from arxivcli.errors import FolderError, InputError, unknown
from arxivcli.shards import Shards

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from arxivcli.metrics import LabelQuality, Quality
    from arxivcli.models.shelf import Model
    from arxivcli.progress import Progress

Weights = Literal["corpus", "arxiv"]


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on one split.

    Attributes:
        model: its name.
        split: which papers.
        weights: "corpus" when every paper counts one, "arxiv" when papers are weighted to arXiv's own mix of labels.
        whole: from title and abstract.
        title_only: from the title alone.
        uncalibrated_ece: expected calibration error of the plain softmax.
        labels: the labels of `per_label`.
        per_label: support (papers, weighted), precision, recall, F1 of each.
        per_archive: papers and top-1 of each archive.
        per_year: papers and top-1 of each year of submission that is known.
    """

    model: str
    split: str
    weights: Weights
    whole: Quality
    title_only: Quality
    uncalibrated_ece: float
    labels: tuple[str, ...]
    per_label: LabelQuality
    per_archive: dict[str, Share]
    per_year: dict[str, Share]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        columns = asdict(self.per_label)
        rows = {
            label: {name: float(values[i]) for name, values in columns.items()} for i, label in enumerate(self.labels)
        }
        shallow = {key: value for key, value in asdict(self).items() if key not in {"labels", "per_label"}}
        return shallow | {"per_label": rows}


@dataclass(frozen=True)
class Share:
    """Papers of a slice, and the (weighted) share of them whose best answer is right."""

    papers: int
    top1: float


def evaluate(model: Model, corpus: Path, split: str, weights: Weights, progress: Progress) -> Evaluation:
    """Score a split by title and abstract and by title alone.

    Raises:
        FolderError: the corpus is damaged, or of another level or with other labels than the model.
        InputError: the split is empty.
        UsageError: there is no such split.
    """
    shards = Shards.open(corpus)
    _check(model, shards, corpus, split)
    labels = model.card.labels
    truth, listed, months, whole, titles = _scored(model, shards, split, progress)
    if len(truth) == 0:
        raise InputError(f"no paper of the {split} split has a label that {model.card.name} knows", "evaluate another")
    importance = np.ones(len(truth))
    if weights == "arxiv":
        importance = metrics.importance(truth, labels, taxonomy.papers_per_label(shards.level))[truth]
    archives = _archives(labels)
    probs = calibration.calibrated(whole, model.card.calibration)
    right = probs.argmax(axis=1) == truth
    by_title = calibration.calibrated(titles, model.card.calibration)
    return Evaluation(
        model=model.card.name,
        split=split,
        weights=weights,
        whole=metrics.quality(probs, truth, listed, archives.number, importance),
        title_only=metrics.quality(by_title, truth, listed, archives.number, importance),
        uncalibrated_ece=metrics.calibration_error(calibration.probabilities(whole), truth, importance),
        labels=labels,
        per_label=metrics.label_quality(probs.argmax(axis=1), truth, len(labels), importance),
        per_archive=_slices(archives.number[truth], archives.names, right, importance),
        per_year=_yearly(months, right, importance),
    )


def _check(model: Model, shards: Shards, corpus: Path, split: str) -> None:
    if split not in shards.splits:
        raise unknown("split", split, shards.splits)
    if shards.rows(split) == 0:
        raise InputError(f"the {split} split of {corpus} is empty", "choose another with --split")
    if model.card.level != shards.level:
        raise FolderError(
            f"the model answers at {model.card.level} level, {corpus} is at {shards.level} level",
            "preprocess the papers with the same --level",
        )


def _scored(model: Model, shards: Shards, split: str, progress: Progress) -> tuple[NDArray[Any], ...]:
    """Truth, listed labels, months, logits, title-only logits of the papers whose primary label the model knows."""
    progress.begin(f"scoring {split}", shards.rows(split))
    parts = []
    for batch in shards.batches(split, batch_size=model.most_at_once):
        truth, listed = metrics.label_indices(batch["categories"], model.card.labels)
        known = truth != metrics.NOT_LISTED
        texts = text.model_input(batch)
        scores = [model.classifier.scores(read)[known] for read in (texts, text.title_only(texts))]
        parts.append((truth[known], listed[known], splits.months(batch)[known], *scores))
        progress.advance(len(texts))
    progress.end()
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


@dataclass(frozen=True)
class _Archives:
    """The distinct archives of the labels, and which one each label has, (L,)."""

    names: list[str]
    number: NDArray[np.int64]


def _archives(labels: tuple[str, ...]) -> _Archives:
    """Archive of each category; archives and groups stand for themselves."""
    names, number = np.unique([taxonomy.parent(label, "archive") or label for label in labels], return_inverse=True)
    return _Archives(names.tolist(), number)


def _slices(
    number: NDArray[np.int64], names: list[str], right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> dict[str, Share]:
    """Share right in each slice that has papers; `number` tells each paper's slice."""
    papers = np.bincount(number, minlength=len(names))
    weight = np.bincount(number, weights, len(names))
    hits = np.bincount(number, weights * right, len(names))
    return {names[i]: Share(int(papers[i]), float(hits[i] / weight[i])) for i in np.flatnonzero(papers)}


def _yearly(months: NDArray[np.int32], right: NDArray[np.bool_], weights: NDArray[np.float64]) -> dict[str, Share]:
    known = months != splits.NO_MONTH
    years, number = np.unique(1970 + months[known] // 12, return_inverse=True)
    return _slices(number, [str(year) for year in years], right[known], weights[known])
