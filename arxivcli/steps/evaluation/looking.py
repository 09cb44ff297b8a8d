"""What the figures are about: titles of confused papers, labels that look wrong, papers to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from arxivcli import text
from arxivcli.metrics import slices
from arxivcli.steps.evaluation.report import Confusion, Example, Shown, Suspect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from arxivcli.metrics.outcomes import Outcomes
    from arxivcli.shards import Shards
    from arxivcli.steps.evaluation.report import Question

CONFUSIONS: Final = 10
EXAMPLES: Final = 3
SUSPECTS: Final = 1000
"""As many as somebody would look at."""

_UNSURE: Final = 0.1
"""Share of the papers that count as those the model is least sure of."""


class Texts:
    """Some of the measured papers, read once more from the corpus: what was measured does not keep its words.

    Args:
        shards: the corpus.
        split: which papers were measured.
        places: where in the split each measured paper is.
        rows: which of the measured papers are wanted, in any order.
        labels: what the numbers of labels mean.
        abstracts: whether the abstracts are wanted, too.
    """

    def __init__(
        self,
        shards: Shards,
        split: str,
        places: NDArray[np.int32],
        rows: NDArray[np.int64],
        labels: tuple[str, ...],
        abstracts: bool = False,
    ) -> None:
        self.labels = labels
        self._rows = np.unique(rows)
        self._papers: list[dict[str, Any]] = []
        wanted, before = places[self._rows], 0
        columns = ["id", "title", "categories", *(["abstract"] if abstracts else [])]
        for batch in shards.batches(split, columns=columns) if len(wanted) else ():
            here = wanted[(wanted >= before) & (wanted < before + len(batch))] - before
            before += len(batch)
            found = batch.take(pa.array(here))
            for name in {"title", "abstract"} & set(columns):
                found = found.set_column(found.schema.get_field_index(name), name, text.clean(found[name]))
            self._papers += found.to_pylist()

    def of(self, row: np.integer | int) -> dict[str, Any]:
        """A paper: id, cleaned title, categories, and the cleaned abstract when it was asked for."""
        return self._papers[int(np.searchsorted(self._rows, row))]


@dataclass(frozen=True, eq=False)
class Findings:
    """Papers of one model worth a look, as rows of its outcomes.

    Attributes:
        confused: the most frequent mistakes: label, answer, and the papers it is made on, the surest first.
        suspects: papers whose labels look wrong, the most suspicious first.
        suspected: how many of these there are; `suspects` has no more than somebody would look at.
    """

    confused: tuple[tuple[int, int, NDArray[np.int64]], ...]
    suspects: NDArray[np.int64]
    suspected: int

    @property
    def rows(self) -> NDArray[np.int64]:
        """Those whose titles are wanted."""
        return np.concatenate([self.suspects, *(rows[:EXAMPLES] for _, _, rows in self.confused)])

    def confusions(self, found: Outcomes, confusion: NDArray[np.float64], texts: Texts) -> tuple[Confusion, ...]:
        """The mistakes with their titles."""
        return tuple(
            Confusion(
                truth=texts.labels[truth],
                answered=texts.labels[answered],
                papers=float(confusion[truth, answered]),
                share=float(confusion[truth, answered] / confusion[truth].sum()),
                listed=float(found.listed[rows].mean()),
                examples=tuple(
                    Example(paper["id"], paper["title"], float(found.confidence[row]))
                    for row, paper in ((row, texts.of(row)) for row in rows[:EXAMPLES])
                ),
            )
            for truth, answered, rows in self.confused
        )

    def suspicions(self, found: Outcomes, texts: Texts) -> tuple[Suspect, ...]:
        """The papers whose labels look wrong, with their titles."""
        return tuple(
            Suspect(
                id=paper["id"],
                title=paper["title"],
                categories=tuple(paper["categories"]),
                suggested=texts.labels[found.best[row]],
                confidence=float(found.confidence[row]),
                listed_confidence=float(found.chance[row]),
            )
            for row, paper in ((row, texts.of(row)) for row in self.suspects)
        )


def findings(found: Outcomes, confusion: NDArray[np.float64]) -> Findings:
    """What is worth a look; `confusion` are the (weighted) confusions of the labels."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    confused = []
    for truth, answered in (divmod(int(cell), len(wrong)) for cell in order if wrong.flat[cell] > 0):
        rows = np.flatnonzero((found.truth == truth) & (found.best == answered))
        confused.append((truth, answered, rows[np.argsort(-found.confidence[rows], kind="stable")]))
    suspects = slices.suspects(found, len(wrong))
    return Findings(tuple(confused), suspects[:SUSPECTS], len(suspects))


def chosen(found: Outcomes, labels: int, question: Question) -> NDArray[np.int64]:
    """Rows to show, picked at random among those that were asked for."""
    few = max(1, int(len(found) * _UNSURE))
    candidates = {
        "random": np.arange(len(found)),
        "wrong": np.flatnonzero(~found.right),
        "unsure": np.argsort(found.confidence, kind="stable")[:few],
        "suspect": slices.suspects(found, labels),
    }[question.show_what]
    chance = np.random.default_rng(question.seed)
    return np.sort(chance.permutation(candidates)[: question.show])


def shown(rows: NDArray[np.int64], found: Sequence[Outcomes], texts: Texts) -> tuple[Shown, ...]:
    """The papers to look at, with the answers of every model."""
    told = []
    for row in rows:
        paper = texts.of(row)
        answers = tuple(
            tuple(
                (texts.labels[label], float(score))
                for label, score in zip(each.answers[row], each.scores[row], strict=True)
            )
            for each in found
        )
        told.append(Shown(paper["id"], paper["title"], paper["abstract"], tuple(paper["categories"]), answers))
    return tuple(told)
