"""What people may ask of the probabilities: another mix, some labels only, a coarser level, and no unsure answers."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import invented
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from classifying import answers, run
from hypothesis import given
from hypothesis import strategies as st
from test_classify_ends import end, plain, terminal

from arxivcli import calibration, priors, taxonomy, views
from arxivcli.calibration import Calibration
from arxivcli.cli import app
from arxivcli.errors import UsageError
from arxivcli.models import mix, shelf, viewing
from arxivcli.models.base import LabelledTexts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = taxonomy.labels()
CROOKED = Calibration(1.3, slope=0.7, intercept=-0.2, quantiles={"0.90": 0.8})
seeds = st.integers(0, 2**32 - 1)
mixes = st.lists(st.floats(0.001, 1000), min_size=5, max_size=5).map(np.array)
FIVE = ("cs.CL", "cs.LG", "hep-ph", "math.NT", "stat.ML")


def same(labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(labels, labels, strict=True))


def seen(view: views.View | None, logits: NDArray[np.float32], fitted: Calibration) -> NDArray[np.float32]:
    probs = calibration.calibrated(logits, fitted)
    return probs if view is None else view.probabilities(probs, logits, fitted)


def some_logits(seed: int, labels: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 4, (20, labels)).astype(np.float32)


# -- probabilities ----------------------------------------------------------------------------------------------------


@given(seeds, mixes, mixes)
def test_exact_posteriors_under_one_mix_are_exact_under_another(
    seed: int, own: NDArray[np.float64], wanted: NDArray[np.float64]
) -> None:
    own, wanted = own / own.sum(), wanted / wanted.sum()
    likelihoods = np.random.default_rng(seed).dirichlet(np.ones(5), 20) + 1e-6
    found = seen(
        views.View.of(FIVE, same(FIVE), wanted / own), np.log(likelihoods * own).astype(np.float32), Calibration()
    )
    exact = likelihoods * wanted
    np.testing.assert_allclose(found, exact / exact.sum(axis=1, keepdims=True), atol=1e-5)


@given(seeds, mixes, mixes)
def test_another_mix_and_back_again_is_where_it_began(
    seed: int, own: NDArray[np.float64], wanted: NDArray[np.float64]
) -> None:
    logits = some_logits(seed)
    before = calibration.calibrated(logits, CROOKED)
    there = seen(views.View.of(FIVE, same(FIVE), wanted / own), logits, CROOKED)
    back = views.View.of(FIVE, same(FIVE), own / wanted)
    again = there if back is None else back.probabilities(there, logits, CROOKED)
    np.testing.assert_allclose(again, before, atol=1e-5)


@given(seeds, st.sets(st.sampled_from(FIVE), min_size=1))
def test_among_some_labels_the_odds_stay(seed: int, kept: set[str]) -> None:
    logits = some_logits(seed)
    probs = calibration.calibrated(logits, CROOKED)
    view = views.View.of(FIVE, same(tuple(kept)))
    found = seen(view, logits, CROOKED)
    places = [place for place, label in enumerate(FIVE) if label in kept]
    assert (view.labels if view else FIVE) == tuple(FIVE[place] for place in places)
    np.testing.assert_allclose(found, probs[:, places] / probs[:, places].sum(axis=1, keepdims=True), rtol=1e-4)


def test_among_labels_that_a_sure_model_thinks_impossible_it_still_chooses() -> None:
    logits = np.array([[2000.0, 3.0, 1.0, 0.0, -2000.0]], np.float32)
    assert calibration.calibrated(logits, CROOKED)[0, 1] == 0
    view = views.View.of(FIVE, same(("cs.LG", "hep-ph")))
    expected = calibration.probabilities(logits[:, 1:3], CROOKED.temperature)
    np.testing.assert_allclose(seen(view, logits, CROOKED), expected, rtol=1e-5)


@given(seeds, mixes)
def test_archives_have_the_sum_of_their_categories(seed: int, factors: NDArray[np.float64]) -> None:
    logits = some_logits(seed)
    parts = views.above(FIVE, "category", "archive")
    view = views.View.of(FIVE, parts, factors)
    assert view is not None
    assert view.labels == ("cs", "hep-ph", "math", "stat")
    fine = seen(views.View.of(FIVE, same(FIVE), factors), logits, CROOKED)
    found = seen(view, logits, CROOKED)
    np.testing.assert_allclose(found[:, 0], fine[:, 0] + fine[:, 1], atol=1e-6)
    np.testing.assert_allclose(found[:, 1:], fine[:, 2:], atol=1e-6)


@given(seeds, st.floats(0.5, 0.99))
def test_what_a_set_held_its_archives_hold(seed: int, coverage: float) -> None:
    fitted = replace(CROOKED, quantiles={"0.50": 0.5, "0.99": 0.97})
    logits = some_logits(seed)
    probs = calibration.calibrated(logits, fitted)
    inside = calibration.conformal_sets(probs, fitted, coverage)
    parts = views.above(FIVE, "category", "archive")
    view = views.View.of(FIVE, parts)
    assert view is not None
    assert view.keeps_promises
    found = view.probabilities(probs, logits, fitted)
    sets = view.sets(inside, found)
    for truth, label in enumerate(FIVE):
        assert (sets[:, view.labels.index(parts[label])] >= inside[:, truth]).all()
    assert sets[np.arange(len(sets)), found.argmax(axis=1)].all()


def test_an_answer_does_not_depend_on_its_neighbours() -> None:
    logits = np.random.default_rng(0).normal(0, 4, (50, len(LABELS))).astype(np.float32)
    parts = views.above(LABELS, "category", "group")
    view = views.View.of(LABELS, parts, np.linspace(1, 2, len(LABELS)))
    alone = np.concatenate([seen(view, logits[row : row + 1], CROOKED) for row in range(50)])
    assert (seen(view, logits, CROOKED) == alone).all()
    assert seen(view, logits[:0], CROOKED).shape == (0, 8)


# -- names ------------------------------------------------------------------------------------------------------------


def test_groups_and_archives_part_the_categories() -> None:
    for level, prefix in (("group", "grp_"), ("archive", "")):
        found = [views.meant(prefix + part, LABELS, "category") for part in taxonomy.labels(level)]  # type: ignore[arg-type]
        assert sorted(label for labels in found for label in labels) == list(LABELS)


@pytest.mark.parametrize(
    ("name", "label"),
    [("cs.lg", "cs.LG"), ("math.IT", "cs.IT"), ("cmp-lg", "cs.CL"), ("hep-ph", "hep-ph"), ("stat.TH", "math.ST")],
)
def test_names_are_folded_as_elsewhere(name: str, label: str) -> None:
    assert views.among(f" {name},", LABELS, "category") == (label,)


def test_an_archive_is_not_the_group_of_that_name() -> None:
    assert views.among("physics", LABELS, "category") == tuple(n for n in LABELS if n.startswith("physics."))
    assert {"hep-ph", "physics.optics", "math-ph"} < set(views.among("grp_physics", LABELS, "category"))
    assert views.among("astro-ph", LABELS, "category") == tuple(n for n in LABELS if n.startswith("astro-ph."))
    assert views.among("grp_physics,cs", taxonomy.labels("archive"), "archive")[:2] == ("astro-ph", "cond-mat")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("cs.LH", "no category cs.LH; did you mean"),
        ("grp_phisics", "did you mean grp_physics?"),
        ("econ", "econ is none of the 5 labels"),
        ("cs.CV", "cs.CV is none of the 5 labels"),
        (" ,", "names no label"),
    ],
)
def test_names_of_nothing_are_refused(names: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        views.among(names, FIVE, "category")


def test_nothing_is_made_finer() -> None:
    archives = taxonomy.labels("archive")
    assert views.above(archives, "archive", "group")["hep-ph"] == "physics"
    with pytest.raises(UsageError, match="cannot be parted into its categories"):
        views.above(archives, "archive", "category")
    with pytest.raises(UsageError, match=r"cs\.LG is none of the 20 labels"):
        views.among("cs.LG", archives, "archive")


# -- mixes ------------------------------------------------------------------------------------------------------------

OWN = np.array([0.1, 0.4, 0.2, 0.2, 0.1])


def mixed(folder: Path, content: str, labels: tuple[str, ...] = FIVE) -> NDArray[np.float64]:
    path = folder / "mine"
    path.write_text(content)
    return priors.named(path, labels, "category", OWN if labels is FIVE else np.ones(len(labels)))


def test_files_of_shares_in_either_form_say_the_same(tmp_path: Path) -> None:
    wanted = [0.99 * 0.6, 0.99 * 0.4, 0.01 * 0.4, 0.01 * 0.4, 0.01 * 0.2]
    for content in (
        '{"cs.CL": 60, "cs.LG": 40}',
        "category,share\n cs.CL , 0.6\ncs.LG,0.4\n\n",
        "cs.LG,4e300\ncs.CL,6e300",
        "\ufeffcategory,share\r\ncmp-lg,3\r\ncs.CL,3\r\ncs.LG,4",
    ):
        np.testing.assert_allclose(mixed(tmp_path, content), wanted)


def test_every_label_named_leaves_nothing_for_others(tmp_path: Path) -> None:
    found = mixed(tmp_path, json.dumps(dict(zip(FIVE, range(1, 6), strict=True))))
    np.testing.assert_allclose(found, np.arange(1, 6) / 15)


def test_an_archive_in_a_file_is_parted_as_the_model_has_it(tmp_path: Path) -> None:
    np.testing.assert_allclose(mixed(tmp_path, "cs,50\nstat,50")[[0, 1, 4]], [0.99 * 0.1, 0.99 * 0.4, 0.99 * 0.5])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"cs.CK": 1}', "did you mean cs.CL?"),
        ('{"cs.CV": 1}', "cs.CV is none of the 5 labels"),
        ('{"cs.CL": -1}', "share of cs.CL is -1"),
        ('{"cs.CL": 0}', "share of cs.CL is 0"),
        ("cs.CL,nan", "share of cs.CL is nan"),
        ("cs.CL,inf", "share of cs.CL is inf"),
        ('{"cs.CL": NaN}', "no mix of labels"),
        ('{"cs.CL": true}', "True is no number"),
        ('{"cs.CL": null}', "None is no number"),
        ('["cs.CL"]', "a list, no object"),
        ("cs.CL,many", "no mix of labels"),
        ("cs.CL;3", "not a category and a share"),
        ("", "names no label"),
        ("{}", "names no label"),
    ],
)
def test_files_that_are_no_mix(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        mixed(tmp_path, content)


def test_a_folder_or_bytes_are_no_mix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        priors.named(tmp_path, FIVE, "category", OWN)
    (tmp_path / "bytes").write_bytes(b"cs.CL,\xff")
    with pytest.raises(UsageError, match="no mix of labels"):
        priors.named(tmp_path / "bytes", FIVE, "category", OWN)


def card_of(model: Path, corpus: dict[str, Any], **settings: object) -> Any:
    return replace(shelf.load(str(model)).card, settings=settings, corpus=corpus)


@given(
    st.lists(st.integers(1, 500), min_size=6, max_size=6),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from(["corpus", "arxiv"]),
)
def test_the_mix_a_model_follows_is_what_its_training_made_it(
    handmade_model: Path, counts: list[int], balance: float, prior: str
) -> None:
    labels = tuple(sorted(invented.TOPICS))
    papers = dict(zip(labels, counts, strict=True))
    card = card_of(handmade_model, {"labels": papers}, prior=prior, balance=balance)
    truth = np.repeat(np.arange(6), counts)
    wanted = papers if prior == "corpus" else taxonomy.papers_per_label()
    importance = np.array([wanted[label] for label in labels]) / counts
    trained = mix.Mix.of(LabelledTexts(list, truth, labels, importance), balance)
    expected = counts * trained.weights * np.exp(trained.shift)
    found = mix.learned(card)
    assert found is not None
    np.testing.assert_allclose(found, expected / expected.sum())


@pytest.mark.parametrize(
    ("settings", "corpus", "asked", "says"),
    [
        ({}, {}, "uniform", "not known from its card"),
        ({"prior": "corpus"}, {}, "uniform", "train the model again"),
        ({"prior": "corpus"}, {}, "corpus", None),
        ({"prior": "corpus", "balance": 1.0}, {}, "uniform", None),
        ({"prior": "corpus", "balance": 1.0}, {}, "corpus", "how many papers of each label"),
        ({"prior": "arxiv"}, {}, "arxiv", None),
        ({"prior": "arxiv"}, {}, "corpus", "how many papers of each label"),
        ({"prior": "arxiv", "balance": 0.5}, {}, "arxiv", "not known"),
        ({"prior": "corpus", "task": "all"}, {"labels": {"cs.CL": 3}}, "arxiv", "without cross-lists"),
        ({"prior": "corpus", "cross_lists": 0.2}, {"labels": {"cs.CL": 3}}, "corpus", "without cross-lists"),
    ],
)
def test_a_mix_that_is_not_known_is_said(
    handmade_model: Path, settings: dict[str, object], corpus: dict[str, Any], asked: str, says: str | None
) -> None:
    card = card_of(handmade_model, corpus, **settings)
    if says is None:
        assert viewing.view(card, asked) is None
    else:
        with pytest.raises(UsageError, match=says):
            viewing.view(card, asked)


# -- the command ------------------------------------------------------------------------------------------------------


class Said:
    """What a command did: its exit code, stdout and stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[dict[str, Any]]:
        assert self.code == 0, self.err
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def rows(self) -> list[dict[str, str]]:
        assert self.code == 0, self.err
        return list(csv.DictReader(io.StringIO(self.out), delimiter="\t" if "\t" in self.out else ","))


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs classify in this process on a file of two titles, one easy and one that could be anything."""
    papers = tmp_path / "papers.jsonl"
    papers.write_text(
        '{"id": "a", "title": "Neural machine translation with attention"}\n'
        '{"id": "b", "title": "On sets and things"}\n'
    )

    def asked(*options: object) -> Said:
        code = app._run(["classify", str(papers), "--workers", "1", *map(str, options)], debug=False)
        return Said(code, *capsys.readouterr())

    return asked


def shares(line: dict[str, Any]) -> dict[str, float]:
    return {entry["category"]: entry["confidence"] for entry in line["predictions"]}


def test_my_own_pile(ask: Any, tmp_path: Path) -> None:
    before = shares(ask("--top", 149).lines[1])
    pile = tmp_path / "pile.json"
    pile.write_text('{"cs.LO": 90, "math.LO": 10}')
    after = shares(ask("--top", 149, "--prior", pile).lines[1])
    counts = taxonomy.papers_per_label()
    odds = before["cs.LO"] / before["math.LO"] * 9 * counts["math.LO"] / counts["cs.LO"]
    assert after["cs.LO"] / after["math.LO"] == pytest.approx(odds, rel=0.01)
    assert sum(after.values()) == pytest.approx(1, abs=0.01)
    assert after["math.CO"] < before["math.CO"]
    assert ask("--prior", "arxiv").out == ask().out
    assert ask("--prior", "uniform").out != ask().out


def test_some_labels_only(ask: Any) -> None:
    first, second = (shares(line) for line in ask("--labels", "cs.LG,math.IT,stat", "--top", 9).lines)
    assert set(first) == set(second) == {"cs.LG", "cs.IT", *(n for n in LABELS if n.startswith("stat."))}
    assert sum(first.values()) == pytest.approx(1, abs=0.001)
    assert shares(ask("--labels", "hep-ph").lines[0]) == {"hep-ph": 1.0}


def test_a_coarser_level(ask: Any) -> None:
    fine, coarse = ask("--top", 149).lines[0], ask("--level", "group", "--top", 9).lines[0]
    cs = sum(score for label, score in shares(fine).items() if label.startswith("cs."))
    assert shares(coarse)["cs"] == pytest.approx(cs, abs=0.003)
    assert (coarse["top_category"], len(coarse["predictions"])) == ("cs", 8)
    assert coarse["predictions"][0]["name"] == "Computer Science"
    assert ask("--level", "category").out == ask().out
    both = ask("--level", "archive", "--labels", "cs,math.LO", "--prior", "uniform").lines[1]
    assert set(shares(both)) == {"cs", "math"}


def test_sets_go_with_a_coarser_level_and_with_nothing_else(ask: Any) -> None:
    fine, coarse = ask("--coverage", 0.9).lines, ask("--coverage", 0.9, "--level", "archive").lines
    for one, other in zip(fine, coarse, strict=True):
        assert {taxonomy.parent(label, "archive") for label in one["set"]} <= set(other["set"])
        assert other["top_category"] in other["set"]
    assert ask("--coverage", 0.9, "--prior", "arxiv").lines == fine
    for options in (["--prior", "uniform"], ["--labels", "cs"]):
        refused = ask("--coverage", 0.9, *options)
        assert (refused.code, refused.out) == (2, "")
        assert "promise of --coverage" in refused.err


def test_unsure_answers_are_left_out_but_the_first(ask: Any) -> None:
    for before, after in zip(ask("--top", 9).lines, ask("--top", 9, "--min-confidence", 0.2).lines, strict=True):
        first, *others = before["predictions"]
        assert after["predictions"] == [first, *(entry for entry in others if entry["confidence"] >= 0.2)]
    assert [len(line["predictions"]) for line in ask("--min-confidence", 1).lines] == [1, 1]


def test_abstaining_is_no_error_and_can_be_seen_in_every_form(ask: Any) -> None:
    sure, unsure = ask("--abstain", 0.7).lines
    assert sure == ask().lines[0]
    assert unsure == {"id": "b", "top_category": None, "predictions": [], "abstained": True}
    for form in ("csv", "tsv"):
        first, second = ask("--abstain", 0.7, "-f", form).rows
        assert list(second) == ["id", "title", "category", "confidence", "alternatives", "abstained", "error"]
        assert (first["category"], first["abstained"]) == ("cs.CL", "")
        assert list(second.values())[2:] == ["", "", "", "yes", ""]
    assert [line.get("abstained") for line in json.loads(ask("--abstain", 0.7, "-f", "json").out)] == [None, True]
    table = ask("--abstain", 0.7, "-f", "table")
    assert (table.code, table.out.count("abstained")) == (0, 1)
    assert ask("--abstain", 0.7, "--coverage", 0.9).lines[1]["set"]
    assert "abstained" not in ask("-f", "csv").out


def test_an_error_is_no_abstention(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("title\nOn sets and things\n,\n")
    done = run(bad, "--abstain", "0.99", "--keep-going")
    assert [row[-2:] for row in csv.reader(io.StringIO(done.stdout.decode()))][1:] == [["yes", ""], ["", "no title"]]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--prior", "unifrom"], "did you mean uniform?"),
        (["--labels", "cs.LH"], "did you mean"),
        (["--labels", ""], "names no label"),
        (["--level", "kingdom"], "--level"),
        (["--abstain", "nan"], "--abstain"),
        (["--min-confidence", "1.5"], "--min-confidence"),
    ],
)
def test_what_cannot_be_asked(ask: Any, options: list[str], says: str) -> None:
    refused = ask(*options)
    assert (refused.code, refused.out, says in refused.err) == (2, "", True)
    assert refused.err.count("\n") == 1


def test_the_mix_of_the_papers_it_learned_from_is_another(ask: Any) -> None:
    assert ask("--prior", "corpus").out != ask().out


def test_a_pipe_is_answered_with_all_of_it(handmade_model: Path) -> None:
    options = ["--labels", "cs,hep-ph", "--level", "archive", "--abstain", "0.5", "--min-confidence", "0.4"]
    found = answers(
        run("-m", handmade_model, *options, given='{"title": "Quarks"}\n{"title": "Images"}\n{"title": ""}\n'), 3
    )
    assert [line["top_category"] for line in found] == ["hep-ph", "cs", None]
    assert [len(line["predictions"]) for line in found] == [1, 1, 0]
    assert found[2]["error"] == "no title"


def test_parquet_in_a_file_out(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["Primes in short intervals", "Quarks"]}), tmp_path / "papers.parquet")
    done = run(tmp_path / "papers.parquet", "--labels", "math,hep-ph", "--level", "archive", "-o", tmp_path / "out.csv")
    assert (done.returncode, done.stdout) == (0, b"")
    found = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [row["category"] for row in found] == ["math", "hep-ph"]
    assert found[0]["alternatives"].startswith("hep-ph 0.")


def test_a_conversation_keeps_to_what_was_asked(handmade_model: Path) -> None:
    session = terminal(handmade_model, "--labels", "cs,math", "--level", "archive", "--abstain", "0.7")
    for title, answer in (("Primes in short intervals", "Mathematics"), ("Quarks", "abstained: not sure enough")):
        session.expect("Title: ")
        session.send(f"{title}\r")
        session.expect("Abstract: ")
        session.send("\r")
        session.expect(answer)
    session.expect("Title: ")
    session.sendeof()
    shown, code = end(session)
    assert (code, "hep-ph" in plain(shown)) == (0, False)
