"""What the tests of fine-tuning share: a training that takes a second."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

from arxivcli.progress import Silent
from arxivcli.steps import training

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

QUICK = ("max_length=64", "batch_size=16", "lr=5e-3", "dropout=0", "epochs=2")
PRESETS = {"scibert": ("freeze_layers=1",), "scibert-full": (), "scibert-lora": ("lora_rank=8",)}


class Bomb:
    """What a pickle can do to those who open it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["BOMB"],)


def bomb(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a pickle in the place of the weights of a folder; whoever opens it makes the folder `exploded` inside."""
    monkeypatch.setenv("BOMB", str(folder / "exploded"))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))


def train(
    corpus: Path, encoder: Path | str, output: Path, *changes: str, preset: str = "scibert-full", **more: Any
) -> Path:
    more.setdefault("precision", "fp32")  # what auto is depends on the CPU
    own = (f'encoder="{encoder}"', *QUICK, *PRESETS[preset], *changes)
    report = training.train(corpus, preset, output, more.pop("progress", Silent()), changes=own, device="cpu", **more)
    assert report is not None
    return report.folder
