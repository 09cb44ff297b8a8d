"""The pages of `eval` and `drift` as people get them with -o: whole, harmless, their own, and true to the numbers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import invented
import pytest
from html_reading import drawn_in, read, table
from test_startup import imported
from typer.testing import CliRunner

from arxivcli.cli.app import app
from arxivcli.errors import UsageError
from arxivcli.models import shelf
from arxivcli.progress import Silent
from arxivcli.reporting import drift as drift_page
from arxivcli.reporting import evaluation, evaluation_results, findings
from arxivcli.reporting.folder import write_report
from arxivcli.steps import drift as drift_step
from arxivcli.steps import evaluation as evaluation_step
from arxivcli.steps.preprocessing import Recipe, preprocess

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from html_reading import Read

HOSTILE = "<script>alert(1)</script> \x1b[31mred \u202egnp.exe {{ 7 * 7 }} $x^{$ \"'&amp;"
SHARES = (0.0, 0.0, 0.0, 1.0)


def papers(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Most titles are hostile, a tenth of the papers filed under the wrong category."""
    found = invented.records(count, seed)
    topics = sorted(invented.TOPICS)
    for number, paper in enumerate(found):
        if number % 2 or number % 10 == 0:
            paper["title"] = f"{HOSTILE} {paper['title']}"
        if number % 10 == 0:
            primary = str(paper["categories"]).split()[0]
            paper["categories"] = topics[(topics.index(primary) + 1) % len(topics)]
    return found


def written(path: Path, found: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(paper) + "\n" for paper in found))
    return path


def corpus_of(folder: Path, found: list[dict[str, Any]]) -> Path:
    preprocess([written(folder / "papers.jsonl", found)], folder / "corpus", Recipe(shares=SHARES), workers=1)
    return folder / "corpus"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_of(tmp_path_factory.mktemp("pages"), papers(200))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def measure(corpus: Path, folder: Path, *more: object) -> Result:
    return run("eval", *more, "-d", corpus, "-o", folder, "--resamples", 100, "--workers", 1, "--json")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def require_harmless(folder: Path) -> Read:
    """The page, which needs nothing else and obeys nothing."""
    raw = (folder / "report.html").read_bytes()
    page = read(raw)
    assert page.count("script") == page.count("img") == page.count("iframe") == page.count("link") == 0
    for tag, attributes in page.tags:
        assert "src" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), tag
    assert not re.search(rb"url\((?!#)|@import", raw)
    assert not any(sign in raw.decode() for sign in "\x1b\x07\u202e")
    return page


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# -- eval -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(corpus: Path, handmade_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("measured") / "report"
    return folder, measure(corpus, folder, handmade_model)


def test_json_is_all_that_is_on_stdout(measured: tuple[Path, Result]) -> None:
    folder, ran = measured
    assert ran.exit_code == 0
    metrics = json.loads((folder / "metrics.json").read_bytes())
    del metrics["files"]
    assert json.loads(ran.stdout) == metrics
    assert f"saved {folder}" in ran.stderr


def test_the_folder_has_a_page_and_every_figure_twice(measured: tuple[Path, Result]) -> None:
    folder, _ = measured
    page = require_harmless(folder)
    captions = json.loads((folder / "figures/captions.json").read_bytes())
    shown = {str(attributes["id"]).removeprefix("figure-") for tag, attributes in page.tags if tag == "figure"}
    assert shown == captions.keys() >= {"years", "reliability", "coverage", "set-sizes", "abstention", "labels", "f1"}
    drawn = {path.name for path in (folder / "figures").iterdir()} - {"captions.json"}
    assert drawn == {f"{name}.{kind}" for name in captions for kind in ("svg", "png")}
    for name in captions:
        assert drawn_in((folder / f"figures/{name}.svg").read_bytes()).tag.endswith("svg")


