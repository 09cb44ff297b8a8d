"""How a figure of a comparison is written against its limits, on the terminal and on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from arxivcli.steps.drift.report import Finding

COLUMNS: Final = ("figure", "reference", "current", "shift", "limits", "p", "")

_POINTS: Final = frozenset({"oov", "accuracy"})
_SMALL: Final = 0.001


def row(finding: Finding) -> tuple[str, ...]:
    """Its COLUMNS."""
    share = finding.measure in _POINTS or finding.figure == "confidence"
    sides = [
        "" if value is None else f"{100 * value:.1f} %" if share else f"{value:.1f}"
        for value in (finding.reference, finding.current)
    ]
    return finding.figure, *sides, shift(finding), _limits(finding), p_value(finding.p), verdict(finding)


def p_value(p: float) -> str:
    """`0.012` or `<0.001`."""
    return f"<{_SMALL}" if p < _SMALL else f"{p:.3f}"


def shift(finding: Finding) -> str:
    """How far apart the sides are: `psi 0.31`, `-5.0 points`."""
    if finding.measure in _POINTS:
        points = round(100 * (finding.effect if finding.measure == "oov" else -finding.effect), 1)
        return f"{points + 0.0:+.1f} points"  # never -0.0
    return f"{finding.measure} {finding.effect:.2f}"


def verdict(finding: Finding) -> str:
    """What it is; empty where it is within its limits."""
    if finding.level == "none":
        return "not significant" if finding.effect > finding.some else ""
    return "some drift" if finding.level == "some" else "drift"


def _limits(finding: Finding) -> str:
    if finding.measure in _POINTS:
        sign = "+" if finding.measure == "oov" else "-"
        return f"{sign}{100 * finding.some:g}, {sign}{100 * finding.drift:g}"
    return f"{finding.some:g}, {finding.drift:g}"
