"""BERT read by ourselves is BERT as transformers reads it, and what is no BERT is left to transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import invented
import numpy as np
import pyarrow as pa
import pytest
import small_scibert
from loopback import Noted
from safetensors.torch import load_file, save_file
from test_frozen import ENCODER

from arxivcli import text
from arxivcli.errors import FolderError
from arxivcli.models import bert_classifier, encoders
from arxivcli.models.bert import Opened
from arxivcli.models.bert_classifier import BertClassifier
from arxivcli.models.bert_encoder import BertEncoder
from arxivcli.models.encoder import Encoder
from arxivcli.models.finetuned import FinetunedClassifier
from arxivcli.surroundings import Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = ("cs.LG", "math.NT", "hep-ph")


def texts_of(count: int) -> pa.StringArray:
    """Papers, titles alone, nothing at all, and more words than fit."""
    papers = text.model_input(invented.batch(count, seed=3))
    titles = text.title_only(papers)
    return pa.concat_arrays(
        [papers, titles, pa.array(["", "\n", "neurons \u0000 and\u202e galaxies\n", "so long " * 900])]
    )


@pytest.fixture
def classifier(encoder: Path, tmp_path: Path) -> Path:
    """A BERT with a head."""
    made = encoders.load(str(encoder), LABELS, {}, Noted())
    FinetunedClassifier(LABELS, made.network.eval(), made.tokenizer).save(tmp_path / "classifier")
    return tmp_path / "classifier"


def changed(folder: Path, **config: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))


@pytest.mark.parametrize(
    "config",
    [{}, {"hidden_act": "relu"}, {"hidden_act": "gelu_new"}, {"layer_norm_eps": 0.01}, {"num_hidden_layers": 1}],
)
def test_logits_are_those_of_transformers(classifier: Path, config: dict[str, Any]) -> None:
    changed(classifier, **config)
    if "num_hidden_layers" in config:
        tensors = load_file(classifier / "model.safetensors")
        kept = {name: tensor for name, tensor in tensors.items() if ".layer.1." not in name and ".layer.2." not in name}
        save_file(kept, classifier / "model.safetensors", {"format": "pt"})
    ours, theirs = bert_classifier.load(classifier), FinetunedClassifier.load(classifier, "cpu")
    assert isinstance(ours, BertClassifier)
    assert ours.labels == theirs.labels == LABELS
    texts = texts_of(40)
    found = ours.scores(texts)
    np.testing.assert_allclose(found, theirs.scores(texts), atol=2e-5)
    assert found.std(axis=0).min() > 0.01, "it says something"
    assert ours.scores(texts[:0]).shape == (0, 3)


def test_an_answer_does_not_depend_on_its_company(classifier: Path) -> None:
    ours, texts = bert_classifier.load(classifier), texts_of(20)
    together = ours.scores(texts)
    for size in (3, 7):
        parts = [ours.scores(texts[start : start + size]) for start in range(0, len(texts), size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    np.testing.assert_allclose(np.concatenate([ours.scores(texts[i : i + 1]) for i in range(44)]), together, atol=1e-5)


def test_what_is_saved_is_the_same_again(classifier: Path, tmp_path: Path) -> None:
    ours = bert_classifier.load(classifier)
    (tmp_path / "copy").mkdir()
    ours.save(tmp_path / "copy")
    again = bert_classifier.load(tmp_path / "copy")
    assert isinstance(again, BertClassifier)
    np.testing.assert_array_equal(again.scores(texts_of(2)), ours.scores(texts_of(2)))


def test_reasons_are_those_of_transformers(classifier: Path) -> None:
    texts, towards = texts_of(2), np.array([0, 1, 2, 1, 1, 0, 2, 1])
    ours, theirs = (
        [
            [(one.text, one.value) for one in explanation.contributions]
            for explanation in some.contributions(texts, towards)
        ]
        for some in (bert_classifier.load(classifier), FinetunedClassifier.load(classifier, "cpu"))
    )
    assert ours == theirs
    assert ours[0]


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "roberta", "architectures": ["RobertaForSequenceClassification"]},
        {"hidden_act": "silu"},
        {"is_decoder": True},
        {"num_attention_heads": 5},
        {"hidden_size": 64},
        {"num_hidden_layers": 2},
        {"id2label": {"0": "cs.LG", "1": "math.NT"}, "num_labels": 2},
    ],
)
def test_what_is_another_network_is_left_to_transformers(classifier: Path, config: dict[str, Any]) -> None:
    changed(classifier, **config)
    ours, theirs = (said(load, classifier) for load in (bert_classifier.load, FinetunedClassifier.load))
    assert isinstance(ours, FinetunedClassifier | str)
    assert type(ours) is type(theirs)
    assert ours == theirs or isinstance(ours, FinetunedClassifier)


def said(load: Callable[[Path, str], Any], folder: Path) -> Any:
    """A model, or what is wrong with it."""
    try:
        return load(folder, "cpu")
    except FolderError as error:
        return str(error)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff" * 100])
def test_a_file_that_came_to_harm(classifier: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (classifier / name).unlink()
    else:
        (classifier / name).write_bytes(content)
    assert Opened.of(classifier) is None


def test_a_network_with_something_missing_or_left_over(classifier: Path) -> None:
    path = classifier / "model.safetensors"
    tensors = load_file(path)
    for name in (
        "bert.embeddings.LayerNorm.weight",
        "bert.encoder.layer.2.output.dense.bias",
        "bert.pooler.dense.bias",
    ):
        save_file({each: tensor for each, tensor in tensors.items() if each != name}, path, {"format": "pt"})
        with pytest.raises(FolderError, match="do not fit its config"):
            bert_classifier.load(classifier)
    more = tensors | {
        "bert.encoder.layer.3.output.dense.bias": tensors["bert.encoder.layer.2.output.dense.bias"].clone()
    }
    save_file(more, path, {"format": "pt"})
    assert Opened.of(classifier) is None


def test_half_precision_on_disk_is_calculated_in_full(classifier: Path) -> None:
    full = bert_classifier.load(classifier).scores(texts_of(3))
    halves = {name: tensor.half() for name, tensor in load_file(classifier / "model.safetensors").items()}
    save_file(halves, classifier / "model.safetensors", {"format": "pt"})
    ours = bert_classifier.load(classifier)
    assert isinstance(ours, BertClassifier)
    np.testing.assert_allclose(ours.scores(texts_of(3)), full, atol=0.05)


@pytest.mark.parametrize("length", [16, None])
def test_embeddings_are_those_of_sentence_transformers(tmp_path: Path, length: int | None) -> None:
    theirs = Encoder.load(ENCODER, Place(), length)
    theirs.save(tmp_path / "encoder")
    ours = BertEncoder.of(tmp_path / "encoder")
    assert ours
    assert ours.dimension == theirs.dimension == 384
    texts = texts_of(12).to_pylist()
    np.testing.assert_allclose(ours.embed(texts).astype(np.float32), theirs.embed(texts).astype(np.float32), atol=2e-4)
    assert ours.embed([]).shape == (0, 384)
    ours.save(tmp_path / "copy")
    again = BertEncoder.of(tmp_path / "copy")
    assert again
    np.testing.assert_array_equal(again.embed(texts), ours.embed(texts))
    cut = slice(0, 30) if length else slice(None)

    def slope(embedding: np.ndarray) -> np.ndarray:
        return embedding * 0 + 1

    assert ours.influences(texts[0], slope)[cut] == theirs.influences(texts[0], slope)[cut]


@pytest.mark.parametrize("mode", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalised", [True, False])
def test_pooling_is_as_the_folder_says(tmp_path: Path, mode: str, normalised: bool) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    small = modules.Transformer(str(small_scibert.save(tmp_path / "small", layers=1)))
    parts = [small, modules.Pooling(32, pooling_mode=mode), *([modules.Normalize()] if normalised else [])]
    network = SentenceTransformer(modules=parts, device="cpu")
    network.save(str(tmp_path / "encoder"), create_model_card=False)
    ours, texts = BertEncoder.of(tmp_path / "encoder"), texts_of(4).to_pylist()
    if mode == "max":
        assert ours is None
    else:
        assert ours
        np.testing.assert_allclose(ours.embed(texts), network.encode(texts), atol=2e-3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("modules.json", [{"path": "", "type": "a.Transformer"}, {"path": "1_Pooling", "type": "a.Dense"}]),
        ("modules.json", [{"path": "", "type": "a.Transformer"}]),
        ("config_sentence_transformers.json", {"prompts": {"query": "say: "}, "default_prompt_name": "query"}),
        ("config_sentence_transformers.json", {}),
        ("1_Pooling/config.json", {"pooling_mode": "weightedmean"}),
    ],
)
def test_other_encoders_are_left_to_sentence_transformers(tmp_path: Path, name: str, content: Any) -> None:
    Encoder.load(ENCODER, Place()).save(tmp_path / "encoder")
    assert BertEncoder.of(tmp_path / "encoder")
    (tmp_path / "encoder" / name).write_text(json.dumps(content))
    assert BertEncoder.of(tmp_path / "encoder") is None


def test_nothing_of_transformers_is_imported_for_it(classifier: Path, tmp_path: Path) -> None:
    Encoder.load(ENCODER, Place(), 32).save(tmp_path / "encoder")
    asked = (
        "import sys; from pathlib import Path; import pyarrow as pa;"
        "from arxivcli.models import bert_classifier; from arxivcli.models.bert_encoder import BertEncoder;"
        f"bert_classifier.load(Path({str(classifier)!r})).scores(pa.array(['Galaxies', 'Quarks']));"
        f"BertEncoder.of(Path({str(tmp_path / 'encoder')!r})).embed(['Galaxies']);"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert not {"transformers", "sentence_transformers", "sklearn"} & set(done.stdout.split())
