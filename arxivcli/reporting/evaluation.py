"""The page of an evaluation: how good, how sure, where wrong, compared with other models."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from arxivcli.reporting import calibration_figures, evaluation_labels, figures
from arxivcli.reporting.line_figures import Line, lines
from arxivcli.reporting.marks import MOST_SERIES
from arxivcli.reporting.page import Card, Page, Section
from arxivcli.reporting.tables import Table, counts, papers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arxivcli.reporting.drawing import Figure
    from arxivcli.reporting.results import Kind, Measure, Periods, Results

COMMAND = "arxivcli eval"
NAMES = {
    "top1": "first answer right",
    "top3": "among the first three",
    "top5": "among the first five",
    "any_listed": "first answer is listed",
    "archive": "archive right",
    "group": "group right",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "mrr": "mean reciprocal rank",
    "nll": "negative log likelihood",
    "brier": "Brier score",
    "ece": "calibration error",
    "ece_before": "uncalibrated error",
    "coverage": "sets hold the primary",
    "set_size": "labels in a set",
}
"""How figures are called on the page; others by the name they have."""

MOST_CARDS = 8
_Found = TypeVar("_Found")


def page(results: Results) -> Page:
    """The report of an evaluation."""
    parts = (_models, _times, _calibration, _abstention, _slices)
    sections = [section for part in parts if (section := part(results)) is not None]
    sections += evaluation_labels.sections(results)
    weighted = f", weighted to {results.weighted}" if results.weighted else ""
    lead = f"Measured on {papers(results.papers)}: the {results.split} split of {results.corpus}{weighted}."
    *others, last = results.models
    title = f"{', '.join(others)} and {last} compared" if others else f"How good {last} is"
    return Page(title, lead, _cards(results), tuple(sections), COMMAND)


def _cards(results: Results) -> tuple[Card, ...]:
    """The first figures of the one model, or the first figure of each."""
    found = []
    for name, models in results.measures.items():
        kind = results.kind(name)
        for model, measure in models.items():
            what = NAMES.get(name, name) if len(results.models) == 1 else f"{model}: {NAMES.get(name, name)}"
            found.append(Card(what, measure.written(kind), measure.interval(kind)))
        if len(results.models) > 1:
            break
    return tuple(found[:MOST_CARDS])


def _models(results: Results) -> Section | None:
    """All figures of all models beside each other, of whole papers and of titles alone."""
    views = (
        ("With 95 % intervals, where they are known", results.measures, results.differences),
        ("From titles alone", results.title_measures, results.title_differences),
    )
    tables = [(caption, _figures(results, found, less)) for caption, found, less in views if found]
    if not tables:
        return None
    title = "Models compared" if len(results.models) > 1 else "Figures"
    return Section(title, (*results.significance, *results.remarks), (), (), tuple(tables))


def _figures(
    results: Results, measures: Mapping[str, Mapping[str, Measure]], differences: Mapping[str, Measure]
) -> Table:
    """A column for each model; with two, one more for their difference."""
    rows = [
        (
            NAMES.get(name, name),
            *(_cell(by_model.get(model), results.kind(name)) for model in results.models),
            *((differences[name].change(results.kind(name)) if name in differences else "",) if differences else ()),
        )
        for name, by_model in measures.items()
    ]
    return Table(("figure", *results.models, *(("difference",) if differences else ())), tuple(rows))


def _cell(measure: Measure | None, kind: Kind) -> str:
    if measure is None:
        return ""
    interval = measure.interval(kind)
    return f"{measure.written(kind)} ({interval})" if interval else measure.written(kind)


def _drawable(by_model: Mapping[str, _Found]) -> dict[str, _Found]:
    """Of so many models as can be told apart in one figure."""
    return dict(islice(by_model.items(), MOST_SERIES))


def _whose(results: Results) -> tuple[str, ...]:
    """What figures leave out."""
    return (f"Figures are of the first {MOST_SERIES} models.",) if len(results.models) > MOST_SERIES else ()


def _times(results: Results) -> Section | None:
    """Right answers by year and by month."""
    drawn = [
        _over_time(name, f"Right first answers by {name[:-1]}", name[:-1], found)
        for name, found in (("years", results.yearly), ("months", results.monthly)) if found
    ]  # fmt: skip
    return Section("Time", _whose(results), (), tuple(drawn)) if drawn else None


def _over_time(name: str, title: str, unit: str, found: Mapping[str, Periods]) -> Figure:
    series = {model: Line(by.times, by.accuracy, by.low, by.high) for model, by in _drawable(found).items()}
    below = next(iter(found.values())).papers
    return lines(
        name, title, f"The band is the 95 % interval of each {unit}.", series,
        x=(unit, "year" if unit == "year" else "month"), y=("right", "percent"), papers=below,
    )  # fmt: skip


def _calibration(results: Results) -> Section | None:
    """Whether confidences mean what they say."""
    drawn: list[Figure] = []
    if results.reliability:
        says = "On the dotted line a confidence means what it says; under it the model is too sure of itself."
        series = _drawable(results.reliability)
        drawn.append(calibration_figures.reliability("reliability", "Right answers by confidence", says, series))
    if results.coverage:
        says = "Sets of labels hold the paper's own as often as was asked for, or oftener, above the dotted line."
        series_of_sets = _drawable(results.coverage)
        drawn.append(calibration_figures.coverage("coverage", "Coverage achieved", says, series_of_sets))
    for number, (model, sizes) in enumerate(_drawable(results.set_sizes).items()):
        whose = f": {model}" if len(results.set_sizes) > 1 else ""
        name = f"set-sizes-{number + 1}" if number else "set-sizes"
        shares = np.asarray(sizes, np.float64)
        drawn.append(
            figures.stacked(
                name,
                f"Labels in a set{whose}",
                "The fewer, the more a set tells.",
                np.arange(len(shares)) - 0.5,
                {"papers": shares},
                axis="labels in a set",
                kind="percent",
                column="labels",
                named=lambda start: f"{start + 0.5:.0f}",
            )
        )
    return Section("Confidence", _whose(results), (), tuple(drawn)) if drawn else None


def _abstention(results: Results) -> Section | None:
    if not results.abstention:
        return None
    says = "How many answers are right when only the most confident are given."
    series = _drawable(results.abstention)
    figure = calibration_figures.abstention("abstention", "Fewer answers, better ones", says, series)
    return Section("Abstention", _whose(results), (), (figure,))


def _slices(results: Results) -> Section | None:
    if not results.slices:
        return None
    tables = []
    for what, rows in results.slices.items():
        models = [[_cell(row.top1.get(model), "percent") for row in rows] for model in results.models]
        head = ("papers", "number", *(results.models if len(models) > 1 else ["right"]))
        names, numbers = [row.name for row in rows], counts([row.papers for row in rows])
        tables.append((f"By {what}", Table.of(head, names, numbers, *models)))
    text = ("Right first answers among some of the papers, with 95 % intervals.",)
    return Section("Slices", text, (), (), tuple(tables))
