"""A figure of a report: what it is called, what it says, its numbers as a table, and how it is drawn at any width.

matplotlib is used through its objects alone, with settings of our own, so nothing that a process did before or does
later changes a figure, and the same numbers make the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from arxivcli.errors import UsageError
from arxivcli.printable import escaped, shortened
from arxivcli.reporting import svg
from arxivcli.reporting.inks import LIGHT, PLACES, Inks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.axes import Axes

    from arxivcli.reporting.tables import Table

WIDE, PHONE = 720, 340
"""Widths in CSS pixels: of the page's column, and of a phone's screen of 390 without its margins."""

TEXT = 12.0
"""Size of a figure's words in CSS pixels; 11 on a phone."""

_PNG_DOTS = 160  # per inch of 72 pixels: 1600 across
_MOST = 60
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_SETTINGS: dict[Any, Any] = {
    "font.size": TEXT,
    "figure.dpi": 72,
    "svg.fonttype": "none",
    "svg.hashsalt": "arxivcli",
    "svg.id": None,
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
    "hatch.linewidth": 0.7,
    "path.simplify": False,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "xtick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.size": 0,
}


@dataclass(frozen=True)
class Canvas:
    """What a figure is drawn on: colours and a width in CSS pixels."""

    inks: Inks
    width: int

    @property
    def phone(self) -> bool:
        """Whether there is room for little."""
        return self.width < WIDE

    def drawing(self, height: float) -> Drawing:
        """An empty sheet of so many CSS pixels."""
        sheet = Drawing(figsize=(self.width / 72, height / 72), facecolor=self.inks.paper)
        sheet.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.04, hspace=0.04)
        return sheet

    def dress(self, axes: Axes, grid: str = "y") -> None:
        """Give axes their colours and thin lines to read values along."""
        axes.set_facecolor("none")
        axes.tick_params(colors=self.inks.quiet, labelcolor=self.inks.ink)
        for spine in axes.spines.values():
            spine.set_color(self.inks.line)
        for axis in (axes.xaxis, axes.yaxis):
            axis.label.set_color(self.inks.quiet)
        if grid:
            axes.grid(axis=grid, color=self.inks.line, linewidth=0.8)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Figure:
    """One figure. `name` makes file names and ids; `says` is one sentence for people who do not see it.

    A figure that cannot be drawn for a phone (`phone` is False) is moved sideways there.
    """

    name: str
    title: str
    says: str
    table: Table
    draw: Callable[[Canvas], Drawing]
    phone: bool = True

    def __post_init__(self) -> None:
        """Raises UsageError for a name that makes no id."""
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"{self.name} is no name of a figure", "use small letters, digits and hyphens")

    def inline(self) -> str:
        """SVG elements for a page: one for wide screens and, where there is one, one for phones."""
        kinds = [("wide", self._wide), ("phone", self._svg(PLACES, PHONE))] if self.phone else [("only", self._wide)]
        return "\n".join(
            svg.themed(drawn, f"{self.name}-{kind}", escaped(self.title), escaped(self.says), kind)
            for kind, drawn in kinds
        )

    def svg(self) -> bytes:
        """A file for papers and slides: dark on white, words as words."""
        drawn = svg.coloured(svg.plain(self._wide, self.name), LIGHT.named())
        opening = '<svg font-family="sans-serif" stroke-linejoin="round" '
        return ('<?xml version="1.0" encoding="utf-8"?>\n' + drawn.replace("<svg ", opening, 1) + "\n").encode()

    def png(self) -> bytes:
        """The same as an image of 1600 pixels across."""
        image = io.BytesIO()
        with _settings():
            self._laid_out(LIGHT, WIDE).savefig(image, format="png", dpi=_PNG_DOTS, metadata={"Software": None})
        return image.getvalue()

    @cached_property
    def _wide(self) -> str:
        """Drawn once, for the page and for the file."""
        return self._svg(PLACES, WIDE)

    def _svg(self, inks: Inks, width: int) -> str:
        text = io.StringIO()
        with _settings():
            self._laid_out(inks, width).savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()

    def _laid_out(self, inks: Inks, width: int) -> Drawing:
        """The figure with everything in its place, which saving it would look for twice."""
        drawing = self.draw(Canvas(inks, width))
        if engine := drawing.get_layout_engine():
            engine.execute(drawing)
        drawing.set_layout_engine("none")
        return drawing


def label(text: str, most: int = _MOST) -> str:
    """Words of strangers as a figure can show them: on one line, not longer than it has room."""
    return escaped(shortened(text, most))


@contextmanager
def _settings() -> Iterator[None]:
    """Inside, matplotlib's own settings and ours, whatever the user's files or the process said."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # the reader's letters are used
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield
