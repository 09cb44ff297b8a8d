"""Parts of the papers: by archive, year, length, ...; what is taken for what; which labels look wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from arxivcli.metrics.bootstrap import Estimate, estimate, share
from arxivcli.metrics.quality import ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from arxivcli.metrics.outcomes import Outcomes
    from arxivcli.metrics.quality import Draws

NO_SLICE = -1
"""Number of a paper that is in none of the slices."""

_HALF = 0.5


@dataclass(frozen=True)
class Slice:
    """Some of the papers; shares and means are weighted, intervals of the shares are Wilson's.

    Attributes:
        name: which ("cs", "2024", ...).
        papers: how many.
        weight: their share of all that counts.
        top1: share whose best answer is right.
        top3: share whose primary label is among the first three.
        confidence: mean confidence of the best answers; above top1 they are too sure.
        coverage: share whose conformal set holds the primary label; None when the model makes no sets.
        set_size: mean number of labels in a set; None likewise.
    """

    name: str
    papers: int
    weight: float
    top1: Estimate
    top3: float
    confidence: float
    coverage: Estimate | None
    set_size: float | None


@dataclass(frozen=True)
class LabelRow:
    """How well one label is answered; 0 where nothing was answered or nothing has it.

    Attributes:
        label: its id.
        papers: how many have it as their primary.
        support: the same, weighted; papers count one on average.
        answered: (weighted) papers whose best answer it is.
        precision: share of these that have it.
        recall: share of those that have it that are answered so.
        f1: harmonic mean of both.
    """

    label: str
    papers: int
    support: float
    answered: float
    precision: float
    recall: float
    f1: Estimate


def slices(
    found: Outcomes, number: NDArray[np.integer], names: Sequence[str], weights: NDArray[np.float64]
) -> tuple[Slice, ...]:
    """The slices that have papers, in the order of `names`.

    Args:
        found: what became of n papers.
        number: (n,) place in `names` of the slice of each paper, or NO_SLICE.
        names: of the slices.
        weights: (n,) what each paper counts.
    """
    taken = np.flatnonzero(number != NO_SLICE)
    if len(taken) == 0:
        return ()
    place, count = number[taken].astype(np.int64), len(names)
    weight = weights[taken]

    def sums(column: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(place, column, count).astype(np.float64, copy=False)

    papers, total = np.bincount(place, minlength=count), sums(weight)
    many = ratio(total**2, sums(weight**2))
    means: dict[str, NDArray[Any]] = {
        "top1": found.right, "top3": found.rank <= 3, "confidence": found.confidence,  # noqa: PLR2004
    }  # fmt: skip
    if found.inside.shape[1]:
        means |= {"coverage": found.inside[:, 0], "set_size": found.sizes[:, 0]}
    mean = {name: ratio(sums(weight * column[taken]), total).tolist() for name, column in means.items()}
    return tuple(
        Slice(
            name=names[i],
            papers=int(papers[i]),
            weight=float(total[i] / weights.sum()),
            top1=share(mean["top1"][i], many[i]),
            top3=mean["top3"][i],
            confidence=mean["confidence"][i],
            coverage=share(mean["coverage"][i], many[i]) if "coverage" in mean else None,
            set_size=mean["set_size"][i] if "set_size" in mean else None,
        )
        for i in np.flatnonzero(papers).tolist()
    )


def confusion(found: Outcomes, length: int, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L, L) weighted papers by primary label (rows) and best answer (columns)."""
    cells = found.truth.astype(np.int64) * length + found.best
    sums = np.bincount(cells, weights, length * length).astype(np.float64, copy=False)
    return sums.reshape(length, length)


def gathered(confusions: NDArray[np.float64], number: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """(count, count) confusions of the labels' parents, `number` telling the parent of each label."""
    member = np.zeros((len(number), count))
    member[np.arange(len(number)), number] = 1
    return np.asarray(member.T @ confusions @ member)


def label_rows(
    found: Outcomes, confusions: NDArray[np.float64], labels: Sequence[str], drawn: Draws
) -> tuple[LabelRow, ...]:
    """A row for each label that any paper has or any answer is, in the order of `labels`.

    F1 of 0 or 1 has Wilson's interval for as many papers as have the label or the answer, on average of both.
    """
    support, answered, hits = confusions.sum(axis=1), confusions.sum(axis=0), np.diagonal(confusions)
    precision, recall = ratio(hits, answered), ratio(hits, support)
    papers, answers = (np.bincount(numbers, minlength=len(labels)) for numbers in (found.truth, found.best))
    many = (papers + answers) / 2
    return tuple(
        LabelRow(
            label=labels[i],
            papers=int(papers[i]),
            support=float(support[i]),
            answered=float(answered[i]),
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=share(float(drawn.f1[i]), float(many[i]))
            if drawn.f1[i] in {0.0, 1.0}
            else estimate(float(drawn.f1[i]), drawn.f1_resampled[:, i]),
        )
        for i in np.flatnonzero(support + answered).tolist()
    )


def suspects(found: Outcomes, length: int) -> NDArray[np.int64]:
    """Papers whose label may be wrong, the most suspicious first: rows of `found`.

    As in confident learning (Northcutt, Jiang and Chuang 2021): the best answer is none of the paper's labels, and
    the model is as sure of it as it is, on average, of papers that do have that label; and surer of it than of all
    other labels together. Sorted by how much surer the model is of its answer than of the paper's label.
    """
    papers = np.bincount(found.truth, minlength=length)
    usual = ratio(np.bincount(found.truth, found.chance, length).astype(np.float64), papers.astype(np.float64))
    known = papers[found.best] > 0
    sure = known & (found.confidence >= np.maximum(usual[found.best], _HALF))
    rows = np.flatnonzero(sure & ~found.listed & ~found.right)
    return rows[np.argsort(found.chance[rows] - found.confidence[rows], kind="stable")]
