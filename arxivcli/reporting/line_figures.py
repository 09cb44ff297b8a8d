"""Figures of lines over a scale, each with the band it may lie in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.ticker import MaxNLocator, MultipleLocator

from arxivcli.reporting.drawing import Canvas, Figure, label
from arxivcli.reporting.marks import DASHES, MARKERS, Kind, legend, line_key, require_few, scale, written
from arxivcli.reporting.tables import Table, counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import ArrayLike

Scale = Literal["year", "month"]
"""What runs across besides counts and shares; months are counted from January 1970, as by `splits.month`."""

_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240)
"""Apart the ticks of months may be."""

_MANY_POINTS = 25
"""From so many points on a line has no markers but a few."""


@dataclass(frozen=True)
class Line:
    """Points of one line, (n,) each; `low` and `high` are the ends of its band. NaN is a gap."""

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


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
