"""What people see of a comparison: every figure against its threshold, the verdict, and what changed by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arxivcli.cli import console
from arxivcli.reporting import findings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arxivcli.steps.drift.report import Drift, LabelShift, SideReport, WordRow

_NUMBERS = frozenset(findings.COLUMNS[1:-1])
_NAMED = 5
"""Labels or words in a line."""


def show(report: Drift) -> None:
    """Print what was compared, the table of figures, what changed by name, the verdict."""
    console.show_line(f"{_side(report.reference)} and {_side(report.current)}, answers of {report.model}")
    console.show_table(findings.COLUMNS, [findings.row(one) for one in report.findings], numbers=_NUMBERS)
    for what, names in _changes(report):
        if names:
            console.show_line(f"{what}: {names}")
    for what, why in report.not_available.items():
        console.show_line(f"no {what}: {why}")
    reasons = ", ".join(f"{f.figure} ({findings.shift(f)})" for f in report.crossed)
    console.show_line(f"verdict: {report.verdict}{f': {reasons}' if reasons else ''}")


def _side(side: SideReport) -> str:
    some = f"{side.sampled:,} of " if side.sampled < side.papers else ""
    return f"{side.name} ({some}{side.papers:,} papers)"


def _changes(report: Drift) -> Iterable[tuple[str, str]]:
    """What grew and what shrank, where something did."""
    answered = None if report.predictions is None else report.predictions.labels
    for what, shift in (("labels", report.labels), ("answers", answered)):
        if shift is not None:
            yield f"{what} that grew", _labels(shift, shift.grew)
            yield f"{what} that shrank", _labels(shift, shift.shrank)
    yield "words that grew", _words(report.text.grown)
    yield "words that shrank", _words(report.text.shrunk)
    yield "pairs that grew", _words(report.text.grown_pairs)
    yield "pairs that shrank", _words(report.text.shrunk_pairs)


def _labels(shift: LabelShift, names: tuple[str, ...]) -> str:
    rows = {row.label: row for row in shift.rows}
    return _listed([(name, rows[name].reference_share, rows[name].current_share) for name in names])


def _words(rows: tuple[WordRow, ...]) -> str:
    return _listed([(row.words, row.reference_share, row.current_share) for row in rows])


def _listed(changes: list[tuple[str, float, float]]) -> str:
    """`cs.RO 4.5→6.4 %`, and so on; how many more there are."""
    shown = [f"{name} {100 * before:.1f}→{100 * after:.1f} %" for name, before, after in changes[:_NAMED]]
    more = f", and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
    return ", ".join(shown) + more
