"""What the page of a comparison tells of labels, answers, texts and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from arxivcli import taxonomy
from arxivcli.reporting import figures, findings
from arxivcli.reporting.drawing import Figure
from arxivcli.reporting.page import Section
from arxivcli.reporting.tables import Table, count, counts, decimal, decimals, percent, percents, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from arxivcli.reporting.marks import Kind
    from arxivcli.steps.drift.report import Drift, Interval, LabelShift, NumberShift, VectorShift, WordRow

SIDES: Final = ("reference", "current")
MOST_LABELS: Final = 15
"""Labels drawn, those that changed most."""

MOST_WORDS: Final = 12
"""Words drawn of those that grew and of those that shrank."""

_NAMED: Final = 12  # labels in a sentence
_TAIL: Final = "What is longer than the scale counts at its end."
_HALF: Final = "The other half of the reference beside the current side."


def ends(interval: Interval, times: float = 1.0, digits: int = 2) -> str:
    """`0.95 to 1.20`."""
    return f"{decimal(times * interval[0], digits)} to {decimal(times * interval[1], digits)}"


def _both(reference: ArrayLike, current: ArrayLike) -> dict[str, ArrayLike]:
    return dict(zip(SIDES, (reference, current), strict=True))


def labels(report: Drift) -> Section | None:
    """How the mix of the papers' own labels changed."""
    if report.labels is None:
        return None
    return _mix("Labels", "labels", "The papers' own labels.", report.labels)


def answers(report: Drift) -> Section | None:
    """How the mix of answers changed, and the confidence in them."""
    if report.predictions is None:
        return None
    unanswered = report.predictions.unanswered
    none = f" {count(unanswered[0])} and {count(unanswered[1])} papers have no answer." if any(unanswered) else ""
    section = _mix("Answers", "answers", f"First answers of {report.model}.{none}", report.predictions.labels)
    says = "Of the first answers."
    confidence = _histogram("confidence", "Confidence", says, report.predictions.confidence, ("confidence", "percent"))
    return Section(section.title, section.text, (), (*section.figures, confidence), section.tables)


def _mix(title: str, name: str, text: str, shift: LabelShift) -> Section:
    """How a mix of labels changed: the labels that add most, before and after."""
    rows = [row for row in shift.rows if row.psi > 0][:MOST_LABELS]
    chance = (
        f"Population stability index {decimal(shift.psi)}, of which chance explains {decimal(shift.psi_by_chance)}; "
        f"Jensen-Shannon distance {decimal(shift.distance)}; Cramér's V {decimal(shift.cramers_v)}."
    )
    changes = [
        f"{what}: {', '.join(names[:_NAMED])}{f', and {len(names) - _NAMED} more' if len(names) > _NAMED else ''}."
        for what, names in (
            ("Grew", shift.grew), ("Shrank", shift.shrank), ("New", shift.new), ("Vanished", shift.vanished),
        ) if names
    ]  # fmt: skip
    if not rows:
        return Section(title, (text, chance, "The mix is the same on both sides."))
    labels = [row.label for row in rows]
    most = sorted(shift.rows, key=lambda row: -row.psi)[:MOST_LABELS]
    drawn = (
        figures.grouped(
            f"{name}-shares", "Shares before and after", "Those that changed the mix most, the first most.", labels,
            _both([row.reference_share for row in rows], [row.current_share for row in rows]),
        ),
        figures.bars(
            f"{name}-psi", "What each adds to the stability index", "The sum over all labels is the index itself.",
            [row.label for row in most], [row.psi for row in most], kind="decimal", columns=("label", "psi"),
            names=[taxonomy.name(row.label) for row in most],
        ),
    )  # fmt: skip
    table = Table.of(
        ("label", "name", "reference", "current", "ratio", "95 % interval", "p"),
        labels, [taxonomy.name(label) for label in labels],
        percents([row.reference_share for row in rows], 2), percents([row.current_share for row in rows], 2),
        decimals([row.ratio for row in rows], 2), [ends(row.ratio_interval) for row in rows],
        [findings.p_value(row.p) for row in rows], words=2,
    )  # fmt: skip
    caption = f"The {len(rows)} that changed most" if len(rows) < len(shift.rows) else "All of them"
    return Section(title, (text, chance, *changes), (), drawn, ((caption, table),))


