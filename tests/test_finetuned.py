"""Fine-tuning end to end on a small BERT built as SciBERT is: it learns, whatever is set, and loads elsewhere."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import invented
import numpy as np
import prepared
import pyarrow as pa
import pytest
import small_scibert
import torch
from finetuning import PRESETS, QUICK, bomb, train
from loopback import Noted, free_port
from safetensors.numpy import load_file
from test_train import contents

from arxivcli import calibration, metrics, parallel, tensors, text
from arxivcli.errors import FolderError, StorageError, TrainingError, UsageError
from arxivcli.learning import devices
from arxivcli.models import card as cards
from arxivcli.models import shelf, targets, tokens, tuning
from arxivcli.models.bert_classifier import BertClassifier
from arxivcli.models.finetuned import FinetunedClassifier
from arxivcli.progress import Silent
from arxivcli.steps import classification, evaluation, training

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def models(corpus: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: train(corpus, encoder, folder / name, "epochs=6", preset=name) for name in PRESETS}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_from_training_to_answers(corpus: Path, models: dict[str, Path], preset: str) -> None:
    model = shelf.load(str(models[preset]))
    report = evaluation.evaluate({"mine": model}, corpus, evaluation.Question(), Silent())
    assert report.models[0].whole.top1.value > 0.6
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


@pytest.mark.parametrize("cores", [1, 2, 1_000])
def test_a_text_does_not_depend_on_its_neighbours(
    models: dict[str, Path], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether batches go through the network one after another or on a core each."""
    monkeypatch.setattr(parallel, "cores", lambda: cores)
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
    training.train(few, "scibert", again, Silent(), config=first / "settings.toml", device="cpu", precision="fp32")
    assert contents(again) == contents(first)
    other = train(few, encoder, tmp_path / "c" / "mine", "dropout=0.1", "seed=1")
    assert contents(other)["model.safetensors"] != contents(first)["model.safetensors"]


