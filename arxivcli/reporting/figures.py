"""Figures of bars and lines, from plain arrays. Series differ by colour and by dashes, markers or hatching."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from arxivcli.reporting.drawing import Canvas, Figure, label
from arxivcli.reporting.marks import (
    DASHES,
    MARKERS,
    Kind,
    legend,
    line_key,
    look,
    require_few,
    scale,
    series_label,
    written,
)
from arxivcli.reporting.tables import Table, counts, percents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import ArrayLike, NDArray

Scale = Literal["year", "month"]
"""What runs across besides counts and shares; months are counted from January of the year 0."""

_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240)
"""Apart the ticks of months may be."""

_ROW = 15.0  # CSS pixels of a bar and the gap under it
_ROWS = 50  # bars in a column before another is begun, where there is room
_LETTER = 6.6  # width of one in bars, about
_MANY_POINTS = 25
"""From so many points on a line has no markers but a few."""


@dataclass(frozen=True)
class Line:
    """Points of one line, (n,) each; `low` and `high` are the ends of its band. NaN is a gap."""

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


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
    require_few(series)
    arrays = {what: np.asarray(values, np.float64) for what, values in series.items()}
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
    require_few(series)
    arrays = {what: np.asarray(values, np.float64) for what, values in series.items()}
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
    require_few(series)
    ends = np.asarray(edges, np.float64)
    arrays = {what: np.asarray(values, np.float64) for what, values in series.items()}
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


def lines(
    name: str,
    title: str,
    says: str,
    series: Mapping[str, Line],
    *,
    x: tuple[str, Kind | Scale],
    y: tuple[str, Kind],
    diagonal: bool = False,
    papers: ArrayLike | None = None,
    floor: float | None = None,
) -> Figure:
    """Lines over a scale, each with the band it may lie in: accuracy by year, drift by month, coverage, abstention.

    Args:
        name: of its files.
        title: what it is.
        says: what there is to see.
        series: the lines by name; for one series its name is in no legend.
        x: what runs across and how it is written.
        y: what runs upwards and how it is written.
        diagonal: also draw where y = x.
        papers: how many there are at each x of the first line, as bars underneath.
        floor: the least y shown; what fits when None.
    """
    require_few(series)
    table = _line_table(series, x, y, papers)

    def draw(canvas: Canvas) -> Drawing:
        sheet = canvas.drawing(270 if canvas.phone else 330)
        rows = sheet.subplots(2, 1, sharex=True, height_ratios=(4, 1)) if papers is not None else [sheet.subplots()]
        axes = rows[0]
        canvas.dress(axes)
        if diagonal:
            ends = _ends(series.values())
            axes.plot(ends, ends, color=canvas.inks.quiet, linewidth=1, linestyle=(0, (2, 3)))
        for number, line in enumerate(series.values()):
            _draw_line(axes, canvas, number, line)
        if papers is not None:
            canvas.dress(rows[1])
            first = next(iter(series.values()))
            rows[1].bar(np.asarray(first.x), np.asarray(papers, np.float64), 0.7, color=canvas.inks.quiet)
            rows[1].set_ylabel("papers")
            scale(rows[1], "y", "count", most=2)
        _axes_of_lines(axes, rows[-1], canvas, x, y, floor)
        if len(series) > 1:
            legend(sheet, canvas, [line_key(canvas, number, what) for number, what in enumerate(series)])
        return sheet

    return Figure(name, title, says, table, draw)


def _line_table(series: Mapping[str, Line], x: tuple[str, str], y: tuple[str, Kind], papers: ArrayLike | None) -> Table:
    """All points, one row each, under the line's name where there are several."""
    rows: list[tuple[str, ...]] = []
    banded = any(line.low is not None for line in series.values())
    for number, (what, line) in enumerate(series.items()):
        across = np.asarray(line.x, np.float64)
        columns = [written(across, x[1]), written(np.asarray(line.y, np.float64), y[1])]
        if banded:
            nothing = np.full(len(across), np.nan)
            ends = (nothing if end is None else np.asarray(end, np.float64) for end in (line.low, line.high))
            columns += [written(end, y[1]) for end in ends]
        if papers is not None:
            columns.append(counts(papers) if not number else [""] * len(across))
        several = [[what] * len(across)] if len(series) > 1 else []
        rows += zip(*several, *columns, strict=True)
    head = [x[0], y[0], *(("from", "to") if banded else ()), *(("papers",) if papers is not None else ())]
    return Table((*(("series",) if len(series) > 1 else ()), *head), tuple(rows), words=1 + (len(series) > 1))


def _draw_line(axes: Axes, canvas: Canvas, number: int, line: Line) -> None:
    across, up = np.asarray(line.x, np.float64), np.asarray(line.y, np.float64)
    colour = canvas.inks.series[number]
    if line.low is not None and line.high is not None:
        low, high = np.asarray(line.low, np.float64), np.asarray(line.high, np.float64)
        axes.fill_between(across, low, high, color=colour, alpha=0.18, linewidth=0)
    every = max(1, len(across) // 10) if len(across) > _MANY_POINTS else 1
    axes.plot(across, up, color=colour, linestyle=DASHES[number], marker=MARKERS[number], markevery=every)


def _axes_of_lines(
    axes: Axes, lowest: Axes, canvas: Canvas, x: tuple[str, str], y: tuple[str, Kind], floor: float | None
) -> None:
    axes.set_ylabel(label(y[0]))
    lowest.set_xlabel(label(x[0]))
    scale(axes, "y", y[1])
    for one, which, kind in ((axes, "y", y[1]), (lowest, "x", x[1])):
        if kind == "percent":
            _within_shares(one, which)
    if floor is not None:
        axes.set_ylim(bottom=floor)
    if x[1] == "month":
        first, last = lowest.get_xlim()
        most = 4 if canvas.phone else 8
        step = next((months for months in _MONTHS if last - first <= most * months), _MONTHS[-1])
        lowest.xaxis.set_major_locator(MultipleLocator(step))
    else:
        lowest.xaxis.set_major_locator(
            MaxNLocator(5 if canvas.phone else 10, steps=[1, 2, 5, 10], integer=x[1] in {"year", "count"})
        )
    scale(lowest, "x", x[1], most=None)


def _within_shares(axes: Axes, which: str) -> None:
    """Leave little room beyond 0 % and 100 %, where no tick would mean anything."""
    low, high = axes.get_ylim() if which == "y" else axes.get_xlim()
    room = 0.02 * (high - low)
    ends = max(low, -room), min(high, 1 + room)
    _ = axes.set_ylim(ends) if which == "y" else axes.set_xlim(ends)


def _ends(series: Iterable[Line]) -> tuple[float, float]:
    """The least and the largest x of any line."""
    every = np.concatenate([np.zeros(0), *(np.asarray(line.x, np.float64) for line in series)])
    return (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
