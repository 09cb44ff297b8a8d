"""The report: all that was measured, for the console, `metrics.json` and whoever draws a page from it.

Nothing in it is NaN or infinite; 0/0 is 0; what a model cannot have is None. Weighted papers count one on average, so
that weighted sums read as numbers of papers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from arxivcli import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.metrics.bootstrap import Estimate
    from arxivcli.metrics.conformal import Abstention, Covered
    from arxivcli.metrics.pairs import Comparison
    from arxivcli.metrics.quality import Quality
    from arxivcli.metrics.reliability import Reliability
    from arxivcli.metrics.slices import LabelRow, Slice

Weights = Literal["corpus", "arxiv"]
ShowWhat = Literal["random", "wrong", "unsure", "suspect"]

METRICS_VERSION: Final = 1
"""Raised when a figure of the same name begins to mean something else."""

MADE_BY: Final = "arxivcli eval"
"""How a report says what it is."""


@dataclass(frozen=True)
class Question:
    """What is asked of the models.

    Attributes:
        split: which papers of the corpus.
        weights: "corpus" counts papers alike, "arxiv" weighs them to arXiv's own mix of labels; it reaches every
            figure and interval but McNemar's counts.
        coverage: what conformal sets promise.
        resamples: of the bootstrap.
        seed: of the bootstrap and of what is shown.
        show: how many papers to show.
        show_what: any papers, those the first model has wrong, its least sure tenth, or suspected label errors.
        prior: the mix of labels that probabilities are adjusted to, see `models.viewing`; None for the models' own.
    """

    split: str = "test"
    weights: Weights = "corpus"
    coverage: float = 0.9
    resamples: int = 1000
    seed: int = 0
    show: int = 0
    show_what: ShowWhat = "wrong"
    prior: str | None = None


@dataclass(frozen=True)
class Example:
    """A paper as people read of it; the title is cleaned, but may hold whatever somebody wrote."""

    id: str
    title: str
    confidence: float


@dataclass(frozen=True)
class Confusion:
    """Papers of one label whose best answer is another.

    Attributes:
        truth: the papers' primary label.
        answered: the best answer.
        papers: (weighted) how many.
        share: their share of the papers that have `truth` as their primary.
        listed: share of them that are cross-listed to `answered`, so that the answer is not wrong altogether.
        examples: three of them at most, those the model is surest of.
    """

    truth: str
    answered: str
    papers: float
    share: float
    listed: float
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Suspect:
    """A paper whose label may be wrong: the model disagrees, and is sure; see `metrics.slices.suspects`."""

    id: str
    title: str
    categories: tuple[str, ...]
    suggested: str
    confidence: float
    listed_confidence: float


@dataclass(frozen=True)
class Shown:
    """A paper to look at: its text, its categories, and for each model the best answers with their probabilities."""

    id: str
    title: str
    abstract: str
    categories: tuple[str, ...]
    answers: tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True, eq=False)
class ModelReport:
    """One model. L labels and A archives are those of the report it is part of.

    Attributes:
        name: how the report calls it.
        kind: "fast", "finetuned", "frozen", ...
        files: sha256 of its files, so that nobody need guess which model it was.
        caveats: sentences on why its figures may flatter it.
        whole: its figures from title and abstract.
        title_only: its figures from titles alone.
        reliability: bins of confidence, as calibrated: what a reliability diagram shows.
        reliability_before: the same before calibration.
        covered: conformal sets: first of the coverage that was asked for, then several others, ascending: promised
            against achieved. Empty when the model stores no quantiles.
        set_sizes: (largest + 1,) share of papers with so many labels in the set of the asked coverage; or empty.
        abstention: accuracy against the share of papers answered.
        per_label: a row for each label that a paper has or an answer is.
        per_archive: papers by archive of their primary label.
        per_year: by year of submission, where known.
        per_month: by month ("2026-03").
        per_length: by length of the abstract in characters.
        per_listing: cross-listed or not.
        confusion: (L, L) weighted papers by primary label (row) and best answer (column).
        archive_confusion: (A, A) the same by archive.
        confusions: the ten most frequent mistakes.
        suspects: papers whose label may be wrong, the most suspicious first, 1000 at most.
        suspected: how many there are in all.
    """

    name: str
    kind: str
    files: dict[str, str]
    caveats: tuple[str, ...]
    whole: Quality
    title_only: Quality
    reliability: Reliability
    reliability_before: Reliability
    covered: tuple[Covered, ...]
    set_sizes: NDArray[np.float64]
    abstention: Abstention
    per_label: tuple[LabelRow, ...]
    per_archive: tuple[Slice, ...]
    per_year: tuple[Slice, ...]
    per_month: tuple[Slice, ...]
    per_length: tuple[Slice, ...]
    per_listing: tuple[Slice, ...]
    confusion: NDArray[np.float64]
    archive_confusion: NDArray[np.float64]
    confusions: tuple[Confusion, ...]
    suspects: tuple[Suspect, ...]
    suspected: int

    def figures(self) -> dict[str, Estimate]:
        """Every figure that has a name: those of `whole`, and those of `title_only` as `title_...`."""
        titles = {f"title_{name}": figure for name, figure in self.title_only.figures().items()}
        return self.whole.figures() | titles


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good one or several models are on the same papers.

    Attributes:
        corpus: its folder.
        manifest_sha256: what exactly it holds.
        level: category, archive or group.
        by_time: whether the corpus was split by time, so that the test is one of tomorrow.
        question: what was asked.
        papers: how many papers all figures are of.
        effective: as many papers that count alike would tell as much (Kish 1965): fewer where weights differ.
        left_out: why other papers of the split are in none of them, and how many.
        labels: the L labels that any of the models can answer, sorted.
        importance: (L,) what each paper of a label counts; ones when papers count alike.
        archives: the A archives of these labels, sorted.
        models: a report for each, in the order they were named.
        comparisons: each other model against the first.
        shown: the papers that were asked for.
    """

    corpus: str
    manifest_sha256: str
    level: str
    by_time: bool
    question: Question
    papers: int
    effective: float
    left_out: dict[str, int]
    labels: tuple[str, ...]
    importance: NDArray[np.float64]
    archives: tuple[str, ...]
    models: tuple[ModelReport, ...]
    comparisons: tuple[Comparison, ...]
    shown: tuple[Shown, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values; confusions as {truth: {answered: papers}}, suspects only as a count."""
        found: dict[str, Any] = _plain(self)
        for written, model in zip(found["models"], self.models, strict=True):
            written["confusion"] = _sparse(model.confusion, self.labels)
            written["archive_confusion"] = _sparse(model.archive_confusion, self.archives)
            del written["suspects"]
        return {"made_by": MADE_BY, "version": __version__, "metrics_version": METRICS_VERSION, **found}


def _plain(value: Any) -> Any:
    """Dataclasses as objects, arrays and tuples as lists."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _sparse(confusion: NDArray[np.float64], labels: tuple[str, ...]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row, column in zip(*np.nonzero(confusion), strict=True):
        found.setdefault(labels[row], {})[labels[column]] = float(confusion[row, column])
    return found
