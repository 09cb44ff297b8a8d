"""What a page tells of labels: which are answered badly, what they are taken for, and which look wrong themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from arxivcli import taxonomy
from arxivcli.printable import shortened
from arxivcli.reporting import figures, matrices
from arxivcli.reporting.page import Section
from arxivcli.reporting.tables import Table, count, counts, decimals, percent, percents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.reporting.drawing import Figure
    from arxivcli.reporting.results import Labels, Results

MOST_TITLES: Final = 3
"""Example titles of a confusion."""

WORST: Final = 20
"""Labels shown of those with the lowest F1; all are in the last part."""

OTHERS: Final = "others"
"""Answers that are the label of no paper, together."""

_TITLE: Final = 90  # characters
_NUMBERED: Final = "In hundredths of the row's papers: truth downwards, answers across."
_HEAT: Final = "As strong as the share of the row's papers; frames are archives. The table has the largest confusions."


def sections(results: Results) -> list[Section]:
    """The parts of each model, those of the second and later models folded, and every label at the end."""
    found = []
    for number, model in enumerate(results.models):
        parts = (_labels(results, model, number), _confusions(results, model), _suspects(results, model))
        found += [part for part in parts if part is not None]
    every = _all_labels(results)
    return [*found, every] if every is not None else found


def _headed(results: Results, title: str, model: str) -> tuple[str, bool]:
    """A part's title with its model, where there are several, and whether the part is folded."""
    several = len(results.models) > 1
    return (f"{title}: {model}" if several else title), model != results.model


def _labels(results: Results, model: str, number: int) -> Section | None:
    """Who is good and who is bad, and who is taken for whom."""
    drawn: list[Figure] = []
    tables: list[tuple[str, Table]] = []
    if model in results.per_label:
        found = results.per_label[model]
        f1, support = (np.asarray(values, np.float64) for values in (found.f1, found.support))
        worst = [row for row in np.argsort(f1, kind="stable") if support[row] > 0][:WORST]
        tables.append((f"The {len(worst)} with the lowest F1", _label_table(results.labels, found, worst)))
    if model in results.confusion or model in results.archive_confusion:
        drawn += _matrices(results, model, f"-{number + 1}" if number else "")
    title, folded = _headed(results, "Labels", model)
    return Section(title, (), (), tuple(drawn), tuple(tables), folded) if drawn or tables else None


def _matrices(results: Results, model: str, suffix: str) -> list[Figure]:
    """Archives taken for each other, where labels are finer than these, and labels."""
    found = []
    if model in results.archive_confusion and results.archives != results.labels:
        names, cells = _gathered(results.archives, np.asarray(results.archive_confusion[model], np.float64))
        if len(names) > 1:
            found.append(matrices.matrix(f"archives{suffix}", "Archives taken for each other", _NUMBERED, names, cells))
    if model in results.confusion:
        names, cells = _gathered(results.labels, np.asarray(results.confusion[model], np.float64))
        if len(names) == 1:
            return found
        says = _NUMBERED if len(names) <= matrices.MOST_NUMBERS else _HEAT
        archives = [taxonomy.parent(label, "archive") or label for label in names]
        title = "Labels taken for each other"
        found.append(matrices.matrix(f"labels{suffix}", title, says, names, cells, groups=archives))
    return found


def _gathered(labels: tuple[str, ...], cells: NDArray[np.float64]) -> tuple[list[str], NDArray[np.float64]]:
    """Labels that papers have and how they are answered, with answers that no paper has together as OTHERS."""
    rows = cells.sum(axis=1) > 0
    shown, others = [label for label, some in zip(labels, rows, strict=True) if some], cells[rows][:, ~rows].sum(axis=1)
    inside = cells[rows][:, rows]
    if not others.any():
        return shown, inside
    size = len(shown) + 1
    found = np.zeros((size, size))
    found[:-1, :-1], found[:-1, -1] = inside, others
    return [*shown, OTHERS], found


def _label_table(labels: tuple[str, ...], found: Labels, rows: list[int]) -> Table:
    columns = [np.asarray(v, np.float64)[rows] for v in (found.precision, found.recall, found.f1, found.support)]
    return Table.of(
        ("label", "name", "precision", "recall", "F1", "papers"),
        [labels[row] for row in rows], [taxonomy.name(labels[row]) for row in rows],
        percents(columns[0]), percents(columns[1]), decimals(columns[2]), counts(columns[3]), words=2,
    )  # fmt: skip


def _confusions(results: Results, model: str) -> Section | None:
    """The most frequent mistakes with titles of papers."""
    if not results.confusions.get(model):
        return None
    rows = tuple(
        (
            one.truth,
            one.answer,
            " · ".join(shortened(title, _TITLE) for title in one.titles[:MOST_TITLES]),
            count(one.papers),
            percent(one.share),
        )
        for one in results.confusions[model]
    )
    table = Table(("truth", "answer", "for example", "papers", "of the truth's"), rows, words=3)
    title, folded = _headed(results, "Most frequent confusions", model)
    return Section(title, (), (), (), (("The papers' own label, and what was answered", table),), folded)


def _suspects(results: Results, model: str) -> Section | None:
    """Papers whose own label looks wrong."""
    if not results.suspects.get(model):
        return None
    suspects = results.suspects[model]
    rows = tuple(
        (shortened(one.title, _TITLE), one.categories, one.suggested, percent(one.confidence)) for one in suspects
    )
    table = Table(("paper", "its labels", "suggested", "confidence"), rows, words=3)
    every = results.suspected.get(model, len(suspects))
    text = "The model is surer of another label, none of the paper's, than it usually is of papers that have it."
    caption = f"The most suspicious {len(rows)} of {count(every)}" if every > len(rows) else f"All {len(rows)}"
    title, folded = _headed(results, "Labels that look wrong", model)
    return Section(title, (text,), (), (), ((caption, table),), folded)


def _all_labels(results: Results) -> Section | None:
    """Every label that is anywhere: F1 as bars and precision, recall, F1 in a table for each model."""
    if not results.per_label:
        return None
    first = next(iter(results.per_label.values()))
    support = np.asarray(first.support, np.float64)
    some = [int(row) for row in np.flatnonzero(support > 0)]
    names = [taxonomy.name(results.labels[row]) for row in some]
    drawn, tables = [], []
    for number, (model, found) in enumerate(results.per_label.items()):
        whose = f": {model}" if len(results.per_label) > 1 else ""
        f1 = np.asarray(found.f1, np.float64)
        drawn.append(
            figures.bars(
                f"f1-{number + 1}" if number else "f1",
                f"F1 of each label{whose}",
                "The harmonic mean of precision and recall.",
                [results.labels[row] for row in some],
                f1[some],
                kind="decimal",
                columns=("label", "F1"),
                names=names,
            )
        )
        known = [int(row) for row in np.flatnonzero(np.isfinite(f1))]
        tables.append((f"Precision, recall, F1{whose}", _label_table(results.labels, found, known)))
    return Section("Every label", (), (), tuple(drawn), tuple(tables), folded=True)
