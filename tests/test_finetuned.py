"""Fine-tuning end to end on a small BERT built as SciBERT is: it learns, can be cut anywhere, and loads elsewhere."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import invented
import numpy as np
import pyarrow as pa
import pytest
import small_hub
import small_scibert
import torch
from loopback import Noted, free_port
from safetensors.numpy import load_file
from test_train import contents, corpus_of

from arxivcli import calibration, metrics, storage, text
from arxivcli.errors import ArxivcliError, FolderError, RemoteError, StoppedError, TrainingError, UsageError
from arxivcli.learning import devices, loop
from arxivcli.learning.checkpoints import Checkpoints
from arxivcli.models import card as cards
from arxivcli.models import finetuned_training, shelf, targets, tokens, tuning
from arxivcli.models.finetuned import FinetunedClassifier
from arxivcli.models.finetuned_training import FinetunedTrainee
from arxivcli.progress import Silent
from arxivcli.steps import classification, evaluation, training

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = ("max_length=64", "batch_size=16", "lr=5e-3", "dropout=0", "epochs=2")
PRESETS = {"scibert": ("freeze_layers=1",), "scibert-full": (), "scibert-lora": ("lora_rank=8",)}


@pytest.fixture(scope="module", autouse=True)
def _one_thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Small networks are slower on two threads, and far slower where others work too; and a cache of our own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_scibert.save(tmp_path_factory.mktemp("encoders") / "small")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_of(tmp_path_factory.mktemp("corpus"), invented.records(600))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_of(tmp_path_factory.mktemp("few"), invented.records(120))


def train(
    corpus: Path, encoder: Path | str, output: Path, *changes: str, preset: str = "scibert-full", **more: Any
) -> Path:
    own = (f'encoder="{encoder}"', *QUICK, *PRESETS[preset], *changes)
    report = training.train(corpus, preset, output, more.pop("progress", Silent()), changes=own, device="cpu", **more)
    assert report is not None
    return report.folder


@pytest.fixture(scope="module")
def models(corpus: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: train(corpus, encoder, folder / name, "epochs=3", preset=name) for name in PRESETS}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_from_training_to_answers(corpus: Path, models: dict[str, Path], preset: str) -> None:
    model = shelf.load(str(models[preset]))
    found = evaluation.evaluate(model, corpus, "test", "corpus", Silent())
    assert found.whole.top1 > 0.6
    papers = invented.batch(30, seed=5)
    answers = classification.answer(model, papers, classification.Question(top=2))
    right = [a[0] == t[0] for a, t in zip(answers["labels"].to_pylist(), papers["categories"].to_pylist(), strict=True)]
    assert np.mean(right) > 0.6


def test_what_is_frozen_stays(encoder: Path, models: dict[str, Path]) -> None:
    before = load_file(encoder / "model.safetensors")
    changed = {}
    for preset, folder in models.items():
        after = load_file(folder / "model.safetensors")
        changed[preset] = {
            name for name in before.keys() & after.keys() if not np.array_equal(before[name], after[name])
        }
        assert not [name for name in after if "lora" in name]
    words, bottom, top = (
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.0.output.dense.weight",
        f"bert.encoder.layer.{small_scibert.LAYERS - 1}.output.dense.weight",
    )
    assert {words, bottom, top} <= changed["scibert-full"]
    assert {words, bottom, top} & changed["scibert"] == {top}
    assert {words, bottom, top} & changed["scibert-lora"] == {bottom, top}
    assert "bert.encoder.layer.0.output.dense.bias" not in changed["scibert-lora"]


@pytest.mark.parametrize("preset", PRESETS)
def test_plain_transformers_load_it_and_agree(models: dict[str, Path], preset: str) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models[preset])
    network = AutoModelForSequenceClassification.from_pretrained(models[preset]).eval()
    texts = text.model_input(invented.batch(20, seed=3))
    with torch.no_grad():
        plain = network(**tokenizer(texts.to_pylist(), padding=True, truncation=True, return_tensors="pt")).logits
    ours = shelf.load(str(models[preset]))
    assert tuple(network.config.id2label[i] for i in range(len(invented.TOPICS))) == ours.card.labels
    np.testing.assert_allclose(ours.classifier.scores(texts), plain.numpy(), atol=1e-5)


def test_the_folder_explains_itself(models: dict[str, Path]) -> None:
    card = json.loads((models["scibert"] / "model.json").read_bytes())
    assert card["kind"] == "finetuned"
    assert card["settings"]["freeze_layers"] == 1
    assert set(card["metrics"]["validation"]) == {"loss", "top1", "top3", "macro_f1", "title_only_top1"}
    assert {"model.safetensors", "config.json", "tokenizer.json", "settings.toml", "README.md"} <= set(card["files"])
    assert set(contents(models["scibert"])) == {"model.json", *card["files"]}


def test_a_text_does_not_depend_on_its_neighbours(models: dict[str, Path]) -> None:
    scores = shelf.load(str(models["scibert-full"])).classifier.scores
    odd = ["\n", "x\n", "word " * 50_000, r"$\alpha\beta$" + "\n", "中文标题 🙂\n", "ﷺ" * 50 + "\n"]
    texts = pa.concat_arrays([text.model_input(invented.batch(70, seed=3)), pa.array(odd)])
    together = scores(texts)
    for size in (1, 7, 64):
        apart = np.concatenate([scores(texts.slice(start, size)) for start in range(0, len(texts), size)])
        np.testing.assert_allclose(apart, together, atol=1e-5)
    backwards = scores(texts.take(pa.array(range(len(texts) - 1, -1, -1))))[::-1]
    np.testing.assert_allclose(backwards, together, atol=1e-5)
    assert scores(texts[:0]).shape == (0, len(invented.TOPICS))


def test_the_same_settings_make_the_same_bytes(few: Path, encoder: Path, tmp_path: Path) -> None:
    first = train(few, encoder, tmp_path / "a" / "mine", "dropout=0.1")
    again = tmp_path / "b" / "mine"
    training.train(few, "scibert", again, Silent(), config=first / "settings.toml", device="cpu")
    assert contents(again) == contents(first)
    other = train(few, encoder, tmp_path / "c" / "mine", "dropout=0.1", "seed=1")
    assert contents(other)["model.safetensors"] != contents(first)["model.safetensors"]


# Cut at any point.

CUT = ("dropout=0.1", "epochs=3", "patience=3", "batch_size=16")


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _cut_training(corpus: Path, encoder: Path, output: Path, point: str, count: int, preset: str) -> None:
    """In a process of its own: train, a checkpoint after every step, and die at the `count`-th time of `point`."""
    torch.set_num_threads(1)
    loop.CHECKPOINT_SECONDS = 0.0
    owner, name = {
        "step": (FinetunedTrainee, "step"),
        "checkpoint": (storage, "write_whole"),
        "rename": (storage, "sync_folder"),
        "weights": (cards, "write"),
        "": (None, ""),
    }[point]
    left = [count]

    def dying(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                kill_self()
            return real(*arguments, **named)

        return call

    if owner is not None:
        setattr(owner, name, dying(getattr(owner, name)))
    train(corpus, encoder, output, *CUT, preset=preset)


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes forked from a clean one that has imported what takes long."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_finetuned", "transformers.models.bert.modeling_bert"])
    return context


def in_process(context: Any, *arguments: Any) -> int | None:
    process = context.Process(target=_cut_training, args=arguments)
    process.start()
    process.join(120)
    return process.exitcode


@pytest.mark.parametrize(
    ("preset", "points"),
    [("scibert", (("step", 1), ("checkpoint", 4), ("rename", 5), ("weights", 1))), ("scibert-lora", (("step", 9),))],
)
def test_killed_anywhere_and_continued_is_as_if_never_cut(
    processes: Any, few: Path, encoder: Path, tmp_path: Path, preset: str, points: tuple[tuple[str, int], ...]
) -> None:
    uncut, cut = tmp_path / "uncut" / "mine", tmp_path / "cut" / "mine"
    assert in_process(processes, few, encoder, uncut, "", 0, preset) == 0
    for point, count in points:
        assert in_process(processes, few, encoder, cut, point, count, preset) == -signal.SIGKILL, (point, count)
        assert not (cut / "model.json").exists()
    assert in_process(processes, few, encoder, cut, "", 0, preset) == 0
    assert contents(cut) == contents(uncut)


@pytest.mark.parametrize(("sign", "precision"), [(signal.SIGINT, "fp32"), (signal.SIGTERM, "fp16")])
def test_interrupted_and_continued_is_as_if_never_cut(
    few: Path, encoder: Path, tmp_path: Path, sign: signal.Signals, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So large a first scale makes the first gradients infinite in fp16: the scale that is found must be kept.
    monkeypatch.setattr(finetuned_training, "_FIRST_SCALE", 2.0**20)
    uncut = train(few, encoder, tmp_path / "uncut" / "mine", *CUT, precision=precision)
    real = FinetunedTrainee.step

    def interrupted(trainee: FinetunedTrainee, number: int) -> float:
        if number == 7:
            os.kill(os.getpid(), sign)
        return real(trainee, number)

    with monkeypatch.context() as patch:
        patch.setattr(FinetunedTrainee, "step", interrupted)
        with pytest.raises(StoppedError, match=r"stopped at step 8 of .*; run the same command to go on") as caught:
            train(few, encoder, tmp_path / "cut" / "mine", *CUT, precision=precision)
    assert caught.value.exit_code == 128 + sign
    assert contents(train(few, encoder, tmp_path / "cut" / "mine", *CUT, precision=precision)) == contents(uncut)


def test_another_encoder_under_the_same_name_is_noticed(few: Path, encoder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(encoder, tmp_path / "encoder")

    class Stop(Silent):
        def advance(self, units: int = 1, **facts: str | float) -> None:  # noqa: ARG002
            if facts:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError):
        train(few, copy, tmp_path / "mine", preset="scibert", progress=Stop())
    shutil.rmtree(copy)
    small_scibert.save(copy, seed=1)
    with pytest.raises(FolderError, match="is not the one this training began with"):
        train(few, copy, tmp_path / "mine", preset="scibert")


# What goes wrong in a step.


def test_a_loss_that_explodes_ends_the_training_and_keeps_the_last_good_state(
    few: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(
        TrainingError, match=r"in 6 steps one after the other \(step \d+: \d{4}\.\d+, .*lower the"
    ) as caught:
        train(few, encoder, tmp_path / "mine", "lr=1e9", "batch_size=4")
    assert caught.value.exit_code == 7
    kept = Checkpoints(tmp_path / "mine" / ".checkpoints").newest()
    assert kept is not None
    assert all(np.isfinite(tensor).all() for tensor in kept[0].values())


def test_a_batch_without_a_number_teaches_nothing(
    few: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FinetunedTrainee.step
    same: list[bool] = []

    def poisoned(trainee: FinetunedTrainee, number: int) -> float:
        if number not in {2, 3}:
            return real(trainee, number)
        before = {name: tensor.copy() for name, tensor in trainee.state().items()}
        wrong = trainee._mix.weights * np.nan
        with monkeypatch.context() as patch:
            patch.setattr(trainee._mix.__class__, "weights", wrong, raising=False)
            object.__setattr__(trainee._mix, "weights", wrong)
            loss = real(trainee, number)
        object.__setattr__(trainee._mix, "weights", np.ones(len(wrong)))
        after = trainee.state()
        same.append(np.isnan(loss) and all(np.array_equal(before[name], after[name]) for name in before))
        return loss

    monkeypatch.setattr(FinetunedTrainee, "step", poisoned)
    folder = train(few, encoder, tmp_path / "mine")
    assert same == [True, True]
    assert np.isfinite([epoch["train_loss"] for epoch in cards.read(folder).metrics["epochs"]]).all()


def test_out_of_memory_halves_what_is_done_at_once_and_not_the_batch(
    few: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = train(few, encoder, tmp_path / "small" / "mine", "dropout=0.1", "micro_batch=4")
    real = FinetunedTrainee._logits

    def greedy(trainee: FinetunedTrainee, papers: Any, rows: Any, from_title: Any) -> torch.Tensor:
        if len(rows) > 4 and trainee._network.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(trainee, papers, rows, from_title)

    monkeypatch.setattr(FinetunedTrainee, "_logits", greedy)
    noted = Noted()
    found = train(few, encoder, tmp_path / "large" / "mine", "dropout=0.1", progress=noted)
    assert [note for note in noted.notes if "out of memory" in note] == [
        f"out of memory: {papers} papers at once from here on" for papers in (8, 4)
    ]
    assert contents(found)["model.safetensors"] == contents(wanted)["model.safetensors"]

    def hopeless(*_: Any) -> torch.Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(FinetunedTrainee, "_logits", hopeless)
    with pytest.raises(TrainingError, match="not enough memory to train on one paper"):
        train(few, encoder, tmp_path / "none" / "mine")


def test_less_precision_learns_too(corpus: Path, encoder: Path, tmp_path: Path) -> None:
    folder = train(corpus, encoder, tmp_path / "mine", precision="bf16")
    assert cards.read(folder).metrics["validation"]["top1"] > 0.5
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {np.dtype(np.float32)}


# Options.


@pytest.mark.parametrize(
    "changes",
    [("cross_lists=0.3", "label_smoothing=0.1"), ('task="all"', "balance=1.0"), ('prior="arxiv"', "layer_decay=0.8")],
)
def test_every_option_changes_the_model_and_still_learns(
    corpus: Path, encoder: Path, models: dict[str, Path], tmp_path: Path, changes: tuple[str, ...]
) -> None:
    folder = train(corpus, encoder, tmp_path / "mine", "epochs=3", *changes)
    assert cards.read(folder).metrics["validation"]["top1"] > 0.5
    assert contents(folder)["model.safetensors"] != contents(models["scibert-full"])["model.safetensors"]


def test_the_prior_moves_answers_towards_arxivs_mix(corpus: Path, encoder: Path, tmp_path: Path) -> None:
    folders = [train(corpus, encoder, tmp_path / name, "epochs=1", f'prior="{name}"') for name in ("corpus", "arxiv")]
    found = [shelf.load(str(folder)) for folder in folders]
    unknown = text.model_input(invented.batch(60, seed=8))
    probs = [calibration.probabilities(model.classifier.scores(unknown)).mean(0) for model in found]
    ratio = dict(zip(found[0].card.labels, probs[1] / probs[0], strict=True))
    assert ratio["hep-ph"] > 1 > ratio["q-bio.NC"]


def test_targets() -> None:
    truth, none = np.array([0, 2]), metrics.NOT_LISTED
    listed = np.array([[0, 1, 2], [2, none, none]])
    np.testing.assert_allclose(targets.targets(truth, listed, 4, "primary", 0.0), [[1, 0, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_allclose(
        targets.targets(truth, listed, 4, "primary", 0.2), [[0.8, 0.1, 0.1, 0], [0, 0, 1, 0]], atol=1e-6
    )
    np.testing.assert_allclose(targets.targets(truth, listed, 4, "all", 0.0), [[1, 1, 1, 0], [0, 0, 1, 0]])


def test_losses_are_pytorchs_own() -> None:
    logits, truth = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3, 1, 1, 2])
    wanted = torch.nn.functional.one_hot(truth, 4).float()
    for smoothing in (0.0, 0.1):
        torch.testing.assert_close(
            targets.losses(logits, wanted, "primary", smoothing),
            torch.nn.functional.cross_entropy(logits, truth, reduction="none", label_smoothing=smoothing),
        )
    torch.testing.assert_close(
        targets.losses(logits, wanted, "all", 0.0),
        torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1),
    )


def test_groups_of_parameters(encoder: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(encoder)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    shares, decays = {}, {}
    for group in tuning.groups(network, 0.01, 0.5):
        for parameter in group["params"]:
            shares[names[id(parameter)]], decays[names[id(parameter)]] = group["share"], group["weight_decay"]
    assert set(shares) == set(names.values())
    assert {name for name, decay in decays.items() if decay == 0} == {
        name for name in names.values() if name.endswith(".bias") or "LayerNorm" in name
    }
    assert shares["classifier.weight"] == shares["bert.pooler.dense.bias"] == 1
    assert shares[f"bert.encoder.layer.{small_scibert.LAYERS - 1}.output.dense.weight"] == 0.5
    assert shares["bert.encoder.layer.0.output.dense.weight"] == 0.5**small_scibert.LAYERS
    assert shares["bert.embeddings.word_embeddings.weight"] == 0.5 ** (small_scibert.LAYERS + 1)


def test_tokens_are_made_once(few: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    real, calls = tokens.encoded, []
    monkeypatch.setattr(tokens, "encoded", lambda *arguments: calls.append(1) or real(*arguments))
    first = train(few, encoder, tmp_path / "a" / "mine", "epochs=1")
    made = len(calls)
    calls.clear()
    second = train(few, encoder, tmp_path / "b" / "mine", "epochs=1")
    scored = len(calls)
    assert made == scored + 4  # whole papers and titles of two splits
    calls.clear()
    train(few, encoder, tmp_path / "c" / "mine", "epochs=1", "max_length=32")
    assert len(calls) == made
    calls.clear()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    noted = Noted()
    third = train(few, encoder, tmp_path / "d" / "mine", "epochs=1", progress=noted)
    assert any("tokens stay in memory" in note for note in noted.notes)
    assert contents(first) == contents(second) == contents(third)


def test_settings_that_cannot_be(few: Path, encoder: Path, tmp_path: Path) -> None:
    for change, said in (
        ("freeze_layer=8", "no setting freeze_layer; did you mean freeze_layers"),
        ("freeze_layers=9", f"freeze_layers = 9, but the encoder has {small_scibert.LAYERS} layers"),
        ("lr=0", "setting lr = 0"),
        ("max_length=1", "setting max_length = 1"),
    ):
        with pytest.raises(UsageError, match=said):
            train(few, encoder, tmp_path / "mine", change)
    assert not (tmp_path / "mine" / "model.json").exists()


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_scibert(preset: str) -> None:
    chosen = shelf.settings("finetuned").model_validate(shelf.preset(preset))
    assert chosen.encoder == "allenai/scibert_scivocab_uncased"
    assert chosen.max_length == 512
    assert (chosen.freeze_layers, chosen.lora_rank) == {"scibert": (8, 0), "scibert-full": (0, 0)}.get(preset, (0, 16))


# Encoders that are not there.


def refused(few: Path, encoder: Path | str, output: Path) -> ArxivcliError:
    with pytest.raises(ArxivcliError) as caught:
        training.train(few, "scibert", output / "mine", Silent(), changes=(f'encoder="{encoder}"',), device="cpu")
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_folder_that_is_no_encoder(few: Path, encoder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in (str(tmp_path / "nowhere"), "./nowhere", "a/b/c", "not a name"):
        error = refused(few, name, tmp_path)
        assert isinstance(error, UsageError)
        assert str(error) == f"there is no encoder {name}; name a folder, or a name on the Hugging Face hub"
    assert isinstance(refused(few, empty, tmp_path), FolderError)
    broken = shutil.copytree(encoder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    assert "is no encoder that can be read" in str(refused(few, broken, tmp_path))
    (broken / "config.json").write_text("{}")
    assert isinstance(refused(few, broken, tmp_path), FolderError)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["BOMB"],)


def test_pickles_are_never_opened(
    few: Path, encoder: Path, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))

    def load(folder: Path) -> FolderError:
        with pytest.raises(FolderError) as caught:
            FinetunedClassifier.load(folder)
        return caught.value

    for place, refuse in ((encoder, lambda folder: refused(few, folder, tmp_path)), (models["scibert"], load)):
        folder = shutil.copytree(place, tmp_path / place.name)
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
        assert "has no model.safetensors, and other weights are not read" in str(refuse(folder))
    assert not (tmp_path / "exploded").exists()


def test_a_model_whose_parts_do_not_fit(models: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(models["scibert"], tmp_path / "mine")
    tensors = load_file(folder / "model.safetensors")
    from safetensors.numpy import save_file

    save_file({name: t for name, t in tensors.items() if name != "classifier.weight"}, folder / "model.safetensors")
    with pytest.raises(FolderError, match=r"do not fit its config: classifier\.weight"):
        FinetunedClassifier.load(folder)
    (folder / "model.safetensors").write_bytes(b"no")
    with pytest.raises(FolderError, match="is no fine-tuned model"):
        FinetunedClassifier.load(folder)


def test_a_hub_that_cannot_be_reached(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", nobody + "/{repo_id}/{revision}/{filename}"
    )
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", nobody)
    error = refused(few, "allenai/scibert_scivocab_uncased", tmp_path)
    assert isinstance(error, RemoteError)
    assert "cannot take allenai/scibert_scivocab_uncased from the hub" in str(error)
    assert "n='allenai/scibert_scivocab_uncased'" in str(error)
    assert "--encoder FOLDER" in str(error)


def test_an_encoder_from_the_hub(few: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Noted()
    with small_hub.hub(encoder, monkeypatch, tmp_path / "hub"):
        first = train(few, small_hub.NAME, tmp_path / "a" / "mine", "epochs=1", progress=noted)
        error = refused(few, "somebody/small-skibert", tmp_path)
    assert f"taking {small_hub.NAME} from the Hugging Face hub" in noted.notes
    assert isinstance(error, UsageError)
    assert "the hub has no encoder somebody/small-skibert; check its name" in str(error)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    again = train(few, small_hub.NAME, tmp_path / "b" / "mine", "epochs=1")
    assert contents(again) == contents(first)


def test_the_advice_for_old_weights_works(few: Path, encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    old = shutil.copytree(encoder, tmp_path / "old")
    torch.save(AutoModel.from_pretrained(encoder).state_dict(), old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()
    said = str(refused(few, old, tmp_path))
    code = said.partition('python -c "')[2].partition('"')[0].replace("'FOLDER'", repr(str(tmp_path / "new")))
    exec(code)  # noqa: S102
    assert (tmp_path / "new" / "model.safetensors").is_file()
    train(few, tmp_path / "new", tmp_path / "mine", "epochs=1", preset="scibert")


# Devices and processes.


def test_devices_asked_for_and_found() -> None:
    noted = Noted()
    assert devices.find("auto", "auto", noted).device == "cpu"
    assert noted.notes == ["training on the CPU: no GPU found"]
    assert devices.find("cpu", "auto", noted) == devices.find("cpu", "fp32", noted)
    assert devices.find("cpu", "bf16", noted).precision == "bf16"
    for name in ("cuda", "mps", "xpu"):
        with pytest.raises(TrainingError, match=f"cannot train on {name}: ") as caught:
            devices.find(name, "auto", noted)
        assert caught.value.exit_code == 7
    assert len(noted.notes) == 1


def test_two_processes_go_the_way_of_one(few: Path, encoder: Path, tmp_path: Path) -> None:
    changes = ("dropout=0.1", "micro_batch=4", "epochs=2")
    alone = cards.read(train(few, encoder, tmp_path / "alone" / "mine", *changes)).metrics["epochs"]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}", "-m", "arxivcli"]
    own = (f'encoder="{encoder}"', *QUICK, *changes)
    output = tmp_path / "two" / "mine"
    command = ["train", "-m", "scibert-full", "-d", str(few), "-o", str(output), "--device=cpu"]
    ran = subprocess.run(
        [sys.executable, *launcher, *command, *(f"--set={change}" for change in own)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr
    together = cards.read(output).metrics["epochs"]
    for one, two in zip(alone, together, strict=True):
        assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-4)
        assert two["validation"] == pytest.approx(one["validation"], rel=1e-3)
    assert ran.stdout.count("title_only_top1") == 1
    assert ran.stderr.count("epoch 1: train loss") == 1
    assert shelf.load(str(output)).classifier.scores(pa.array(["a\n"])).shape == (1, len(invented.TOPICS))


def test_a_device_asked_for_by_name_is_used_or_refused(models: dict[str, Path]) -> None:
    assert str(shelf.load(str(models["scibert"]), "cpu").classifier.network.device) == "cpu"  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"cannot score on cuda: this PyTorch .* finds no GPU; leave out --device"):
        shelf.load(str(models["scibert"]), "cuda")


def test_the_command_line_answers_with_it_and_says_nothing_else(models: dict[str, Path], tmp_path: Path) -> None:
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for seed, file in enumerate(files):  # two files would be two processes' work, which a fork would hang
        file.write_text("".join(json.dumps(paper) + "\n" for paper in invented.records(200, seed)))
    command = ["classify", "-m", str(models["scibert"]), "--workers=2", "-f", "jsonl", *map(str, files)]
    ran = subprocess.run(
        [sys.executable, "-m", "arxivcli", *command], capture_output=True, text=True, check=True, timeout=120
    )
    assert len(ran.stdout.splitlines()) == 400
    assert ran.stderr == ""
