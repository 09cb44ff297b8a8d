"""`arxivcli eval` as people and machines meet it: what it prints, writes, shows, refuses, and how it ends."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import TYPE_CHECKING

import handmade
import invented
import numpy as np
import prepared
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_startup import imported

from arxivcli import calibration, taxonomy
from arxivcli.calibration import Calibration
from arxivcli.errors import FolderError, InputError, QualityGateError, StorageError, UsageError
from arxivcli.models import shelf
from arxivcli.models.shelf import Model
from arxivcli.progress import Silent
from arxivcli.shards import Shards
from arxivcli.steps import evaluation
from arxivcli.steps.evaluation import gate
from arxivcli.steps.preprocessing import Recipe, preprocess

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from arxivcli.steps.evaluation import Evaluation

REPORT = ["label-errors.csv", "metrics.json", "predictions.parquet"]
ALL_TEST = (0.0, 0.0, 0.0, 1.0)


def corpus_of(folder: Path, papers: list[dict[str, object]], **recipe: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "papers.jsonl"
    source.write_text("".join(json.dumps(paper) + "\n" for paper in papers))
    preprocess([source], folder / "corpus", Recipe(**{"shares": ALL_TEST} | recipe), workers=1)  # type: ignore[arg-type]
    return folder / "corpus"


@pytest.fixture(scope="module")
def papers() -> list[dict[str, object]]:
    """Sixty of five hundred filed under the wrong category."""
    found = invented.records(500, seed=3)
    topics = sorted(invented.TOPICS)
    for paper in found[:60]:
        primary = str(paper["categories"]).split()[0]
        paper["categories"] = topics[(topics.index(primary) + 1) % len(topics)]
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, papers: list[dict[str, object]]) -> Path:
    return corpus_of(tmp_path_factory.mktemp("corpus"), papers)


@pytest.fixture(scope="module")
def model(handmade_model: Path) -> Model:
    return shelf.load(str(handmade_model))


def changed(model: Model, card: dict[str, object] | None = None, **classifier: object) -> Model:
    return Model(
        dataclasses.replace(model.card, **card or {}),  # type: ignore[arg-type]
        dataclasses.replace(model.classifier, **classifier),  # type: ignore[type-var]
    )


def noisy(model: Model) -> Model:
    """The same, but it confuses two categories."""
    bias = model.classifier.bias.copy()  # type: ignore[attr-defined]
    bias[0] += 15
    return changed(model, bias=bias)


def evaluated(
    models: Model | dict[str, Model], corpus: Path, output: Path | None = None, **asked: object
) -> Evaluation:
    named = {"handmade": models} if isinstance(models, Model) else models
    asked = {"resamples": 200} | asked
    return evaluation.evaluate(named, corpus, evaluation.Question(**asked), Silent(), output)  # type: ignore[arg-type]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*prepared.PROGRAM, "eval", *map(str, arguments)]
    return prepared.run(command, capture_output=True, text=True, check=False, timeout=120)


def finite(found: object) -> None:
    json.loads(json.dumps(found, allow_nan=False))


# -- figures ----------------------------------------------------------------------------------------------------------


def test_batches_and_processes_change_no_figure(
    corpus: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluated(model, corpus).as_json()
    monkeypatch.setattr(Model, "most_at_once", property(lambda _: 37))
    question = evaluation.Question(resamples=200)
    parted = evaluation.evaluate({"handmade": model}, corpus, question, Silent(), tmp_path, workers=2)
    assert parted.as_json() == whole
    written = pq.ParquetFile(tmp_path / "predictions.parquet")
    assert (written.metadata.num_rows, written.num_row_groups) == (500, 1)


def test_the_mix_of_arxiv_reaches_every_figure_and_interval(corpus: Path, model: Model) -> None:
    unsure = changed(noisy(model), {"calibration": dataclasses.replace(model.card.calibration, temperature=10.0)})
    alike, weighted = (evaluated(unsure, corpus, weights=mix) for mix in ("corpus", "arxiv"))
    assert alike.importance.tolist() == [1] * len(alike.labels)
    wanted = taxonomy.papers_per_label()
    [found] = weighted.models
    support = {row.label: row.support for row in found.per_label}
    assert support["hep-ph"] / support["math.NT"] == pytest.approx(wanted["hep-ph"] / wanted["math.NT"])
    assert sum(support.values()) == pytest.approx(weighted.papers)
    for view in ("whole", "title_only"):
        before, after = (getattr(report.models[0], view).figures() for report in (alike, weighted))
        for name in before:
            assert before[name].value != after[name].value, name
            assert (before[name].low, before[name].high) != (after[name].low, after[name].high), name
    assert found.covered[0].achieved == pytest.approx(found.whole.coverage.value)  # type: ignore[union-attr]
    assert found.covered[0].achieved != alike.models[0].covered[0].achieved
    assert found.abstention.accuracy[-1] == pytest.approx(found.whole.top1.value)
    assert found.confusion.trace() / found.confusion.sum() == pytest.approx(found.whole.top1.value)
    assert found.reliability.error == pytest.approx(found.whole.ece.value)
    assert found.set_sizes @ np.arange(len(found.set_sizes)) == pytest.approx(found.whole.set_size.value)  # type: ignore[union-attr]


def test_probabilities_for_the_mix_there_is_are_better(tmp_path: Path, model: Model) -> None:
    topics = sorted(invented.TOPICS)
    made_for = dict(zip(topics, (400, 20, 20, 20, 20, 20), strict=True))
    vague = changed(
        model,
        {
            "settings": {"prior": "corpus"},
            "corpus": {"labels": made_for},
            "calibration": dataclasses.replace(model.card.calibration, temperature=12.0),
        },
        bias=np.log(np.array(list(made_for.values()), np.float32)) * 12,
    )
    corpus = corpus_of(tmp_path, invented.records(400, seed=5))
    plain, adjusted = (evaluated(vague, corpus, prior=prior).models[0] for prior in (None, "uniform"))
    assert adjusted.whole.top1.value > plain.whole.top1.value
    assert adjusted.whole.nll.value < plain.whole.nll.value
    assert plain.covered
    assert not adjusted.covered
    assert evaluated(vague, corpus, prior="corpus").models[0].whole.top1 == plain.whole.top1
    with pytest.raises(UsageError, match="did you mean uniform"):
        evaluated(vague, corpus, prior="unifrom")


def test_everything_a_page_draws_is_in_the_report(corpus: Path, model: Model) -> None:
    report = evaluated(model, corpus)
    [found] = report.models
    labels, archives = len(report.labels), len(report.archives)
    assert found.confusion.shape == (labels, labels)
    assert found.archive_confusion.shape == (archives, archives)
    assert found.confusion.sum() == found.archive_confusion.sum() == report.papers
    assert sum(part.papers for part in found.per_year) == report.papers
    assert sum(part.papers for part in found.per_month) == report.papers
    assert {part.name for part in found.per_listing} == {"one category", "cross-listed"}
    assert [part.name for part in found.per_archive] == list(report.archives)
    assert [c.promised for c in found.covered] == [0.9, *evaluation.COVERAGES]
    achieved = [c.achieved for c in found.covered[1:]]
    assert achieved == sorted(achieved)
    assert found.reliability.weight.sum() == pytest.approx(1)
    assert found.reliability_before.error == pytest.approx(found.whole.ece_before.value)
    assert found.confusions
    assert found.confusions[0].papers >= found.confusions[-1].papers
    for confusion in found.confusions:
        assert len(confusion.examples) == min(3, confusion.papers)
        row, column = report.labels.index(confusion.truth), report.labels.index(confusion.answered)
        assert confusion.papers == found.confusion[row, column]
    finite(report.as_json())


def test_abstracts_of_every_length_have_their_slice(tmp_path: Path, model: Model) -> None:
    lengths = (0, 30, 499, 500, 999, 1000, 1499, 1500, 1501)
    papers = [
        paper | {"title": f"{paper['title']} {length}", "abstract": f"{length:0{length}d}" if length else ""}
        for paper, length in zip(invented.records(len(lengths)), lengths, strict=True)
    ]
    found = evaluated(model, corpus_of(tmp_path, papers)).models[0].per_length
    assert [(part.name, part.papers) for part in found] == [
        ("no abstract", 1), ("1-499", 2), ("500-999", 2), ("1000-1499", 2), ("1500 or more", 2),
    ]  # fmt: skip


# -- several models ---------------------------------------------------------------------------------------------------


def test_two_models_are_compared_on_the_same_papers(corpus: Path, model: Model) -> None:
    report = evaluated({"good": model, "noisy": noisy(model)}, corpus)
    [found] = report.comparisons
    good, bad = (each.whole for each in report.models)
    assert (found.first, found.second) == ("good", "noisy")
    assert found.differences["top1"].value == pytest.approx(bad.top1.value - good.top1.value)
    assert (found.only_second - found.only_first) / report.papers == pytest.approx(found.differences["top1"].value)
    assert found.differences["top1"].high < 0
    assert found.mcnemar_exact < 0.001
    titles = [each.title_only.top1.value for each in report.models]
    assert found.differences["title_top1"].value == pytest.approx(titles[1] - titles[0])


def test_models_of_other_labels_meet_on_papers_both_can_answer(corpus: Path, model: Model) -> None:
    order = [5, 3, 1, 0]  # four of the six labels, in an order of their own
    smaller = changed(
        model,
        {"labels": tuple(sorted(model.card.labels[i] for i in order))},
        labels=tuple(sorted(model.card.labels[i] for i in order)),
        head=model.classifier.head[:, sorted(order)],  # type: ignore[attr-defined]
        bias=model.classifier.bias[sorted(order)],  # type: ignore[attr-defined]
    )
    report = evaluated({"all": model, "some": smaller}, corpus)
    assert report.labels == model.card.labels
    truth = [names[0] for names in Shards.open(corpus).table("test")["categories"].to_pylist()]
    known = [name in smaller.card.labels for name in truth]
    assert report.papers == sum(known)
    assert report.left_out == {"a category that not every model knows": len(known) - sum(known)}
    # With fewer wrong answers to choose from nobody gets worse at those that are left.
    assert report.models[1].whole.top1.value >= report.models[0].whole.top1.value
    assert {row.label for row in report.models[1].per_label} <= set(smaller.card.labels)


# -- degenerate and damaged -------------------------------------------------------------------------------------------


def test_without_quantiles_there_are_no_sets_and_everything_else(corpus: Path, model: Model, tmp_path: Path) -> None:
    plain = changed(model, {"calibration": Calibration()})
    report = evaluated(plain, corpus, tmp_path / "report")
    [found] = report.models
    assert found.whole.coverage is found.whole.set_size is found.per_year[0].coverage is None
    assert found.covered == ()
    assert pq.read_table(tmp_path / "report" / "predictions.parquet")["set"].null_count == report.papers
    finite(report.as_json())
    both = evaluated({"sets": model, "none": plain}, corpus)
    assert "coverage" not in both.comparisons[0].differences


def test_papers_that_the_model_cannot_answer_are_counted_and_left_out(tmp_path: Path, model: Model) -> None:
    papers = invented.records(40)
    for paper in papers[:10]:
        paper["categories"] = "stat.ME"
    report = evaluated(model, corpus_of(tmp_path, papers), show=30, show_what="random", weights="arxiv")
    assert (report.papers, report.left_out) == (30, {"a category that no model knows": 10})
    assert {paper.id for paper in report.shown} == {paper["id"] for paper in papers[10:]}


def test_weighted_papers_count_one_on_average_whatever_labels_are_missing(tmp_path: Path, model: Model) -> None:
    papers = [paper for paper in invented.records(60) if str(paper["categories"]).startswith(("cs.CL", "hep-ph"))]
    report = evaluated(model, corpus_of(tmp_path, papers), weights="arxiv")
    assert sum(row.support for row in report.models[0].per_label) == pytest.approx(report.papers)
    assert report.models[0].confusion.sum() == pytest.approx(report.papers)
    assert 1 < report.effective < report.papers


@pytest.mark.parametrize("papers", [1, 2])
def test_one_class_and_a_handful_of_papers_have_finite_figures(tmp_path: Path, model: Model, papers: int) -> None:
    few = [paper | {"categories": "cs.CL"} for paper in invented.records(papers)]
    report = evaluated(model, corpus_of(tmp_path, few), weights="arxiv")
    assert report.papers == papers
    finite(report.as_json())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_an_error_that_names_the_paper(
    corpus: Path, model: Model, tmp_path: Path, bad: float
) -> None:
    broken = changed(model, bias=np.full(6, bad, np.float32))
    with pytest.raises(InputError, match=r"handmade gives scores that are no numbers, first for the paper '\d"):
        evaluated(broken, corpus, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_corpus_of_another_level_is_refused(tmp_path: Path, model: Model) -> None:
    with pytest.raises(FolderError, match="answers at category level"):
        evaluated(model, corpus_of(tmp_path, invented.records(20), level="archive"))


@pytest.mark.parametrize("coverage", [0.2, 0.995, 2.0, float("nan")])
def test_a_coverage_nobody_can_promise_is_refused(corpus: Path, model: Model, coverage: float) -> None:
    with pytest.raises(UsageError, match="is not to be had"):
        evaluated(model, corpus, coverage=coverage)


def test_archives_and_groups_of_archives_are_known(tmp_path: Path, model: Model) -> None:
    archives = ("astro-ph", "cs", "hep-ph", "math", "q-bio")
    of_archives = changed(
        model,
        {"labels": archives, "level": "archive"},
        labels=archives,
        head=model.classifier.head[:, :5],  # type: ignore[attr-defined]
        bias=model.classifier.bias[:5],  # type: ignore[attr-defined]
    )
    report = evaluated(of_archives, corpus_of(tmp_path, invented.records(60), level="archive"))
    whole = report.models[0].whole
    assert report.archives == archives
    assert whole.archive.value == whole.top1.value
    assert whole.group.value >= whole.top1.value  # astro-ph and hep-ph are both physics


# -- the folder -------------------------------------------------------------------------------------------------------


def test_the_folder_holds_figures_answers_and_a_review_list(corpus: Path, model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    report = evaluated({"good": model, "noisy": noisy(model)}, corpus, folder)
    assert sorted(path.name for path in folder.iterdir()) == REPORT
    metrics = json.loads((folder / "metrics.json").read_bytes())
    assert metrics["made_by"] == "arxivcli eval"
    assert metrics["manifest_sha256"] == Shards.open(corpus).manifest_sha256
    assert [each["name"] for each in metrics["models"]] == ["good", "noisy"]
    assert metrics["models"][0]["whole"]["top1"]["value"] == report.models[0].whole.top1.value
    assert metrics["models"][0]["files"] == model.card.files
    answers = pq.read_table(folder / "predictions.parquet")
    assert answers.num_rows == 2 * report.papers
    assert answers["error"].null_count == len(answers)
    for each in report.models:
        rows = answers.filter(pa.compute.equal(answers["model"], each.name)).to_pylist()
        assert np.mean([row["labels"][0] == row["categories"][0] for row in rows]) == each.whole.top1.value
        held = np.mean([row["categories"][0] in row["set"] for row in rows])
        assert held == each.whole.coverage.value  # type: ignore[union-attr]
        assert all(row["scores"] == sorted(row["scores"], reverse=True) for row in rows)


def test_wrongly_filed_papers_are_found(corpus: Path, model: Model, tmp_path: Path, papers: list[dict]) -> None:
    evaluated(model, corpus, tmp_path / "report")
    found = list(csv.DictReader(io.StringIO((tmp_path / "report" / "label-errors.csv").read_text())))
    filed_wrongly = {paper["id"] for paper in papers[:60]}
    assert len(filed_wrongly & {row["id"] for row in found}) > 40
    assert np.mean([row["id"] in filed_wrongly for row in found[:20]]) == 1
    sure = [float(row["confidence"]) - float(row["listed_confidence"]) for row in found]
    assert sure == sorted(sure, reverse=True)


def test_titles_that_would_act_in_a_spreadsheet_or_a_terminal_do_not(tmp_path: Path, model: Model) -> None:
    titles = ("=cmd|' /C calc'!A0 galaxies", "@SUM(galaxies)", "galaxies \u202e reversed", "-2+3+galaxies")
    words = invented.TOPICS["astro-ph.GA"]
    others = invented.records(40, seed=9)
    wrong = [
        {"id": f"2401.0000{i}", "title": title, "abstract": f"{words} {i}", "categories": "cs.CL"}
        for i, title in enumerate(titles)
    ]
    evaluated(model, corpus_of(tmp_path, wrong + others), tmp_path / "report")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report" / "label-errors.csv").read_text())))
    suspects = {row["id"]: row["title"] for row in rows}
    assert suspects["2401.00000"] == f"'{titles[0]}"
    assert suspects["2401.00001"] == f"'{titles[1]}"
    assert suspects["2401.00003"] == f"'{titles[3]}"


def test_an_escape_in_a_title_does_not_reach_the_terminal(tmp_path: Path, handmade_model: Path) -> None:
    corpus = corpus_of(tmp_path, [paper | {"categories": "cs.CL"} for paper in invented.records(30)])
    shards = list((corpus).rglob("*.parquet"))
    table = pq.read_table(shards[0])
    evil = ["\x1b]0;owned\x07\x1b[31m galaxies \u202e"] * len(table)
    for name in ("title", "abstract", "id"):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(evil))
    pq.write_table(table, shards[0])
    manifest = json.loads((corpus / "manifest.json").read_text())
    [shard] = manifest["splits"]["test"]["shards"]
    from arxivcli import storage

    shard |= {"bytes": shards[0].stat().st_size, "sha256": storage.sha256(shards[0])}
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    ran = run(handmade_model, "--data", corpus, "--show", 3, "--show-what", "random", "--by", "confusion")
    assert ran.returncode == 0, ran.stderr
    assert "owned" in ran.stdout
    for forbidden in "\x1b\x07\u202e":
        assert forbidden not in ran.stdout + ran.stderr


def test_the_same_folder_takes_the_next_report(corpus: Path, model: Model, tmp_path: Path) -> None:
    evaluated(model, corpus, tmp_path)
    (tmp_path / "metrics.json").unlink()  # as if the first run had been cut before the end
    (tmp_path / "notes.txt").write_text("mine")
    evaluated(noisy(model), corpus, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*REPORT, "notes.txt"])
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", [*REPORT, "model.json", "manifest.json"])
def test_files_of_others_are_not_overwritten(corpus: Path, model: Model, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"precious": 1}\n')
    with pytest.raises(UsageError, match="choose another --output"):
        evaluated(model, corpus, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"precious": 1}\n'


def test_a_file_is_no_folder(corpus: Path, model: Model, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        evaluated(model, corpus, tmp_path / "report")


def test_a_folder_in_use_is_left_alone(corpus: Path, model: Model, tmp_path: Path) -> None:
    from arxivcli import storage

    with storage.owned(tmp_path), pytest.raises(StorageError, match="in use by process"):
        evaluated(model, corpus, tmp_path)


def test_a_failure_leaves_the_report_that_was_there(corpus: Path, model: Model, tmp_path: Path) -> None:
    evaluated(model, corpus, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError):
        evaluated(changed(model, bias=np.full(6, np.nan, np.float32)), corpus, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# -- the gate ---------------------------------------------------------------------------------------------------------


def test_a_gate_that_holds_says_nothing(corpus: Path, model: Model) -> None:
    report = evaluated(model, corpus)
    top1 = report.models[0].whole.top1.value
    gate.check(report, gate.requirements([f"top1>={top1},top1 <= {100 * top1}%", "title_top1 > 20%, ece<1"]))
    gate.check(report, gate.requirements(["top1.low<=1"]))


def test_a_gate_that_is_missed_says_by_how_much_and_for_which_model(corpus: Path, model: Model) -> None:
    report = evaluated({"good": model, "noisy": noisy(model)}, corpus)
    top1 = report.models[1].whole.top1.value
    with pytest.raises(QualityGateError) as missed:
        gate.check(report, gate.requirements([f"top1>={top1 + 0.0125}"]))
    assert report.models[0].whole.top1.value > top1 + 0.0125
    assert f"top1 of noisy is {top1:.4f}, missing top1>=" in missed.value.what
    assert "by 0.0125" in missed.value.what
    assert "good" not in missed.value.what


def test_a_gate_on_sets_that_a_model_does_not_make_is_missed(corpus: Path, model: Model) -> None:
    report = evaluated(changed(model, {"calibration": Calibration()}), corpus)
    with pytest.raises(QualityGateError, match="handmade has no coverage"):
        gate.check(report, gate.requirements(["coverage>=0.9"]))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("topp1>=0.6", "there is no figure topp1; did you mean top1?"),
        ("titel_ece<=1", "did you mean title_ece?"),
        ("top1", "no figure, sign and number"),
        ("top1>=", "no figure, sign and number"),
        ("top1=0.5", "no figure, sign and number"),
        ("", "no figure, sign and number"),
        ("top1>=0.6,", "no figure, sign and number"),
        ("top1>=much", "much is no number"),
        ("top1>=nan", "nan is no number"),
        ("top1.middle>=1", "no figure, sign and number"),
        ("top1>=60", "top1 is between 0 and 1; write top1>=0.6 or 60%"),
        ("title_top3.low>=250%", "title_top3 is between 0 and 1"),
        ("title_brier<=3", "title_brier is between 0 and 2"),
    ],
)
def test_a_requirement_that_makes_no_sense_is_refused(written: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        gate.requirements([written])
    assert said in str(refused.value)


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_measures_writes_shows_and_fails_the_gate(
    corpus: Path, handmade_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "report"
    ran = run(
        handmade_model,
        "builtin",
        "-d",
        corpus,
        "-o",
        folder,
        "--require",
        "top1>1",
        "--show",
        2,
        "--by",
        "year,category",
    )
    assert ran.returncode == 8
    assert "missing top1>1 by" in ran.stderr.splitlines()[-1]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*REPORT, "figures", "report.html"])
    assert "handmade against" not in ran.stdout
    assert "builtin against handmade: " in ran.stdout
    for word in ("difference", "McNemar p", "F1 of builtin", "true, - missed", "builtin, + extra", "left out"):
        assert (word in ran.stdout) == (word != "left out"), word
    headline = ran.stdout.splitlines()[0]
    assert headline.startswith("500 papers of")


def test_the_command_as_json_is_one_value_on_stdout(corpus: Path, handmade_model: Path) -> None:
    ran = run(handmade_model, "-d", corpus, "--json", "--show", 1, "--seed", 5)
    found = json.loads(ran.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert found["models"][0]["name"] == "handmade"
    assert len(found["shown"]) == 1
    assert ran.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--require", "topp1>=1"], "did you mean top1?"),
        (["--by", "yaer"], "did you mean year?"),
        (["builtin", "builtin"], "builtin is named twice"),
        (["bultin"], "did you mean builtin?"),
        (["--coverage", "1.5"], "--coverage 1.5 is not to be had"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(corpus: Path, arguments: list[str], said: str) -> None:
    ran = run(*arguments, "-d", corpus)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr


def test_two_models_of_one_name_are_called_by_their_folders(corpus: Path, tmp_path: Path, handmade_model: Path) -> None:
    other = handmade.save(tmp_path / "other" / "handmade")
    ran = run(handmade_model, other, "-d", corpus, "--json")
    assert [each["name"] for each in json.loads(ran.stdout)["models"]] == [str(handmade_model), str(other)]


def test_a_split_by_time_shows_accuracy_over_time_first(tmp_path: Path, handmade_model: Path) -> None:
    papers = invented.records(300, seed=4)
    corpus = corpus_of(tmp_path, papers, split="time", test_from="2019-01", shares=(0.8, 0.1, 0.1, 0.0))
    lines = run(handmade_model, "-d", corpus).stdout.splitlines()
    heads = [line.split()[0] for line in lines if line]
    assert heads.index("year") < heads.index("2019") < heads.index("2021") < heads.index("figure")
    assert "2018" not in heads


def test_what_is_shown_is_what_was_asked_for(corpus: Path, model: Model) -> None:
    for what in ("random", "wrong", "unsure", "suspect"):
        report = evaluated(model, corpus, show=5, show_what=what)
        assert len(report.shown) == 5
        tops = [paper.answers[0][0] for paper in report.shown]
        if what == "wrong":
            assert all(label != paper.categories[0] for (label, _), paper in zip(tops, report.shown, strict=True))
        if what == "suspect":
            assert all(label not in paper.categories for (label, _), paper in zip(tops, report.shown, strict=True))
        if what == "unsure":
            assert max(score for _, score in tops) <= report.models[0].abstention.confidence[-3]  # all but a tenth
        assert all(paper.abstract for paper in report.shown)
    again, other = (evaluated(model, corpus, show=5, seed=seed).shown for seed in (0, 1))
    assert again == evaluated(model, corpus, show=5).shown != other


def test_a_model_of_another_corpus_is_said_to_be_one(corpus: Path, model: Model) -> None:
    [found] = evaluated(model, corpus).models
    assert "another corpus" in found.caveats[0]
    sha = Shards.open(corpus).manifest_sha256
    [found] = evaluated(changed(model, {"corpus": {"manifest_sha256": sha}}), corpus).models
    assert found.caveats == ()


def test_the_threshold_is_what_lets_labels_into_sets(model: Model) -> None:
    probs = calibration.probabilities(np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32))
    least = calibration.threshold(model.card.calibration, 0.7)
    inside = calibration.conformal_sets(probs, model.card.calibration, 0.7)
    best = probs == probs.max(axis=1, keepdims=True)
    np.testing.assert_array_equal(inside, (probs >= np.float32(least)) | best)


def test_a_light_model_is_measured_without_heavy_libraries(corpus: Path, handmade_model: Path) -> None:
    loaded = imported("eval", str(handmade_model), "-d", str(corpus), "--by", "confusion", "--workers", "1")
    assert not loaded & {"torch", "transformers", "scipy", "sklearn", "pandas", "matplotlib", "wandb"}
