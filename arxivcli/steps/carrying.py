"""Work that travels to other machines: models go as files, and are loaded once in each process there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from arxivcli import parallel
from arxivcli.sources.blocks import Block, Whole
from arxivcli.steps.cascading import CascadeWork, Second

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arxivcli.models.packed import Packed
    from arxivcli.sources.fields import Columns
    from arxivcli.sources.pieces import Piece
    from arxivcli.steps.classification import Answered, Question, Shape

Form = TypeVar("Form")


@dataclass(frozen=True)
class Carried(Generic[Form]):
    """All there is in a CascadeWork, with the files of its models in their places."""

    model: Packed
    question: Question
    columns: Columns
    shape: Shape[Form]
    several: bool
    second: tuple[Packed, Question, float, tuple[str, str]] | None

    @classmethod
    def of(cls, work: CascadeWork[Form], model: Packed, second: Packed | None) -> Carried[Form]:
        """The work, with the files of its models."""
        other = None
        if work.second is not None and second is not None:
            other = (second, work.second.question, work.second.below, work.second.names)
        return cls(model, work.question, work.columns, work.shape, work.several, other)

    def __call__(self) -> Callable[[list[Piece]], Iterator[Answered[Form]]]:
        """What answers pieces where this has arrived. Raises FolderError."""
        second = None
        if self.second is not None:
            other, question, below, names = self.second
            second = Second(other.loaded(), question, below, names)
        work = CascadeWork(self.model.loaded(), self.question, self.columns, self.shape, self.several, second)
        return lambda pieces: work.spread(pieces, 1, parallel.always)


def sent(piece: Piece) -> Piece:
    """A piece that can be read anywhere. Raises InputError for a file that is gone."""
    return piece.sent() if isinstance(piece, Whole) else piece


def place(piece: Piece) -> str:
    """Where the papers of a piece stand, for people."""
    if isinstance(piece, Block):
        return f"the papers from {piece.source}:{piece.first} on"
    return f"papers of {piece.path if isinstance(piece, Whole) else piece.source}"
