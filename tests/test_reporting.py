"""Reports: figures with their numbers, pages that need nothing else, texts that cannot harm, the same bytes always."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from xml.etree.ElementTree import Element

import matplotlib as mpl
import numpy as np
import pytest
from html_reading import drawn_in, read, table
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure as Drawing

from arxivcli import reports, splits, taxonomy
from arxivcli.errors import StorageError, UsageError
from arxivcli.progress import Silent
from arxivcli.reporting import figures, folder, inks
from arxivcli.reporting.calibration_figures import Coverage, Reliability, abstention, coverage, reliability
from arxivcli.reporting.drawing import Figure
from arxivcli.reporting.line_figures import Line, lines
from arxivcli.reporting.matrices import matrix
from arxivcli.reporting.page import Card, Page, Section
from arxivcli.reporting.tables import Table, count, percent

HOSTILE = "<script>alert(1)</script> \x1b[31mred\x00 \u202egnp.exe $x^{$ {{ 7 * 7 }} \"'&amp; \ud800"
SVG = "{http://www.w3.org/2000/svg}"
YEARS = np.arange(2000, 2026)
ALL = list(taxonomy.labels())
SHARE = np.linspace(0.5, 1, 26)


def many_bars() -> Figure:
    return figures.bars("many", "Papers", "All of them.", ALL, np.arange(149) * 100)


def some_bars() -> Figure:
    return figures.bars(
        "some", "F1", "Two.", ["cs.LG", "math.NT"], [0.5, 0.25], kind="decimal", columns=("label", "F1")
    )


def histogram() -> Figure:
    steps = {"reference": [0.25, 0.75, 0.0], "current": [0.0, 0.5, 0.5]}
    return figures.histogram("words", "Words", "Two.", [0, 2, 4, 6], steps, x=("words", "count"))


def by_month() -> Figure:
    line = Line(splits.month("2009-12") + np.arange(48), np.arange(48))
    return lines("months", "Months", "One.", {"papers": line}, x=("month", "month"), y=("papers", "count"))


def groups() -> Figure:
    mixes = {"train": [0.25, 0.75], "test": [0.5, 0.5], "validation": [1, 0], "calibration": [0, 1]}
    return figures.grouped("splits", "Mixes", "Four.", ["cs", "math"], mixes, column="archive")


def stack() -> Figure:
    return figures.stacked("years", "Years", "Many.", YEARS, {"train": YEARS - 1990, "test": YEARS - 1999}, axis="year")


def bands() -> Figure:
    series = {"builtin": Line(YEARS, SHARE, SHARE - 0.1, SHARE + 0.1), "scibert": Line(YEARS, SHARE[::-1])}
    return lines(
        "accuracy", "Right", "Two models.", series, x=("year", "year"), y=("right", "percent"), papers=YEARS - 1999
    )


def bins() -> Figure:
    found = Reliability([0.1, 0.5, 0.9], [0.2, 0.5, 0.8], [1, 0, 3])
    return reliability("reliability", "Confidence", "Before and after.", {"before": found, "after": found})


def sets() -> Figure:
    return coverage("coverage", "Coverage", "Kept.", {"mine": Coverage([0.8, 0.9], [0.81, 0.92], [1.5, 2.25])})


def answered() -> Figure:
    return abstention("abstention", "Abstention", "Fewer.", {"builtin": Line([0.5, 1.0], [0.9, 0.7])})


def small_matrix() -> Figure:
    return matrix("archives", "Archives", "Confused.", ["cs", "math", "stat"], [[8, 1, 1], [0, 5, 0], [0, 0, 0]])


def large_matrix() -> Figure:
    archives = [taxonomy.parent(label, "archive") or "" for label in ALL]
    return matrix("labels", "Labels", "Confused.", ALL, np.eye(149) * 9 + np.eye(149, k=1), groups=archives)


KINDS = [
    many_bars, some_bars, groups, stack, bands, bins, sets, answered, small_matrix, large_matrix, histogram, by_month,
]  # fmt: skip


@pytest.fixture(scope="module")
def everything() -> bytes:
    """A page with a figure of every kind."""
    return page_of(*(make() for make in KINDS))


def page_of(*drawn: Figure) -> bytes:
    return Page("A page", "One.", (), (Section("Part", figures=drawn),)).html()


@pytest.mark.parametrize("make", KINDS)
def test_every_figure_is_a_picture_for_everybody(make: Callable[[], Figure]) -> None:
    figure = make()
    inline = figure.inline()
    for one in re.findall(r"<svg.*?</svg>", inline, re.DOTALL):
        root = drawn_in(one.replace("<svg ", '<svg xmlns="x" xmlns:xlink="y" ', 1))
        assert root.get("role") == "img"
        assert [root[0].text, root[1].text] == [figure.title, figure.says]
        assert root.get("aria-labelledby") == f"{root[0].get('id')} {root[1].get('id')}"
        width = float(str(root.get("viewBox")).split()[2])
        for size, start, end in letters(root):
            assert size >= 9
            assert 0 <= start < end <= width
    assert not re.search(r"#[0-9a-f]{6}\b", inline), "a colour that does not follow the page"
    assert {"var(--ink)", "var(--series-1)"} <= set(re.findall(r"var\([^)]*\)", inline))
    assert inline.count("<svg") == 1 + figure.phone
    assert figure.table.rows


def letters(root: Element) -> list[tuple[float, float, float]]:
    """Size of every upright text, and about where it begins and ends across."""
    found = []
    for text in root.iter("{x}text"):
        style = str(text.get("style"))
        if text.text and not text.get("transform"):
            size = float(re.findall(r"([\d.]+)px", style)[0])
            long = 0.5 * size * len(text.text)
            before = {"end": long, "middle": long / 2}.get(re.sub(".*text-anchor: (\\w+).*", r"\1", style), 0)
            start = float(text.get("x", 0)) - before
            found.append((size, start, start + long))
    assert found
    return found


@pytest.mark.parametrize("make", KINDS)
def test_every_figure_is_a_file_for_papers_and_slides(make: Callable[[], Figure]) -> None:
    made = make().svg()
    root = drawn_in(made)
    assert root.tag == f"{SVG}svg"
    assert "var(" not in made.decode()
    assert any(text.text for text in root.iter(f"{SVG}text")), "words stay words"


@pytest.mark.parametrize("make", [some_bars, groups, bands])
def test_the_same_numbers_make_the_same_bytes(make: Callable[[], Figure]) -> None:
    before = [make().inline().encode(), make().svg(), make().png()]
    assert before[2].startswith(b"\x89PNG")
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": True, "figure.dpi": 300}):
        Drawing().savefig("/dev/null", format="svg")
        assert [make().inline().encode(), make().svg(), make().png()] == before


def test_a_page_is_the_same_in_every_process_wherever_its_home(tmp_path: Path) -> None:
    """Also where nothing can be written, under settings of the user's own, and nobody is told of fonts."""
    (tmp_path / "file").touch()
    (tmp_path / "matplotlibrc").write_text("font.size: banana\naxes.facecolor: red\n")
    strange = {"PYTHONHASHSEED": "2", "HOME": str(tmp_path / "file"), "MATPLOTLIBRC": str(tmp_path)}
    script = (
        "import hashlib, arxivcli.reporting, test_reporting as t; "
        "print(hashlib.sha256(t.page_of(t.groups(), t.bands())).hexdigest())"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | around,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        for around in ({"PYTHONHASHSEED": "1"}, strange)
    ]
    assert found[0].stdout == found[1].stdout
    assert [done.stderr for done in found] == ["", ""]