def test_the_page_tells_the_numbers_of_metrics_json(measured: tuple[Path, Result]) -> None:
    folder, _ = measured
    page = require_harmless(folder)
    [model] = json.loads((folder / "metrics.json").read_bytes())["models"]
    whole, titles = (dict(map(tuple, rows[1:])) for rows in page.tables if rows[0] == ["figure", "handmade"])
    for found, view in ((whole, model["whole"]), (titles, model["title_only"])):
        top1, ece = view["top1"], view["ece"]
        ends = f"({100 * top1['low']:.1f} to {100 * top1['high']:.1f})"
        assert found["first answer right"] == f"{percent(top1['value'])} {ends}"
        assert found["calibration error"] == f"{ece['value']:.3f} ({ece['low']:.3f} to {ece['high']:.3f})"
    assert len(whole) == len([figure for figure in model["whole"].values() if isinstance(figure, dict)])
    every = {row[0]: row[2:] for rows in page.tables if rows[0][:2] == ["label", "name"] for row in rows[1:]}
    assert every == {
        row["label"]: [
            percent(row["precision"]), percent(row["recall"]), f"{row['f1']['value']:.3f}", f"{row['papers']:,}",
        ]
        for row in model["per_label"]
    }  # fmt: skip
    assert [row[:2] + row[4:] for row in table(page, "year", "right")] == [
        [each["name"], percent(each["top1"]["value"]), f"{each['papers']:,}"] for each in model["per_year"]
    ]
    confused = table(page, "truth", "answer", "for example")
    assert [(row[0], row[1], row[3]) for row in confused] == [
        (one["truth"], one["answered"], f"{one['papers']:.0f}") for one in model["confusions"]
    ]
    assert any("<script>alert(1)</script>" in row[2] for row in confused)
    assert len(table(page, "paper", "its labels")) == model["suspected"] > 0
    labels = {(row[0], row[1]): row[2] for rows in page.tables[4:] if rows[0][:3] == ["truth", "answer", "papers"]
              for row in rows[1:]}  # fmt: skip
    for truth, answers in model["confusion"].items():
        for answer, papers in answers.items():
            assert labels[truth, answer] == f"{papers:.0f}"


def test_the_same_report_is_the_same_bytes(measured: tuple[Path, Result], corpus: Path, handmade_model: Path) -> None:
    folder, _ = measured
    before = contents(folder)
    assert measure(corpus, folder, handmade_model).exit_code == 0
    assert contents(folder) == before


def page_of(corpus: Path, models: dict[str, shelf.Model], **asked: Any) -> evaluation.Page:
    question = evaluation_step.Question(resamples=100, **asked)
    report = evaluation_step.evaluate(models, corpus, question, Silent())
    return evaluation.page(evaluation_results.results(report))


def test_two_models_stand_side_by_side(corpus: Path, handmade_model: Path) -> None:
    handmade_one = shelf.load(str(handmade_model))
    page = page_of(corpus, {"a": handmade_one, "b": shelf.load("builtin")}, weights="arxiv")
    assert page.title == "a and b compared"
    assert "weighted to arXiv's own mix" in page.lead
    first = page.sections[0]
    assert first.text[0].startswith("b against a: ")
    [rows, _] = [found for _, found in first.tables]
    assert rows.columns == ("figure", "a", "b", "difference")
    assert all(re.search(r"^[+−][\d.]+ \([+−][\d.]+ to [+−][\d.]+\)$", row[3]) for row in rows.rows)
    titles = [(section.title, section.folded) for section in page.sections if section.title.startswith("Labels: ")]
    assert titles == [("Labels: a", False), ("Labels: b", True)]
    by_name = {figure.name: figure for figure in page.figures()}
    assert {row[0] for row in by_name["reliability"].table.rows} == {"a", "b"}
    answers = {row[1] for row in by_name["labels-2"].table.rows}
    assert answers <= {*invented.TOPICS, "others"}