def texts(report: Drift) -> Section:
    """Lengths of texts and words nobody knew."""
    text = report.text
    drawn = [
        _histogram("title-words", "Words of a title", _TAIL, text.title_words, ("words", "count")),
        _histogram("abstract-words", "Words of an abstract", _TAIL, text.abstract_words, ("words", "count")),
    ]
    unknown = (
        ("unknown-words", "Words half of the reference does not have", _HALF, text.unknown_words),
        ("unknown-to-model", "Words the model does not know", "Of each paper's words.", text.unknown_to_model),
    )  # fmt: skip
    drawn += [
        _histogram(name, title, says, found, ("share of a paper's words", "percent"))
        for name, title, says, found in unknown if found is not None
    ]  # fmt: skip
    bare = " and ".join(percent(share) for share in text.without_abstract)
    says = f"Papers without an abstract, reference and current: {bare}."
    told = (says,) if report.vectors is None else (says, _apart(report.vectors))
    return Section("Texts", told, (), tuple(drawn))


def _apart(vectors: VectorShift) -> str:
    """How well the texts can be told apart, as the model sees them."""
    before, after = vectors.papers
    return (
        f"A classifier that reads the {vectors.of} ({count(before)} and {count(after)} papers) tells the sides apart "
        f"with an area under the curve of {decimal(vectors.area)}, where 0.5 is chance; their maximum mean discrepancy "
        f"is {decimal(vectors.discrepancy)}."
    )


def _histogram(name: str, title: str, says: str, shift: NumberShift, x: tuple[str, Kind]) -> Figure:
    """Shares of papers by a number of each, on both sides; means are in what is said."""
    sides = np.array([shift.reference, shift.current], np.float64)
    filled = int(np.flatnonzero(sides.any(axis=0)).max(initial=0)) + 1
    edges = np.asarray(shift.edges)[: filled + 1]
    shares = sides[:, :filled] / np.maximum(sides.sum(axis=1, keepdims=True), 1)
    means = (
        [percent(mean) for mean in (shift.reference_mean, shift.current_mean)]
        if x[1] == "percent"
        else decimals([shift.reference_mean, shift.current_mean], 1)
    )
    told = f"Mean {means[0]}, then {means[1]}. {says}"
    return figures.histogram(name, title, told, edges, _both(*shares), x=x)


def words(report: Drift) -> Section | None:
    """Words that came and went."""
    text = report.text
    kinds = (
        ("grown", "Words that grew", text.grown), ("shrunk", "Words that shrank", text.shrunk),
        ("grown-pairs", "Pairs of words that grew", text.grown_pairs),
        ("shrunk-pairs", "Pairs of words that shrank", text.shrunk_pairs),
    )  # fmt: skip
    drawn = [_word_figure(name, title, rows) for name, title, rows in kinds if rows]
    if not drawn:
        return None
    says = "Words whose share of papers changed by more than chance explains, the most certain first."
    return Section("Words", (says,), (), tuple(drawn))


def _word_figure(name: str, title: str, rows: Sequence[WordRow]) -> Figure:
    """Shares before and after of the first, and all of them as its table."""
    some = rows[:MOST_WORDS]
    shares = ([row.reference_share for row in some], [row.current_share for row in some])
    says = "Share of the papers that have them."
    figure = figures.grouped(name, title, says, [row.words for row in some], _both(*shares))
    table = Table.of(
        ("words", *SIDES, "papers before", "papers after", "log odds", "z"),
        [row.words for row in rows], percents([row.reference_share for row in rows], 2),
        percents([row.current_share for row in rows], 2), counts([row.reference for row in rows]),
        counts([row.current for row in rows]), [signed(row.log_odds) for row in rows],
        [signed(row.z, 1) for row in rows],
    )  # fmt: skip
    return Figure(name, title, says, table, figure.draw)
