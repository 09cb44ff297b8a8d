"""Classification: papers in, calibrated categories out, in their order, at any size."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import answers, calibration, parallel, text
from arxivcli.errors import InputError, UsageError
from arxivcli.models import contributions, cross_lists
from arxivcli.papers import one_paper
from arxivcli.sources import files
from arxivcli.sources.pieces import BATCH, Piece
from arxivcli.sources.readings import EMPTY_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from numpy.typing import NDArray

    from arxivcli.models.shelf import Model
    from arxivcli.views import View

_NOTHING_TO_READ = "\n"
"""What `text.model_input` makes of a paper without title and abstract."""


@dataclass(frozen=True)
class Question:
    """What is asked of each paper.

    Attributes:
        top: how many labels.
        coverage: of a set that holds the truth with this probability; None for no set.
        view: how the probabilities are looked at; None for as they are.
        least: labels after the best one are named when they have this probability.
        abstain: without a label of this probability none is named.
        multi: also which labels it may be cross-listed in.
        explain: also which words spoke for and against the best label.
    """

    top: int = 3
    coverage: float | None = None
    view: View | None = None
    least: float = 0.0
    abstain: float = 0.0
    multi: bool = False
    explain: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for probabilities that are none, and for a promise that would not be kept."""
        for option, value in (("--min-confidence", self.least), ("--abstain", self.abstain)):
            if not 0 <= value <= 1:
                raise UsageError(f"{option} {value:g} is no probability", "choose one between 0 and 1")
        if self.coverage is not None and self.view is not None and not self.view.keeps_promises:
            raise UsageError(
                "the promise of --coverage holds for all labels of the model in the mix it follows, "
                "not with --prior or --labels",
                "leave out one or the other",
            )


@dataclass(frozen=True)
class Tally:
    """How many papers were read, and for each reason how many have no answer and where the first of them stands.

    The empty lines a file ends with have their answers like all others, but no paper is missing there: see `settled`.
    """

    read: int = 0
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)
    ending: int = 0
    """How many empty lines come last."""
    source: str = ""
    """Where the last of them all were read."""

    @property
    def settled(self) -> Tally:
        """Without the empty lines at the end."""
        failures = dict(self.failures)
        count, where = failures.pop(EMPTY_LINE, (0, ""))
        if count > self.ending:
            failures[EMPTY_LINE] = (count - self.ending, where)
        return Tally(self.read - self.ending, failures)

    @property
    def failed(self) -> int:
        """Papers without an answer."""
        return sum(count for count, _ in self.failures.values())

    def __add__(self, later: Tally) -> Tally:
        if self.ending and later.source != self.source:
            return self.settled + later
        failures = dict(self.failures)
        for reason, (count, where) in later.failures.items():
            before, first = failures.get(reason, (0, where))
            failures[reason] = (before + count, first)
        ending = later.ending + (self.ending if later.ending == later.read else 0)
        return Tally(self.read + later.read, failures, ending, later.source)

    def __str__(self) -> str:
        reasons = (f"{reason} ({count:,}, first at {where})" for reason, (count, where) in self.failures.items())
        return f"{self.failed:,} of {self.read:,} papers have no answer: {', '.join(reasons)}"


Form = TypeVar("Form")
Form_co = TypeVar("Form_co", covariant=True)


@dataclass(frozen=True)
class Answered(Generic[Form]):
    """The answers to a piece in the form that was asked for."""

    forms: list[Form]
    tally: Tally


class Shape(Protocol[Form_co]):
    """Gives the answers to one reading the form somebody wants."""

    def __call__(self, reading: files.Reading, predictions: pa.RecordBatch) -> Form_co:
        """The form."""


def answer(
    model: Model, papers: pa.RecordBatch, question: Question, errors: pa.StringArray | None = None
) -> pa.RecordBatch:
    """PREDICTIONS for PAPERS, row by row; rows that have an error already, or no words, have no answer.

    Behind them `cross_lists` (list<string>, null where there is no answer) and `explanation` (EXPLANATION) where the
    question asks for these.

    Raises:
        UsageError: the model has no sets of that coverage, or cannot explain.
    """
    texts = text.model_input(papers)
    errors = pa.nulls(len(texts), pa.string()) if errors is None else errors
    errors = pc.if_else(pc.and_(pc.is_null(errors), pc.equal(texts, _NOTHING_TO_READ)), "no title", errors)
    logits = model.classifier.scores(texts)
    errors = pc.if_else(pc.and_(pc.is_null(errors), pa.array(~np.isfinite(logits).all(axis=1))), "no score", errors)
    fine = pc.is_null(errors).to_numpy(zero_copy_only=False)
    fitted, bare = model.card.calibration, text.has_title_only(texts)[fine]
    probs = own = calibration.calibrated(logits[fine], fitted, bare)
    coverage, view = question.coverage, question.view
    inside = None if coverage is None else calibration.conformal_sets(probs, fitted, coverage, bare)
    labels = model.card.labels
    if view is not None:
        labels, probs = view.labels, view.probabilities(own, logits[fine], fitted)
        inside = None if inside is None else view.sets(inside, probs)
    found = answers.predictions(
        papers["id"], labels, probs, question.top, inside, errors, least=question.least, abstain=question.abstain
    )
    if question.multi:
        listed = cross_lists.suggested(model.card, logits[fine], probs, view)
        listed[probs.max(axis=1, initial=0) < np.float32(question.abstain)] = False
        found = found.append_column("cross_lists", answers.best_first(labels, probs, listed, fine))
    if question.explain:
        named = pc.greater(pc.list_value_length(found["labels"]), 0).to_numpy(zero_copy_only=False)
        best = _best(probs[named[fine]], own[named[fine]], view)
        found = found.append_column("explanation", contributions.explained(model.classifier, texts, best, named))
    return found


