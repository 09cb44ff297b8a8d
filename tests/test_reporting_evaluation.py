"""The page of an evaluation: what was measured is on it, what was not is not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from html_reading import Read, read, table

from arxivcli.reporting import evaluation, folder
from arxivcli.reporting.calibration_figures import Coverage, Reliability
from arxivcli.reporting.line_figures import Line
from arxivcli.reporting.results import Confusion, Labels, Measure, Periods, Results, Slice

LABELS = ("cs.CL", "cs.LG", "math.NT", "stat.ML")
CONFUSION = np.array([[90, 10, 0, 0], [20, 60, 0, 20], [0, 0, 50, 0], [0, 0, 0, 0]])
FULL = Results(
    model="mine",
    corpus="papers",
    split="test",
    papers=1250,
    weighted="arXiv's own mix",
    measures={
        "top1": {"mine": Measure(0.8, 0.78, 0.82), "builtin": Measure(0.7, 0.68, 0.72)},
        "nll": {"mine": Measure(1.25)},
        "of our own": {"mine": Measure(0.5)},
    },
    significance=("mine is right more often than builtin (p = 0.002, paired).",),
    labels=LABELS,
    archives=("cs", "math", "stat"),
    confusion={"mine": CONFUSION},
    archive_confusion={"mine": np.array([[180, 0, 20], [0, 50, 0], [0, 0, 0]])},
    per_label={"mine": Labels([0.9, 0.5, 1, 0], [0.9, 0.6, 1, 0], [0.9, 0.545, 1, 0], [100, 100, 50, 0])},
    reliability={
        "before": Reliability([0.25, 0.75], [0.2, 0.6], [1, 3]),
        "after": Reliability([0.25, 0.75], [0.25, 0.7], [1, 3]),
    },
    coverage={"mine": Coverage([0.9, 0.95], [0.91, 0.96], [1.5, 2.5])},
    yearly={"mine": Periods([2024, 2025], [0.8, 0.7], [0.75, 0.65], [0.85, 0.75], [100, 1150])},
    abstention={"mine": Line([0.5, 1], [0.95, 0.8]), "builtin": Line([0.5, 1], [0.9, 0.7])},
    confusions={"mine": (Confusion("cs.LG", "stat.ML", 20, 0.2, ("<i>One</i>", "Two", "Three", "Four")),)},
    slices={"view": (Slice("title alone", 1250, {"mine": Measure(0.6, 0.58, 0.62), "builtin": Measure(0.5)}),)},
)
BARE = Results("mine", "papers", "test", 0, {})


@pytest.fixture(scope="module")
def page() -> Read:
    return read(evaluation.page(FULL).html())


def test_every_number_is_where_it_is_looked_for(page: Read) -> None:
    assert table(page, "figure") == [
        ["first answer right", "80.0 % (78.0 to 82.0)", "70.0 % (68.0 to 72.0)"],
        ["negative log likelihood", "1.250", ""],
        ["of our own", "50.0 %", ""],
    ]
    assert table(page, "year", "right") == [
        ["2024", "80.0 %", "75.0 %", "85.0 %", "100"],
        ["2025", "70.0 %", "65.0 %", "75.0 %", "1,150"],
    ]
    assert table(page, "series", "confidence")[2] == ["after", "25.0 %", "25.0 %", "25.00 %"]
    assert table(page, "coverage promised")[0] == ["90.0 %", "91.0 %", "1.50"]
    assert table(page, "series", "papers answered")[-1] == ["builtin", "100.0 %", "70.0 %"]
    assert table(page, "papers", "number") == [["title alone", "1,250", "60.0 % (58.0 to 62.0)", "50.0 %"]]
    assert table(page, "truth", "answer", "for example") == [
        ["cs.LG", "stat.ML", "<i>One</i> · Two · Three", "20", "20.0 %"]
    ]


def test_archives_are_their_labels_together(page: Read) -> None:
    archives, labels = (rows[1:] for rows in page.tables if rows[0][:3] == ["truth", "answer", "papers"])
    assert archives == [
        ["cs", "cs", "180", "90.0 %"],
        ["cs", "others", "20", "10.0 %"],
        ["math", "math", "50", "100.0 %"],
    ]
    assert ["cs.LG", "others", "20", "20.0 %"] in labels


def test_the_worst_labels_come_first_and_those_without_papers_last(page: Read) -> None:
    worst, every = (rows[1:] for rows in page.tables if rows[0][:3] == ["label", "name", "precision"])
    assert [row[0] for row in worst] == ["cs.LG", "cs.CL", "math.NT"]
    assert worst[0][1:] == ["Machine Learning", "50.0 %", "60.0 %", "0.545", "100"]
    assert [row[0] for row in every] == list(LABELS)


def test_it_says_of_what_and_whether_it_is_chance(page: Read) -> None:
    text = " ".join(" ".join(page.texts).split())
    assert "mine and builtin compared" in text
    assert "Measured on 1,250 papers: the test split of papers, weighted to arXiv's own mix." in text
    assert "mine is right more often than builtin (p = 0.002, paired)." in text


def test_what_was_not_measured_has_no_part() -> None:
    bare = read(evaluation.page(BARE).html())
    assert bare.count("section") == bare.count("figure") == bare.count("table") == 0
    assert evaluation.page(FULL).sections
    for left_out, title in (("yearly", "Time"), ("abstention", "Abstention"), ("slices", "Slices"), ("coverage", "")):
        empty = getattr(BARE, left_out)
        titles = [section.title for section in evaluation.page(dataclasses.replace(FULL, **{left_out: empty})).sections]
        assert title not in titles
        assert "Labels: mine" in titles


def test_one_model_alone_is_compared_with_nobody() -> None:
    alone = dataclasses.replace(BARE, measures={"top1": {"mine": Measure(0.5)}})
    page = evaluation.page(alone)
    assert (page.title, [section.title for section in page.sections]) == ("How good mine is", ["Figures"])


def test_the_figures_are_files_too(tmp_path: Path) -> None:
    few = dataclasses.replace(FULL, confusion={}, archive_confusion={}, per_label={}, reliability={})
    folder.write_report(evaluation.page(few), tmp_path)
    assert {path.stem for path in (tmp_path / "figures").glob("*.svg")} == {"years", "coverage", "abstention"}
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {"years", "coverage", "abstention"}
