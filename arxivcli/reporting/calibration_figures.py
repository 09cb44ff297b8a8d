"""Figures of what confidences are worth: reliability diagrams, coverage kept against coverage promised, abstention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from arxivcli.reporting.drawing import Canvas, Figure
from arxivcli.reporting.line_figures import Line, lines
from arxivcli.reporting.marks import MARKERS, legend, line_key, look, require_few, scale
from arxivcli.reporting.tables import Table, decimals, percents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Bins of the best answers' confidence, (b,) each: mean confidence, share right, weight. Empty bins weigh 0."""

    confidence: ArrayLike
    accuracy: ArrayLike
    weight: ArrayLike

    def filled(self) -> tuple[Array, Array, Array]:
        """The three arrays without empty bins; the weights sum to one."""
        columns = [np.asarray(column, np.float64) for column in (self.confidence, self.accuracy, self.weight)]
        some = columns[2] > 0
        confidence, accuracy, weight = (column[some] for column in columns)
        return confidence, accuracy, weight / weight.sum() if some.any() else weight


@dataclass(frozen=True)
class Coverage:
    """Conformal sets, (n,) each: coverage promised, coverage achieved, mean number of labels in a set."""

    promised: ArrayLike
    achieved: ArrayLike
    sizes: ArrayLike | None = None


def reliability(name: str, title: str, says: str, series: Mapping[str, Reliability]) -> Figure:
    """Share right against confidence, with how many answers are that confident underneath.

    Marks grow with their bin's weight; on the dotted line a confidence means what it says. (DeGroot and Fienberg 1983;
    Guo et al. 2017.)

    Args:
        name: of its files.
        title: what it is.
        says: what there is to see.
        series: for example `before` and `after` calibration.
    """
    require_few(series)
    found = {what: bins.filled() for what, bins in series.items()}
    rows = [
        row
        for what, (confidence, accuracy, weight) in found.items()
        for row in zip([what] * len(weight), percents(confidence), percents(accuracy), percents(weight, 2), strict=True)
    ]
    table = Table(("series", "confidence", "right", "share of answers"), tuple(rows))

    def draw(canvas: Canvas) -> Drawing:
        sheet = canvas.drawing(canvas.width * 1.15 if canvas.phone else 460)
        axes, below = sheet.subplots(2, 1, sharex=True, height_ratios=(4.5, 1))
        for one in (axes, below):
            canvas.dress(one)
        axes.plot([0, 1], [0, 1], color=canvas.inks.quiet, linewidth=1, linestyle=(0, (2, 3)))
        for number, (confidence, accuracy, weight) in enumerate(found.values()):
            _draw_bins(axes, canvas, number, confidence, accuracy, weight)
            thick = 0.04 / max(len(found), 1)
            below.bar(confidence + (number - (len(found) - 1) / 2) * thick, weight, thick, **look(canvas, number))
        axes.set(xlim=(0, 1.01), ylim=(0, 1.01), ylabel="share right")
        below.set(xlabel="confidence", ylabel="answers")
        for one, which in ((axes, "y"), (below, "y"), (below, "x")):
            scale(one, which, "percent", most=2 if (one, which) == (below, "y") else 5)  # type: ignore[arg-type]
        legend(sheet, canvas, [line_key(canvas, number, what) for number, what in enumerate(found)])
        return sheet

    return Figure(name, title, says, table, draw)


def _draw_bins(axes: Axes, canvas: Canvas, number: int, confidence: Array, accuracy: Array, weight: Array) -> None:
    """A line through the bins and a mark for each, its area growing with the bin's weight."""
    colour = canvas.inks.series[number]
    key = line_key(canvas, number, "")
    axes.plot(confidence, accuracy, color=colour, linestyle=key.get_linestyle(), linewidth=1.4)
    axes.scatter(confidence, accuracy, 14 + 300 * weight, color=colour, marker=MARKERS[number], zorder=3, clip_on=False)


def coverage(name: str, title: str, says: str, series: Mapping[str, Coverage]) -> Figure:
    """How often the sets hold the truth against how often they promise to; their mean size is in the table.

    Args:
        name: of its files.
        title: what it is.
        says: what there is to see.
        series: by model.
    """
    drawn = {model: Line(sets.promised, sets.achieved) for model, sets in series.items()}
    figure = lines(
        name, title, says, drawn, x=("coverage promised", "percent"), y=("coverage achieved", "percent"), diagonal=True
    )
    if any(sets.sizes is None for sets in series.values()):
        return figure
    sizes = [text for sets in series.values() if sets.sizes is not None for text in decimals(sets.sizes, 2)]
    rows = tuple((*row, size) for row, size in zip(figure.table.rows, sizes, strict=True))
    table = Table((*figure.table.columns, "labels in a set"), rows, figure.table.words)
    return Figure(name, title, says, table, figure.draw)


def abstention(name: str, title: str, says: str, series: Mapping[str, Line]) -> Figure:
    """Share right among the answers given, against the share of papers answered, the most confident first.

    Args:
        name: of its files.
        title: what it is.
        says: what there is to see.
        series: by model, x the share answered and y the share right of these.
    """
    return lines(name, title, says, series, x=("papers answered", "percent"), y=("right, of those answered", "percent"))
