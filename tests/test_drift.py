"""Drift is found where it is and not where it is not; anything that can be read has an answer, and no answer is NaN."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import prepared
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented import TOPICS, batch, records

from arxivcli.errors import FolderError, InputError, QualityGateError, UsageError
from arxivcli.models import shelf
from arxivcli.papers import PREDICTIONS
from arxivcli.progress import Silent
from arxivcli.shards import Shards
from arxivcli.sources import prediction_log
from arxivcli.steps import drift as step
from arxivcli.steps.drift import Drift, Question, Thresholds
from arxivcli.steps.drift.sides import SAMPLED, Sample
from arxivcli.steps.preprocessing import Recipe, preprocess

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from arxivcli.models.shelf import Model

Papers = list[dict[str, Any]]
MOST = 400


class Told(Silent):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def model(handmade_model: Path) -> Model:
    return shelf.load(str(handmade_model))


def written(path: Path, papers: Papers) -> Path:
    path.write_text("".join(json.dumps(paper) + "\n" for paper in papers))
    return path


def compared(
    model: Model, folder: Path, reference: Papers, current: Papers, *thresholds: str, chosen: bool = True, seed: int = 0
) -> Drift:
    question = Question(
        written(folder / "reference.jsonl", reference),
        written(folder / "current.jsonl", current),
        sample=MOST,
        seed=seed,
    )
    return step.drift(question, model, chosen, Thresholds.of(thresholds), Silent())


def levels(report: Drift) -> dict[str, str]:
    return {finding.figure: finding.level for finding in report.findings}


# -- is it found? -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_two_samples_of_one_population_have_not_drifted(model: Model, tmp_path: Path, seed: int) -> None:
    papers = records(700, seed)
    random.Random(seed).shuffle(papers)
    report = compared(model, tmp_path, papers[:300], papers[300:], seed=seed)
    assert report.verdict == "no drift"
    assert (report.text.grown, report.text.shrunk_pairs) == ((), ())
    assert report.labels is not None
    assert len(report.labels.grew) + len(report.labels.shrank) <= 1


def fewer_topics(papers: Papers) -> Papers:
    return [paper for paper in papers if str(paper["categories"]).startswith("cs")]


OLD_WORDS = {word.lower() for words in TOPICS.values() for word in words.split()[:2]}


def new_words(papers: Papers) -> Papers:
    again = {"the": "zorgle"} | dict.fromkeys(OLD_WORDS, "flimmer")
    return [paper | {"abstract": " ".join(again.get(w, w) for w in paper["abstract"].split())} for paper in papers]


def no_abstracts(papers: Papers) -> Papers:
    return [paper | {"abstract": ""} for paper in papers]


def other_labels(papers: Papers) -> Papers:
    names = sorted(TOPICS)
    following = dict(zip(names, [*names[1:], names[0]], strict=True))
    return [paper | {"categories": following[str(paper["categories"]).split()[0]]} for paper in papers]


def labels_nobody_knew(papers: Papers) -> Papers:
    return [paper | {"categories": "econ.GN" if n % 5 == 0 else paper["categories"]} for n, paper in enumerate(papers)]


@pytest.mark.parametrize(
    ("change", "drifts", "stays"),
    [
        (fewer_topics, {"labels", "answers", "telling apart", "distance"}, {"top-1, one mix of labels"}),
        (new_words, {"unknown words", "unknown to the model"}, {"labels", "words a title", "top-1"}),
        (no_abstracts, {"words an abstract"}, {"labels", "words a title", "labels it can answer"}),
        (other_labels, {"top-1", "top-1, one mix of labels"}, {"labels", "answers", "confidence", "telling apart"}),
        (labels_nobody_knew, {"labels", "labels it can answer"}, {"answers", "unknown words", "confidence"}),
    ],
)
def test_what_was_changed_is_what_is_found(
    model: Model, tmp_path: Path, change: Callable[[Papers], Papers], drifts: set[str], stays: set[str]
) -> None:
    report = compared(model, tmp_path, records(400, 1), change(records(400, 2)))
    found = levels(report)
    assert report.verdict == "drift"
    assert drifts <= {figure for figure, level in found.items() if level == "drift"}, found
    assert {found[figure] for figure in stays} == {"none"}, found


def test_words_that_came_and_went_are_named(model: Model, tmp_path: Path) -> None:
    text = compared(model, tmp_path, records(300, 1), new_words(records(300, 2))).text
    assert {row.words for row in text.grown} == {"zorgle", "flimmer"}
    assert {row.words for row in text.shrunk} == {"the", *OLD_WORDS}
    [row] = [row for row in text.grown if row.words == "zorgle"]
    assert (row.reference, row.reference_share) == (0, 0)
    assert row.current_share == row.current / 300 > 0.5
    assert any("zorgle" in row.words for row in text.grown_pairs)


def test_another_mix_of_labels_is_told_apart_from_a_worse_model(model: Model, tmp_path: Path) -> None:
    """Papers of one topic are never answered rightly; the current side has more of them."""

    def side(seed: int, hard: int) -> Papers:
        papers = [p for p in records(900, seed) if str(p["categories"]).split()[0] in {"cs.CL", "math.NT"}]
        chosen = {"cs.CL": hard, "math.NT": 120 - hard}
        found = []
        for paper in papers:
            label = str(paper["categories"]).split()[0]
            if chosen[label] > 0:
                chosen[label] -= 1
                found.append(paper | ({"title": "quarks", "abstract": "quarks"} if label == "cs.CL" else {}))
        return found

    accuracy = compared(model, tmp_path, side(1, 20), side(2, 90)).accuracy
    assert accuracy is not None
    assert accuracy.change < -0.5
    assert abs(accuracy.same_mix.change) < 0.02
    assert accuracy.same_mix.interval[0] <= 0 <= accuracy.same_mix.interval[1]
    assert accuracy.same_mix.covered == 1


def test_without_labels_accuracy_is_estimated(model: Model, tmp_path: Path) -> None:
    bare = [paper | {"categories": ""} for paper in records(400, 2)]
    report = compared(model, tmp_path, records(400, 1), bare)
    assert report.accuracy is None
    assert report.not_available.keys() == {"labels", "accuracy"}
    assert report.estimate is not None
    assert report.estimate.method == "average thresholded confidence"
    truth = compared(model, tmp_path, records(400, 1), records(400, 2)).accuracy
    assert truth is not None
    assert report.estimate.reference == truth.reference.share
    assert report.estimate.current == pytest.approx(truth.current.share, abs=0.05)
    neither = compared(model, tmp_path, bare, bare)
    assert neither.estimate is not None
    assert neither.estimate.method == "mean confidence"
    assert neither.verdict == "no drift"
    vague = compared(
        model, tmp_path, records(400, 1), [paper | {"abstract": "", "title": "we study"} for paper in bare]
    )
    assert levels(vague)["top-1, estimated"] == "drift"


class LogitsAlone:
    """The same answers without vectors, as a fine-tuned model gives them."""

    def __init__(self, model: Model) -> None:
        self.labels = model.card.labels
        self.scores = model.classifier.scores


def test_a_model_without_vectors_is_compared_by_its_logits(model: Model, tmp_path: Path) -> None:
    plain = shelf.Model(model.card, LogitsAlone(model))  # type: ignore[arg-type]
    same = compared(plain, tmp_path, records(300, 1), records(300, 2))
    other = compared(plain, tmp_path, records(300, 1), fewer_topics(records(600, 2)))
    for report in (same, other):
        assert report.vectors is not None
        assert report.vectors.of == "centred logits of handmade"
        assert report.text.unknown_to_model is None
    assert (levels(same)["telling apart"], levels(other)["telling apart"]) == ("none", "drift")
    with_vectors = compared(model, tmp_path, records(300, 1), records(300, 2)).vectors
    assert with_vectors is not None
    assert with_vectors.of == "document vectors of handmade"


# -- degenerate sides -------------------------------------------------------------------------------------------------

ONE = records(1)
DEGENERATE: dict[str, tuple[Papers, Papers]] = {
    "one paper each": (ONE, records(1, 3)),
    "one paper against many": (records(60), ONE),
    "the same papers": (records(80), records(80)),
    "the same paper many times": (ONE * 50, ONE * 50),
    "one label": ([paper | {"categories": "cs.CL"} for paper in records(40)],) * 2,
    "other labels altogether": (
        [paper | {"categories": "cs.CL"} for paper in records(40)],
        [paper | {"categories": "econ.GN"} for paper in records(40, 1)],
    ),
    "labels arXiv never had": ([paper | {"categories": "zz.ZZ"} for paper in records(40)], records(40)),
    "all titles empty": ([paper | {"title": ""} for paper in records(40)], [p | {"title": ""} for p in records(40, 1)]),
    "all abstracts empty": (no_abstracts(records(40)), no_abstracts(records(40, 1))),
    "no letters": ([{"title": "1 2 3", "abstract": "... $$ "} for _ in range(30)],) * 2,
    "no word at all": ([{"title": "...", "abstract": "!"} for _ in range(30)],) * 2,
    "no dates": ([{"title": paper["title"]} for paper in records(30)],) * 2,
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_every_side_has_an_answer_without_nan(model: Model, tmp_path: Path, case: str) -> None:
    reference, current = DEGENERATE[case]
    report = compared(model, tmp_path, reference, current)
    said = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert said["verdict"] in {"no drift", "some drift", "drift"}
    for finding in report.findings:
        assert 0 <= finding.p <= 1
    for name in ("labels", "vectors", "predictions", "accuracy"):
        assert (said[name] is None) == (name in report.not_available)
    if reference == current:
        assert report.verdict == "no drift"


def test_identical_sides_differ_by_nothing(model: Model, tmp_path: Path) -> None:
    report = compared(model, tmp_path, records(200), records(200))
    effects = {finding.figure: finding.effect for finding in report.findings}
    assert effects.pop("telling apart") <= 0.5
    assert effects.pop("unknown words") <= 0  # half of the papers are those looked up
    assert set(effects.values()) == {0}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty.jsonl has no papers; give papers for both sides"),
        ('{"title": ""}\n{"title": " "}\n', "empty.jsonl has no papers: no title (2); give papers for both sides"),
        ("\n\n", "empty.jsonl has no papers; give papers for both sides"),
    ],
)
def test_an_empty_side_is_said_in_one_line(model: Model, tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "empty.jsonl").write_text(content)
    full = written(tmp_path / "full.jsonl", ONE)
    with pytest.raises(InputError) as error:
        step.drift(Question(full, tmp_path / "empty.jsonl"), model, True, Thresholds(), Silent())
    assert str(error.value).endswith(says)


def test_a_name_that_is_not_utf_8_is_no_bug(model: Model, tmp_path: Path) -> None:
    path = written(tmp_path / os.fsdecode(b"caf\xe9.jsonl"), records(3))
    report = step.drift(Question(path, path), model, True, Thresholds(), Silent())
    saved = step.save(report, tmp_path / "report")
    assert json.loads(saved.read_bytes())["current"]["name"].endswith("caf\ufffd.jsonl")


def test_bad_records_are_counted_and_left_out(model: Model, tmp_path: Path) -> None:
    path = written(tmp_path / "papers.jsonl", records(20))
    path.write_text(path.read_text() + '{"title": ""}\nnonsense\n\n')
    told = Told()
    report = step.drift(Question(path, path), model, True, Thresholds(), told)
    assert report.reference.papers == 20
    assert report.reference.left_out == {"no title": 1, "not JSON": 1}
    assert f"{path}: left out: no title (1), not JSON (1)" in told.notes


# -- places -----------------------------------------------------------------------------------------------------------


def test_one_place_is_parted_by_a_month(model: Model, tmp_path: Path) -> None:
    papers = [*records(200), {"title": "A paper without a date", "id": "mine"}]
    path = written(tmp_path / "papers.jsonl", papers)
    report = step.drift(Question(path, before="2020-07"), model, True, Thresholds(), Silent())
    early = sum(str(paper["created"]) < "2020-07" for paper in records(200))
    assert (report.reference.papers, report.current.papers) == (early, 200 - early)
    assert report.reference.left_out == {"no date": 1}
    assert max(report.reference.months) < "2020-07" <= min(report.current.months)
    assert sum(report.current.months.values()) == 200 - early
    with pytest.raises(InputError, match="before 1999-01 has no papers"):
        step.drift(Question(path, before="1999-01"), model, True, Thresholds(), Silent())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "there must be two sides"),
        ({"before": "2020-01", "current": "reference"}, "there must be two sides"),
        ({"before": "2020"}, "is no month"),
        ({"before": "2020-01", "split": "test"}, "--split is for corpus folders"),
    ],
)
def test_questions_that_cannot_be(model: Model, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = written(tmp_path / "papers.jsonl", ONE)
    if "current" in changes:
        changes = changes | {"current": path}
    with pytest.raises(UsageError, match=says):
        step.drift(Question(path, **changes), model, True, Thresholds(), Silent())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    preprocess([written(folder / "papers.jsonl", records(300))], folder / "corpus", Recipe(), workers=1)  # type: ignore[call-arg]
    return folder / "corpus"


def test_a_corpus_is_all_that_is_in_it_or_one_split(model: Model, corpus: Path) -> None:
    def papers(split: str | None) -> int:
        return step.drift(Question(corpus, corpus, split=split), model, True, Thresholds(), Silent()).current.papers

    assert papers(None) == 300
    assert papers("train") + papers("validation") + papers("calibration") + papers("test") == 300
    with pytest.raises(UsageError, match="did you mean test"):
        papers("tset")


def test_what_the_model_learned_from_is_left_out(model: Model, corpus: Path) -> None:
    shards = Shards.open(corpus)
    learned = replace(model.card, corpus={"manifest_sha256": shards.manifest_sha256})
    told = Told()
    report = step.drift(Question(corpus, corpus), shelf.Model(learned, model.classifier), True, Thresholds(), told)
    assert report.reference.papers == 300 - shards.rows("train")
    assert any("learned from the train split" in note for note in told.notes)
    asked = Question(corpus, corpus, split="train")
    report = step.drift(asked, shelf.Model(learned, model.classifier), True, Thresholds(), told)
    assert report.reference.papers == shards.rows("train")


def test_a_coarse_corpus_does_not_fit_a_fine_model(model: Model, tmp_path: Path) -> None:
    source = written(tmp_path / "papers.jsonl", records(60))
    preprocess([source], tmp_path / "corpus", Recipe(level="archive"), workers=1)  # type: ignore[call-arg]
    with pytest.raises(FolderError, match="at archive level, not at category level"):
        step.drift(Question(tmp_path / "corpus", source), model, True, Thresholds(), Silent())


@given(st.integers(1, 40), st.lists(st.integers(0, 30), max_size=12), st.integers(0, 5))
def test_a_sample_is_as_large_as_it_may_be_and_every_paper_may_be_in_it(size: int, parts: list[int], seed: int) -> None:
    sample = Sample(size, seed)
    total = 0
    for count in parts:
        ids = [str(total + number) for number in range(count)]
        columns = [pa.array(ids)] + [pa.nulls(count, field.type) for field in list(SAMPLED)[1:]]
        sample.add(pa.RecordBatch.from_arrays(columns, schema=SAMPLED))
        total += count
    taken = [int(identifier) for identifier in sample.take()["id"].to_pylist()]
    assert len(taken) == min(size, total)
    assert taken == sorted(set(taken))


def test_every_paper_is_as_likely_to_be_in_the_sample() -> None:
    papers = batch(100)
    whole = pa.RecordBatch.from_arrays(
        [*papers.columns, pa.nulls(100, pa.string()), pa.nulls(100, pa.float32())], schema=SAMPLED
    )
    seen = np.zeros(100)
    for seed in range(400):
        sample = Sample(10, seed)
        for start in range(0, 100, 7):
            sample.add(whole.slice(start, 7))
        seen += np.isin(papers["id"].to_pylist(), sample.take()["id"].to_pylist())
    assert seen.sum() == 4000
    assert (np.abs(seen - 40) < 4.5 * 6).all()  # binomial: the deviation is 6
    assert abs(seen[:50].sum() - 2000) < 4.5 * 32


# -- logs -------------------------------------------------------------------------------------------------------------


def logged(seed: int, confidence: float = 0.9, label: str | None = None, count: int = 120) -> list[dict[str, Any]]:
    return [
        {
            "id": f"r-{number}",
            "time": f"2026-{1 + number % 12:02d}-24T09:10:21Z",
            "title": paper["title"],
            "abstract": paper["abstract"],
            "predictions": [
                {"category": label or str(paper["categories"]).split()[0], "confidence": confidence},
                {"category": "math.GM", "confidence": 1 - confidence},
            ],
            "categories": str(paper["categories"]).split() if number % 2 else None,
        }
        for number, paper in enumerate(records(count, seed))
    ]


def test_logged_predictions_are_taken_as_they_are(model: Model, tmp_path: Path) -> None:
    report = compared(model, tmp_path, logged(1, 0.9), logged(2, 0.6, "cs.CL"), chosen=False)
    assert report.model == step.LOGGED
    assert report.predictions is not None
    assert report.predictions.confidence.reference_mean == pytest.approx(0.9)
    assert report.predictions.confidence.current_mean == pytest.approx(0.6)
    assert report.predictions.labels.rows[0].label == "cs.CL"
    assert report.accuracy is not None
    assert report.accuracy.reference.share == 1
    assert report.accuracy.current.papers == 60
    assert (levels(report)["answers"], levels(report)["confidence"], levels(report)["top-1"]) == ("drift",) * 3
    again = compared(model, tmp_path, logged(1, 0.9), logged(2, 0.6, "cs.CL"), chosen=True)
    assert again.model == "handmade"
    assert levels(again)["answers"] == "none"


def test_a_log_beside_papers_is_answered_anew(model: Model, tmp_path: Path) -> None:
    told = Told()
    places = written(tmp_path / "a.jsonl", records(50)), written(tmp_path / "b.jsonl", logged(1))
    report = step.drift(Question(*places), model, False, Thresholds(), told)
    assert report.model == "handmade"
    assert any("only one side has logged predictions" in note for note in told.notes)


def test_a_log_may_be_packed_lines_or_parquet_in_a_folder_and_is_parted_by_time(model: Model, tmp_path: Path) -> None:
    rows = [row | {"time": dt.datetime.fromisoformat(row["time"])} for row in logged(1)]
    (tmp_path / "parquet").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, prediction_log.LOGGED), tmp_path / "parquet" / "1.parquet")
    (tmp_path / "lines").mkdir()
    content = b"".join(orjson.dumps(row) + b"\n" for row in logged(1))
    (tmp_path / "lines" / "1.jsonl.zst").write_bytes(pa.Codec("zstd").compress(content, asbytes=True))
    reports = [
        step.drift(Question(tmp_path / name, before="2026-07"), model, False, Thresholds(), Silent()).as_json()
        for name in ("parquet", "lines")
    ]
    for report in reports:
        assert report["model"] == step.LOGGED
        assert list(report["current"]["months"]) == [f"2026-{month:02d}" for month in range(7, 13)]
        for side in ("reference", "current"):
            del report[side]["name"]
    assert reports[0] == reports[1]


def test_what_was_logged_is_what_is_read(tmp_path: Path) -> None:
    papers = batch(3)
    answers = pa.RecordBatch.from_pylist(
        [
            {"id": "a", "labels": ["cs.CL", "cs.CV"], "scores": [0.75, 0.25], "set": None, "error": None},
            {"id": "b", "labels": [], "scores": [], "set": None, "error": "no title"},
            {"id": "c", "labels": ["hep-ph"], "scores": [1.0], "set": None, "error": None},
        ],
        PREDICTIONS,
    )
    path = tmp_path / "log.jsonl"
    path.write_bytes(prediction_log.json_lines(papers, answers, dt.datetime(2026, 11, 24, 9, tzinfo=dt.UTC)))
    first = orjson.loads(path.read_bytes().splitlines()[0])
    assert list(first) == prediction_log.LOGGED.names
    assert first["time"] == "2026-11-24T09:00:00Z"
    [found] = prediction_log.read(path)
    assert found.categories.to_pylist() == ["cs.CL", None, "hep-ph"]
    assert found.confidences.to_pylist() == [0.75, None, 1.0]
    for name in ("id", "title", "abstract", "categories"):
        assert found.reading.papers[name].equals(papers[name])
    assert found.reading.papers["created"].to_pylist() == [dt.date(2026, 11, 24)] * 3


@pytest.mark.parametrize(
    "predictions",
    ["cs.LG", [1], [{"category": "cs.LG"}], [{"category": 1, "confidence": 0.5}], [{"category": "a", "confidence": 2}]],
)
def test_predictions_that_are_none_spoil_their_record_alone(tmp_path: Path, predictions: Any) -> None:
    rows = logged(1, count=3)
    rows[1]["predictions"] = predictions
    [found] = prediction_log.read(written(tmp_path / "log.jsonl", rows))
    assert found.reading.errors.to_pylist() == [None, "predictions are no list of {category, confidence}", None]
    assert found.categories.null_count == 1


def test_archives_that_were_answered_are_compared_with_archives(model: Model, tmp_path: Path) -> None:
    def archives(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            for entry in row["predictions"]:
                entry["category"] = entry["category"].partition(".")[0]
        return rows

    report = compared(model, tmp_path, archives(logged(1)), archives(logged(2)), chosen=False)
    assert report.level == "archive"
    assert report.labels is not None
    assert {row.label for row in report.labels.rows} == {"cs", "math", "astro-ph", "hep-ph", "q-bio"}
    assert report.accuracy is not None
    assert report.accuracy.current.share == 1


# -- the verdict ------------------------------------------------------------------------------------------------------


def test_thresholds_are_read_as_they_are_written() -> None:
    read = Thresholds.of(["psi=0.2", "accuracy=0.01:0.03,significance=0.01"])
    assert read.limits["psi"] == (0.2, 0.2)
    assert read.limits["accuracy"] == (0.01, 0.03)
    assert read.limits["ks"] == Thresholds().limits["ks"]
    assert read.significance == 0.01


@pytest.mark.parametrize(
    "written", ["psi", "psi=", "psi=x", "psi=0.3:0.1", "psi=-1", "psi=nan", "psi=1:2:3", "psi=inf"]
)
def test_thresholds_that_cannot_be(written: str) -> None:
    with pytest.raises(UsageError, match="is no threshold"):
        Thresholds.of([written])
    with pytest.raises(UsageError, match="did you mean accuracy"):
        Thresholds.of(["acuracy=0.1"])


def test_an_effect_counts_from_its_threshold_on_and_only_when_it_is_no_chance(model: Model, tmp_path: Path) -> None:
    reference, current = records(400, 1), new_words(records(400, 2))
    effect = next(f.effect for f in compared(model, tmp_path, reference, current).findings if f.measure == "oov")
    for low, high, level in ((0, effect * 0.99, "drift"), (0, effect, "some"), (effect, effect, "none")):
        found = levels(compared(model, tmp_path, reference, current, f"oov={low!r}:{high!r}"))
        assert found["unknown words"] == level
    assert levels(compared(model, tmp_path, reference, current, "significance=0"))["words an abstract"] == "none"
    few = compared(model, tmp_path, reference[:3], fewer_topics(current)[:3])
    assert few.verdict == "no drift"


def test_a_gate_closes_on_its_verdict_or_a_worse_one(model: Model, tmp_path: Path) -> None:
    some = compared(
        model, tmp_path, records(400, 1), new_words(records(400, 2)), "oov=0.01:0.9", "psi=9", "ks=9", "auc=9", "mmd=9"
    )
    assert some.verdict == "some drift"
    step.require(some, "drift")
    with pytest.raises(QualityGateError, match="the verdict is some drift: unknown words"):
        step.require(some, "some")
    worse = compared(model, tmp_path, records(400, 1), new_words(records(400, 2)))
    with pytest.raises(QualityGateError, match="the verdict is drift"):
        step.require(worse, "drift")


# -- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return prepared.run(
        [*prepared.PROGRAM, "drift", *map(str, arguments)],
        input=given,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_the_command_shows_saves_and_fails_on_drift(tmp_path: Path, handmade_model: Path) -> None:
    first = written(tmp_path / "first.jsonl", records(300, 1))
    second = "".join(json.dumps(paper) + "\n" for paper in new_words(records(300, 2))).encode()
    saved = tmp_path / "new" / "report"
    done = run(first, "-", "-m", handmade_model, "-o", saved, "--fail-on", "drift", given=second)
    assert done.returncode == 8, done.stderr
    shown = done.stdout.decode()
    assert "<stdin> (300 papers), answers of handmade" in shown
    assert "words that grew: " in shown
    assert "zorgle 0.0→" in shown
    assert shown.splitlines()[-1].startswith("verdict: drift: ")
    assert done.stderr.decode().splitlines()[-1].startswith("error: the verdict is drift: ")
    again = run(first, "-", "-m", handmade_model, "--json", given=second)
    assert again.returncode == 0
    assert json.loads(again.stdout) == json.loads((saved / "drift.json").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere.jsonl", "nowhere.jsonl"], 3, "cannot read nowhere.jsonl"),
        (["-", "-"], 2, "standard input is one side"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], code: int, says: str) -> None:
    done = run(*arguments)
    [line] = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (code, b"")
    assert says in line
