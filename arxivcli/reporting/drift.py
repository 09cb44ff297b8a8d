"""The page of a comparison: the verdict, every figure against its limits, and what changed by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from arxivcli import splits
from arxivcli.reporting import findings
from arxivcli.reporting.drift_parts import SIDES, answers, ends, labels, texts, words
from arxivcli.reporting.line_figures import Line, lines
from arxivcli.reporting.page import Card, Page, Section
from arxivcli.reporting.tables import Table, count, papers, percent, signed

if TYPE_CHECKING:
    from arxivcli.steps.drift.report import Drift, Interval, SideReport

COMMAND: Final = "arxivcli drift"
MOST_CARDS: Final = 8
_MEASURES: Final = Table(
    ("shift", "what it is"),
    (
        ("psi", "population stability index of labels or answers, less what chance makes of it"),
        ("ks", "largest gap between the distributions of lengths or confidences"),
        ("auc", "how well a classifier tells the texts of both sides apart; 0.5 is not at all"),
        ("mmd", "maximum mean discrepancy between the texts of both sides, as the model sees them"),
        ("points", "hundredths more words unknown, or fewer answers right"),
    ),
    words=2,
)  # fmt: skip


def page(report: Drift) -> Page:
    """The report of a comparison."""
    parts = (labels, answers, _right, _months, texts, words)
    sections = [_limits(report), *(section for part in parts if (section := part(report)) is not None)]
    if report.not_available:
        why = tuple(f"{what}: {why}." for what, why in report.not_available.items())
        sections.append(Section("What cannot be known", why))
    lead = f"{_side(report.current)} against {_side(report.reference)}; answers of {report.model}."
    return Page(f"Verdict: {report.verdict}", lead, _cards(report), tuple(sections), COMMAND)


def _side(side: SideReport) -> str:
    return f"{side.name} ({papers(side.papers)})"


def _cards(report: Drift) -> tuple[Card, ...]:
    """The figures that make the verdict what it is, the worst first; else how right the answers are."""
    cards = [
        Card(one.figure, findings.shift(one), f"{findings.verdict(one)}, p {findings.p_value(one.p)}")
        for one in report.crossed[:MOST_CARDS]
    ]
    if not cards and report.accuracy is not None:
        found = report.accuracy
        cards.append(
            Card("first answers right", percent(found.current.share), f"{percent(found.reference.share)} before")
        )
    return tuple(cards)


def _limits(report: Drift) -> Section:
    """Every figure against its limits."""
    beyond = len(report.crossed)
    told = (
        f"{beyond or 'None'} of {len(report.findings)} figures count: beyond a limit, and no chance (p-value at most "
        f"{report.significance:g}, corrected for how many figures there are). Beyond the first limit it is some drift, "
        "beyond the second drift."
    )
    text = (told, *_sampled(report.reference, report.current))
    rows = tuple(findings.row(one) for one in report.findings)
    table = Table((*findings.COLUMNS[:-1], "verdict"), rows)
    return Section("Figures and their limits", text, (), (), (("All figures", table), ("Measures", _MEASURES)))


def _sampled(*sides: SideReport) -> list[str]:
    """What is not of all papers."""
    return [
        f"{name.capitalize()}: texts and answers are of a sample of {count(side.sampled)} of its "
        f"{count(side.papers)} papers."
        for name, side in zip(SIDES, sides, strict=True)
        if side.sampled < side.papers
    ] + [
        f"{name.capitalize()}: left out are {', '.join(f'{count(n)} ({why})' for why, n in side.left_out.items())}."
        for name, side in zip(SIDES, sides, strict=True)
        if side.left_out
    ]


def _right(report: Drift) -> Section | None:
    """How often the answers are right, or probably are."""
    rows: list[tuple[str, ...]] = []
    if (found := report.accuracy) is not None:
        sides = (found.reference, found.current)
        shares = [f"{percent(one.share)} ({ends(one.interval, 100, 1)})" for one in sides]
        rows.append(("first answers right", *shares, _change(found.change, found.interval), findings.p_value(found.p)))
        rows.append(("papers judged", *(count(one.papers) for one in sides), "", ""))
        same = found.same_mix
        change = _change(same.change, same.interval)
        name = "right, one mix of labels"
        rows.append((name, percent(same.reference), percent(same.current), change, findings.p_value(same.p)))
    if (reach := report.reach) is not None:
        change = _change(reach.current - reach.reference)
        name = "label can be answered"
        rows.append((name, percent(reach.reference), percent(reach.current), change, findings.p_value(reach.p)))
    if (guess := report.estimate) is not None:
        name = "right, estimated"
        change = _change(guess.change)
        rows.append((name, percent(guess.reference), percent(guess.current), change, findings.p_value(guess.p)))
    if not rows:
        return None
    table = Table(("papers", *SIDES, "change", "p"), tuple(rows))
    text = ["The change is in points. One mix of labels: as if both sides had their labels mixed like the reference."]
    if guess is not None:
        text.append(f"Estimated from the confidences, as if nobody knew the labels, by {guess.method}.")
    return Section("Right answers", tuple(text), (), (), (("With 95 % intervals, where they are known", table),))


def _change(points: float, interval: Interval | None = None) -> str:
    told = signed(100 * points, 1)
    return told if interval is None else f"{told} ({signed(100 * interval[0], 1)} to {signed(100 * interval[1], 1)})"


def _months(report: Drift) -> Section | None:
    """Papers per month on both sides; a month without papers between others has 0."""
    series = {}
    for name, side in zip(SIDES, (report.reference, report.current), strict=True):
        if side.months:
            known = {splits.month(month): number for month, number in side.months.items()}
            every = range(min(known), max(known) + 1)
            series[name] = Line(list(every), [known.get(month, 0) for month in every])
    if len({month for line in series.values() for month in np.asarray(line.x).tolist()}) <= 1:
        return None
    figure = lines(
        "months", "Papers by month", "Of their first versions.", series,
        x=("month", "month"), y=("papers", "count"), floor=0,
    )  # fmt: skip
    return Section("Months", (), (), (figure,))
