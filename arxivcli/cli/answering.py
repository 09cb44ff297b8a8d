"""From papers to answers where somebody sees them: a terminal, a pipe, a file."""

from __future__ import annotations

import signal
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from arxivcli import parallel
from arxivcli.cli import answer_table, console
from arxivcli.errors import InputError, StoppedError
from arxivcli.steps import carrying, cascading, classification, outputs, resuming

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from arxivcli.cli.options import State
    from arxivcli.models.packed import Packed
    from arxivcli.models.shelf import Model
    from arxivcli.sources.fields import Columns
    from arxivcli.sources.pieces import Piece
    from arxivcli.steps.cascading import Second
    from arxivcli.steps.classification import Answered, Question, Tally
    from arxivcli.steps.outputs import Format, Layout

_TOGETHER = 8
"""Pieces that a slow model has at once: full batches, and a worker that is lost costs little."""


@dataclass(frozen=True)
class OnCluster:
    """How the work goes to a Ray cluster: which models go with it, and where that is."""

    address: str | None
    model: Packed
    second: Packed | None
    slow: bool
    """Whether one of the models takes long: then several pieces go together, and to a GPU where there are some."""
    state: State

    def __call__(
        self, work: Any, found: Iterable[Piece], workers: int, ready: Callable[[], bool]
    ) -> Generator[Answered[Any]]:
        """The answers in order. Raises RemoteError."""
        from arxivcli import cluster  # heavy, and not everybody has Ray

        carried = carrying.Carried.of(work, self.model, self.second)
        together, note = _TOGETHER if self.slow else 1, partial(console.note, self.state)
        with cluster.joined(self.address, workers, int(self.slow), note) as there:
            yield from there.in_order(carried, map(carrying.sent, found), ready, together, carrying.place)


@dataclass(frozen=True)
class Job:
    """What is to be done with whatever papers there are."""

    model: Model
    question: Question
    columns: Columns
    format: str
    output: Path | None
    layout: Layout
    workers: int
    state: State
    several: bool = False
    """Whether there are several sources, so that a line's number alone names no paper."""
    mixed: bool = False
    """Whether they are of several kinds."""
    second: Second | None = None
    """Who answers papers that the model is unsure of."""
    cluster: OnCluster | None = None
    """Where the work is done, unless here."""

    @property
    def most_at_once(self) -> int:
        """How many papers to read at once: few where each takes long, so that people see how it goes on."""
        return min(one.most_at_once for one in (self.model, self.second and self.second.model) if one)

    def run(self, pieces: Iterable[Piece], ready: Callable[[], bool] = parallel.always) -> Tally:
        """Answer all papers where the answers belong; how many there were comes back."""
        form, found = self._form(iter(pieces))
        with closing(
            classification.classify(self._work(form), found, self.workers, ready, spread=self.cluster)
        ) as answered:
            count = _Count(classification.Tally(), self._watches(form), self.state)
            self._show(form, count.pages(answered), ready)
        return count.tally.settled

    def resume(self, pieces: Iterable[Piece], output: Path, asked: dict[str, Any]) -> Tally:
        """`run` into a file, with what was answered before by the same question taken from the record beside it."""
        form, found = self._form(iter(pieces))
        with resuming.opened(output, asked | {"--format": form}) as record:
            if record.finished:
                console.note(self.state, f"{output} has all {record.tally.read:,} answers already: nothing to do")
                return classification.Tally()
            left = islice(found, record.pieces, None)
            new = classification.classify(
                self._work(form), left, self.workers, parallel.always, record.tally, self.cluster
            )
            with _kept(), closing(new):
                count = _Count(classification.Tally(), self._watches(form), self.state)
                self._show(form, count.pages(chain(record.answered(), record.kept(new))), parallel.always)
                record.finish(count.tally.settled)
        return count.tally.settled

    def gives_entries_back(self, kinds: Sequence[str]) -> bool:
        """Whether sources of these kinds are answered as BibTeX."""
        alike = kinds[0] if len(set(kinds)) == 1 and self.layout.fits_entries else "jsonl"
        return outputs.chosen(self.format, self.output, self._drawn, alike) == "bib"

    def _form(self, found: Iterator[Piece]) -> tuple[Format, Iterator[Piece]]:
        """The form of the answers, which depends on that of the first piece, and all pieces."""
        first = next(found, None)
        if first is None:
            raise InputError("there are no papers in the input", "give a file with titles, or pipe one in")
        comes_back = not self.mixed and (first.format != "bib" or self.layout.fits_entries)
        fitting = first.format if comes_back else "jsonl"
        return outputs.chosen(self.format, self.output, self._drawn, fitting), chain([first], found)

    def _work(self, form: Format) -> classification.Work[Any]:
        return cascading.CascadeWork(
            self.model, self.question, self.columns, self._shape(form), self.several, self.second
        )

    @property
    def _drawn(self) -> bool:
        """Whether a table is drawn unless another form is asked for: who chooses what is in an answer wants data."""
        chooses = self.layout.fields or not self.layout.beside
        return sys.stdout.isatty() and not (chooses and self.format == "auto")

    def _watches(self, form: Format) -> bool:
        """Whether somebody who waits sees nothing of the answers."""
        return form != "table" and (self.output is not None or not sys.stdout.isatty())

    def _shape(self, form: Format) -> Any:
        if form == "table":
            return answer_table.shape
        return outputs.shape(form, self.layout)

    def _show(self, form: Format, pages: Iterator[Any], ready: Callable[[], bool]) -> None:
        if form == "table":
            return answer_table.show(pages, self.question.coverage, ready)
        with outputs.opened(self.output, sys.stdout.buffer) as out:
            return outputs.write(pages, form, out, self.layout.raw)


@contextmanager
def _kept() -> Iterator[None]:
    """Interruptions say that nothing is lost."""
    hint = "what was answered is kept: the same command goes on"
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError("interrupted", hint, signal.SIGINT) from None
    except StoppedError as error:
        raise StoppedError(error.what, hint, error.signal_number) from None


class _Count:
    """Counts papers as their answers pass by, and shows progress from the second piece on."""

    def __init__(self, tally: Tally, watched: bool, state: State) -> None:
        self.tally = tally
        self._watched = watched
        self._state = state

    def pages(self, answered: Iterator[Answered[Any]]) -> Iterator[Any]:
        """The forms of the answers; each is asked for when the one before is written."""
        progress = None
        for part in answered:
            yield from part.forms
            if self._watched and self.tally.read:
                progress = progress or self._begun()
                progress.advance(part.tally.read)
            self.tally += part.tally
        if progress:
            progress.end()

    def _begun(self) -> Any:
        progress = console.progress(self._state)
        progress.begin("classifying")
        progress.advance(self.tally.read)
        return progress