def test_every_figure_has_its_numbers_beside_it(everything: bytes) -> None:
    page = read(everything)
    assert page.count("figure") == page.count("details") == len(page.tables) == len(KINDS)
    assert table(page, "label", "F1") == [["cs.LG", "0.500"], ["math.NT", "0.250"]]
    assert table(page, "archive", "train", "test") == [
        ["cs", "25.0 %", "50.0 %", "100.0 %", "0.0 %"],
        ["math", "75.0 %", "50.0 %", "0.0 %", "100.0 %"],
    ]
    assert table(page, "year", "train")[-1] == ["2025", "35", "26"]
    rows = table(page, "series", "year", "right")
    assert rows[0] == ["builtin", "2000", "50.0 %", "40.0 %", "60.0 %", "1"]
    assert rows[-1] == ["scibert", "2025", "50.0 %", "–", "–", ""]
    assert table(page, "series", "confidence")[:2] == [
        ["before", "10.0 %", "20.0 %", "25.00 %"],
        ["before", "90.0 %", "80.0 %", "75.00 %"],
    ]
    assert table(page, "coverage promised")[1] == ["90.0 %", "92.0 %", "2.25"]
    assert table(page, "papers answered") == [["50.0 %", "90.0 %"], ["100.0 %", "70.0 %"]]
    assert table(page, "words from", "to") == [
        ["0", "2", "25.0 %", "0.0 %"],
        ["2", "4", "75.0 %", "50.0 %"],
        ["4", "6", "0.0 %", "50.0 %"],
    ]
    assert table(page, "month", "papers")[::47] == [["2009-12", "0"], ["2013-11", "47"]]
    small, large = (rows[1:] for rows in page.tables if rows[0][0] == "truth")
    assert small == [
        ["cs", "cs", "8", "80.0 %"],
        ["cs", "math", "1", "10.0 %"],
        ["cs", "stat", "1", "10.0 %"],
        ["math", "math", "5", "100.0 %"],
    ]
    assert len(large) == 148
    assert large[0] == [ALL[0], ALL[1], "1", "10.0 %"]


