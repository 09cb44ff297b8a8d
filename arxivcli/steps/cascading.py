"""Two models in a cascade: the first answers all papers, the second those the first is unsure of, many at once."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import answers
from arxivcli.errors import UsageError
from arxivcli.papers import PAPERS
from arxivcli.sources.pieces import BATCH
from arxivcli.steps import classification
from arxivcli.steps.classification import Answered, Tally, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from numpy.typing import NDArray

    from arxivcli.models.shelf import Model
    from arxivcli.sources.files import Reading
    from arxivcli.sources.pieces import Piece
    from arxivcli.steps.classification import Question
    from arxivcli.taxonomy import Level

Form = TypeVar("Form")

MOST_HELD = 16_384
"""Papers that may wait for the second model: then it is asked although it could take more at once."""


@dataclass(frozen=True)
class Second:
    """The model that is asked when the first one is unsure.

    Attributes:
        model: it.
        question: what it is asked, the view of its own labels.
        below: papers whose best answer has less confidence are given to it.
        names: what the first model and this one are called in answers.
    """

    model: Model
    question: Question
    below: float
    names: tuple[str, str]

    def unsure(self, predictions: pa.RecordBatch) -> pa.BooleanArray:
        """Which papers it is to answer, of those that the first model has answered."""
        confidence = answers.first(predictions["scores"])
        return pc.less(confidence, pa.scalar(self._least, pa.float32())).fill_null(False)

    @property
    def _least(self) -> float:
        """Where the first model alone would abstain, it is unsure."""
        return max(self.below, self.question.abstain)

    def answer(self, papers: pa.Table) -> pa.RecordBatch:
        """PREDICTIONS for PAPERS."""
        return classification.answer(self.model, papers.combine_chunks().to_batches()[0], self.question)

    def merged(self, fast: pa.RecordBatch, place: NDArray[np.int64], found: pa.Table) -> pa.RecordBatch:
        """PREDICTIONS of all papers, its own (`found`) in their places, and `model`: who has answered each, if any."""
        rows, ours = np.arange(fast.num_rows), np.zeros(fast.num_rows, np.int8)
        rows[place], ours[place] = fast.num_rows + np.arange(len(place)), 1
        whole = fast
        if len(place):
            both = pa.concat_tables([pa.Table.from_batches([fast]), found])
            whole = both.take(pa.array(rows)).combine_chunks().to_batches()[0]
        who = pa.array(self.names, pa.string()).take(pa.array(ours))
        return whole.append_column("model", pc.if_else(pc.is_null(whole["error"]), who, None))


@dataclass(frozen=True)
class Half:
    """A reading and what the first model says of it."""

    reading: Reading
    predictions: pa.RecordBatch


@dataclass(frozen=True)
class CascadeWork(Work[Form]):
    """Work of two models. The second has full batches, whatever number of papers of a piece is for it."""

    second: Second | None = None

    def spread(self, found: Iterable[Piece], workers: int, ready: Callable[[], bool]) -> Generator[Answered[Form]]:
        """The first model in so many processes, the second in this one."""
        if self.second is None:
            yield from super().spread(found, workers, ready)
            return
        asked = replace(self.question, abstain=0.0)  # who is unsure does not abstain: the second model is asked
        first = Work(self.model, asked, self.columns, Half, self.several)
        waiting = _Waiting(self.second)
        with closing(first.spread(found, workers, ready)) as halves:
            for half in halves:
                waiting.add(half.forms)
                if waiting.papers >= MOST_HELD or not ready():
                    waiting.ask_all()
                yield from map(self._formed, waiting.settled())
        waiting.ask_all()
        yield from map(self._formed, waiting.settled())

    def _formed(self, whole: list[Half]) -> Answered[Form]:
        tally = Tally()
        for one in whole:
            tally += classification.tally(one.reading, one.predictions["error"])
        return Answered([self.shape(one.reading, one.predictions) for one in whole], tally)


class _Waiting:
    """Pieces in their order, until the second model has answered what is for it in them."""

    def __init__(self, second: Second) -> None:
        self.papers = 0
        """How many there are in the pieces."""
        self._second = second
        self._pieces: deque[list[tuple[Half, NDArray[np.int64]]]] = deque()
        """Each half with the places of the papers in it that are for the second model."""
        self._unsure = PAPERS.empty_table()
        self._found: pa.Table | None = None

    def add(self, piece: list[Half]) -> None:
        """One more; the second model is asked while there are enough papers for it."""
        self._pieces.append([])
        for half in piece:
            self.papers += half.predictions.num_rows
            place = np.flatnonzero(self._second.unsure(half.predictions))
            self._pieces[-1].append((half, place))
            unsure = half.reading.papers.take(pa.array(place))
            self._unsure = pa.concat_tables([self._unsure, pa.Table.from_batches([unsure])])
        full = min(self._second.model.most_at_once, BATCH)
        while len(self._unsure) >= full:
            self._ask(full)

    def ask_all(self) -> None:
        """Ask about all that are left, however few."""
        if len(self._unsure):
            self._ask(len(self._unsure))

    def _ask(self, count: int) -> None:
        found = pa.Table.from_batches([self._second.answer(self._unsure.slice(0, count))])
        self._unsure = self._unsure.slice(count)
        self._found = found if self._found is None else pa.concat_tables([self._found, found])

    def settled(self) -> Iterator[list[Half]]:
        """The pieces at the front that are answered, with PREDICTIONS that are whole."""
        while self._pieces:
            wanted = sum(len(place) for _, place in self._pieces[0])
            if wanted > (0 if self._found is None else len(self._found)):
                return
            yield [self._settle(half, place) for half, place in self._pieces.popleft()]

    def _settle(self, half: Half, place: NDArray[np.int64]) -> Half:
        self.papers -= half.predictions.num_rows
        found = self._found if self._found is not None else pa.Table.from_batches([half.predictions.slice(0, 0)])
        whole = self._second.merged(half.predictions, place, found.slice(0, len(place)))
        if self._found is not None:
            self._found = self._found.slice(len(place))
        return Half(half.reading, whole)


def require_comparable(
    models: tuple[Model, Model], questions: tuple[Question, Question], names: tuple[str, str], level: Level | None
) -> None:
    """Raises UsageError for models whose answers to the same paper would not be answers to the same question."""
    first, second = (model.card for model in models)
    if level is None and first.level != second.level:
        raise UsageError(
            f"{names[0]} answers with labels of the level {first.level}, {names[1]} with labels of the level "
            f"{second.level}",
            "say with --level which is wanted",
        )
    known, others = (
        card.labels if question.view is None else question.view.labels
        for card, question in zip((first, second), questions, strict=True)
    )
    missing = sorted(set(known) - set(others))
    if missing:
        raise UsageError(
            f"{names[1]} does not know {len(missing)} of the {len(known)} labels that {names[0]} may answer with, "
            f"{missing[0]} for one",
            "choose among labels that both know with --labels, or name another --cascade",
        )
    if questions[0].coverage is not None:
        raise UsageError(
            "the promise of --coverage holds for one model, not for a cascade, whose second model gets the hard papers",
            "leave out one or the other",
        )
