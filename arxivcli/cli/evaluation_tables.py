"""An evaluation for the eye: the headline first, one screen; more tables and papers when they are asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from arxivcli.cli import console
from arxivcli.printable import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arxivcli.metrics.bootstrap import Estimate
    from arxivcli.metrics.slices import LabelRow, Slice
    from arxivcli.steps.evaluation.report import Evaluation, ModelReport

MEANINGS: Final = {
    "top1": "primary category is the first answer",
    "top3": "... among the first three",
    "top5": "... among the first five",
    "any_listed": "first answer is any of its categories",
    "archive": "first answer is of the right archive",
    "group": "... of the right group",
    "macro_f1": "F1, categories alike",
    "weighted_f1": "F1, categories by their papers",
    "mrr": "mean of 1 / place of the primary",
    "nll": "negative log likelihood, nats",
    "brier": "squared error of probabilities, 0 to 2",
    "ece": "gap of confidence and accuracy",
    "ece_before": "... before calibration",
    "coverage": "sets that hold the primary",
    "set_size": "categories in a set, mean",
}
_PLAIN: Final = frozenset({"mrr", "nll", "brier", "ece", "ece_before", "set_size"})
"""Figures that are no percentages."""

_WIDE: Final = 100
"""Columns of a terminal from which meanings and bars are shown."""

_BAR: Final = 20
_MANY: Final = 2
"""From so many models on, each has a column."""

_SLICES: Final = {
    "archive": "per_archive", "year": "per_year", "month": "per_month", "length": "per_length",
    "listing": "per_listing",
}  # fmt: skip
_HEADS: Final = {"length": "characters of the abstract", "listing": "categories"}


def show(report: Evaluation, by: Sequence[str]) -> None:
    """Print it; a test of tomorrow begins with the accuracy over time, unless that is asked for anyway."""
    for line in _headline(report):
        _say(line, "bold")
    if report.by_time and not set(by) & {"year", "month"}:
        _show_by(report, "year" if len(report.models[0].per_year) > 1 else "month")
    _show_figures(report)
    for line in _afterwards(report):
        _say(line)
    for what in by:
        _show_by(report, what)
    if report.question.show and not report.shown:
        console.show_line(f"there is no paper to show: {report.question.show_what}")
    if report.shown:
        from arxivcli.cli import paper_cards

        paper_cards.show(report)


def caveats(report: Evaluation) -> Iterator[str]:
    """What should be known before the figures are believed."""
    for model in report.models:
        for caveat in model.caveats:
            yield f"{model.name}: {caveat}"


def _headline(report: Evaluation) -> Iterator[str]:
    worth = f"as telling as {report.effective:,.0f} that count alike"
    mix = f", weighted to arXiv's mix: {worth}" if report.question.weights == "arxiv" else ""
    prior = f"; probabilities for the mix {report.question.prior}" if report.question.prior else ""
    yield f"{report.papers:,} papers of {report.corpus}, {report.question.split}{mix}{prior}"
    for reason, papers in report.left_out.items():
        yield f"{papers:,} others have {reason} and are left out"
    for model in report.models:
        top1 = model.whole.top1
        yield (
            f"{model.name}: {_number('top1', top1.value)} right ({_interval('top1', top1)}), "
            f"{_number('top3', model.whole.top3.value)} among three, "
            f"{_number('top1', model.title_only.top1.value)} by title"
        )


def _show_figures(report: Evaluation) -> None:
    if len(report.models) >= _MANY:
        return _show_side_by_side(report)
    [model] = report.models
    titles = model.title_only.figures()
    rows = [
        (name, _number(name, figure.value), _interval(name, figure), _number(name, titles[name].value), MEANINGS[name])
        for name, figure in model.whole.figures().items()
    ]
    columns = ("figure", "value", "95 % interval", "title only", "meaning")
    shown = len(columns) if console.width() >= _WIDE else -1
    return console.show_table(
        columns[:shown], [row[:shown] for row in rows], numbers=("value", "95 % interval", "title only")
    )


def _show_side_by_side(report: Evaluation) -> None:
    """A column for each model; with two, one more for their difference."""
    names = [model.name for model in report.models]
    figures = [model.whole.figures() for model in report.models]
    titles = [model.title_only.top1 for model in report.models]
    wide = console.width() >= _WIDE
    every = [name for name in MEANINGS if any(name in found for found in figures)]
    rows = [[name, *(_cell(name, found.get(name), wide=wide) for found in figures)] for name in every]
    rows.append(["title_top1", *(_cell("top1", found, wide=wide) for found in titles)])
    columns = ["figure", *names]
    if len(names) == _MANY:
        differences = report.comparisons[0].differences
        columns.append("difference")
        for row in rows:
            row.append(_cell(row[0], differences.get(row[0]), signed=True))
    console.show_table(columns, rows, numbers=columns[1:])


def _cell(name: str, figure: Estimate | None, signed: bool = False, wide: bool = True) -> str:
    if figure is None:
        return ""
    if not wide:
        return _number(name, figure.value, signed)
    return f"{_number(name, figure.value, signed)} ({_interval(name, figure, signed)})"


def _afterwards(report: Evaluation) -> Iterator[str]:
    for found in report.comparisons:
        verdict = f"{found.better} is better" if found.better else "no difference that these papers could tell"
        yield (
            f"{found.second} against {found.first}: {verdict}; only one right: {found.only_second:,} against "
            f"{found.only_first:,}, McNemar p = {found.mcnemar_exact:.2g} (mid-p {found.mcnemar_midp:.2g})"
        )
    for model in report.models:
        before = f"{model.name}: " if len(report.models) > 1 else ""
        if model.covered:
            asked = model.covered[0]
            yield (
                f"{before}sets promised to hold {100 * asked.promised:g} % hold {_number('coverage', asked.achieved)}; "
                f"half of them are of {asked.median_size} or fewer"
            )
        else:
            yield f"{before}no conformal quantiles, so no sets"
        worst = ", ".join(f"{c.truth} as {c.answered} {c.papers:,.0f}" for c in model.confusions[:3])
        yield f"{before}most confused: {worst or 'nothing'}; suspected label errors: {model.suspected:,}"


def _show_by(report: Evaluation, what: str) -> None:
    if what == "category":
        _show_labels(report)
    elif what in _SLICES:
        _show_slices(report, what)
    else:
        for model in report.models:
            if len(report.models) > 1:
                console.show_line(model.name)
            {"coverage": _show_coverage, "abstention": _show_abstention, "confusion": _show_confusions}[what](model)


def _show_labels(report: Evaluation) -> None:
    names = [model.name for model in report.models]
    first = report.models[0]
    if len(names) == 1:
        columns = ["category", "papers", "answered", "precision", "recall", "F1", "95 % interval"]
        rows: list[tuple[str, ...]] = [
            (r.label, f"{r.papers:,}", f"{r.answered:,.0f}", f"{r.precision:.3f}", f"{r.recall:.3f}", *_f1(r))
            for r in first.per_label
        ]
    else:
        columns = ["category", "papers", *(f"F1 of {name}" for name in names)]
        found = [{row.label: row for row in model.per_label} for model in report.models]
        labels = sorted({label for rows in found for label in rows})
        rows = [
            (
                label,
                f"{max(rows[label].papers for rows in found if label in rows):,}",
                *(f"{value} ({ends})" for value, ends in (_f1(rows.get(label)) for rows in found)),
            )
            for label in labels
        ]
    console.show_table(columns, rows, numbers=columns[1:])


def _f1(row: LabelRow | None) -> tuple[str, str]:
    """F1 and its interval; a label that nothing has and no answer is has none."""
    return ("", "") if row is None else (f"{row.f1.value:.3f}", f"{row.f1.low:.3f} to {row.f1.high:.3f}")


def _show_slices(report: Evaluation, what: str) -> None:
    head = _HEADS.get(what, what)
    found: list[tuple[Slice, ...]] = [getattr(model, _SLICES[what]) for model in report.models]
    if len(found) > 1:
        columns = [head, "papers", *(model.name for model in report.models)]
        rows = [
            (parts[0].name, f"{parts[0].papers:,}", *(_cell("top1", part.top1) for part in parts))
            for parts in zip(*found, strict=True)
        ]
        return console.show_table(columns, rows, numbers=columns[1:])
    columns = [head, "papers", "top1", "95 % interval", "top3", "confidence", "coverage", "set size"]
    numbers = columns[1:]
    bars = console.width() >= _WIDE
    rows = [(*_slice(part), *([_bar(part.top1.value)] if bars else [])) for part in found[0]]
    return console.show_table([*columns, *([""] if bars else [])], rows, numbers=numbers)


def _slice(part: Slice) -> tuple[str, ...]:
    return (
        part.name,
        f"{part.papers:,}",
        _number("top1", part.top1.value),
        _interval("top1", part.top1),
        _number("top3", part.top3),
        _number("top1", part.confidence),
        "" if part.coverage is None else _number("coverage", part.coverage.value),
        "" if part.set_size is None else f"{part.set_size:.1f}",
    )


def _show_coverage(model: ModelReport) -> None:
    rows = [
        (f"{c.promised:g}", _number("coverage", c.achieved), f"{c.mean_size:.2f}", c.median_size)
        for c in sorted(set(model.covered), key=lambda c: c.promised)
    ]
    columns = ("promised", "achieved", "mean size", "median size")
    console.show_table(columns, rows, numbers=columns)


def _show_abstention(model: ModelReport) -> None:
    found = model.abstention
    curve = (column.tolist() for column in (found.answered, found.accuracy, found.confidence))
    rows = [[_number("top1", number) for number in point] for point in dict.fromkeys(zip(*curve, strict=True))]
    columns = ("answered", "right", "confidence from")
    console.show_table(columns, rows, numbers=columns)


def _show_confusions(model: ModelReport) -> None:
    for found in model.confusions:
        share, listed = _number("top1", found.share), _number("top1", found.listed)
        _say(
            f"{found.truth} as {found.answered}: {found.papers:,.0f}, {share} of {found.truth}; "
            f"{listed} of them are cross-listed to it",
            "bold",
        )
        for example in found.examples:
            _say(f"  {example.id}  {example.title}")


def _say(line: str, style: str = "") -> None:
    """A line of words; a terminal breaks it between them."""
    from rich.text import Text

    console.show(Text(escaped(line), style=style))


def _number(name: str, value: float, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if name in _PLAIN:
        return f"{value:{sign}.{2 if name == 'set_size' else 4}f}"
    return f"{100 * value:{sign}.1f}" + ("" if signed else " %")


def _interval(name: str, figure: Estimate, signed: bool = False) -> str:
    return " to ".join(_number(name, end, signed).removesuffix(" %") for end in (figure.low, figure.high))


def _bar(share: float) -> str:
    sign = "━" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    return sign * round(share * _BAR)