def test_pickles_are_never_opened(models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(models["scibert"], tmp_path / "mine")
    bomb(folder, monkeypatch)
    with pytest.raises(FolderError, match=r"has no model\.safetensors, and other weights are not read"):
        FinetunedClassifier.load(folder)
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize("size", [100, 20_000])  # where config.json ends, and in the weights
def test_a_disk_that_ends_while_the_model_is_saved(models: dict[str, Path], tmp_path: Path, size: int) -> None:
    classifier = FinetunedClassifier.load(models["scibert"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*mine: File too large"):
            classifier.save(tmp_path / "mine")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_ends_while_the_tokenizer_is_saved(models: dict[str, Path], tmp_path: Path) -> None:
    tokenizer = FinetunedClassifier.load(models["scibert"]).tokenizer.backend_tokenizer
    with pytest.raises(StorageError, match=r"cannot write .*: the disk is full"), tensors.written(tmp_path):
        tokenizer.save("/dev/full")


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


# Options.


@pytest.mark.parametrize(
    "changes",
    [("cross_lists=0.3", "label_smoothing=0.1"), ('task="all"', "balance=1.0"), ('prior="arxiv"', "layer_decay=0.8")],
)
def test_every_option_changes_the_model_and_still_learns(
    corpus: Path, encoder: Path, models: dict[str, Path], tmp_path: Path, changes: tuple[str, ...]
) -> None:
    folder = train(corpus, encoder, tmp_path / "mine", "epochs=6", *changes)
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


def test_tokens_that_came_to_harm_are_made_again_and_old_ones_go(
    few: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = train(few, encoder, tmp_path / "a" / "mine", "epochs=1")
    folders = sorted(path for path in (tmp_path / "cache" / "arxivcli" / "tokens").iterdir() if path.is_dir())
    (folders[0] / "offsets.npy").unlink()
    os.truncate(folders[1] / "ids.bin", 40)
    (folders[2] / "offsets.npy").write_bytes(b"no")
    old = folders[0].with_name("0123")
    old.mkdir()
    os.utime(old, (0, 0))
    assert contents(train(few, encoder, tmp_path / "b" / "mine", "epochs=1")) == contents(first)
    assert sorted(path for path in folders[0].parent.iterdir() if path.is_dir()) == folders


def test_settings_that_cannot_be(few: Path, encoder: Path, tmp_path: Path) -> None:
    for change, said in (
        ("freeze_layer=8", "no setting freeze_layer of finetuned models; did you mean freeze_layers"),
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


# Devices and processes.


def test_devices_asked_for_and_found(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Noted()
    assert devices.find("auto", "auto", noted).device == "cpu"
    assert noted.notes == ["training on the CPU: no GPU found"]
    assert devices.find("cpu", "auto", noted) == devices.find("cpu", "fp32", noted)
    assert devices.find("cpu", "bf16", noted).precision == "bf16"
    for able, chosen in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"avx512_bf16": able}, raising=False)
        assert devices.find("cpu", "auto", noted, mixed_on_cpu=True).precision == chosen
        assert devices.find("cpu", "auto", noted).precision == "fp32"
    for name in ("cuda", "mps", "xpu"):
        with pytest.raises(TrainingError, match=f"cannot train on {name}: ") as caught:
            devices.find(name, "auto", noted)
        assert caught.value.exit_code == 7
    assert len(noted.notes) == 1


def test_two_processes_of_torchrun_go_the_way_of_one(few: Path, encoder: Path, tmp_path: Path) -> None:
    changes = ("dropout=0.1", "micro_batch=4", "epochs=2")
    alone = cards.read(train(few, encoder, tmp_path / "alone" / "mine", *changes)).metrics["epochs"]
    start = ["torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}", "-m", "arxivcli"]
    own = (f'encoder="{encoder}"', *QUICK, *changes)
    output, cache = tmp_path / "two" / "mine", tmp_path / "cache"
    command = ["train", "-m", "scibert-full", "-d", str(few), "-o", str(output), "--device=cpu", "--precision=fp32"]
    ran = subprocess.run(
        [sys.executable, "-m", *start, *command, *(f"--set={change}" for change in own)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
    )
    assert ran.returncode == 0, ran.stderr
    together = cards.read(output).metrics["epochs"]
    assert len([path for path in cache.glob("arxivcli/tokens/*") if path.is_dir()]) == 4  # made by one, read by both
    for one, two in zip(alone, together, strict=True):
        assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-4)
        assert two["validation"] == pytest.approx(one["validation"], rel=1e-3)
    assert ran.stdout.count("title_only_top1") == 1
    assert ran.stderr.count("epoch 1: train loss") == 1
    assert shelf.load(str(output)).classifier.scores(pa.array(["a\n"])).shape == (1, len(invented.TOPICS))


def test_options_of_the_command_are_settings(few: Path, encoder: Path, tmp_path: Path) -> None:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = ["train", "-d", str(few), "-o", str(tmp_path / "mine"), "--device=cpu", *more]
        return prepared.run([*prepared.PROGRAM, *command], capture_output=True, text=True, check=False)

    quick = [f"--set={change}" for change in (*QUICK, "epochs=1")]
    ran = run("-m", "scibert-full", "--encoder", str(encoder), "--task", "all", "--seed", "3", *quick)
    assert ran.returncode == 0, ran.stderr
    chosen = cards.read(tmp_path / "mine").settings
    assert (chosen["task"], chosen["seed"], chosen["compile"]) == ("all", 3, False)
    ran = run("-m", "fast", "--compile")
    assert ran.returncode == 2
    assert "compile" in ran.stderr


def test_a_device_asked_for_by_name_is_used_or_refused(models: dict[str, Path]) -> None:
    assert isinstance(shelf.load(str(models["scibert"]), "cpu").classifier, BertClassifier), "which is for CPUs alone"
    assert str(FinetunedClassifier.load(models["scibert"], "cpu").network.device) == "cpu"
    with pytest.raises(UsageError, match=r"cannot score on cuda: this PyTorch .* finds no GPU; leave out --device"):
        shelf.load(str(models["scibert"]), "cuda")


@pytest.mark.parametrize("device", ["auto", "cpu-int8"])
def test_the_command_line_answers_with_it_and_says_nothing_else(
    models: dict[str, Path], tmp_path: Path, device: str
) -> None:
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for seed, file in enumerate(files):  # two files would be two processes' work, which a fork would hang
        file.write_text("".join(json.dumps(paper) + "\n" for paper in invented.records(200, seed)))
    command = ["classify", "-m", str(models["scibert"]), "--workers=2", "-f", "jsonl", *map(str, files)]
    command += ["--device", device]
    ran = prepared.run([*prepared.PROGRAM, *command], capture_output=True, text=True, check=True, timeout=120)
    assert len(ran.stdout.splitlines()) == 400
    assert ran.stderr == ""
