"""Figures of bars and steps, from plain arrays. Series differ by colour and by dashes, markers or hatching."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from arxivcli.reporting.drawing import Canvas, Figure, label
from arxivcli.reporting.marks import DASHES, Kind, as_arrays, legend, look, scale, series_label, written
from arxivcli.reporting.tables import Table, percents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import ArrayLike, NDArray

_ROW = 15.0  # CSS pixels of a bar and the gap under it
_ROWS = 50  # bars in a column before another is begun, where there is room
_LETTER = 6.6  # width of one in bars, about


def bars(
    name: str,
    title: str,
    says: str,
    labels: Sequence[str],
    values: ArrayLike,
    *,
    kind: Kind = "count",
    columns: tuple[str, str] = ("label", "papers"),
    names: Sequence[str] = (),
) -> Figure:
    """Horizontal bars, one a label, its value beside it; many are drawn in several columns.

    Args:
        name: of its files.
        title: what it is.
        says: what there is to see.
        labels: of n bars, first on top.
        values: (n,), none below zero.
        kind: how values are written.
        columns: what labels and values are called in the table.
        names: longer names of the labels, for the table.
    """
    lengths = np.asarray(values, np.float64)
    told = written(lengths, kind)
    table = Table.of(columns, labels, told)
    if names:
        table = Table.of((columns[0], "name", columns[1]), labels, names, told, words=2)
    longest = float(lengths.max(initial=0)) or 1.0

    def draw(canvas: Canvas) -> Drawing:
        shelves = 1 if canvas.phone else min(3, math.ceil(len(labels) / _ROWS))
        rows = math.ceil(len(labels) / shelves) if shelves else 1
        sheet = canvas.drawing(max(rows, 1) * _ROW + 12)
        shown = [label(text, 28 if shelves > 1 else 36) for text in labels]
        # Beside the longest bar its value needs room: so much of the width that labels leave.
        left = canvas.width / max(shelves, 1) - _LETTER * max(map(len, shown), default=0) - 12
        free = min(0.6, (_LETTER * max(map(len, told), default=0) + 6) / max(left, 1))
        for number, axes in enumerate(sheet.subplots(1, max(shelves, 1), squeeze=False)[0]):
            some = slice(number * rows, (number + 1) * rows)
            axes.set(xlim=(0, longest / (1 - free)), ylim=(rows - 0.4, -0.6))
            _shelf(axes, canvas, shown[some], lengths[some], told[some])
        return sheet

    return Figure(name, title, says, table, draw)


def _shelf(axes: Axes, canvas: Canvas, labels: list[str], values: NDArray[np.float64], told: list[str]) -> None:
    """One column of bars."""
    canvas.dress(axes, grid="")
    places = np.arange(len(labels))
    axes.barh(places, values, 0.72, color=canvas.inks.series[0])
    for place, value, text in zip(places, values, told, strict=True):
        axes.annotate(
            text, (value, place), (4, 0), textcoords="offset points", va="center_baseline", color=canvas.inks.quiet,
            fontsize=11, in_layout=False,
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks(places, labels, fontsize=11)
    axes.spines["bottom"].set_visible(False)


def grouped(
    name: str,
    title: str,
    says: str,
    labels: Sequence[str],
    series: Mapping[str, ArrayLike],
    *,
    kind: Kind = "percent",
    column: str = "label",
) -> Figure:
    """Horizontal bars in groups: one group a label, one bar in each group for every series of (n,) values."""
    arrays = as_arrays(series)
    table = Table.of((column, *arrays), labels, *(written(values, kind) for values in arrays.values()))

    def draw(canvas: Canvas) -> Drawing:
        sheet = canvas.drawing(len(labels) * (9.0 * len(arrays) + 9) + 62)
        axes = sheet.subplots()
        canvas.dress(axes, grid="x")
        thick = 0.84 / max(len(arrays), 1)
        for number, (what, values) in enumerate(arrays.items()):
            places = np.arange(len(labels)) + (number - (len(arrays) - 1) / 2) * thick
            axes.barh(places, values, thick * 0.9, label=series_label(canvas, what), **look(canvas, number))
        axes.set_yticks(np.arange(len(labels)), [label(text, 28) for text in labels], fontsize=11)
        longest = max((values.max(initial=0) for values in arrays.values()), default=0) or 1.0
        axes.set(ylim=(len(labels) - 0.45, -0.55), xlim=(0, 1.04 * longest))
        scale(axes, "x", kind)
        legend(sheet, canvas, axes.get_legend_handles_labels()[0])
        return sheet

    return Figure(name, title, says, table, draw)


def stacked(
    name: str,
    title: str,
    says: str,
    places: ArrayLike,
    series: Mapping[str, ArrayLike],
    *,
    axis: str,
    width: float = 1.0,
    kind: Kind = "count",
    column: str | None = None,
    named: Callable[[float], str] = "{:g}".format,
) -> Figure:
    """Upright bars along a scale of numbers (years, lengths), the series on top of each other.

    Args:
        name: of its files.
        title: what it is.
        says: what there is to see.
        places: (n,) where each bar begins.
        series: (n,) heights of each.
        axis: what the scale is.
        width: of a bar, on the scale.
        kind: how heights are written.
        column: what the scale is called in the table.
        named: how a place is written in the table.
    """
    starts = np.asarray(places, np.float64)
    arrays = as_arrays(series)
    told = (written(values, kind) for values in arrays.values())
    table = Table.of((column or axis, *arrays), [named(start) for start in starts], *told)

    def draw(canvas: Canvas) -> Drawing:
        sheet = canvas.drawing(230 if canvas.phone else 270)
        axes = sheet.subplots()
        canvas.dress(axes)
        under = np.zeros(len(starts))
        for number, (what, values) in enumerate(arrays.items()):
            hatched = look(canvas, number)
            axes.bar(
                starts + width / 2, values, width * 0.88, bottom=under, label=series_label(canvas, what), **hatched
            )
            under += values
        axes.set_xlabel(label(axis))
        if len(starts):
            axes.set_xlim(starts.min() - 0.3 * width, starts.max() + 1.3 * width)
        axes.xaxis.set_major_locator(MaxNLocator(5 if canvas.phone else 10, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place:g}"))
        scale(axes, "y", kind)
        if len(arrays) > 1:
            legend(sheet, canvas, axes.get_legend_handles_labels()[0])
        return sheet

    return Figure(name, title, says, table, draw)


def histogram(
    name: str,
    title: str,
    says: str,
    edges: ArrayLike,
    series: Mapping[str, ArrayLike],
    *,
    x: tuple[str, Kind],
) -> Figure:
    """Steps of shares over bins of a number, the series over each other.

    Args:
        name: of its files.
        title: what it is.
        says: what there is to see.
        edges: (b + 1,) of the bins, ascending.
        series: (b,) share of each that is in each bin.
        x: what the number is and how it is written.
    """
    arrays = as_arrays(series)
    ends = np.asarray(edges, np.float64)
    told = written(ends, x[1])
    table = Table.of((f"{x[0]} from", "to", *arrays), told[:-1], told[1:], *map(percents, arrays.values()))

    def draw(canvas: Canvas) -> Drawing:
        sheet = canvas.drawing(230 if canvas.phone else 270)
        axes = sheet.subplots()
        canvas.dress(axes)
        handles = []
        for number, (what, shares) in enumerate(arrays.items()):
            colour = canvas.inks.series[number]
            axes.stairs(shares, ends, fill=True, facecolor=colour, alpha=0.18, linewidth=0)
            axes.stairs(shares, ends, color=colour, linestyle=DASHES[number], linewidth=1.6)
            handles.append(Line2D([], [], color=colour, linestyle=DASHES[number], label=series_label(canvas, what)))
        axes.set(xlim=(ends[0], ends[-1]), xlabel=label(x[0]), ylabel="papers")
        axes.set_ylim(bottom=0)
        scale(axes, "y", "percent")
        scale(axes, "x", x[1], most=5 if canvas.phone else 10)
        legend(sheet, canvas, handles)
        return sheet

    return Figure(name, title, says, table, draw)
