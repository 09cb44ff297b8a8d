"""From a corpus to a model: it learns, can be cut at any point, is the same every time, and eval tells the truth."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import invented
import numpy as np
import orjson
import prepared
import pyarrow as pa
import pytest

from arxivcli import calibration, text
from arxivcli.errors import FolderError, InputError, StoppedError, TrainingError, UsageError
from arxivcli.models import shelf
from arxivcli.models.fast_training import FastTrainee
from arxivcli.progress import Silent
from arxivcli.shards import Shards
from arxivcli.steps import evaluation, training
from arxivcli.steps.preprocessing import Recipe, preprocess

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("dimension=16", "max_pairs=2000", "epochs=3", "batch_size=64", "lr=0.02")


def corpus_of(folder: Path, papers: list[dict[str, object]], **recipe: object) -> Path:
    source = folder / "papers.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    source.write_text("".join(json.dumps(paper) + "\n" for paper in papers))
    preprocess([source], folder / "corpus", Recipe(**recipe), workers=1)  # type: ignore[arg-type]
    return folder / "corpus"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_of(tmp_path_factory.mktemp("corpus"), invented.records(1500))


def train(corpus: Path, output: Path, *changes: str, **more: object) -> training.TrainingReport:
    return training.train(corpus, "fast", output, Silent(), changes=(*QUICK, *changes), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "mine"
    train(corpus, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def command(*arguments: str) -> list[str]:
    return [*prepared.PROGRAM, *arguments]


def test_it_learns_what_the_topics_words_say(model: Path) -> None:
    loaded = shelf.load(str(model))
    texts = text.model_input(invented.batch(200, seed=7))
    best = loaded.classifier.scores(texts).argmax(axis=1)
    truth = [categories[0] for categories in invented.batch(200, seed=7)["categories"].to_pylist()]
    assert np.mean([loaded.card.labels[i] == t for i, t in zip(best, truth, strict=True)]) > 0.9
    by_title = loaded.classifier.scores(text.title_only(texts)).argmax(axis=1)
    assert np.mean([loaded.card.labels[i] == t for i, t in zip(by_title, truth, strict=True)]) > 0.7


def test_the_folder_explains_itself(corpus: Path, model: Path) -> None:
    card = json.loads((model / "model.json").read_bytes())
    assert card["kind"] == "fast"
    assert card["recipe"] == text.RECIPE
    assert card["labels"] == sorted(invented.TOPICS)
    assert card["corpus"]["manifest_sha256"] == Shards.open(corpus).manifest_sha256
    assert card["corpus"]["labels"] == Shards.open(corpus).manifest.splits["train"].labels
    assert card["settings"]["lr"] == 0.02
    assert set(card["files"]) == {"weights.safetensors", "settings.toml", "README.md"}
    assert card["calibration"]["temperature"] > 0
    assert len(card["calibration"]["quantiles"]) == 50
    assert set(contents(model)) == {"model.json", *card["files"]}


def test_the_same_settings_make_the_same_bytes(corpus: Path, model: Path, tmp_path: Path) -> None:
    again = tmp_path / "mine"
    training.train(corpus, "fast", again, Silent(), config=model / "settings.toml")
    assert contents(again) == contents(model)


def test_another_seed_is_another_model(corpus: Path, model: Path, tmp_path: Path) -> None:
    train(corpus, tmp_path / "mine", "seed=1")
    assert contents(tmp_path / "mine")["weights.safetensors"] != contents(model)["weights.safetensors"]


def longer(corpus: Path, output: Path) -> list[str]:
    """A training long enough to be cut."""
    changes = [f"--set={change}" for change in (*QUICK, "epochs=12", "patience=12")]
    return command("train", "--data", str(corpus), "-o", str(output), *changes)


@pytest.fixture(scope="session")
def uncut(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("uncut") / "mine"
    prepared.run(longer(corpus, folder), check=True, capture_output=True)
    return contents(folder)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_cut_and_continued_is_as_if_never_cut(
    corpus: Path, uncut: dict[str, bytes], tmp_path: Path, sign: signal.Signals
) -> None:
    folder = tmp_path / "mine"
    process = prepared.Popen(longer(corpus, folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(folder.glob(".checkpoints/step-*/facts.json")):
        time.sleep(0.01)
    process.send_signal(sign)
    _, said = process.communicate()
    assert process.returncode == (-sign if sign == signal.SIGKILL else 128 + sign), said
    assert not (folder / "model.json").exists()
    if sign != signal.SIGKILL:
        assert said.splitlines()[-1].startswith("error: stopped at step")
        assert said.splitlines()[-1].endswith("run the same command to go on")
    prepared.run(longer(corpus, folder), check=True, capture_output=True)
    assert contents(folder) == uncut


def test_a_finished_training_is_not_done_again(corpus: Path, model: Path) -> None:
    before = contents(model)
    assert train(corpus, model).was_there
    assert contents(model) == before


def test_another_trainings_folder_is_not_overwritten(corpus: Path, model: Path) -> None:
    with pytest.raises(UsageError, match=r"holds a finished model that differs in: settings\.seed \(0 → 3\)"):
        train(corpus, model, "seed=3")


def test_another_trainings_checkpoints_are_not_continued(corpus: Path, tmp_path: Path) -> None:
    class Interrupting(Silent):
        def advance(self, units: int = 1, **facts: str | float) -> None:  # noqa: ARG002
            if facts:
                signal.raise_signal(signal.SIGINT)

    changes = (*QUICK, "lr=0.01", "seed=4")
    with pytest.raises(StoppedError):
        training.train(corpus, "fast", tmp_path / "mine", Interrupting(), changes=changes)
    with pytest.raises(UsageError, match=r"settings\.lr \(0\.01 → 0\.02\), settings\.seed \(4 → 0\)"):
        train(corpus, tmp_path / "mine")
    assert train(corpus, tmp_path / "mine", restart=True).card.settings["seed"] == 0


@pytest.fixture(scope="module")
def unfinished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with two checkpoints: of the first epoch, and of where it was stopped."""
    folder = tmp_path_factory.mktemp("unfinished") / "mine"

    class Stops(Silent):
        def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:  # noqa: ARG002
            self.second = what.startswith("epoch 2")

        def advance(self, units: int = 1, **facts: str | float) -> None:  # noqa: ARG002
            if facts and self.second:
                signal.raise_signal(signal.SIGHUP)

    with pytest.raises(StoppedError) as caught:
        training.train(corpus, "fast", folder, Stops(), changes=QUICK)
    assert caught.value.exit_code == 129  # a terminal that was closed
    return folder


