"""What figures of one report have in common: how series look, the legend, the ticks, how numbers are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from arxivcli import splits
from arxivcli.errors import UsageError
from arxivcli.reporting.drawing import Canvas, label
from arxivcli.reporting.inks import LIGHT
from arxivcli.reporting.tables import count, counts, decimals, percents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import ArrayLike, NDArray

Kind = Literal["count", "percent", "decimal"]

MOST_SERIES = len(LIGHT.series)
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (8, 3)), (0, (3, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
_HATCHES = ("", "////", "||||", "\\\\\\\\", "xxxx", "----")


def look(canvas: Canvas, number: int) -> dict[str, Any]:
    """Colour and hatching of the bars of one series; the first is full, the others are outlined."""
    colour = canvas.inks.series[number]
    if not number:
        return {"facecolor": colour, "edgecolor": colour, "linewidth": 0.7}
    return {"facecolor": canvas.inks.paper, "edgecolor": colour, "hatch": _HATCHES[number], "linewidth": 0.9}


def series_label(canvas: Canvas, what: str) -> str:
    """The name of a series, not longer than the legend has room."""
    return label(what, 36 if canvas.phone else 60)


def line_key(canvas: Canvas, number: int, what: str) -> Line2D:
    """How a line looks in the legend."""
    return Line2D(
        [],
        [],
        color=canvas.inks.series[number],
        linestyle=DASHES[number],
        marker=MARKERS[number],
        label=series_label(canvas, what),
    )


def legend(sheet: Drawing, canvas: Canvas, handles: Sequence[Artist]) -> None:
    """What is what, above everything."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=1)
    fitting = max(1, int((canvas.width - 10) / (longest * 6.4 + 54)))
    sheet.legend(
        handles=list(handles), loc="outside upper left", ncols=min(fitting, len(handles)), labelcolor=canvas.inks.ink,
        handlelength=2.4, columnspacing=1.2, borderpad=0.2, fontsize=11,
    )  # fmt: skip


def scale(axes: Axes, which: Literal["x", "y"], kind: str, most: int | None = 5) -> None:
    """Ticks written as the numbers of the table are, about `most` of them; None leaves their places alone."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if most is not None:
        axis.set_major_locator(MaxNLocator(most, integer=kind == "count"))
    if kind == "percent":
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    elif kind == "month":
        axis.set_major_formatter(FuncFormatter(lambda number, _: splits.month_name(round(number))))
    elif kind == "count":
        axis.set_major_formatter(FuncFormatter(lambda number, _: count(number)))
    else:
        axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))


def written(values: NDArray[np.float64], kind: str) -> list[str]:
    """Numbers as they stand in tables."""
    if kind == "percent":
        return percents(values)
    if kind == "year":
        return [f"{value:.0f}" for value in values.tolist()]
    if kind == "month":
        return [splits.month_name(round(number)) for number in values.tolist()]
    return counts(values) if kind == "count" else decimals(values)


def as_arrays(series: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """The values of each series; see `require_few`."""
    require_few(series)
    return {what: np.asarray(values, np.float64) for what, values in series.items()}


def require_few(series: Mapping[str, object]) -> None:
    """Raises UsageError for more series than can be told apart."""
    if len(series) > MOST_SERIES:
        raise UsageError(f"{len(series)} series in one figure", f"choose at most {MOST_SERIES}")
