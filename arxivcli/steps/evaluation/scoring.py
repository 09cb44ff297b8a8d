"""From the papers of a split to what became of each under a model, batch by batch, in as many processes as help."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import answers, calibration, metrics, parallel, splits, text
from arxivcli.errors import InputError
from arxivcli.metrics.outcomes import KEPT, Outcomes, outcomes
from arxivcli.papers import PAPERS, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from arxivcli.models.shelf import Model
    from arxivcli.progress import Progress
    from arxivcli.shards import Shards
    from arxivcli.views import View

WRITTEN = pa.schema([pa.field("model", pa.string()), *PREDICTIONS, PAPERS.field("categories")])
"""What `predictions.parquet` holds: PREDICTIONS, whose they are, and what the paper's categories are."""


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of n papers whatever a model says.

    Attributes:
        rows: (n,) their places in the split.
        months: (n,) months since 1970 of the first version, or `splits.NO_MONTH`.
        lengths: (n,) characters of the abstract.
        listings: (n,) number of categories.
    """

    rows: NDArray[np.int32]
    months: NDArray[np.int32]
    lengths: NDArray[np.int32]
    listings: NDArray[np.int16]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The papers of all parts, in order; there is at least one part."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True, eq=False)
class Scored:
    """The papers of a batch or of a split whose primary label every model knows, and why others are left out."""

    papers: int
    left_out: Counter[str]
    facts: Facts
    whole: Outcomes
    title_only: Outcomes
    predictions: pa.RecordBatch | None = None


@dataclass(frozen=True, eq=False)
class Scoring:
    """Scores a batch of papers by title and abstract and by title alone.

    Attributes:
        model: whose scores.
        name: how the report calls it.
        labels: those that any of the models can answer.
        shared: (len(labels),) whether all models can answer it.
        coverages: of the conformal sets, the one that was asked for first; empty when the model makes none.
        kept: whether anybody wants the predictions themselves.
        view: of the probabilities, all labels kept; None for as they are.
    """

    model: Model
    name: str
    labels: tuple[str, ...]
    shared: NDArray[np.bool_]
    coverages: tuple[float, ...]
    kept: bool
    view: View | None = None

    def __call__(self, batch: pa.RecordBatch) -> Scored:
        """What became of the papers. Raises InputError for scores that are no numbers."""
        truth, listed = metrics.label_indices(batch["categories"], self.labels)
        named = truth != metrics.NOT_LISTED
        known = named & self.shared[truth]
        sizes = pc.list_value_length(batch["categories"]).to_numpy(zero_copy_only=False)
        reasons = {"no category": sizes == 0, "a category that no model knows": ~named & (sizes > 0)}
        reasons |= {"a category that not every model knows": named & ~known}
        papers = batch.filter(pa.array(known))
        texts = text.model_input(papers)
        readings = (texts, text.title_only(texts))
        logits = [self._scored(papers["id"], read) for read in readings]
        bare = [text.has_title_only(read) for read in readings]
        probs = [self._probabilities(*each) for each in zip(logits, bare, strict=True)]
        whole, title_only = (
            self._outcomes(*each, truth[known], listed[known]) for each in zip(probs, logits, bare, strict=True)
        )
        return Scored(
            papers=len(known),
            left_out=Counter({reason: int(rows.sum()) for reason, rows in reasons.items() if rows.any()}),
            facts=Facts(
                rows=np.flatnonzero(known).astype(np.int32),
                months=splits.months(papers),
                lengths=pc.utf8_length(papers["abstract"]).to_numpy(zero_copy_only=False).astype(np.int32),
                listings=sizes[known].astype(np.int16),
            ),
            whole=whole,
            title_only=title_only,
            predictions=self._predictions(papers, probs[0], bare[0]) if self.kept else None,
        )

    def _scored(self, ids: pa.StringArray, texts: pa.StringArray) -> NDArray[np.float32]:
        logits = self.model.classifier.scores(texts)
        finite = np.isfinite(logits).all(axis=1)
        if not finite.all():
            first = ids[int(np.argmin(finite))].as_py()
            raise InputError(
                f"{self.name} gives scores that are no numbers, first for the paper {first!r}",
                "train the model again, or look at that paper",
            )
        return logits

    def _probabilities(self, logits: NDArray[np.float32], bare: NDArray[np.bool_]) -> NDArray[np.float32]:
        fitted = self.model.card.calibration
        probs = calibration.calibrated(logits, fitted, bare)
        return probs if self.view is None else self.view.probabilities(probs, logits, fitted)

    def _outcomes(
        self,
        probs: NDArray[np.float32],
        logits: NDArray[np.float32],
        bare: NDArray[np.bool_],
        truth: NDArray[np.int64],
        listed: NDArray[np.int64],
    ) -> Outcomes:
        fitted = self.model.card.calibration
        places = np.searchsorted(self.labels, self.model.card.labels)
        own = np.zeros(len(self.labels), np.int64)
        own[places] = np.arange(len(places))
        return outcomes(
            probs,
            calibration.probabilities(logits).max(axis=1),
            own[truth],
            listed,
            places,
            calibration.thresholds(fitted, self.coverages, bare),
        )

    def _predictions(
        self, papers: pa.RecordBatch, probs: NDArray[np.float32], bare: NDArray[np.bool_]
    ) -> pa.RecordBatch:
        fitted = self.model.card.calibration
        inside = calibration.conformal_sets(probs, fitted, self.coverages[0], bare) if self.coverages else None
        answered = answers.predictions(papers["id"], self.model.card.labels, probs, KEPT, inside)
        name = pa.array([self.name] * len(probs), pa.string())
        return pa.RecordBatch.from_arrays([name, *answered.columns, papers["categories"]], schema=WRITTEN)


def scored(
    work: Scoring,
    shards: Shards,
    split: str,
    workers: int,
    progress: Progress,
    sink: Callable[[pa.RecordBatch], None] | None,
) -> Scored:
    """All papers of a split; predictions go to the sink as they come, so that only narrow columns stay."""
    progress.begin(f"scoring {split} with {work.name}", shards.rows(split))
    batches = shards.batches(split, batch_size=work.model.most_at_once)
    parts: list[Scored] = []
    before = 0
    with closing(parallel.in_order(work, batches, workers if work.model.forked else 1)) as found:
        for part in found:
            if sink and part.predictions is not None:
                sink(part.predictions)
            part.facts.rows[:] += before
            before += part.papers
            parts.append(Scored(part.papers, part.left_out, part.facts, part.whole, part.title_only))
            progress.advance(part.papers)
    progress.end()
    return Scored(
        papers=before,
        left_out=sum((part.left_out for part in parts), Counter()),
        facts=Facts.joined([part.facts for part in parts]),
        whole=Outcomes.joined([part.whole for part in parts]),
        title_only=Outcomes.joined([part.title_only for part in parts]),
    )