def test_a_damaged_checkpoint_costs_what_came_after_the_one_before(
    corpus: Path, model: Path, unfinished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(unfinished, tmp_path / "mine")
    _, newest = sorted(folder.glob(".checkpoints/step-*"))
    os.truncate(newest / "tensors.safetensors", 1000)
    train(corpus, folder)
    assert contents(folder) == contents(model)


def test_where_nothing_is_left_of_a_training_that_is_said(corpus: Path, unfinished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(unfinished, tmp_path / "mine")
    for facts in folder.glob(".checkpoints/step-*/facts.json"):
        facts.write_bytes(b"{")
    with pytest.raises(FolderError, match=r"all checkpoints in .* are damaged; --restart"):
        train(corpus, folder)
    (folder / ".checkpoints" / "run.json").write_bytes(b"{")
    with pytest.raises(FolderError, match=r"run\.json, which says whose the checkpoints are, is damaged"):
        train(corpus, folder)
    assert not train(corpus, folder, restart=True).was_there


def test_interrupted_while_the_last_epoch_is_validated(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FastTrainee.validate

    def interrupted(trainee: FastTrainee) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return real(trainee)

    with monkeypatch.context() as patch:
        patch.setattr(FastTrainee, "validate", interrupted)
        with pytest.raises(StoppedError, match="run the same command to go on"):
            train(corpus, tmp_path / "mine", "epochs=1")
    train(corpus, tmp_path / "mine", "epochs=1")
    train(corpus, tmp_path / "uncut", "epochs=1")
    changed = {"model.json", "README.md"}  # they name the folder
    mine, uncut = contents(tmp_path / "mine"), contents(tmp_path / "uncut")
    assert {n: c for n, c in mine.items() if n not in changed} == {n: c for n, c in uncut.items() if n not in changed}


def test_restart_replaces_the_model_and_nothing_else(corpus: Path, tmp_path: Path) -> None:
    train(corpus, tmp_path / "mine", "epochs=1")
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    train(corpus, tmp_path / "mine", restart=True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_a_loss_that_explodes_ends_the_training(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lower the learning rate"):
        train(corpus, tmp_path / "mine", "lr=1e30")
    assert not train(corpus, tmp_path / "mine").was_there  # there was no checkpoint that could be lost


def test_one_label_is_nothing_to_learn(tmp_path: Path) -> None:
    papers = [paper for paper in invented.records(300) if str(paper["categories"]).startswith("cs.CL")]
    with pytest.raises(InputError, match="need at least two labels, these have 1"):
        train(corpus_of(tmp_path, papers, labels=("cs.CL",)), tmp_path / "mine")


def test_an_empty_split_is_told(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, invented.records(50), shares=(1.0, 0.0, 0.0, 0.0))
    with pytest.raises(InputError, match="the validation split of the corpus is empty"):
        train(corpus, tmp_path / "mine")


def test_the_prior_moves_answers_towards_arxivs_mix(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, invented.records(600))
    plain, shifted = (train(corpus, tmp_path / "models" / name, f"prior={name}").folder for name in ("corpus", "arxiv"))
    models = [shelf.load(str(folder)) for folder in (plain, shifted)]
    unknown = pa.array(["nothing anybody ever saw"])
    probs = [calibration.probabilities(m.classifier.scores(unknown))[0] for m in models]
    labels = models[0].card.labels
    ratio = dict(zip(labels, probs[1] / probs[0], strict=True))
    assert ratio["hep-ph"] > 1 > ratio["q-bio.NC"]  # 115,946 papers on arXiv against 8,000 or so


def test_balance_helps_the_rare_label(tmp_path: Path) -> None:
    common = [p for p in invented.records(1500) if str(p["categories"]).split()[0] in {"cs.CL", "cs.CV"}]
    rare = [p for p in common if str(p["categories"]).startswith("cs.CV")][:12]
    papers = [p for p in common if str(p["categories"]).startswith("cs.CL")] + rare
    corpus = corpus_of(tmp_path, papers, shares=(0.7, 0.1, 0.1, 0.1))
    shares = []
    for balance in ("0.0", "1.0"):
        found = shelf.load(str(train(corpus, tmp_path / balance, f"balance={balance}", "epochs=1").folder))
        unknown = calibration.probabilities(found.classifier.scores(pa.array(["nothing anybody ever saw"])))
        shares.append(float(unknown[0, found.card.labels.index("cs.CV")]))
    assert shares[0] < shares[1]


def test_recency_follows_what_words_mean_now(tmp_path: Path) -> None:
    """As many papers of each category are old as new; a word went from one category to the other."""
    papers = [p for p in invented.records(1500) if str(p["categories"]).split()[0] in {"cs.CL", "cs.CV"}]
    for number, paper in enumerate(papers):
        old, before = number // 2 % 2 == 0, str(paper["categories"]).startswith("cs.CL")
        paper["created"] = "2005-04-02" if old else "2025-04-02"
        if old == before:
            paper["abstract"] = f"{paper['abstract']} Gizmo."
    corpus = corpus_of(tmp_path, papers, shares=(0.7, 0.1, 0.1, 0.1))
    now = []
    for years in ("0", "2"):
        found = shelf.load(str(train(corpus, tmp_path / years, f"recency={years}").folder))
        probs = calibration.probabilities(found.classifier.scores(pa.array(["gizmo"])))
        now.append(float(probs[0, found.card.labels.index("cs.CV")]))
    assert 0.25 < now[0] < 0.75
    assert now[1] > now[0] + 0.1


def test_archives_can_be_learned(tmp_path: Path) -> None:
    found = train(corpus_of(tmp_path, invented.records(400), level="archive"), tmp_path / "mine")
    assert found.card.level == "archive"
    assert found.card.labels == ("astro-ph", "cs", "hep-ph", "math", "q-bio")


def evaluated(model: Path | str, corpus: Path, **asked: object) -> evaluation.Evaluation:
    question = evaluation.Question(**asked)  # type: ignore[arg-type]
    return evaluation.evaluate({"mine": shelf.load(str(model))}, corpus, question, Silent())


def test_eval_counts_what_the_model_answers(corpus: Path, model: Path) -> None:
    report = evaluated(model, corpus)
    [found] = report.models
    papers = Shards.open(corpus).table("test")
    loaded = shelf.load(str(model))
    best = loaded.classifier.scores(text.model_input(papers.combine_chunks().to_batches()[0])).argmax(axis=1)
    answers = [loaded.card.labels[i] for i in best]
    truth = papers["categories"].to_pylist()
    top1, any_listed = found.whole.top1.value, found.whole.any_listed.value
    assert report.papers == found.whole.papers == len(truth)
    assert top1 == pytest.approx(np.mean([a == t[0] for a, t in zip(answers, truth, strict=True)]))
    assert any_listed == pytest.approx(np.mean([a in t for a, t in zip(answers, truth, strict=True)]))
    assert any_listed >= top1 > found.title_only.top1.value - 0.05
    assert sum(row.papers for row in found.per_label) == len(truth)
    assert sum(part.papers for part in found.per_archive) == len(truth)
    assert {part.name for part in found.per_year} == {str(day.year) for day in papers["created"].to_pylist()}


def test_eval_weighted_to_arxiv_counts_labels_as_arxiv_has_them(corpus: Path, model: Path) -> None:
    [found] = evaluated(model, corpus, weights="arxiv").models
    support = {row.label: row.support for row in found.per_label}
    assert support["hep-ph"] / support["math.NT"] == pytest.approx(115_946 / 31_000, rel=0.5)


def test_eval_as_json_has_no_nan(corpus: Path, model: Path) -> None:
    ran = prepared.run(
        command("eval", str(model), "--data", str(corpus), "--json"), capture_output=True, check=True, text=True
    )
    found = json.loads(ran.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert found["models"][0]["whole"]["top1"]["value"] > 0.8
    assert {row["label"] for row in found["models"][0]["per_label"]} == set(invented.TOPICS)


def test_eval_as_a_table_shows_every_label_and_figure(corpus: Path, model: Path) -> None:
    ran = prepared.run(
        command("eval", str(model), "--data", str(corpus), "--by", "category"),
        capture_output=True,
        check=True,
        text=True,
    )
    for word in (*invented.TOPICS, "top1", "top3", "top5", "any_listed", "archive", "macro_f1", "nll", "ece"):
        assert word in ran.stdout


@pytest.mark.parametrize(
    ("split", "kind", "said"),
    [("training", UsageError, "there is no split training"), ("test", InputError, "the test split")],
)
def test_eval_of_a_split_that_is_not_there(
    model: Path, tmp_path: Path, split: str, kind: type[Exception], said: str
) -> None:
    corpus = corpus_of(tmp_path, invented.records(50), shares=(0.9, 0.05, 0.05, 0.0))
    with pytest.raises(kind, match=said):
        evaluated(model, corpus, split=split)


def test_eval_of_another_level_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="answers at category level"):
        evaluated(model, corpus_of(tmp_path, invented.records(100), level="archive"))


def test_eval_on_labels_the_model_never_heard_of(model: Path, tmp_path: Path) -> None:
    papers = [paper | {"categories": "stat.ME"} for paper in invented.records(100)]
    with pytest.raises(InputError, match="has a label that mine knows"):
        evaluated(model, corpus_of(tmp_path, papers))


@pytest.mark.parametrize("name", ["weights.safetensors", "settings.toml", "README.md"])
def test_one_flipped_byte_is_noticed(model: Path, tmp_path: Path, name: str) -> None:
    for each, content in contents(model).items():
        changed = bytearray(content)
        changed[len(changed) // 2] ^= name == each
        (tmp_path / each).write_bytes(changed)
    with pytest.raises(FolderError, match=rf"{name} is not the file .* sha256 expected [0-9a-f]{{64}}, found"):
        shelf.load(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format_version": 2}, "has format version 2"),
        ({"recipe": "other/7"}, "text recipe other/7"),
        ({"kind": "oracle"}, "is of kind oracle"),
        ({"labels": ["cs.CL", "cs.CV"]}, "other labels than its model.json"),
        ({"files": {"../secret": "0"}}, "names a file outside its folder"),
        ({"surprise": 1}, "cannot be read"),
        ({"calibration": {"temperature": 0}}, "temperature 0 is not between"),
        ({"calibration": {"temperature": 1e308}}, "temperature 1e\\+308 is not between"),
        ({"calibration": {"temperature": 1, "slope": -1}}, "slope -1 is not between"),
        ({"calibration": {"temperature": 1, "quantiles": {"0.90": 7}}}, "quantile 7 of coverage 0.90"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    model: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    for each, content in contents(model).items():
        (tmp_path / each).write_bytes(content)
    card = json.loads((model / "model.json").read_bytes())
    (tmp_path / "model.json").write_text(json.dumps(card | change))
    with pytest.raises(FolderError, match=said if "format_version" in change else "not as it was saved"):
        shelf.load(str(tmp_path))
    sign(tmp_path / "model.json")
    with pytest.raises(FolderError, match=said):
        shelf.load(str(tmp_path))


def sign(card: Path) -> None:
    """Give a card the hash of what it says, as somebody would who means harm."""
    values = {key: value for key, value in json.loads(card.read_bytes()).items() if key != "sha256"}
    content = orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
    card.write_bytes(orjson.dumps(values | {"sha256": hashlib.sha256(content).hexdigest()}))


@pytest.mark.parametrize("content", [b"", b"\x80\x05K\x01.", b"[]", b'{"format_version": 1}', b"\xff"])
def test_a_card_that_is_no_card_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(FolderError):
        shelf.load(str(tmp_path))


def test_names_nobody_knows(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean builtin"):
        shelf.load("buildin")
    with pytest.raises(UsageError, match="no preset fats; did you mean fast"):
        training.train(corpus, "fats", tmp_path / "mine", Silent())
    with pytest.raises(UsageError, match="no setting dimensions of fast models; did you mean dimension"):
        train(corpus, tmp_path / "mine", "dimensions=3")
    for seed in ("-1", str(2**63)):
        with pytest.raises(UsageError, match=f"setting seed = {seed}"):
            train(corpus, tmp_path / "mine", f"seed={seed}")
    with pytest.raises(FolderError, match=r"there is no corpus .*arxivcli fetch -o data/raw, then arxivcli preprocess"):
        train(tmp_path / "nowhere", tmp_path / "mine")
    with pytest.raises(FolderError, match="is no finished corpus"):
        train(tmp_path, tmp_path / "mine")
    with pytest.raises(FolderError, match=r"is no model: it has no model\.json"):
        shelf.load(str(tmp_path))


def test_the_list_of_presets_shows_every_setting() -> None:
    ran = prepared.run(command("train", "--list"), capture_output=True, check=True, text=True)
    for preset in shelf.presets():
        assert preset in ran.stdout.split()
        for setting in shelf.settings(shelf.preset(preset)["kind"]).model_fields:
            assert setting in ran.stdout.split()


def test_a_folder_of_somebody_elses_files_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("my project")
    for folder in (tmp_path, corpus):
        before = sorted(folder.iterdir())
        with pytest.raises(UsageError, match="is no model and holds"):
            train(corpus, folder)
        assert sorted(folder.iterdir()) == before
    assert (tmp_path / "README.md").read_text() == "my project"


def test_too_few_papers_calibrate_nothing(tmp_path: Path) -> None:
    found = train(corpus_of(tmp_path, invented.records(200)), tmp_path / "mine").card
    assert (found.calibration.temperature, found.calibration.slope) == (1, 1)
    assert found.metrics["calibration"]["ece_before"] == found.metrics["calibration"]["ece_after"]
