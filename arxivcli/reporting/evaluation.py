"""The page of an evaluation: how good, how sure, where wrong, compared with other models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from arxivcli import taxonomy
from arxivcli.printable import shortened
from arxivcli.reporting import calibration_figures, figures, matrices
from arxivcli.reporting.page import Card, Page, Section
from arxivcli.reporting.tables import Table, count, counts, decimals, percent, percents

if TYPE_CHECKING:
    from arxivcli.reporting.drawing import Figure
    from arxivcli.reporting.results import Kind, Measure, Results

NAMES = {
    "top1": "first answer right",
    "top3": "among the first three",
    "top5": "among the first five",
    "any_listed": "first answer is listed",
    "archive": "archive right",
    "macro_f1": "macro F1",
    "nll": "negative log likelihood",
    "ece": "calibration error",
}
"""How figures are called on the page; others by the name they have."""

MOST_CARDS = 8
MOST_TITLES = 3
"""Example titles of a confusion."""

_TITLE = 90  # characters

WORST = 20
"""Labels shown of those with the lowest F1; all are in the last part."""


def page(results: Results) -> Page:
    """The report of an evaluation."""
    parts = (_models, _years, _calibration, _abstention, _slices, _labels, _confusions, _all_labels)
    sections = [section for part in parts if (section := part(results)) is not None]
    weighted = f", weighted to {results.weighted}" if results.weighted else ""
    lead = f"Measured on {count(results.papers)} papers: the {results.split} split of {results.corpus}{weighted}."
    return Page(f"How good {results.model} is", lead, _cards(results), tuple(sections))


def _cards(results: Results) -> tuple[Card, ...]:
    found = []
    for name, models in list(results.measures.items())[:MOST_CARDS]:
        if results.model in models:
            measure, kind = models[results.model], results.kind(name)
            found.append(Card(NAMES.get(name, name), measure.written(kind), measure.interval(kind)))
    return tuple(found)


def _models(results: Results) -> Section | None:
    """All figures of all models beside each other."""
    models = list(dict.fromkeys(model for by_model in results.measures.values() for model in by_model))
    if not models:
        return None
    rows = [
        (NAMES.get(name, name), *(_cell(by_model.get(model), results.kind(name)) for model in models))
        for name, by_model in results.measures.items()
    ]
    text = (results.significance,) if results.significance else ()
    title = "Models compared" if len(models) > 1 else "Figures"
    caption = "With 95 % intervals, where they are known"
    return Section(title, text, (), (), ((caption, Table(("figure", *models), tuple(rows))),))


def _cell(measure: Measure | None, kind: Kind) -> str:
    if measure is None:
        return ""
    interval = measure.interval(kind)
    return f"{measure.written(kind)} ({interval})" if interval else measure.written(kind)


def _years(results: Results) -> Section | None:
    if not results.yearly:
        return None
    series = {model: figures.Line(by.years, by.accuracy, by.low, by.high) for model, by in results.yearly.items()}
    papers = next(iter(results.yearly.values())).papers
    figure = figures.lines(
        "years", "Right first answers by year", "The band is the 95 % interval of each year.", series,
        x=("year", "year"), y=("right", "percent"), papers=papers,
    )  # fmt: skip
    return Section("Years", (), (), (figure,))


def _calibration(results: Results) -> Section | None:
    """Whether confidences mean what they say."""
    drawn: list[Figure] = []
    if results.reliability:
        says = "On the dotted line a confidence means what it says; under it the model is too sure of itself."
        drawn.append(
            calibration_figures.reliability("reliability", "Right answers by confidence", says, results.reliability)
        )
    if results.coverage is not None:
        sets = results.coverage
        says = "Sets of categories hold the paper's own as often as was asked for, or oftener, above the dotted line."
        title = "Coverage achieved"
        drawn.append(calibration_figures.coverage("coverage", title, says, sets.promised, sets.achieved, sets.sizes))
    return Section("Confidence", (), (), tuple(drawn)) if drawn else None


def _abstention(results: Results) -> Section | None:
    if not results.abstention:
        return None
    says = "How many answers are right when only the most confident are given."
    figure = calibration_figures.abstention("abstention", "Fewer answers, better ones", says, results.abstention)
    return Section("Abstention", (), (), (figure,))


def _slices(results: Results) -> Section | None:
    if not results.slices:
        return None
    table = Table.of(
        ("papers", "number", "right", "95 % interval"),
        [some.name for some in results.slices], counts([some.papers for some in results.slices]),
        [some.top1.written() for some in results.slices], [some.top1.interval() for some in results.slices],
    )  # fmt: skip
    return Section("Slices", (), (), (), (("Right first answers among some of the papers", table),))


def _labels(results: Results) -> Section | None:
    """Who is good and who is bad, and who is taken for whom."""
    drawn: list[Figure] = []
    tables: list[tuple[str, Table]] = []
    archives = [taxonomy.parent(label, "archive") or label for label in results.labels]
    if results.per_label is not None:
        f1, support = (np.asarray(values, np.float64) for values in (results.per_label.f1, results.per_label.support))
        worst = [row for row in np.argsort(f1, kind="stable") if support[row] > 0][:WORST]
        tables.append((f"The {len(worst)} with the lowest F1", _label_table(results, worst)))
    if results.confusion is not None:
        cells = np.asarray(results.confusion, np.float64)
        names, number = np.unique(archives, return_inverse=True)
        if 1 < len(names) < len(results.labels):
            member = np.equal.outer(np.arange(len(names)), number).astype(np.float64)
            says = "In hundredths of the row's papers: truth downwards, answers across."
            folded = member @ cells @ member.T
            drawn.append(matrices.matrix("archives", "Archives taken for each other", says, names.tolist(), folded))
        says = "As strong as the share of the row's papers; frames are archives. The table has the largest confusions."
        title = "Labels taken for each other"
        drawn.append(matrices.matrix("labels", title, says, results.labels, cells, groups=archives))
    if not drawn and not tables:
        return None
    return Section("Labels", (), (), tuple(drawn), tuple(tables))


def _label_table(results: Results, rows: list[int]) -> Table:
    found = results.per_label
    if found is None:
        return Table((), ())
    columns = [np.asarray(v, np.float64)[rows] for v in (found.precision, found.recall, found.f1, found.support)]
    return Table.of(
        ("label", "name", "precision", "recall", "F1", "papers"),
        [results.labels[row] for row in rows], [taxonomy.name(results.labels[row]) for row in rows],
        percents(columns[0]), percents(columns[1]), decimals(columns[2]), counts(columns[3]), words=2,
    )  # fmt: skip


def _confusions(results: Results) -> Section | None:
    """The most frequent mistakes with titles of papers."""
    if not results.confusions:
        return None
    rows = tuple(
        (
            one.truth,
            one.answer,
            " · ".join(shortened(title, _TITLE) for title in one.titles[:MOST_TITLES]),
            count(one.papers),
            percent(one.share),
        )
        for one in results.confusions
    )
    table = Table(("truth", "answer", "for example", "papers", "of the truth's"), rows, words=3)
    return Section(
        "Most frequent confusions", (), (), (), (("The papers' own category, and what was answered", table),)
    )


def _all_labels(results: Results) -> Section | None:
    if results.per_label is None:
        return None
    f1, support = np.asarray(results.per_label.f1, np.float64), np.asarray(results.per_label.support, np.float64)
    some = [int(row) for row in np.flatnonzero(support > 0)]
    figure = figures.bars(
        "f1", "F1 of each label", "The harmonic mean of precision and recall.",
        [results.labels[row] for row in some], f1[some], kind="decimal", columns=("label", "F1"),
        names=[taxonomy.name(results.labels[row]) for row in some],
    )  # fmt: skip
    table = _label_table(results, list(range(len(results.labels))))
    return Section("Every label", (), (), (figure,), (("Precision, recall, F1", table),), folded=True)
