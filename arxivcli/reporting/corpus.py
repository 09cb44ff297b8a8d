"""The page of a corpus: what is in it, how its splits differ, what was left out, and which labels it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from arxivcli import distributions, taxonomy
from arxivcli.reporting import figures
from arxivcli.reporting.page import Card, Page, Section
from arxivcli.reporting.tables import UNKNOWN, Table, count, counts, decimal, decimals, percent, percents, signed

if TYPE_CHECKING:
    from arxivcli.reporting.drawing import Figure
    from arxivcli.steps.survey import Lengths, Survey

COMMAND = "arxivcli preprocess"
MOST_DIFFERING = 12
"""Labels shown of each split whose share is other than in train."""

_TITLE_BIN, _ABSTRACT_BIN = 1, 20  # words
_LIKELY = 1.5  # times the distance that chance alone makes: below, nobody should worry
_DISTANCE = (
    "The distance is that of Jensen and Shannon between the labels' shares: 0 is the same mix, 1 nothing in common. "
    "A small split differs a little by chance alone; how much is said beside it."
)
_DUPLICATES = ("older record of the same paper", "same abstract in an earlier split")


def page(survey: Survey) -> Page:
    """The report of a corpus."""
    sections = (
        _labels(survey),
        _splits(survey),
        _differences(survey),
        _years(survey),
        _lengths(survey),
        _dropped(survey),
        _lacking(survey),
    )
    represented = len(survey.labels) - len(survey.unrepresented)
    rule = "split by date" if survey.split_rule == "time" else "split by a hash of the abstract"
    cards = (
        Card(
            "papers",
            count(survey.kept),
            f"{percent(survey.kept / max(survey.read, 1), 2)} of {count(survey.read)} read",
        ),
        Card(_plural(survey.level), count(represented), f"of {len(survey.labels)} have papers"),
        Card("years", _span(survey), f"{count(survey.undated)} papers without a date" if survey.undated else ""),
        Card("duplicates removed", count(sum(survey.dropped.get(reason, 0) for reason in _DUPLICATES))),
    )
    sources = f"{len(survey.sources)} files" if len(survey.sources) > 3 else ", ".join(survey.sources)  # noqa: PLR2004
    return Page(
        f"Corpus {survey.name}", f"Made from {sources}, {rule}.", cards, tuple(s for s in sections if s), COMMAND
    )


def _labels(survey: Survey) -> Section:
    """Papers by archive, where labels are finer than these, and by label."""
    totals = survey.counts.sum(axis=0)
    drawn: list[Figure] = []
    if survey.level == "category":
        archives = taxonomy.parents(survey.labels, "archive")
        names = archives.names
        by_archive = np.bincount(archives.number, totals, len(names))
        some = [row for row in np.argsort(-by_archive, kind="stable") if by_archive[row]]
        drawn.append(
            figures.bars(
                "archives",
                "Papers by archive",
                _largest(names, by_archive),
                [names[row] for row in some],
                by_archive[some],
                columns=("archive", "papers"),
                names=[taxonomy.name(names[row]) for row in some],
            )
        )
    some = list(np.flatnonzero(totals))
    labels = [survey.labels[row] for row in some]
    says = f"{_largest(survey.labels, totals)} Half of them have at most {count(np.median(totals[some]))} papers."
    drawn.append(
        figures.bars(
            "labels",
            f"Papers by {survey.level}",
            says,
            labels,
            totals[some],
            columns=(survey.level, "papers"),
            names=[taxonomy.name(label) for label in labels],
        )
    )
    return Section(
        f"{_plural(survey.level).capitalize()}", ("Each paper counts once, under its primary.",), (), tuple(drawn)
    )


def _splits(survey: Survey) -> Section:
    """Sizes and mixes of the splits."""
    papers = survey.counts.sum(axis=1)
    lacking = [len(survey.absent(split)) for split in survey.splits]
    sizes = Table.of(
        ("split", "papers", "share", "distance from train", "by chance alone", f"{_plural(survey.level)} missing"),
        survey.splits, counts(papers), percents(papers / max(survey.kept, 1)),
        [UNKNOWN, *decimals(survey.distances[1:])],
        [UNKNOWN, *decimals(survey.by_chance[1:])], counts(lacking),
    )  # fmt: skip
    archives = taxonomy.parents(survey.labels, "archive")
    names, number = archives.names, archives.number
    seen = [name for index, name in enumerate(names) if survey.counts[:, number == index].any()]
    rows = np.flatnonzero(np.isin(names, seen))
    mixes = {
        split: distributions.shares(np.bincount(number, survey.counts[row], len(names)))[rows]
        for row, split in enumerate(survey.splits) if papers[row]
    }  # fmt: skip
    kind = survey.level if survey.level == "group" else "archive"
    figure = figures.grouped(
        "splits", f"Mix of each split by {kind}", "Bars of one length are what a fair split looks like.",
        seen, mixes, column=kind,
    )  # fmt: skip
    return Section("Splits", (_DISTANCE, _verdict(survey)), (), (figure,), (("Sizes", sizes),))


def _differences(survey: Survey) -> Section | None:
    """The labels that make each split differ."""
    tables = [(f"{split.capitalize()} and train", _differing(survey, row)) for row, split in _compared(survey)]
    title = f"{_plural(survey.level).capitalize()} that differ most between splits"
    return Section(title, (), (), (), tuple(tables), folded=True) if tables else None


def _compared(survey: Survey) -> list[tuple[int, str]]:
    """Number and name of the splits that can be compared with train."""
    return [
        (row, split)
        for row, split in enumerate(survey.splits)
        if row and survey.counts[row].any() and survey.counts[0].any()
    ]


def _verdict(survey: Survey) -> str:
    apart = [split for row, split in _compared(survey) if survey.distances[row] > _LIKELY * survey.by_chance[row]]
    if not survey.counts[0].any():
        return "There is no paper to train on: nothing can be compared."
    if not apart:
        return "No split differs from train by more than chance explains."
    verb = "differ" if len(apart) > 1 else "differs"
    return f"{_listed(apart).capitalize()} {verb} from train by more than chance explains."


def _differing(survey: Survey, row: int) -> Table:
    """The labels that add most to a split's distance from train."""
    train, here = survey.counts[0], survey.counts[row]
    added = distributions.divergences(train, here)
    before, now = distributions.shares(train), distributions.shares(here)
    most = [label for label in np.argsort(-added, kind="stable")[:MOST_DIFFERING] if added[label] > 0]
    total = max(float(added.sum()), np.finfo(float).tiny)
    return Table.of(
        (survey.level, "name", "in train", f"in {survey.splits[row]}", "difference", "of the divergence"),
        [survey.labels[label] for label in most], [taxonomy.name(survey.labels[label]) for label in most],
        percents(before[most], 2), percents(now[most], 2),
        [signed(100 * (now[label] - before[label])) for label in most], percents(added[most] / total),
        words=2,
    )  # fmt: skip


