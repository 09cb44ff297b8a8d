"""The colours of figures and pages, for light and for dark; told apart by people of any colour vision.

The hues are those of Okabe and Ito (2008, "Color Universal Design"), made darker on white and lighter on black until
each stands out from its background by 3:1 or more (WCAG 2.2, 1.4.11). No figure relies on them alone: lines differ by
dashes and markers too, bars by hatching, and every figure has its table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Inks:
    """One colour for each use: words, lesser words, grid lines, background, and the series of a figure in order."""

    ink: str
    quiet: str
    line: str
    paper: str
    series: tuple[str, ...]

    def named(self) -> dict[str, str]:
        """Name of the CSS custom property -> colour."""
        numbered = {f"--series-{number}": colour for number, colour in enumerate(self.series, 1)}
        return {"--ink": self.ink, "--quiet": self.quiet, "--line": self.line, "--paper": self.paper, **numbered}


LIGHT = Inks(
    "#1b1f24", "#59636e", "#d5dae0", "#ffffff", ("#0072b2", "#d55e00", "#008560", "#b4568f", "#8a6d00", "#4b5560")
)
DARK = Inks(
    "#e8eaed", "#a2abb5", "#3a424b", "#15181c", ("#56b4e9", "#f0894a", "#2bc79a", "#e39ac4", "#e6c200", "#b6bec7")
)
PLACES = Inks("#010101", "#010102", "#010103", "#010104", tuple(f"#0102{number:02x}" for number in range(1, 7)))
"""Colours that stand for the page's own, which it puts in their places (`svg.themed`)."""


def style() -> str:
    """CSS that gives every custom property its colour, as the reader's system asks for light or dark."""
    light, dark = (";".join(f"{name}:{colour}" for name, colour in inks.named().items()) for inks in (LIGHT, DARK))
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"
        f"@media print{{:root{{color-scheme:light;{light}}}}}\n"
    )
