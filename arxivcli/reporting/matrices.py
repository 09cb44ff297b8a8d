"""Figures of who is taken for whom: confusion matrices with numbers for few labels, as a heat map for many."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from arxivcli.reporting.drawing import Canvas, Figure, label
from arxivcli.reporting.tables import Table, count, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import ArrayLike, NDArray

MOST_NUMBERS = 24
"""Labels up to which every cell has its number."""

MOST_ROWS = 200
"""Rows of the table under a heat map: its largest confusions."""

_STRENGTHS = 12
_DARKEST = 0.62  # numbers stay readable on the strongest cell, in light and in dark
_NUMBER = 9.5
_MARGIN, _LARGEST = 110, 56  # CSS pixels of names, and of a cell at most
_TICK = 16  # CSS pixels from one name to the next, at least
_LEAST = 0.005  # of a row: what is written as 0 is left out


def matrix(
    name: str, title: str, says: str, labels: Sequence[str], counts: ArrayLike, *, groups: Sequence[str] = ()
) -> Figure:
    """Cells as strong as the share of their row: truth downwards, answers across.

    Args:
        name: of its files.
        title: what it is.
        says: what there is to see.
        labels: L of them.
        counts: (L, L) papers (weighted or not) whose label is the row's and whose answer is the column's.
        groups: (L,) which archive each label belongs to; neighbours of one archive are framed together in a heat map.
    """
    cells = np.asarray(counts, np.float64)
    shares = np.divide(cells, cells.sum(axis=1, keepdims=True), out=np.zeros_like(cells), where=cells > 0)

    def draw(canvas: Canvas) -> Drawing:
        sheet = canvas.drawing(min(canvas.width * 0.93, _MARGIN + _LARGEST * len(labels)))
        axes = sheet.subplots()
        canvas.dress(axes, grid="")
        _cells(axes, canvas, shares)
        size = max(len(labels), 1)
        axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal", xlabel="answer", ylabel="truth")
        axes.set_anchor("W")
        axes.xaxis.set_label_position("top")
        axes.xaxis.tick_top()
        if len(labels) <= MOST_NUMBERS:
            _numbers(axes, canvas, labels, shares)
        else:
            _frames(axes, canvas, list(groups) or list(labels))
        return sheet

    return Figure(name, title, says, _table(labels, cells, shares), draw, phone=len(labels) > MOST_NUMBERS)


def _cells(axes: Axes, canvas: Canvas, shares: NDArray[np.float64]) -> None:
    """All cells of one strength as one shape: a heat map of 149 labels is a dozen shapes, not 22,201."""
    # By square root: confusions of a few in a hundred can be seen beside a diagonal of ninety.
    strength = np.ceil(np.sqrt(shares) * _STRENGTHS).astype(np.int64)
    strength[shares <= _LEAST] = 0
    for level in range(1, _STRENGTHS + 1):
        rows, columns = np.nonzero(strength == level)
        if len(rows):
            corners = np.stack([columns, rows], axis=1)[:, None, :] + [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
            codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(rows))
            shape = Path(corners.reshape(-1, 2).astype(np.float64), codes)
            alpha = _DARKEST * level / _STRENGTHS
            axes.add_patch(PathPatch(shape, facecolor=canvas.inks.series[0], alpha=alpha, linewidth=0))


def _numbers(axes: Axes, canvas: Canvas, labels: Sequence[str], shares: NDArray[np.float64]) -> None:
    """Labels on both sides and the share of its row in every cell, in hundredths."""
    middle = np.arange(len(labels)) + 0.5
    shown = [label(text, 18) for text in labels]
    axes.set_xticks(middle, shown, rotation=60, ha="left", rotation_mode="anchor", fontsize=10)
    axes.set_yticks(middle, shown, fontsize=10)
    for row, column in zip(*np.nonzero(shares > _LEAST), strict=True):
        strong = "bold" if row == column else "normal"
        axes.text(
            column + 0.5, row + 0.5, f"{100 * shares[row, column]:.0f}", ha="center", va="center_baseline",
            fontsize=_NUMBER, color=canvas.inks.ink, fontweight=strong, in_layout=False,
        )  # fmt: skip


def _frames(axes: Axes, canvas: Canvas, groups: list[str]) -> None:
    """A square on the diagonal for each archive and its name beside it, where there is room."""
    start = 0
    ticks: list[tuple[float, str]] = []
    for group, members in groupby(groups):
        size = len(list(members))
        axes.add_patch(Rectangle((start, start), size, size, fill=False, edgecolor=canvas.inks.quiet, linewidth=0.8))
        if not ticks or start + size / 2 - ticks[-1][0] >= len(groups) * _TICK / canvas.width:
            ticks.append((start + size / 2, label(group, 18)))
        start += size
    places, names = [place for place, _ in ticks], [name for _, name in ticks]
    axes.set_xticks(places, names, rotation=60, ha="left", rotation_mode="anchor", fontsize=9.5)
    axes.set_yticks(places, names, fontsize=9.5)


def _table(labels: Sequence[str], cells: NDArray[np.float64], shares: NDArray[np.float64]) -> Table:
    """Every cell that is not empty, row by row; of many the largest off the diagonal."""
    rows, columns = np.nonzero(cells)
    if len(labels) > MOST_NUMBERS:
        rows, columns = rows[rows != columns], columns[rows != columns]
        largest = np.argsort(-cells[rows, columns], kind="stable")[:MOST_ROWS]
        rows, columns = rows[largest], columns[largest]
    found = tuple(
        (labels[row], labels[column], count(cells[row, column]), percent(shares[row, column]))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    )
    return Table(("truth", "answer", "papers", "of the truth's papers"), found, words=2)