def _years(survey: Survey) -> Section | None:
    if not len(survey.years):
        return None
    some = [row for row, papers in enumerate(survey.yearly.sum(axis=1)) if papers]
    most = survey.yearly.sum(axis=0)
    figure = figures.stacked(
        "years", "Papers by year", f"Most, {count(most.max())}, are of {survey.years[most.argmax()]}.",
        survey.years - 0.5, {survey.splits[row]: survey.yearly[row] for row in some}, axis="year of the first version",
        column="year", named=lambda start: f"{start + 0.5:.0f}",
    )  # fmt: skip
    undated = (f"{count(survey.undated)} papers have no date.",) if survey.undated else ()
    return Section("Years", undated, (), (figure,))


def _lengths(survey: Survey) -> Section:
    """Words of titles and abstracts, and categories of a paper."""
    kinds = (("titles", survey.titles, _TITLE_BIN), ("abstracts", survey.abstracts, _ABSTRACT_BIN))
    drawn = [_histogram(what, lengths, step) for what, lengths, step in kinds if lengths.papers[1:].any()]
    shares = (0.01, 0.25, 0.5, 0.75, 0.99)
    rows = [
        (what, *(str(lengths.quantile(share)) for share in shares), count(lengths.empty)) for what, lengths, _ in kinds
    ]
    words = Table(("words of", "1 %", "25 %", "half", "75 %", "99 %", "empty"), tuple(rows))
    several = Table.of(
        ("categories of a paper", "papers", "share"),
        [str(number) for number in np.flatnonzero(survey.listed)], counts(survey.listed[survey.listed > 0]),
        percents(survey.listed[survey.listed > 0] / max(survey.kept, 1)),
    )  # fmt: skip
    mean = float(survey.listed @ np.arange(len(survey.listed))) / max(survey.kept, 1)
    tables = (
        ("So many words, or fewer, have ... of the papers", words),
        (f"Cross-lists: {decimal(mean, 2)} categories a paper", several),
    )
    return Section("Lengths", (), (), tuple(drawn), tables)


