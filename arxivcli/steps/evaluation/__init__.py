"""Evaluation: models and a split of a corpus in, figures that can be trusted out."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from arxivcli import calibration, metrics, taxonomy
from arxivcli.errors import FolderError, InputError, unknown
from arxivcli.metrics import bootstrap, pairs
from arxivcli.models import viewing
from arxivcli.shards import Shards
from arxivcli.steps.evaluation import folder, looking
from arxivcli.steps.evaluation.measuring import Measuring
from arxivcli.steps.evaluation.report import Evaluation, ModelReport, Question
from arxivcli.steps.evaluation.scoring import Scored, Scoring, scored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from arxivcli.metrics.pairs import Comparison
    from arxivcli.metrics.quality import Draws
    from arxivcli.models.shelf import Model
    from arxivcli.progress import Progress

__all__ = ["Evaluation", "Question", "evaluate"]

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Where promised and achieved coverage are compared, beside the coverage that was asked for."""


def evaluate(
    models: Mapping[str, Model],
    corpus: Path,
    question: Question,
    progress: Progress,
    output: Path | None = None,
    workers: int = 1,
    draw: Callable[[Evaluation, Path], None] | None = None,
) -> Evaluation:
    """Measure models, each under the name the report shall call it, on the same papers.

    With an `output` folder the report, the predictions and the suspected label errors are written there as well; when
    they are, and while nobody else may write there, `draw` is given the report and the folder.

    Raises:
        FolderError: the corpus is damaged, or of another level or with other labels than a model.
        InputError: the split is empty, or has no paper that the models know, or a model's scores are no numbers.
        UsageError: there is no such split, coverage or prior, or the output folder is somebody else's.
        StorageError: the output cannot be written.
    """
    shards = Shards.open(corpus)
    _check(models, shards, corpus, question)
    with ExitStack() as stack:
        sink = None
        if output is not None:
            stack.enter_context(folder.held(output))
            with folder.predictions(output) as sink:
                report = _evaluated(models, shards, corpus, question, progress, workers, sink)
            folder.write(output, report)
            if draw is not None:
                draw(report, output)
            return report
        return _evaluated(models, shards, corpus, question, progress, workers, sink)


def _check(models: Mapping[str, Model], shards: Shards, corpus: Path, question: Question) -> None:
    if question.split not in shards.splits:
        raise unknown("split", question.split, shards.splits)
    if shards.rows(question.split) == 0:
        raise InputError(f"the {question.split} split of {corpus} is empty", "choose another with --split")
    for name, model in models.items():
        if model.card.level != shards.level:
            raise FolderError(
                f"{name} answers at {model.card.level} level, {corpus} is at {shards.level} level",
                "preprocess the papers with the same --level",
            )
        if model.card.calibration.quantiles:
            calibration.threshold(model.card.calibration, question.coverage)


def _evaluated(
    models: Mapping[str, Model],
    shards: Shards,
    corpus: Path,
    question: Question,
    progress: Progress,
    workers: int,
    sink: Callable[[pa.RecordBatch], None] | None,
) -> Evaluation:
    labels, found = _scored(models, shards, question, progress, workers, sink)
    first = next(iter(found.values()))
    progress.begin("measuring", len(models), "models")
    importance = np.ones(len(labels))
    if question.weights == "arxiv":
        importance = metrics.importance(
            first.whole.truth.astype(np.int64), labels, taxonomy.papers_per_label(shards.level)
        )
        importance /= importance[first.whole.truth].mean()
    resamples = bootstrap.resampling(len(first.whole), question.resamples, question.seed)
    measuring = Measuring(labels, first.facts, importance[first.whole.truth], resamples)
    drawn, measured = {}, {}
    for name, each in found.items():
        coverages = _coverages(models[name], question.coverage)[: each.whole.inside.shape[1]]
        drawn[name] = (measuring.draws(each.whole), measuring.draws(each.title_only))
        measured[name] = measuring.measured(each.whole, *drawn[name], coverages)
        progress.advance()
    progress.end()
    worth = {name: looking.findings(each.whole, measured[name].confusion) for name, each in found.items()}
    shown = looking.chosen(first.whole, len(labels), question)
    rows = np.concatenate([shown, *(each.rows for each in worth.values())])
    texts = looking.Texts(shards, question.split, first.facts.rows, rows, labels, abstracts=question.show > 0)
    return Evaluation(
        corpus=str(corpus),
        manifest_sha256=shards.manifest_sha256,
        level=shards.level,
        by_time=shards.manifest.settings.get("split") == "time",
        question=question,
        papers=len(first.whole),
        effective=bootstrap.effective(measuring.weights),
        left_out=dict(first.left_out),
        labels=labels,
        importance=importance,
        archives=measuring.archives.names,
        models=tuple(
            ModelReport(
                name=name,
                kind=models[name].card.kind,
                files=models[name].card.files,
                caveats=_caveats(models[name], shards, question.split),
                confusions=worth[name].confusions(each.whole, measured[name].confusion, texts),
                suspects=worth[name].suspicions(each.whole, texts),
                suspected=worth[name].suspected,
                **vars(measured[name]),
            )
            for name, each in found.items()
        ),
        comparisons=_comparisons(found, drawn),
        shown=looking.shown(shown, [each.whole for each in found.values()], texts),
    )


def _scored(
    models: Mapping[str, Model],
    shards: Shards,
    question: Question,
    progress: Progress,
    workers: int,
    sink: Callable[[pa.RecordBatch], None] | None,
) -> tuple[tuple[str, ...], dict[str, Scored]]:
    """The labels that any model can answer, and what became of the papers whose primary label all of them can."""
    labels = tuple(sorted({label for model in models.values() for label in model.card.labels}))
    shared = np.all([np.isin(labels, model.card.labels) for model in models.values()], axis=0)
    found = {}
    for name, model in models.items():
        view = viewing.view(model.card, question.prior)
        coverages = _coverages(model, question.coverage) if view is None else ()
        work = Scoring(model, name, labels, shared, coverages, sink is not None, view)
        found[name] = scored(work, shards, question.split, workers, progress, sink)
        if len(found[name].whole) == 0:
            knowing = f"that {name} knows" if len(models) == 1 else "that all of these models know"
            raise InputError(f"no paper of the {question.split} split has a label {knowing}", "evaluate another")
    return labels, found


def _coverages(model: Model, asked: float) -> tuple[float, ...]:
    """The coverages whose sets are measured, the one asked for first; none for a model that makes no sets."""
    return (asked, *COVERAGES) if model.card.calibration.quantiles else ()


def _caveats(model: Model, shards: Shards, split: str) -> tuple[str, ...]:
    """Why the figures of a model may flatter it."""
    if model.card.corpus.get("manifest_sha256") == shards.manifest_sha256:
        return (f"it was made with the {split} papers of this corpus",) if split != "test" else ()
    return ("it learned from another corpus, which may hold some of these papers",)


def _comparisons(found: Mapping[str, Scored], drawn: Mapping[str, tuple[Draws, Draws]]) -> tuple[Comparison, ...]:
    """Every other model against the first."""
    first, *others = found
    return tuple(
        pairs.compared(
            (first, name),
            (found[first].whole.right, found[name].whole.right),
            dict(zip(("", "title_"), zip(drawn[first], drawn[name], strict=True), strict=True)),
        )
        for name in others
    )
