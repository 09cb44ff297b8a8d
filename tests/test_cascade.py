"""classify --cascade: unsure answers are the second model's, all others the first one's, in order, at any size."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import handmade
import invented
import numpy as np
import prepared
import pyarrow.parquet as pq
import pytest
from classifying import PROGRAM, run
from finetuning import train as finetuned
from hypothesis import given
from hypothesis import strategies as st
from test_classify_ends import end, plain, terminal
from test_conversation import Talk
from test_train import QUICK, corpus_of

from arxivcli import parallel
from arxivcli.cli import app
from arxivcli.metrics.selective import selective
from arxivcli.models import card as cards
from arxivcli.models import deferral, shelf
from arxivcli.models.fast import FastClassifier
from arxivcli.progress import Silent
from arxivcli.sources.blocks import Block
from arxivcli.sources.fields import Columns
from arxivcli.steps import cascading, classification, outputs, training
from arxivcli.steps.classification import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from arxivcli.sources.pieces import Piece

BELOW = 0.9
SEVERAL = 16_000
"""Papers in three pieces."""
TITLES = ("Galaxies", "Galaxies and primes", "", "Quarks and quarks of quarks", "We study results", "Dust of neurons")


@pytest.fixture(scope="module")
def slow(few: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:  # noqa: ARG001
    """A small transformer that knows the topics a little."""
    return finetuned(few, encoder, tmp_path_factory.mktemp("models") / "slow")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred papers, many of which are hard, and lines that are none."""
    path = tmp_path_factory.mktemp("papers") / "papers.jsonl"
    chance, lines = random.Random(3), []
    for number, paper in enumerate(invented.records(400, seed=5)):
        if number % 3:
            paper["abstract"] = ""
        if number % 5 == 0:
            paper["title"] = " ".join(chance.sample(str(paper["title"]).split(), 2))
        lines.append("not JSON" if number % 97 == 50 else json.dumps(paper))
    path.write_text("\n".join(lines) + "\n")
    return path


def found(folder: Path, *asked: object, code: int = 3) -> list[dict[str, Any]]:
    """The answers of `classify` in this very process, where what is imported once stays."""
    output = folder / "answers.jsonl"
    assert app._run(["-q", "classify", *map(str, asked), "-o", str(output)], debug=False) == code
    return [json.loads(line) for line in output.read_bytes().splitlines()]


def without_model(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "model"}


def confidence(answer: dict[str, Any]) -> float:
    return answer["predictions"][0]["confidence"]