def test_more_models_than_can_be_told_apart_are_all_in_the_tables(corpus: Path, handmade_model: Path) -> None:
    model = shelf.load(str(handmade_model))
    page = page_of(corpus, {f"model {number}": model for number in range(8)})
    assert len(page.sections[0].tables[0][1].columns) == 9
    by_name = {figure.name: figure for figure in page.figures()}
    assert len({row[0] for row in by_name["abstention"].table.rows}) == 6
    assert any("first 6 models" in text for section in page.sections for text in section.text)


def test_one_paper_has_a_page(handmade_model: Path, tmp_path: Path) -> None:
    page = page_of(corpus_of(tmp_path, invented.records(1)), {"alone": shelf.load(str(handmade_model))})
    assert "1 paper:" in page.lead
    assert {figure.name for figure in page.figures()} == {"reliability", "coverage", "set-sizes", "f1"}
    assert read(page.html()).count("figure") == 4


FOREIGN = {
    "report.html": "<!DOCTYPE html><title>mine</title>",
    "figures": "a file",
    "figures/captions.json": '["mine"]',
    "figures/mine.png": "an image",
}


@pytest.mark.parametrize("command", ["eval", "drift"])
@pytest.mark.parametrize("name", FOREIGN)
def test_pages_and_figures_of_others_are_not_touched(
    corpus: Path, handmade_model: Path, tmp_path: Path, name: str, command: str
) -> None:
    foreign = tmp_path / "report" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text(FOREIGN[name])
    arguments = ["-d", corpus, handmade_model] if command == "eval" else ["-m", handmade_model, corpus, corpus]
    ran = run(command, *arguments, "-o", tmp_path / "report")
    assert isinstance(ran.exception, UsageError)
    assert ran.exception.hint == "choose another --output"
    assert contents(tmp_path / "report") == {name: FOREIGN[name].encode()}


def test_each_command_leaves_the_reports_of_the_others_alone(
    measured: tuple[Path, Result], corpus: Path, handmade_model: Path
) -> None:
    folder, _ = measured
    before = contents(folder)
    ran = run("drift", "-m", handmade_model, corpus, corpus, "-o", folder)
    assert isinstance(ran.exception, UsageError)
    assert "report.html was not written by arxivcli drift" in str(ran.exception)
    assert contents(folder) == before


def test_a_page_that_cannot_be_drawn_leaves_the_figures_of_metrics_json_and_no_old_page(
    corpus: Path, handmade_model: Path, tmp_path: Path
) -> None:
    models = {"handmade": shelf.load(str(handmade_model))}
    few = evaluation.Page("old", "", (), (), evaluation.COMMAND)
    write_report(few, tmp_path)

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    question = evaluation_step.Question(resamples=100, seed=1)
    with pytest.raises(KeyboardInterrupt):
        evaluation_step.evaluate(models, corpus, question, Silent(), tmp_path, draw=fails)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "figures", "label-errors.csv", "metrics.json", "predictions.parquet",
    ]  # fmt: skip


# -- drift ------------------------------------------------------------------------------------------------------------


def fewer_topics_and_new_words(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        paper | {"abstract": str(paper["abstract"]).replace(" the ", " <b>zorgle</b> ")}
        for paper in found
        if not str(paper["categories"]).startswith("hep")
    ]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("sides")
    changed = fewer_topics_and_new_words(papers(260, 2))
    return written(folder / "before.jsonl", papers(200, 1)), written(folder / "<b>after.jsonl", changed)


