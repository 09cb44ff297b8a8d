"""A fine-tuning cut at any point ends as if it had never been, and a step that goes wrong costs nothing learned."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import small_scibert
import torch
from finetuning import train
from loopback import Noted
from safetensors.numpy import load_file
from test_train import contents

from arxivcli import storage
from arxivcli.errors import FolderError, StoppedError, TrainingError
from arxivcli.learning import loop
from arxivcli.learning.checkpoints import Checkpoints
from arxivcli.models import card as cards
from arxivcli.models import finetuned_training
from arxivcli.models.finetuned_training import FinetunedTrainee
from arxivcli.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


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
    context.set_forkserver_preload(["test_finetuned_cuts", "transformers.models.bert.modeling_bert"])
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
    assert cards.read(found).metrics["papers_at_once"] == 4

    def hopeless(*_: Any) -> torch.Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(FinetunedTrainee, "_logits", hopeless)
    with pytest.raises(TrainingError, match="not enough memory to train on one paper"):
        train(few, encoder, tmp_path / "none" / "mine")


def test_less_precision_learns_too(corpus: Path, encoder: Path, tmp_path: Path) -> None:
    folder = train(corpus, encoder, tmp_path / "mine", "epochs=6", precision="bf16")
    assert cards.read(folder).metrics["validation"]["top1"] > 0.5
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {np.dtype(np.float32)}


def test_errors_of_a_step_that_are_not_about_memory() -> None:
    from torch._inductor.exc import InductorError, InvalidCxxCompiler

    assert finetuned_training._require_want_of_memory(torch.OutOfMemoryError("CUDA")) is None
    with pytest.raises(TrainingError, match=r"cannot be compiled: InvalidCxxCompiler: No working .*compile=false"):
        finetuned_training._require_want_of_memory(InductorError(InvalidCxxCompiler(), None))
    with pytest.raises(RuntimeError, match="size mismatch"):
        finetuned_training._require_want_of_memory(RuntimeError("size mismatch"))
