"""Whether what is answered lately is still like what was answered before: by category, and by confidence.

The training corpus is no reference here: how a model answers depends on who asks. What is compared with is the first
answers after the start, or a log of predictions from a time that was good.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from arxivcli import distributions
from arxivcli.errors import InputError
from arxivcli.sources import folders, prediction_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FIRST: Final = "the first answers"
LEAST: Final = 100
"""Answers of either side from which on they are compared."""

_BINS: Final = 10
_MOVED: Final = 5


@dataclass
class Counts:
    """How often each category was the best, and how confidences are spread over tenths, of so many answers."""

    categories: Counter[str] = field(default_factory=Counter)
    confidences: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))

    @property
    def papers(self) -> int:
        """How many answers."""
        return int(self.confidences.sum())

    def add(self, category: str, tenth: int, papers: int = 1) -> None:
        """Count an answer, or with -1 no longer."""
        self.categories[category] += papers
        self.confidences[tenth] += papers


@dataclass(frozen=True)
class Distance:
    """The Jensen-Shannon distance (0 to 1), and about what it would be by chance alone."""

    distance: float
    by_chance: float


@dataclass(frozen=True)
class Moved:
    """A category and its shares of the answers: in the reference, and lately."""

    category: str
    reference: float
    lately: float


@dataclass(frozen=True)
class Comparison:
    """How far the latest answers are from the reference; `moved` are the categories that add most to the distance."""

    categories: Distance
    confidence: Distance
    moved: tuple[Moved, ...]


class Drifting:
    """Counts the answers of one worker process.

    Attributes:
        source: what the reference is: a log's name, or FIRST.
        reference: its counts.
        lately: counts of the latest answers, `size` at most.
    """

    def __init__(self, size: int, log: Path | None = None) -> None:
        """Raises InputError for a log without answers; StorageError."""
        self._size = size
        self._logged = None if log is None else logged(log)
        self.source = FIRST if log is None else log.name
        self.restart()

    def restart(self) -> None:
        """Another model answers: its answers are not compared with those of the one before, unless a log says so."""
        self.reference = self._logged or Counts()
        self.lately = Counts()
        self._answers: deque[tuple[str, int]] = deque()

    def add(self, category: str, confidence: float) -> None:
        """An answer was given."""
        tenth = _tenth(confidence)
        if self._logged is None and self.reference.papers < self._size:
            return self.reference.add(category, tenth)
        self.lately.add(category, tenth)
        self._answers.append((category, tenth))
        if len(self._answers) > self._size:
            self.lately.add(*self._answers.popleft(), -1)
        return None

    def compared(self) -> Comparison | None:
        """The two sides beside each other; None while one is too small for that."""
        before, after = self.reference, self.lately
        complete = self._logged is not None or before.papers >= self._size
        if not complete or min(before.papers, after.papers) < LEAST:
            return None
        names = sorted({name for counts in (before, after) for name, papers in counts.categories.items() if papers})
        sides = [np.array([counts.categories[name] for name in names]) for counts in (before, after)]
        shares = [distributions.shares(side) for side in sides]
        most = np.argsort(-distributions.divergences(*sides), kind="stable")[:_MOVED]
        return Comparison(
            _distance(sides),
            _distance([before.confidences, after.confidences]),
            tuple(Moved(names[at], float(shares[0][at]), float(shares[1][at])) for at in most.tolist()),
        )


def logged(log: Path) -> Counts:
    """The answers of a log of predictions. Raises InputError when it has too few of them; StorageError."""
    counts = Counts()
    for path in folders.spread([log]):
        for found in prediction_log.read(path):
            _count(counts, zip(found.categories.to_pylist(), found.confidences.to_pylist(), strict=True))
    if counts.papers < LEAST:
        raise InputError(
            f"{log} has {counts.papers:,} answers, too few to compare with",
            f"give what serve --log-predictions wrote, with {LEAST} answers or more",
        )
    return counts


def _count(counts: Counts, answers: Iterable[tuple[str | None, float | None]]) -> None:
    for category, confidence in answers:
        if category is not None and confidence is not None:
            counts.add(category, _tenth(confidence))


def _tenth(confidence: float) -> int:
    return min(_BINS - 1, int(confidence * _BINS))


def _distance(sides: Sequence[NDArray[np.int64]]) -> Distance:
    return Distance(distributions.distance(*sides), distributions.chance_distance(*sides))
