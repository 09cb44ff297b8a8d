"""A report as one HTML file that needs nothing else: no script, no other file, no network."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from arxivcli import __version__, reports
from arxivcli.printable import escaped, shortened
from arxivcli.reporting import inks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from arxivcli.reporting.drawing import Figure
    from arxivcli.reporting.tables import Table

MOST = 300
"""Characters of any one text on a page; the rest is cut with an ellipsis."""

_NO_ID = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Card:
    """A key figure: what it is, its value as it is read, and a remark."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page, in this order: text, key figures, figures, tables with their captions. None needs to be there.

    `folded` sections are opened by those who want them.
    """

    title: str
    text: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    folded: bool = False

    @property
    def anchor(self) -> str:
        """Where links to it lead."""
        return "part-" + (_NO_ID.sub("-", self.title.lower()).strip("-") or "other")


@dataclass(frozen=True)
class Page:
    """A report: its name, one sentence about it, key figures, its parts, and the command that made it."""

    title: str
    lead: str
    cards: tuple[Card, ...] = ()
    sections: tuple[Section, ...] = field(default_factory=tuple)
    command: str = "arxivcli"

    def figures(self) -> Iterator[Figure]:
        """All figures in order."""
        for section in self.sections:
            yield from section.figures

    def html(self, inlined: Mapping[str, str] | None = None) -> bytes:
        """The file, UTF-8; the same page makes the same bytes. Whatever a text holds is shown, never obeyed.

        `inlined` are the figures by name, where they are drawn already (`Figure.inline`).
        """
        if inlined is None:
            inlined = {figure.name: figure.inline() for figure in self.figures()}
        drawn = {name: Markup(svg) for name, svg in inlined.items()}  # noqa: S704 - svg escapes texts
        template = _environment().get_template("page.html")
        generator = reports.maker(self.command, __version__)
        rendered = template.render(page=self, drawn=drawn, style=_style(), version=__version__, generator=generator)
        return (rendered.strip() + "\n").encode()


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Every text of a page without control characters and of bearable length, before it is escaped for HTML."""
    return value if isinstance(value, Markup) else escaped(shortened(str(value), MOST))


@cache
def _style() -> Markup:
    return Markup(inks.style() + _read("page.css"))  # noqa: S704 - our own file


def _read(name: str) -> str:
    return files("arxivcli.reporting").joinpath(name).read_text("utf-8")
