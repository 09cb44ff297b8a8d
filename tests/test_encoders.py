"""Encoders to be fine-tuned: where they come from, and what is said of those that cannot be had."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import small_hub
import torch
from finetuning import bomb, train
from loopback import Noted, free_port
from safetensors.numpy import load_file, save_file
from test_train import contents

from arxivcli.errors import ArxivcliError, FolderError, RemoteError, UsageError
from arxivcli.progress import Silent
from arxivcli.steps import training

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_pickles_are_never_opened(few: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(encoder, tmp_path / "encoder")
    bomb(folder, monkeypatch)
    assert "has no model.safetensors, and other weights are not read" in str(refused(few, folder, tmp_path))
    assert not (folder / "exploded").exists()


def test_an_encoder_that_lacks_a_layer(few: Path, encoder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(encoder, tmp_path / "encoder")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if ".layer.1.attention" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    error = refused(few, folder, tmp_path)
    assert isinstance(error, FolderError)
    assert "do not fit its config: bert.encoder.layer.1.attention" in str(error)


@pytest.mark.parametrize("preset", ["scibert-full", "minilm"])
def test_an_encoder_copied_without_its_tokenizer(few: Path, encoder: Path, tmp_path: Path, preset: str) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(encoder / name, folder)
    with pytest.raises(ArxivcliError, match=r"has no tokenizer\.json nor another vocabulary; copy all files"):
        training.train(few, preset, tmp_path / "mine", Silent(), changes=(f'encoder="{folder}"',))


def test_an_encoder_that_is_a_file(few: Path, encoder: Path, tmp_path: Path) -> None:
    error = refused(few, encoder / "config.json", tmp_path)
    assert isinstance(error, UsageError)
    assert "is a file, not a folder" in str(error)


def test_layers_that_are_not_there_are_told_before_anything_is_read(few: Path, encoder: Path, tmp_path: Path) -> None:
    class Reading(Silent):
        def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:  # noqa: ARG002
            raise AssertionError(what)

    with pytest.raises(UsageError, match="freeze_layers = 9, but the encoder has 3 layers"):
        train(few, encoder, tmp_path / "mine", "freeze_layers=9", progress=Reading())


def test_a_hub_that_cannot_be_reached(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", nobody + "/{repo_id}/{revision}/{filename}"
    )
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", nobody)
    error = refused(few, "allenai/scibert_scivocab_uncased", tmp_path)
    assert isinstance(error, RemoteError)
    assert "allenai/scibert_scivocab_uncased is no folder here, and the hub cannot be had" in str(error)
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
