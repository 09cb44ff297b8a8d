"""Tables of a report, and how numbers are written in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

UNKNOWN = "–"
"""What stands for a number that nobody knows."""


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns; the first `words` columns are words, the others numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1

    @classmethod
    def of(cls, columns: Sequence[str], *values: Sequence[str], words: int = 1) -> Table:
        """A table from its columns' values, all of one length."""
        return cls(tuple(columns), tuple(zip(*values, strict=True)), words)

    def first(self, rows: int) -> Table:
        """The same table with at most so many rows."""
        return Table(self.columns, self.rows[:rows], self.words)


def count(number: float) -> str:
    """`1,234`, without decimals."""
    return f"{number:,.0f}" if math.isfinite(number) else UNKNOWN


def papers(number: float) -> str:
    """`1 paper`, `1,234 papers`."""
    return f"{count(number)} {'paper' if number == 1 else 'papers'}"


def percent(share: float, digits: int = 1) -> str:
    """`12.3 %` of 0.123."""
    return f"{100 * share:.{digits}f} %" if math.isfinite(share) else UNKNOWN


def decimal(number: float, digits: int = 3) -> str:
    """`0.123`, with so many digits after the point."""
    return f"{number:,.{digits}f}" if math.isfinite(number) else UNKNOWN


def signed(number: float, digits: int = 2) -> str:
    """`+0.12` or `−0.12`."""
    return f"{number:+.{digits}f}".replace("-", "−") if math.isfinite(number) else UNKNOWN


def counts(numbers: ArrayLike) -> list[str]:
    """`count` of each."""
    return [count(number) for number in np.asarray(numbers, np.float64).tolist()]


def percents(shares: ArrayLike, digits: int = 1) -> list[str]:
    """`percent` of each."""
    return [percent(share, digits) for share in np.asarray(shares, np.float64).tolist()]


def decimals(numbers: ArrayLike, digits: int = 3) -> list[str]:
    """`decimal` of each."""
    return [decimal(number, digits) for number in np.asarray(numbers, np.float64).tolist()]