def test_ticks_of_months_are_januaries() -> None:
    texts = {text.text for text in drawn_in(by_month().svg()).iter(f"{SVG}text")}
    assert {"2010-01", "2012-01"} <= texts
    assert {text[4:] for text in texts if text and re.fullmatch(r"\d{4}-\d\d", text)} <= {"-01", "-07"}


def test_the_numbers_of_a_matrix_are_hundredths_of_its_rows() -> None:
    texts = [text.text for text in drawn_in(small_matrix().svg()).iter(f"{SVG}text")]
    assert [text for text in texts if str(text).isdigit()] == ["80", "10", "10", "100"]


def test_a_page_needs_nothing_else_and_runs_nothing(everything: bytes) -> None:
    found = read(everything)
    assert {name for name, _ in found.tags} & {"script", "link", "img", "iframe", "object", "embed", "base"} == set()
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "srcset", "action"}]
        assert all(str(attributes[name]).startswith("#") for name in attributes if name in {"href", "xlink:href"})
    assert "@import" not in everything.decode()
    assert set(re.findall(r"url\((.)", everything.decode())) <= {"#"}
    [policy] = [a["content"] for name, a in found.tags if name == "meta" and "http-equiv" in a]
    assert str(policy).startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_ids_are_unique_and_what_refers_to_them_finds_them() -> None:
    sections = [
        Section(title, figures=(figure,)) for title, figure in (("One", groups()), ("Two", bands()), ("3", bins()))
    ]
    page = Page("A page", "One.", (), tuple(sections)).html()
    found = read(page)
    ids = [str(a["id"]) for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = [str(a[name])[1:] for _, a in found.tags for name in ("href", "xlink:href") if name in a]
    wanted += re.findall(r"url\(#([^)]*)\)", page.decode())
    wanted += [name for _, a in found.tags if "aria-labelledby" in a for name in str(a["aria-labelledby"]).split()]
    assert len(wanted) > 20
    assert set(wanted) <= set(ids)


def test_texts_of_strangers_are_shown_and_do_nothing() -> None:
    long = HOSTILE + "x" * 50_000
    both = {HOSTILE: Line([1], [1]), long: Line([1], [2])}
    drawn = (
        figures.bars("a", HOSTILE, long, [HOSTILE, long], [1, 2], columns=(HOSTILE, long)),
        lines("b", HOSTILE, HOSTILE, both, x=(HOSTILE, "count"), y=(HOSTILE, "count")),
        matrix("c", HOSTILE, HOSTILE, [HOSTILE, "b"], [[1, 1], [1, 1]]),
    )
    tables = ((long, Table((HOSTILE,), ((long,),))),)
    cards = (Card(long, HOSTILE, long),)
    sections = [
        Section(f"{number} {HOSTILE}", (HOSTILE,), cards, (figure,), tables) for number, figure in enumerate(drawn)
    ]
    page = Page(HOSTILE, long, (Card(HOSTILE, HOSTILE),), tuple(sections)).html()
    found = read(page)
    assert found.count("script") == 0
    shown = "".join(found.texts)
    assert "<script>alert(1)</script> \\x1b[31mred\\x00 \\u202egnp.exe $x^{$ {{ 7 * 7 }} \"'&amp; \\ud800" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page.decode())
    assert len(page) < 200_000
    for figure in drawn:
        drawn_in(figure.svg())


@settings(max_examples=8)
@given(st.dictionaries(st.text(max_size=20), st.floats(0, 1e9), min_size=1, max_size=5))
def test_any_label_can_stand_in_a_figure(values: dict[str, float]) -> None:
    figure = figures.bars("any", "Any", "Any.", list(values), list(values.values()))
    drawn_in(figure.svg())
    assert read(page_of(figure)).tables[0][1][1] == count(next(iter(values.values())))


