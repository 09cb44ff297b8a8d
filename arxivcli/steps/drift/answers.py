"""How the answers changed, and how often they are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from arxivcli import calibration, text
from arxivcli.metrics import NOT_LISTED, bootstrap, label_indices
from arxivcli.statistics import samples, shares
from arxivcli.steps.drift import labels, numbers
from arxivcli.steps.drift.report import Accuracy, Estimate, PredictionShift, Reach, SameMix, Top1

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from arxivcli.models.shelf import Model
    from arxivcli.progress import Progress

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """The best answer to each of n papers.

    Attributes:
        names: what can be answered.
        best: (n,) index of the answer, NOT_LISTED where there is none.
        confidences: (n,) its calibrated probability, 0 where there is none.
        truth: (n,) index of the true label, NOT_LISTED where nobody knows it or it is none that can be answered.
        labelled: how many of the papers have a label that somebody knows.
    """

    names: tuple[str, ...]
    best: NDArray[np.int64]
    confidences: Floats
    truth: NDArray[np.int64]
    labelled: int

    @property
    def given(self) -> NDArray[np.bool_]:
        """Which papers have an answer."""
        there: NDArray[np.bool_] = self.best != NOT_LISTED
        return there

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which of them are known to be right or wrong."""
        there: NDArray[np.bool_] = self.given & (self.truth != NOT_LISTED)
        return there

    @property
    def papers_of(self) -> dict[str, int]:
        """How many papers each label is the answer to; labels that are never answered are left out."""
        counts = np.bincount(self.best[self.given], minlength=len(self.names)).tolist()
        return {name: papers for name, papers in zip(self.names, counts, strict=True) if papers}


def logged(sample: pa.Table, names: tuple[str, ...]) -> Answers:
    """The answers that a log tells, all of them among `names`."""
    found = pc.index_in(sample["answer"], value_set=pa.array(names, pa.string())).fill_null(NOT_LISTED)
    confidences = pc.fill_null(sample["confidence"], 0).to_numpy().astype(np.float64)
    return _with_truth(sample, names, found.to_numpy().astype(np.int64), confidences)


def scored(model: Model, sample: pa.Table, texts: Sequence[pa.StringArray], progress: Progress) -> Answers:
    """The answers a model gives; a paper whose scores are no numbers has none."""
    best, confidences = [np.empty(0, np.int64)], [np.empty(0)]
    for batch in texts:
        for start in range(0, len(batch), model.most_at_once):
            some = batch.slice(start, model.most_at_once)
            logits = model.classifier.scores(some)
            fine = np.isfinite(np.abs(logits).max(axis=1))
            logits[~fine] = 0
            probs = calibration.calibrated(logits, model.card.calibration, text.has_title_only(some))
            best.append(np.where(fine, probs.argmax(axis=1), NOT_LISTED))
            confidences.append(np.where(fine, probs.max(axis=1), 0).astype(np.float64))
            progress.advance(len(some))
    return _with_truth(sample, model.card.labels, np.concatenate(best), np.concatenate(confidences))


def _with_truth(sample: pa.Table, names: tuple[str, ...], best: NDArray[np.int64], confidences: Floats) -> Answers:
    categories = sample["categories"].combine_chunks()
    truth, _ = label_indices(categories, names, most=1)
    labelled = pc.greater(pc.list_value_length(categories), 0)
    return Answers(names, best, confidences, truth, int(pc.sum(labelled).as_py()))


def shift(reference: Answers, current: Answers) -> PredictionShift | None:
    """The change of the answers; None where a side has none."""
    if not reference.given.any() or not current.given.any():
        return None
    confidence, later = (side.confidences[side.given] for side in (reference, current))
    return PredictionShift(
        labels=labels.shift(reference.papers_of, current.papers_of),
        confidence=numbers.distributions(confidence, later, most=1.0),
        unanswered=(int((~reference.given).sum()), int((~current.given).sum())),
    )


def reach(reference: Answers, current: Answers) -> Reach | None:
    """The change of the share of labels that can be answered; None where a side has no labels."""
    if not reference.labelled or not current.labelled:
        return None
    hits, later_hits = (np.array([(side.truth != NOT_LISTED).sum()]) for side in (reference, current))
    p = shares.two_proportions(hits, reference.labelled, later_hits, current.labelled)
    return Reach(float(hits[0] / reference.labelled), float(later_hits[0] / current.labelled), float(p[0]))