def _histogram(what: str, lengths: Lengths, step: int) -> Figure:
    """Papers by words, up to where nearly all end."""
    last = lengths.quantile(0.995) // step + 1
    edges = np.arange(1, len(lengths.papers), step)
    binned = np.add.reduceat(lengths.papers, edges)
    beyond = int(binned[last:].sum())
    says = f"Half have at most {lengths.quantile(0.5)} words." + (
        f" {count(beyond)} longer ones are not drawn." if beyond else ""
    )
    return figures.stacked(
        what, f"Words of {what}", says, edges[:last] - 0.5 * (step == 1), {"papers": binned[:last]}, axis="words",
        width=step, named=lambda start: f"{start + 0.5:.0f}" if step == 1 else f"{start:.0f} to {start + step - 1:.0f}",
    )  # fmt: skip


def _dropped(survey: Survey) -> Section:
    """What was left out, by reason."""
    reasons = sorted(survey.dropped.items(), key=lambda pair: (-pair[1], pair[0]))
    gone = sum(survey.dropped.values())
    if not gone:
        return Section("Left out", ("Nothing: every record that was read is in the corpus.",))
    share = percent(gone / max(survey.read, 1), 2)
    text = f"{count(gone)} of {count(survey.read)} records ({share}) are not in the corpus."
    figure = figures.bars(
        "dropped", "Records left out, by reason", f"Most often: {reasons[0][0]}.", [reason for reason, _ in reasons],
        [papers for _, papers in reasons], columns=("reason", "records"),
    )  # fmt: skip
    return Section("Left out", (text,), (), (figure,))


def _lacking(survey: Survey) -> Section:
    """Labels without papers, in all and in single splits."""
    kind = _plural(survey.level)
    text = [f"Every one of the {len(survey.labels)} {kind} has a paper."]
    if survey.unrepresented:
        numbers = f"{len(survey.unrepresented)} of {len(survey.labels)} {kind}"
        text = [f"{numbers} have no paper: no model can learn them from this corpus."]
    rows = [(label, taxonomy.name(label), "every split") for label in survey.unrepresented]
    rows += [(label, taxonomy.name(label), split) for split in survey.splits for label in survey.absent(split)]
    if len(rows) > len(survey.unrepresented):
        text.append("Those without a paper in one split can be learned or tested only in part.")
    table = Table((survey.level, "name", "has no paper in"), tuple(rows), words=3)
    return Section(
        f"{kind.capitalize()} without papers", tuple(text), (), (), ((f"Missing {kind}", table),) if rows else ()
    )


def _largest(names: tuple[str, ...] | list[str], papers: np.ndarray) -> str:
    return f"{names[int(papers.argmax())]} has most, {percent(papers.max() / max(papers.sum(), 1))} of all."


def _span(survey: Survey) -> str:
    if not len(survey.years):
        return "–"
    first, last = survey.years[0], survey.years[-1]
    return str(first) if first == last else f"{first}–{last}"


def _plural(level: str) -> str:
    return {"category": "categories"}.get(level, f"{level}s")


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