def test_what_nobody_knows_is_a_gap() -> None:
    figure = lines("gap", "Gap", "One.", {"a": Line([1, 2, 3], [1, np.nan, 3])}, x=("x", "count"), y=("y", "decimal"))
    page = page_of(figure)
    assert table(read(page), "x", "y") == [["1", "1.000"], ["2", "–"], ["3", "3.000"]]
    assert not re.search(r"\b(nan|inf)\b", page.decode().lower())
    assert [percent(float("nan")), count(float("inf"))] == ["–", "–"]


def test_figures_of_nothing_are_drawn_too() -> None:
    for figure in (
        figures.bars("a", "A", "A.", [], []),
        figures.grouped("b", "B", "B.", [], {}),
        lines("c", "C", "C.", {"x": Line([], [])}, x=("x", "count"), y=("y", "percent"), diagonal=True),
        reliability("d", "D", "D.", {"x": Reliability([], [], [])}),
        matrix("e", "E", "E.", [], np.zeros((0, 0))),
    ):
        drawn_in(figure.svg())


def test_more_series_than_can_be_told_apart_are_refused() -> None:
    with pytest.raises(UsageError, match="7 series in one figure"):
        figures.grouped("a", "A", "A.", ["x"], {str(number): [1] for number in range(7)})


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("theme", [inks.LIGHT, inks.DARK])
def test_colours_stand_out_from_their_background(theme: inks.Inks) -> None:
    def contrast(colour: str) -> float:
        low, high = sorted([luminance(colour), luminance(theme.paper)])
        return (high + 0.05) / (low + 0.05)

    assert contrast(theme.ink) >= 7
    assert contrast(theme.quiet) >= 4.5
    assert min(map(contrast, theme.series)) >= 3


def report() -> Page:
    return Page("Report", "All.", (Card("papers", "1,234"),), (Section("Part", figures=(some_bars(), groups())),))


def test_a_report_is_a_page_and_its_figures(tmp_path: Path) -> None:
    folder.write_report(report(), tmp_path / "new" / "report")
    made = tmp_path / "new" / "report"
    assert (made / "report.html").read_bytes() == report().html()
    assert {path.name for path in (made / "figures").iterdir()} == {
        "some.svg", "some.png", "splits.svg", "splits.png", "captions.json",
    }  # fmt: skip
    assert (made / "figures/some.svg").read_bytes() == some_bars().svg()


def test_drawing_is_watched_and_a_report_cut_short_knows_its_own_figures(tmp_path: Path) -> None:
    class Stops(Silent):
        said: ClassVar[list[tuple[str, int | None, str]]] = []

        def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:
            self.said.append((what, total, unit))

        def advance(self, *_: int, **__: str | float) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write_report(report(), tmp_path, Stops())
    assert Stops.said == [("drawing figures", 2, "figures")]
    assert (tmp_path / "figures/some.svg").exists()
    assert not (tmp_path / "report.html").exists()
    reports.require_ours(tmp_path, "arxivcli", {})
    folder.write_report(report(), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == report().html()


def test_figures_of_an_earlier_report_go_and_those_of_others_stay(tmp_path: Path) -> None:
    folder.write_report(report(), tmp_path)
    (tmp_path / "figures/mine.svg").write_text("mine")
    (tmp_path / "outside.svg").write_text("mine")
    captions = tmp_path / "figures/captions.json"
    captions.write_text(captions.read_text().replace("some", "../outside"))
    folder.write_report(Page("Report", "Less.", (), (Section("Part", figures=(some_bars(),)),)), tmp_path)
    left = {path.name for path in (tmp_path / "figures").iterdir()}
    assert left == {"some.svg", "some.png", "mine.svg", "captions.json"}
    assert (tmp_path / "outside.svg").exists()


def test_a_report_that_fails_leaves_no_page(tmp_path: Path) -> None:
    folder.write_report(report(), tmp_path)
    (tmp_path / "figures/some.png").unlink()
    (tmp_path / "figures/some.png").mkdir()
    with pytest.raises(StorageError, match=r"some.png: a folder stands where a file should be"):
        folder.write_report(report(), tmp_path)
    assert not (tmp_path / "report.html").exists()
    assert not list(tmp_path.rglob("*.partial"))


def test_reports_ask_no_step_and_no_framework() -> None:
    script = (
        "import sys; from arxivcli.reporting import corpus, evaluation, folder; evaluation.page, corpus.page; "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "matplotlib" in loaded
    assert not {name for name in loaded if name.startswith("arxivcli.steps")}
    assert not {"matplotlib.pyplot", "pandas", "torch", "scipy"} & loaded