def _best(probs: NDArray[np.float32], own: NDArray[np.float32], view: View | None) -> NDArray[np.int64]:
    """Which of the model's L labels is the best answer of each paper, or the likeliest part of it, (n,)."""
    best = probs.argmax(axis=1)
    return best if view is None else view.likeliest(best, own)


def check(model: Model, question: Question) -> None:
    """Raises UsageError when the model cannot answer the question, before anything is read."""
    answer(model, one_paper("A title"), question)


@dataclass(frozen=True)
class Work(Generic[Form]):
    """From a piece to answers in a form; made once and carried to every worker process."""

    model: Model
    question: Question
    columns: files.Columns
    shape: Shape[Form]
    several: bool = False
    """Whether there are several sources: papers without an id are named by source and line then."""

    def __call__(self, piece: Piece) -> Answered[Form]:
        """Read what is still to be read, score, and form."""
        readings = (
            [piece]
            if isinstance(piece, files.Reading)
            else piece.readings(self.columns, min(BATCH, self.model.most_at_once))
        )
        forms, counted = [], Tally()
        for reading in readings:
            papers = _numbered(reading, self.several)
            predictions = answer(self.model, papers, self.question, reading.errors)
            forms.append(self.shape(replace(reading, papers=papers), predictions))
            counted += tally(reading, predictions["error"])
        return Answered(forms, counted)

    def spread(self, found: Iterable[Piece], workers: int, ready: Callable[[], bool]) -> Generator[Answered[Form]]:
        """Answers to all pieces in order, by so many processes where the model can be shared; as `classify`."""
        return parallel.in_order(self, found, workers if self.model.forked else 1, ready)


def _numbered(reading: files.Reading, several: bool) -> pa.RecordBatch:
    """The papers, those without an id named by their line, with its source where there are several."""
    identifiers = reading.papers["id"]
    lines = reading.lines.cast(pa.string())
    if several:
        lines = pc.binary_join_element_wise(reading.source, lines, ":")
    named = pc.if_else(pc.equal(identifiers, ""), lines, identifiers)
    return reading.papers.set_column(0, "id", named)


def tally(reading: files.Reading, errors: pa.StringArray) -> Tally:
    """How many papers of a reading have no answer, by the reasons given."""
    if errors.null_count == len(errors):
        return Tally(len(errors), source=reading.source)
    failed = errors.is_valid()
    failures: dict[str, tuple[int, str]] = {}
    for reason, line in zip(errors.filter(failed).to_pylist(), reading.lines.filter(failed).to_pylist(), strict=True):
        count, where = failures.get(reason, (0, reading.source if line is None else f"{reading.source}:{line}"))
        failures[reason] = (count + 1, where)
    written = np.flatnonzero(pc.not_equal(errors, EMPTY_LINE).fill_null(True))
    ending = len(errors) - 1 - int(written[-1]) if len(written) else len(errors)
    return Tally(len(errors), failures, ending, reading.source)


class Spread(Protocol[Form]):
    """How the work on all pieces is shared out."""

    def __call__(
        self, work: Work[Form], found: Iterable[Piece], workers: int, ready: Callable[[], bool]
    ) -> Generator[Answered[Form]]:
        """The answers in order; as `classify`."""


def classify(
    work: Work[Form],
    found: Iterable[Piece],
    workers: int,
    ready: Callable[[], bool],
    before: Tally = Tally(),
    spread: Spread[Form] | None = None,
) -> Generator[Answered[Form]]:
    """Answers to all pieces, in order, by so many processes; a slow reader of them holds the reading back.

    With `spread` it is that which does the work, wherever, instead of processes of this machine.

    While the next piece is not `ready`, all answers that can be given are given.

    Every line of a list of papers has its answer: line n of the answers is for line n, and an empty one has an error.
    Empty lines that a file ends with have theirs too, but are no papers without an answer. `before` are the papers that
    were answered already.

    Raises:
        InputError: there was no paper in any of them.
    """
    count = before
    done = work.spread(found, workers, ready) if spread is None else spread(work, found, workers, ready)
    with closing(done) as answers:
        for answered in answers:
            count += answered.tally
            yield answered
    if count.settled.read == 0:
        raise InputError("no papers in the input", "give a file with titles, or pipe one in")
