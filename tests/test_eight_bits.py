"""Linear layers in eight bits: near those of real numbers, the same in any company and on any processor."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_bert import changed, classifier, texts_of
from test_frozen import ENCODER

from arxivcli.errors import UsageError
from arxivcli.models import bert_classifier, bert_encoder
from arxivcli.models.bert_classifier import BertClassifier
from arxivcli.models.bert_encoder import BertEncoder
from arxivcli.models.eight_bits import EightBits, whole
from arxivcli.models.encoder import Encoder
from arxivcli.surroundings import Place

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")
__all__ = ["classifier"]

INT8 = "cpu-int8"
WORST = """
import sys, torch
from arxivcli.models.eight_bits import EightBits
chance = torch.Generator().manual_seed(0)
weight = torch.randn(96, 384, generator=chance)
weight[0], weight[1], weight[2, ::2], weight[2, 1::2], weight[3, 1:] = 1, -1, 1, -1, 0
x = torch.randn(40, 384, generator=chance)
x[0], x[1], x[2, ::2], x[2, 1::2] = 1, -1, 1, -1
sys.stdout.buffer.write(EightBits.of(weight, torch.zeros(96))(x).numpy().tobytes())
"""


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 9),
    width=st.integers(1, 200),
    outputs=st.integers(1, 40),
    power=st.integers(-6, 6),
)
def test_a_layer_is_near_that_of_real_numbers_and_the_same_in_any_company(
    seed: int, rows: int, width: int, outputs: int, power: int
) -> None:
    """No further than half a step of each number, in what is read and in the weights, times what it is with."""
    chance = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(outputs, width, generator=chance), torch.randn(outputs, generator=chance)
    x = torch.randn(rows, width, generator=chance) * 10.0**power
    layer = EightBits.of(weight, bias)
    found = layer(x)
    of_x = x.abs().amax(dim=1, keepdim=True) / 127 / 2 * weight.abs().sum(dim=1)
    of_weights = layer.scales * x.abs().sum(dim=1, keepdim=True)  # a whole step where a pair was too large
    exact = torch.nn.functional.linear(x.double(), weight.double(), bias.double())
    assert ((found - exact).abs() <= 1.02 * (of_x + of_weights) + 1e-6).all()
    assert whole(weight)[0].int().abs().reshape(outputs, -1, 2).sum(dim=2).max() <= 128
    for row in range(rows):
        assert torch.equal(layer(x[row : row + 1])[0], found[row])


def test_nothing_is_read_as_nothing() -> None:
    layer = EightBits.of(torch.zeros(3, 4), torch.tensor([1.0, 2.0, 3.0]))
    assert layer(torch.zeros(2, 4)).tolist() == [[1, 2, 3]] * 2
    assert layer(torch.ones(1, 4)).tolist() == [[1, 2, 3]]


def test_it_is_the_same_on_processors_that_add_pairs_in_sixteen_bits() -> None:
    """oneDNN is told to do without newer instructions; numbers as large as they can be do not overflow there."""
    found = {}
    for instructions in ("DEFAULT", "AVX512_CORE", "AVX2"):
        environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
        done = subprocess.run([sys.executable, "-c", WORST], capture_output=True, check=True, env=environment)
        found[instructions] = np.frombuffer(done.stdout, np.float32)
    assert found["DEFAULT"].reshape(40, 96)[0, 0] == pytest.approx(384, rel=0.01)
    for others in found.values():
        np.testing.assert_array_equal(others, found["DEFAULT"])


def test_logits_are_near_those_in_full_and_the_same_in_any_company(classifier: Path) -> None:
    texts = texts_of(20)
    full, ours = bert_classifier.load(classifier, "cpu").scores(texts), bert_classifier.load(classifier, INT8)
    assert isinstance(ours, BertClassifier)
    together = ours.scores(texts)
    assert 0 < np.square(together - full).mean() ** 0.5 < 0.1 * full.std(axis=0).max()
    for size in (1, 3, 7):
        parts = [ours.scores(texts[start : start + size]) for start in range(0, len(texts), size)]
        np.testing.assert_allclose(np.concatenate(parts), together, atol=1e-6)


def test_embeddings_are_near_those_in_full(tmp_path: Path) -> None:
    Encoder.load(ENCODER, Place()).save(tmp_path / "encoder")
    texts = texts_of(12).to_pylist()
    full, ours = (bert_encoder.load(tmp_path / "encoder", Place(device)) for device in ("cpu", INT8))
    assert isinstance(ours, BertEncoder)
    alike = (full.embed(texts).astype(np.float32) * ours.embed(texts)).sum(axis=1)
    assert 0.99 < np.median(alike) < 0.9999
    assert alike.min() > 0.95


def test_what_is_no_bert_is_refused(classifier: Path, tmp_path: Path) -> None:
    changed(classifier, position_embedding_type="relative_key")
    with pytest.raises(UsageError, match=r"classifier holds no BERT, and --device cpu-int8 is for nothing else"):
        bert_classifier.load(classifier, INT8)
    Encoder.load(ENCODER, Place()).save(tmp_path / "encoder")
    (tmp_path / "encoder" / "modules.json").write_text("[]")
    with pytest.raises(UsageError, match="encoder holds no BERT"):
        bert_encoder.load(tmp_path / "encoder", Place(INT8))


@pytest.mark.parametrize(("machine", "why"), [("aarch64", "AVX2"), ("x86_64", "without oneDNN")])
def test_a_computer_that_cannot_says_so(
    classifier: Path, machine: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    with pytest.raises(UsageError, match=f"cannot score on cpu-int8: .*{why}"):
        bert_classifier.load(classifier, INT8)
