"""From the report of an evaluation to what its page is made from; every number is the report's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from arxivcli import splits
from arxivcli.reporting.calibration_figures import Coverage, Reliability
from arxivcli.reporting.line_figures import Line
from arxivcli.reporting.results import Confusion, Labels, Measure, Periods, Results, Slice, Suspect
from arxivcli.reporting.tables import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from arxivcli.metrics import reliability, slices
    from arxivcli.metrics.bootstrap import Estimate
    from arxivcli.metrics.pairs import Comparison
    from arxivcli.steps.evaluation.report import Evaluation, ModelReport

MOST_SUSPECTS: Final = 20
"""Shown of each model; the review list has more."""

LEAST_A_MONTH: Final = 20
"""Papers of the middle month, below which a line by month would show chance."""

_SMALL: Final = 0.001
_FIRST: Final = ("top1", "top3", "any_listed", "archive", "macro_f1", "ece", "coverage", "set_size")
_DECIMAL: Final = ("mrr", "nll", "brier", "ece", "ece_before", "set_size")
_SLICES: Final = {
    "archive": "per_archive", "year": "per_year", "characters of the abstract": "per_length",
    "number of categories": "per_listing",
}  # fmt: skip


def results(report: Evaluation) -> Results:
    """What the page shows of one or several models on the same papers."""
    models = {model.name: model for model in report.models}
    first = report.models[0]
    differences = report.comparisons[0].differences if len(report.comparisons) == 1 else {}
    return Results(
        model=first.name,
        corpus=report.corpus,
        split=report.question.split,
        papers=report.papers,
        weighted="arXiv's own mix of labels" if report.question.weights == "arxiv" else "",
        remarks=tuple(_remarks(report)),
        measures=_measures({name: model.whole.figures() for name, model in models.items()}),
        title_measures=_measures({name: model.title_only.figures() for name, model in models.items()}),
        differences={name: _measure(found) for name, found in differences.items() if not name.startswith("title_")},
        title_differences={
            name.removeprefix("title_"): _measure(found)
            for name, found in differences.items() if name.startswith("title_")
        },
        decimal_measures=_DECIMAL,
        significance=tuple(_significance(found) for found in report.comparisons),
        labels=report.labels,
        archives=report.archives,
        archive_confusion={name: model.archive_confusion for name, model in models.items()},
        confusion={name: model.confusion for name, model in models.items()},
        per_label={name: _labels(model.per_label, report.labels) for name, model in models.items()},
        reliability=_reliability(report.models),
        coverage={name: _coverage(model) for name, model in models.items() if model.covered},
        set_sizes={name: model.set_sizes for name, model in models.items() if len(model.set_sizes)},
        yearly=_periods(models, lambda model: model.per_year, int),
        monthly=_periods(models, lambda model: model.per_month, splits.month, LEAST_A_MONTH),
        abstention={
            name: Line(model.abstention.answered, model.abstention.accuracy)
            for name, model in models.items() if len(set(model.abstention.answered.tolist())) > 1
        },
        confusions={name: tuple(_confusions(model)) for name, model in models.items()},
        suspects={name: tuple(_suspects(model)) for name, model in models.items()},
        suspected={name: model.suspected for name, model in models.items()},
        slices={what: rows for what, field in _SLICES.items() if len(rows := _slices(models, field)) > 1},
    )  # fmt: skip


def _remarks(report: Evaluation) -> Iterator[str]:
    """What should be known before the figures are believed."""
    if report.by_time:
        yield "The papers are newer than those the corpus has for training: a test of tomorrow."
    if report.question.weights == "arxiv":
        yield f"Weighted, the papers tell as much as {count(report.effective)} that count alike."
    for reason, papers in report.left_out.items():
        yield f"Left out: {count(papers)} with {reason}."
    for model in report.models:
        for caveat in model.caveats:
            yield f"{model.name}: {caveat}."


def _measure(found: Estimate) -> Measure:
    return Measure(found.value, found.low, found.high)


def _measures(figures: Mapping[str, Mapping[str, Estimate]]) -> dict[str, dict[str, Measure]]:
    """By figure and model, the most telling figures first."""
    every = dict.fromkeys([*_FIRST, *(name for found in figures.values() for name in found)])
    by_figure = {
        name: {model: _measure(found[name]) for model, found in figures.items() if name in found} for name in every
    }
    return {name: by_model for name, by_model in by_figure.items() if by_model}


def _significance(found: Comparison) -> str:
    verdict = f"{found.better} is better" if found.better else "no difference that these papers could tell"
    p = "p < 0.001" if found.mcnemar_exact < _SMALL else f"p = {found.mcnemar_exact:.3f}"
    return (
        f"{found.second} against {found.first}: {verdict}. {count(found.only_second)} papers are answered rightly by "
        f"{found.second} alone, {count(found.only_first)} by {found.first} alone (McNemar's exact test, {p})."
    )


def _labels(rows: Sequence[slices.LabelRow], labels: tuple[str, ...]) -> Labels:
    """(L,) figures; NaN, which no table writes as a number, for labels that nothing has and no answer is."""
    places = [labels.index(row.label) for row in rows]
    columns = np.full((4, len(labels)), np.nan)
    columns[3] = 0
    columns[:, places] = [
        [row.precision for row in rows],
        [row.recall for row in rows],
        [row.f1.value for row in rows],
        [row.papers for row in rows],
    ]
    return Labels(*columns)


def _reliability(models: Sequence[ModelReport]) -> dict[str, Reliability]:
    """Of one model before and after calibration, of several after it."""
    if len(models) > 1:
        return {model.name: _bins(model.reliability) for model in models}
    [model] = models
    return {"as calibrated": _bins(model.reliability), "before calibration": _bins(model.reliability_before)}


def _bins(found: reliability.Reliability) -> Reliability:
    return Reliability(found.confidence, found.accuracy, found.weight)


def _coverage(model: ModelReport) -> Coverage:
    every = sorted(set(model.covered), key=lambda one: one.promised)
    columns = ([one.promised for one in every], [one.achieved for one in every], [one.mean_size for one in every])
    return Coverage(*columns)


def _periods(
    models: Mapping[str, ModelReport],
    rows: Callable[[ModelReport], Sequence[slices.Slice]],
    time: Callable[[str], int],
    least: int = 0,
) -> dict[str, Periods]:
    """By model; empty unless there are two periods, for a line needs two points, with `least` papers in the middle."""
    return {
        name: Periods(
            [time(row.name) for row in found],
            [row.top1.value for row in found],
            [row.top1.low for row in found],
            [row.top1.high for row in found],
            [row.papers for row in found],
        )
        for name, model in models.items()
        if len(found := rows(model)) > 1 and np.median([row.papers for row in found]) >= least
    }


def _confusions(model: ModelReport) -> Iterator[Confusion]:
    for one in model.confusions:
        titles = tuple(example.title for example in one.examples)
        yield Confusion(one.truth, one.answered, one.papers, one.share, titles)


def _suspects(model: ModelReport) -> Iterator[Suspect]:
    for one in model.suspects[:MOST_SUSPECTS]:
        yield Suspect(one.title, " ".join(one.categories), one.suggested, one.confidence)


def _slices(models: Mapping[str, ModelReport], field: str) -> tuple[Slice, ...]:
    """The same papers of every model beside each other."""
    found: list[tuple[slices.Slice, ...]] = [getattr(model, field) for model in models.values()]
    return tuple(
        Slice(same[0].name, same[0].papers, {name: _measure(one.top1) for name, one in zip(models, same, strict=True)})
        for same in zip(*found, strict=True)
    )