@pytest.fixture(scope="module")
def alone(
    papers: Path, handmade_model: Path, slow: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """What each of the two says by itself."""
    models, folder = {"handmade": handmade_model, "slow": slow}, tmp_path_factory.mktemp("alone")
    return {name: found(folder, papers, "-m", model, "--multi") for name, model in models.items()}


@pytest.fixture(scope="module")
def together(
    papers: Path, handmade_model: Path, slow: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    asked = ("--cascade", slow, "--cascade-below", BELOW, "--multi")
    return found(tmp_path_factory.mktemp("together"), papers, "-m", handmade_model, *asked)


def test_each_answer_is_that_of_the_model_it_names(
    alone: dict[str, list[dict[str, Any]]], together: list[dict[str, Any]]
) -> None:
    given_by = [answer.get("model") for answer in together]
    assert given_by.count("slow") > 50
    assert given_by.count("handmade") > 50
    for fast, other, answer in zip(alone["handmade"], alone["slow"], together, strict=True):
        if "error" in fast:
            assert answer == fast, "nobody has answered it"
            continue
        unsure = confidence(fast) < BELOW
        assert answer["model"] == ("slow" if unsure else "handmade")
        assert without_model(answer) == (other if unsure else fast)


def test_a_paper_is_answered_alike_alone_and_among_others_and_from_a_table(
    together: list[dict[str, Any]], papers: Path, handmade_model: Path, slow: Path, tmp_path: Path
) -> None:
    asked = ("-m", handmade_model, "--cascade", slow, "--cascade-below", str(BELOW), "--multi", "-f", "jsonl")
    lines = [line for line in papers.read_text().splitlines() if line != "not JSON"]
    expected = [answer for answer in together if "error" not in answer]
    some = tmp_path / "some.jsonl"
    for start, stop in ((0, 1), (1, 2), (5, 6), (0, 7)):
        some.write_text("\n".join(lines[start:stop]))
        assert found(tmp_path, some, *asked, code=0) == expected[start:stop]
    table = tmp_path / "papers.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "title", "abstract"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(map(json.loads, lines))
    assert found(tmp_path, table, *asked, code=0) == expected


def test_tables_have_a_column_for_it(papers: Path, handmade_model: Path, slow: Path, tmp_path: Path) -> None:
    asked = ("-m", handmade_model, "--cascade", slow, "--cascade-below", BELOW)
    arguments = ["-q", "classify", *map(str, (papers, *asked))]
    assert app._run([*arguments, "-o", str(tmp_path / "out.csv")], debug=False) == 3
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "title", "category", "confidence", "alternatives", "model", "error"]
    assert {row["model"] for row in rows} == {"handmade", "slow", ""}
    assert all((row["model"] == "") == (row["error"] != "") for row in rows)
    assert app._run([*arguments, "-o", str(tmp_path / "out.parquet")], debug=False) == 3
    assert pq.read_table(tmp_path / "out.parquet")["model"].to_pylist() == [row["model"] or None for row in rows]
    fields = found(tmp_path, papers, *asked, "--fields", "model,category")
    assert [field["model"] or "" for field in fields] == [row["model"] for row in rows]


def test_the_terminal_says_who_answered(handmade_model: Path, doubtful: Path, tmp_path: Path) -> None:
    several = tmp_path / "several.txt"
    several.write_text("Galaxies of dust\nA study\n")
    more = ("--cascade", str(doubtful), "--cascade-below", "0.5")
    shown, code = end(terminal(handmade_model, str(several), *more, COLUMNS="140"))
    assert code == 0
    header, _, first, second, *_ = plain(shown).splitlines()
    assert (header.split()[-1], first.split()[-1], second.split()[-1]) == ("model", "handmade", "doubtful")
    shown, _ = end(terminal(handmade_model, "--title", "A study", *more))
    assert "model: doubtful" in plain(shown)


def test_at_the_prompt_the_second_model_stays(handmade_model: Path, doubtful: Path) -> None:
    asked = ("--cascade", str(doubtful), "--cascade-below", "0.5", "--top", "3")
    talk = Talk(terminal(handmade_model, *asked, NO_COLOR="1"))
    assert "model: handmade" in talk.paper("Galaxies of dust")
    talk.say(":top 1")
    talk.say(":explain")
    assert "for: " in (answer := talk.paper("Galaxies of dust"))
    assert (answer.count("%"), "model: handmade" in answer) == (1, True)
    assert "model: doubtful" in talk.paper("A study")
    assert f"--cascade {doubtful} is the same model as" in " ".join(talk.say(f":model {doubtful}").split())
    assert "model: doubtful" in talk.paper("A study")
    assert talk.leave() == 0


def test_each_model_explains_its_own_answers(handmade_model: Path, slow: Path, tmp_path: Path) -> None:
    papers = tmp_path / "papers.txt"
    papers.write_text("Galaxies of dust\nA study of some galaxies\n")
    fast, other = (found(tmp_path, papers, "-m", model, "--explain", code=0) for model in (handmade_model, slow))
    below = (confidence(fast[0]) + confidence(fast[1])) / 2
    sure = confidence(fast[0]) > confidence(fast[1])
    asked = ("-m", handmade_model, "--cascade", slow, "--cascade-below", below, "--explain")
    both = found(tmp_path, papers, *asked, code=0)
    assert [answer["model"] for answer in both] == (["handmade", "slow"] if sure else ["slow", "handmade"])
    for answer, mine, theirs in zip(both, fast, other, strict=True):
        assert answer["explanation"] == (mine if answer["model"] == "handmade" else theirs)["explanation"] != []


def test_sure_of_all_and_of_nothing_are_the_two_models(
    alone: dict[str, list[dict[str, Any]]], papers: Path, handmade_model: Path, slow: Path, tmp_path: Path
) -> None:
    asked = (papers, "-m", handmade_model, "--cascade", slow, "--multi", "--cascade-below")
    assert [without_model(answer) for answer in found(tmp_path, *asked, 0)] == alone["handmade"]
    both = found(tmp_path, *asked, 1)
    certain = [answer.get("model") == "handmade" for answer in both]
    assert not any(sure and confidence(answer) < 1 for answer, sure in zip(both, certain, strict=True))
    for answer, other, sure in zip(both, alone["slow"], certain, strict=True):
        assert sure or without_model(answer) == other


def test_where_the_first_would_abstain_the_second_is_asked(
    alone: dict[str, list[dict[str, Any]]], papers: Path, handmade_model: Path, slow: Path, tmp_path: Path
) -> None:
    asked = ("--cascade", slow, "--cascade-below", 0.3, "--abstain", 0.6)
    for first, answer in zip(alone["handmade"], found(tmp_path, papers, "-m", handmade_model, *asked), strict=True):
        if "error" not in first:
            assert answer["model"] == ("slow" if confidence(first) < 0.6 else "handmade")
            assert ("abstained" in answer) == (answer["predictions"] == [])
            assert not answer.get("abstained") or answer["model"] == "slow"


def test_a_coarser_level_is_compared_at_that_level(
    papers: Path, handmade_model: Path, slow: Path, tmp_path: Path
) -> None:
    more = (papers, "--level", "group", "--labels", "cs,math")
    fast, other = (found(tmp_path, "-m", model, *more) for model in (handmade_model, slow))
    both = found(tmp_path, "-m", handmade_model, "--cascade", slow, "--cascade-below", BELOW, *more)
    for first, second, answer in zip(fast, other, both, strict=True):
        if "error" not in first:
            assert without_model(answer) == (second if confidence(first) < BELOW else first)
    assert {"slow", "handmade"} <= {answer.get("model") for answer in both}


# -- sizes and moments ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fast model of the same labels that always says the same."""
    folder = handmade.save(tmp_path_factory.mktemp("models") / "doubtful")
    card, loaded = cards.read(folder), FastClassifier.load(folder)
    replace(loaded, head=np.zeros_like(loaded.head)).save(folder)
    cards.write(folder, card)
    return folder


def test_many_papers_over_processes_and_resumed_are_the_same_bytes(
    many_papers: Path, handmade_model: Path, doubtful: Path, tmp_path: Path
) -> None:
    some = tmp_path / "some.jsonl"
    some.write_bytes(b"".join(many_papers.read_bytes().splitlines(keepends=True)[:SEVERAL]))
    command = (some, "-q", "-m", handmade_model, "--cascade", doubtful, "--cascade-below", BELOW)
    whole = run(*command, "--workers", 1)
    assert whole.returncode == 0, whole.stderr
    given_by = [json.loads(line)["model"] for line in whole.stdout.splitlines()]
    assert (len(given_by), set(given_by)) == (SEVERAL, {"handmade", "doubtful"})
    assert run(*command, "--workers", 2).stdout == whole.stdout
    output, record = tmp_path / "out.jsonl", tmp_path / "out.jsonl.resume"
    kept = [*PROGRAM, *map(str, command), "-o", output, "--resume"]
    program = prepared.Popen(kept, stderr=subprocess.PIPE)
    while program.poll() is None and not (record.exists() and record.stat().st_size > 1 << 20):
        time.sleep(0.002)
    program.kill()
    program.communicate()
    assert not output.exists()
    assert prepared.run(kept, check=False).returncode == 0
    assert output.read_bytes() == whole.stdout


class Sized:
    """A classifier that remembers how many texts it was asked about at once."""

    def __init__(self, inner: Any) -> None:
        self.labels, self.inner = inner.labels, inner
        self.sizes: list[int] = []

    def scores(self, texts: Any) -> Any:
        self.sizes.append(len(texts))
        return self.inner.scores(texts)


def cascade(fast: Path, slow: Path, below: float) -> tuple[cascading.CascadeWork[outputs.Page], list[int]]:
    """Work whose second model is asked a few hundred at once, as slow ones are, and the sizes it was asked."""
    first, second = shelf.load(str(fast)), shelf.load(str(slow))
    sized = Sized(second.classifier)
    slow_one = shelf.Model(replace(second.card, kind="finetuned"), sized)  # type: ignore[arg-type]
    asked = cascading.Second(slow_one, Question(), below, ("one", "two"))
    work = cascading.CascadeWork(first, Question(), Columns(texts_only=True), outputs.JsonPages(), False, asked)
    return work, sized.sizes


def pieces_of(path: Path, size: int, most: int) -> list[Piece]:
    lines = path.read_bytes().splitlines(keepends=True)[:most]
    return [Block(b"".join(lines[start : start + size]), start + 1, "papers") for start in range(0, len(lines), size)]


def answered(work: Any, pieces: Any, ready: Callable[[], bool] = parallel.always) -> list[bytes]:
    parts = classification.classify(work, pieces, 1, ready)
    return [page.content for part in parts for page in part.forms]


def test_the_second_model_has_full_batches_and_bounded_memory(
    many_papers: Path, handmade_model: Path, doubtful: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = pieces_of(many_papers, 100, 4_000)
    some = classification.answer(shelf.load(str(handmade_model)), invented.batch(2_000), Question(top=1))
    often, seldom = np.quantile([scores[0] for scores in some["scores"].to_pylist()], (0.4, 0.05))
    work, sizes = cascade(handmade_model, doubtful, float(often))
    assert len(answered(work, pieces)) == len(pieces)
    assert len(sizes) > 4
    assert sizes[:-1] == [shelf._FEW] * (len(sizes) - 1), "only the last is not full"
    monkeypatch.setattr(cascading, "MOST_HELD", 500)
    work, sizes = cascade(handmade_model, doubtful, float(seldom))
    taken: list[Any] = []
    answers_in_order = classification.classify(work, _noted(pieces, taken), 1, parallel.always)
    for number, _ in enumerate(answers_in_order):
        assert len(taken) <= number + 6
    assert len(sizes) > 4
    assert max(sizes) < shelf._FEW


def _noted(pieces: list[Any], taken: list[Any]) -> Iterator[Any]:
    for piece in pieces:
        taken.append(piece)
        yield piece


@given(
    st.lists(st.sampled_from(TITLES), min_size=1, max_size=25),
    st.integers(1, 7),
    st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_however_papers_come_the_answers_are_the_same(
    pair: tuple[Any, list[int]], titles: list[str], size: int, moments: list[bool]
) -> None:
    lines = [json.dumps({"title": title}).encode() + b"\n" for title in titles]
    whole = [Block(b"".join(lines), 1, "papers")]
    parts = [Block(b"".join(lines[start : start + size]), start + 1, "papers") for start in range(0, len(lines), size)]
    pauses = iter(moments * len(parts))
    expected = answered(pair[0], whole)
    assert b"".join(answered(pair[0], parts, lambda: next(pauses))) == b"".join(expected)
    assert len(b"".join(expected).splitlines()) == len(titles)


@pytest.fixture(scope="module")
def pair(handmade_model: Path, doubtful: Path) -> tuple[Any, list[int]]:
    return cascade(handmade_model, doubtful, BELOW)


def test_a_line_that_comes_slowly_is_answered_when_it_comes(handmade_model: Path, doubtful: Path) -> None:
    command = [*PROGRAM, "-m", handmade_model, "--cascade", doubtful, "--cascade-below", "1", "--workers", "2"]
    program = prepared.Popen(
        [*command, "-f", "jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"NO_COLOR": "1"}
    )
    assert program.stdin
    assert program.stdout
    for number in range(3):
        program.stdin.write(json.dumps({"title": f"Primes {number}"}).encode() + b"\n")
        program.stdin.flush()
        assert json.loads(program.stdout.readline())["id"] == str(number + 1)
    program.stdin.close()
    assert program.wait(30) == 0
    program.stdout.close()


# -- what cannot be ---------------------------------------------------------------------------------------------------


def relabelled(folder: Path, source: Path, **changes: Any) -> Path:
    """A model as `source` with another card."""
    loaded = FastClassifier.load(source)
    folder.mkdir()
    card = replace(cards.read(source), **changes)
    replace(loaded, labels=card.labels).save(folder)
    cards.write(folder, card)
    return folder


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--cascade", "{same}"), "is the same model as --model"),
        (("--cascade", "{doubtful}", "--coverage", "0.9"), "--coverage holds for one model"),
        (("--cascade-below", "0.5"), "name the second one with --cascade"),
        (("--fields", "model"), "name the second one with --cascade"),
        (("--cascade", "{coarse}"), "say with --level which is wanted"),
        (("--cascade", "{coarse}", "--labels", "cs.CL,cs.CV"), "--cascade {coarse}: "),
        (("--cascade", "{other}"), "other does not know 1 of the 6 labels that handmade may answer with, cs.CL for"),
        (("--cascade", "nosuch"), "there is no model nosuch"),
        (("--cascade", "{doubtful}", "--cascade-below", "1.5"), "less than or equal to 1"),
    ],
)
def test_what_is_no_second_opinion_is_refused(
    asked: tuple[str, ...],
    message: str,
    handmade_model: Path,
    doubtful: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels = cards.read(handmade_model).labels
    folders = {
        "same": handmade_model,
        "doubtful": doubtful,
        "coarse": relabelled(
            tmp_path / "coarse", handmade_model, level="archive",
            labels=("astro-ph", "cs", "hep-ph", "math", "q-bio", "stat"),
        ),
        "other": relabelled(tmp_path / "other", handmade_model, labels=(labels[0], "cs.LG", *labels[2:])),
    }  # fmt: skip
    arguments = ("-m", str(handmade_model), "--title", "x", *(part.format(**folders) for part in asked))
    assert app._run(["classify", *arguments], debug=False) == 2
    assert message.format(**folders) in capsys.readouterr().err


def test_labels_and_levels_that_both_know_are_comparable(handmade_model: Path, tmp_path: Path) -> None:
    labels = cards.read(handmade_model).labels
    other = relabelled(tmp_path / "other", handmade_model, labels=(labels[0], "cs.LG", *labels[2:]))
    for asked in (("--labels", "cs.CV,math"), ("--level", "archive")):
        [answer] = found(
            tmp_path, "-m", handmade_model, "--title", "x", "--cascade", other, "--cascade-below", 1, *asked, code=0
        )
        assert answer["model"] == "other"


# -- the threshold ----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans(), st.floats(0.1, 10)), min_size=1, max_size=60))
def test_shares_and_accuracies_are_what_counting_finds(papers: list[tuple[float, bool, float]]) -> None:
    best = np.array([0.6 + 0.4 * sure for sure, _, _ in papers], np.float32)
    right, weight = (np.array(column) for column in list(zip(*papers, strict=True))[1:])
    rows = selective(np.stack([best, 1 - best], axis=1), np.where(right, 0, 1), weight)
    assert rows
    for row in rows:
        above = best >= np.float32(row["confidence"])
        assert row["share"] == pytest.approx(weight[~above].sum() / weight.sum())
        assert row["accuracy"] == pytest.approx((weight * right)[above].sum() / weight[above].sum())
    assert [row["confidence"] for row in rows] == sorted({row["confidence"] for row in rows})


def hard(count: int, seed: int) -> list[dict[str, object]]:
    """Papers that say little of what they are about, and each as much of something else."""
    chance = random.Random(seed)
    common = invented._COMMON.split()
    papers = invented.records(count, seed)
    for paper, other in zip(papers, papers[1:] + papers[:1], strict=True):
        telling = [word for word in str(paper["abstract"]).split() if word not in common]
        foreign = [word for word in str(other["abstract"]).split() if word not in common]
        words = chance.sample(telling, 4) + chance.sample(foreign, 3) + chance.choices(common, k=50)
        paper["title"], paper["abstract"] = "A study", " ".join(chance.sample(words, len(words)))
    return papers


def test_training_stores_from_which_confidence_others_should_be_asked(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", hard(1_500, seed=9), shares=(0.6, 0.1, 0.2, 0.1))
    report = training.train(corpus, "fast", tmp_path / "mine", Silent(), changes=QUICK)
    assert report is not None
    below = deferral.below(report.card)
    new = tmp_path / "new.jsonl"
    new.write_text("".join(json.dumps(paper) + "\n" for paper in hard(1_000, seed=12)))
    asked = (new, "-m", tmp_path / "mine", "--top", 1, "--cascade", "builtin", "--labels", ",".join(invented.TOPICS))
    by_itself = found(tmp_path, *asked, code=0)
    assert 0.15 < sum(answer["model"] == "builtin" for answer in by_itself) / len(by_itself) < 0.45
    assert found(tmp_path, *asked, "--cascade-below", below, code=0) == by_itself


def test_from_too_few_papers_nothing_is_said(few: Path, tmp_path: Path) -> None:
    report = training.train(few, "fast", tmp_path / "few", Silent(), changes=QUICK)
    assert report is not None
    assert "selective" not in report.card.metrics
    assert deferral.below(report.card) == deferral.EVEN