@pytest.fixture(scope="module")
def drifted(
    sides: tuple[Path, Path], handmade_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("drifted") / "report"
    return folder, run("drift", *sides, "-m", handmade_model, "-o", folder, "--json")


def test_the_page_of_a_comparison_tells_what_drift_json_does(
    drifted: tuple[Path, Result], sides: tuple[Path, Path], handmade_model: Path
) -> None:
    folder, ran = drifted
    assert ran.exit_code == 0
    said = json.loads((folder / "drift.json").read_bytes())
    assert json.loads(ran.stdout) == said
    page = require_harmless(folder)
    text = " ".join(" ".join(page.texts).split())
    assert "Verdict: drift" in text
    assert "<b>after.jsonl" in text
    model = shelf.load(str(handmade_model))
    report = drift_step.drift(drift_step.Question(*sides), model, True, drift_step.Thresholds(), Silent())
    assert table(page, "figure", "reference") == [list(findings.row(one)) for one in report.findings]
    rows = {row["label"]: row for row in said["labels"]["rows"]}
    assert sum(row["psi"] for row in rows.values()) == pytest.approx(said["labels"]["psi"])
    for label, _, value in next(rows[1:] for rows in page.tables if rows[0] == ["label", "name", "psi"]):
        assert value == f"{rows[label]['psi']:.3f}"
    grown = next(rows for rows in page.tables if rows[0][:1] == ["words"])[1:]
    assert [row[0] for row in grown] == [row["words"] for row in said["text"]["grown"]]
    assert "zorgle" in {row[0] for row in grown}
    for row, told in zip(grown, said["text"]["grown"], strict=True):
        assert row[3:5] == [str(told["reference"]), str(told["current"])]


def test_histograms_hold_every_paper(drifted: tuple[Path, Result]) -> None:
    folder, _ = drifted
    page = require_harmless(folder)
    said = json.loads((folder / "drift.json").read_bytes())
    for shift in (said["text"]["title_words"], said["text"]["abstract_words"]):
        assert {edge % 1 for edge in shift["edges"]} == {0}
        assert (sum(shift["reference"]), sum(shift["current"])) == (
            said["reference"]["sampled"], said["current"]["sampled"],
        )  # fmt: skip
    histograms = [rows for rows in page.tables if rows[0][1:2] == ["to"]]
    assert len(histograms) == 5
    for rows in histograms:
        for column in (2, 3):
            assert sum(float(row[column].removesuffix(" %")) for row in rows[1:]) == pytest.approx(100, abs=1.5)


def test_the_same_comparison_is_the_same_bytes(
    drifted: tuple[Path, Result], sides: tuple[Path, Path], handmade_model: Path
) -> None:
    folder, _ = drifted
    before = contents(folder)
    assert run("drift", *sides, "-m", handmade_model, "-o", folder).exit_code == 0
    assert contents(folder) == before


ONE = invented.records(1)
FEW: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "one paper": (ONE, ONE),
    "no word": ([{"title": "...", "abstract": "!"} for _ in range(30)],) * 2,
    "no date": ([{"title": paper["title"]} for paper in invented.records(30)],) * 2,
    "other labels": (
        [paper | {"categories": "cs.CL"} for paper in invented.records(40)],
        [paper | {"categories": "econ.GN"} for paper in invented.records(40, 1)],
    ),
}


@pytest.mark.parametrize("case", FEW)
def test_every_comparison_has_a_page(handmade_model: Path, tmp_path: Path, case: str) -> None:
    places = [written(tmp_path / f"{number}.jsonl", side) for number, side in enumerate(FEW[case])]
    model = shelf.load(str(handmade_model))
    report = drift_step.drift(drift_step.Question(*places), model, True, drift_step.Thresholds(), Silent())
    page = read(drift_page.page(report).html())
    text = " ".join(page.texts)
    assert f"Verdict: {report.verdict}" in text
    assert not re.search(r"\bnan\b|\binf\b", text)
    assert all(why in text for why in report.not_available.values())


def test_nothing_is_drawn_unless_there_is_a_folder(handmade_model: Path, tmp_path: Path) -> None:
    one = str(written(tmp_path / "one.jsonl", ONE))
    loaded = imported("drift", one, one, "-m", str(handmade_model))
    assert not loaded & {"matplotlib", "jinja2"}