def accuracy(reference: Answers, current: Answers) -> Accuracy | None:
    """The change of the share that is right; None where a side has no labels."""
    before, after = _Judged.of(reference), _Judged.of(current)
    if before.papers == 0 or after.papers == 0:
        return None
    first, second = before.top1(), after.top1()
    p = shares.two_proportions(np.array([first.right]), first.papers, np.array([second.right]), second.papers)
    return Accuracy(
        reference=first,
        current=second,
        change=second.share - first.share,
        interval=shares.difference(first.right, first.papers, second.right, second.papers),
        p=float(p[0]),
        same_mix=_same_mix(before, after),
    )


@dataclass(frozen=True, eq=False)
class _Judged:
    """By true label, papers and papers answered rightly, (L,) each."""

    of_label: Floats
    right_of_label: Floats

    @classmethod
    def of(cls, answers: Answers) -> _Judged:
        truth, best = answers.truth[answers.judged], answers.best[answers.judged]
        size = len(answers.names)
        counts = (np.bincount(some, minlength=size).astype(np.float64) for some in (truth, truth[truth == best]))
        return cls(*counts)

    @property
    def papers(self) -> int:
        return int(self.of_label.sum())

    def top1(self) -> Top1:
        right = int(self.right_of_label.sum())
        low, high = shares.wilson(np.array([right]), self.papers)
        return Top1(self.papers, right, right / self.papers, (float(low[0]), float(high[0])))


def _same_mix(before: _Judged, after: _Judged) -> SameMix:
    """Direct standardisation: shares right of each label, weighted as the reference has the labels.

    The variance of a share is taken with one more right and one more wrong answer, so that a label of a single paper is
    not certain.
    """
    both = (before.of_label > 0) & (after.of_label > 0)
    if not both.any():
        return SameMix(0.0, 0.0, 0.0, (-1.0, 1.0), 1.0, 0.0)
    n, m = before.of_label[both], after.of_label[both]
    right, later = before.right_of_label[both], after.right_of_label[both]
    weights = n / n.sum()
    first, second = float(weights @ (right / n)), float(weights @ (later / m))
    change = second - first
    spread = float(np.sqrt(np.square(weights) @ (_variance(right, n) + _variance(later, m))))
    half = float(stats.norm.ppf((1 + bootstrap.LEVEL) / 2)) * spread
    return SameMix(
        reference=first,
        current=second,
        change=change,
        interval=(max(-1.0, change - half), min(1.0, change + half)),
        p=float(2 * stats.norm.sf(abs(change) / spread)),
        covered=float(n.sum() / before.papers),
    )


def _variance(right: Floats, papers: Floats) -> Floats:
    share = (right + 1) / (papers + 2)
    variance: Floats = share * (1 - share) / papers
    return variance


def estimate(reference: Answers, current: Answers) -> Estimate | None:
    """What the share right probably is on the current side, from confidences; None where a side has no answers.

    With labels in the reference: the share above the confidence that as large a share of the reference is above as is
    right in it (Garg et al. 2022, "Leveraging Unlabeled Data to Predict Out-of-Distribution Performance"). Without: the
    mean of the calibrated confidences.
    """
    if not reference.given.any() or not current.given.any():
        return None
    judged = reference.judged
    later = current.confidences[current.given]
    if not judged.any():
        test = samples.mean_change(reference.confidences[reference.given], later)
        mean = float(later.mean())
        return Estimate("mean confidence", mean - test.effect, mean, test.effect, test.p)
    known = reference.confidences[judged]
    right = int((reference.truth[judged] == reference.best[judged]).sum())
    # The `right` most confident papers: from the least confident of them on an answer is taken to be right.
    least = np.sort(known)[::-1][right - 1] if right else np.inf
    above = int((later >= least).sum())
    p = shares.two_proportions(np.array([right]), len(known), np.array([above]), len(later))
    first, second = right / len(known), above / len(later)
    return Estimate("average thresholded confidence", first, second, second - first, float(p[0]))
