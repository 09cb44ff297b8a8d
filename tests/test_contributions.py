"""Which words spoke for an answer: exact where it can be, in place always, and the same words a reader would name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_fast import ROUNDING, small_model

from arxivcli.errors import UsageError
from arxivcli.models import contributions, shelf
from arxivcli.models.features import tokenise
from arxivcli.models.layer import VECTOR_LEVELS, Layer
from arxivcli.models.whole_numbers import rounded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from arxivcli.models.shelf import Model

field = st.text("abcdefghij $.,é–\u2028ABZ", max_size=30)
seeds = st.integers(0, 2**32 - 1)


def leads(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def builtin() -> Model:
    return shelf.load("builtin")


@given(field, field, st.sampled_from([4, 8]), st.integers(0, 2), st.sampled_from([0, 5]))
def test_base_and_contributions_add_up_to_the_lead(
    title: str, abstract: str, bits: int, label: int, units: int
) -> None:
    model = small_model(bits, units)
    texts = pa.array([f"{title}\n{abstract}"])
    [found] = model.contributions(texts, np.array([label]))
    assert found.total == pytest.approx(leads(model.scores(texts))[0, label], abs=ROUNDING)
    assert found.base == pytest.approx(leads(model.scores(pa.array(["\n"])))[0, label], abs=ROUNDING)


@given(field, field)
def test_every_contribution_is_a_known_word_or_pair_where_it_stands(title: str, abstract: str) -> None:
    model = small_model()
    [found] = model.contributions(pa.array([f"{title}\n{abstract}"]), np.array([1]))
    names = [(one.text, one.where) for one in found.contributions]
    assert len(set(names)) == len(names)
    for one in found.contributions:
        for begin, end in one.spans:
            here = (title if one.where == "title" else abstract)[begin:end]
            words = [here[first:last].translate(LOWER) for first, last in contributions.words(here)]
            assert " ".join(words) == one.text


LOWER = {ord(sign): sign.lower() for sign in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


@given(st.text(max_size=40))
def test_words_are_those_the_model_reads(text: str) -> None:
    found = [text[begin:end].translate(LOWER) for begin, end in contributions.words(text)]
    assert found == tokenise(pa.array([text])).words.to_pylist()


@given(seeds, st.integers(0, 6), st.sampled_from([0, 1, 9]))
def test_a_head_of_pieces_is_shared_out_without_a_rest(seed: int, count: int, units: int) -> None:
    """Also one with a layer of rectified units that reads the head's probabilities, too: both bend on the way."""
    chance = np.random.default_rng(seed)
    vectors, head, bias = chance.normal(size=(count, 5)), chance.normal(size=(5, 4)), chance.normal(size=4)
    layer = Layer(*(chance.normal(size=shape) for shape in ((5, units), (4, units), 4, units, (units, 4))))

    def lead(summed: np.ndarray) -> float:
        logits = summed @ head + bias
        vectors, logits = (numbers.astype(np.float32)[None] for numbers in (summed, logits))
        return float(leads(logits + layer.added(*rounded(vectors, VECTOR_LEVELS), logits))[0, 2])

    base, values = contributions.along_ray(vectors, 2, head, bias)
    linear = leads((vectors.sum(axis=0) @ head + bias)[None])[0, 2]
    assert base + values.sum() == pytest.approx(linear, abs=1e-9)
    more, others = layer.shared_out(vectors, 2, head, bias)
    assert base + more == pytest.approx(lead(np.zeros(5)), abs=ROUNDING)
    assert base + more + (values + others).sum() == pytest.approx(lead(vectors.sum(axis=0)), rel=1e-2, abs=0.1)


def test_a_unit_counts_for_as_long_as_it_is_awake() -> None:
    """Of two words that together wake a unit halfway, each gets its part of the half that is left."""
    vectors, nothing = np.array([[3.0], [1.0]]), np.zeros((2, 1))
    layer = Layer(np.array([[1.0]]), nothing, np.zeros(2), np.array([-2.0]), np.array([[1.0, -1.0]]))
    base, values = layer.shared_out(vectors, 0, np.zeros((1, 2)), np.zeros(2))
    assert (base, values.tolist()) == (0.0, pytest.approx([1.5, 0.5]))


def test_what_makes_an_answer_likelier_counts_by_that() -> None:
    """A unit that reads nothing but the probability of the label: each word has its part of how that grows."""
    vectors, head = np.array([[3.0], [1.0]]), np.array([[1.0, 0.0]])
    layer = Layer(np.zeros((1, 1)), np.array([[1.0], [0.0]]), np.zeros(2), np.zeros(1), np.array([[1.0, -1.0]]))
    base, values = layer.shared_out(vectors, 0, head, np.zeros(2))
    grown = 1 / (1 + np.exp(-4)) - 0.5
    assert (base, values.tolist()) == (0.5, pytest.approx([0.75 * grown, 0.25 * grown], abs=1e-6))


def test_the_words_a_reader_would_name(builtin: Model) -> None:
    texts = pa.array(
        [
            "Neural machine translation with attention\nWe translate sentences between languages.",
            "Primes in short intervals\nWe bound gaps between primes with the large sieve.",
        ]
    )
    towards = builtin.classifier.scores(texts).argmax(axis=1)
    assert isinstance(builtin.classifier, contributions.Explains)
    one, two = builtin.classifier.contributions(texts, towards)
    np.testing.assert_allclose(
        [one.total, two.total], leads(builtin.classifier.scores(texts))[[0, 1], towards], atol=3 * ROUNDING
    )
    assert {"translation", "languages"} <= {said.text for said in one.strongest(10) if said.value > 0}
    assert "primes" in {said.text for said in two.strongest(3)}
    assert {said.where for said in two.contributions if said.text == "primes"} == {"title", "abstract"}


def test_alone_and_in_company_words_say_the_same(builtin: Model) -> None:
    assert isinstance(builtin.classifier, contributions.Explains)
    texts = pa.array(["Primes\ngaps of primes", "", "\n", "Quarks and gluons\n"])
    towards = np.array([3, 1, 4, 1])
    together = builtin.classifier.contributions(texts, towards)
    assert together == [
        builtin.classifier.contributions(texts.slice(row, 1), towards[row : row + 1])[0] for row in range(4)
    ]
    assert together[1].contributions == ()


def test_tokens_become_words() -> None:
    text = "Sparse attention\nof transformers."
    tokens = [(0, 6, 1.0), (6, 13, 2.0), (13, 16, 0.5), (17, 19, -1.0), (19, 32, 4.0), (32, 33, 9.0), (0, 0, 7.0)]
    found = contributions.gathered(text, contributions.word_occurrences(text, tokens))
    assert [(one.text, one.value, one.where, one.spans) for one in found] == [
        ("sparse", 1.0, "title", ((0, 6),)),
        ("attention", 2.5, "title", ((7, 16),)),
        ("of", -1.0, "abstract", ((0, 2),)),
        ("transformers", 4.0, "abstract", ((3, 15),)),
    ]


def test_a_model_that_cannot_explain_says_so() -> None:
    class Mute:
        labels = ("cs.CL",)

    with pytest.raises(UsageError, match="cannot explain"):
        contributions.explained(Mute(), pa.array([], pa.string()), np.array([], int), np.array([], bool))  # type: ignore[arg-type]


# -- transformers -----------------------------------------------------------------------------------------------------

PAPER = "galaxies of quarks\nprimes and galaxies"


def slope_of(lead: Callable[[], float], row: object, step: float) -> float:
    """How the lead changes where the embedding of a word grows in proportion, by trying it out."""
    import torch

    before = row.detach().clone()  # type: ignore[attr-defined]
    found = []
    with torch.no_grad():
        for sign in (1, -1):
            row.copy_(before * (1 + sign * step))  # type: ignore[attr-defined]
            found.append(lead())
        row.copy_(before)  # type: ignore[attr-defined]
    return (found[0] - found[1]) / (2 * step)


@pytest.mark.usefixtures("one_thread")
def test_a_fine_tuned_model_names_its_words_by_their_slope(encoder: Path) -> None:
    from arxivcli.models import encoders
    from arxivcli.models.finetuned import FinetunedClassifier
    from arxivcli.progress import Silent

    labels = ("hep-ph", "math.NT", "astro-ph.GA")
    pretrained = encoders.load(str(encoder), labels, {}, Silent())
    model = FinetunedClassifier(labels, pretrained.network.eval(), pretrained.tokenizer)
    texts = pa.array([PAPER, "", "primes\n"])
    found, empty, other = model.contributions(texts, np.array([2, 0, 1]))
    assert [(one.text, one.where) for one in found.contributions] == [
        ("galaxies", "title"), ("of", "title"), ("quarks", "title"),
        ("primes", "abstract"), ("and", "abstract"), ("galaxies", "abstract"),
    ]  # fmt: skip
    assert (empty.contributions, [one.text for one in other.contributions]) == ((), ["primes"])
    [token] = pretrained.tokenizer("quarks", add_special_tokens=False)["input_ids"]
    row = pretrained.network.get_input_embeddings().weight[token]
    expected = slope_of(lambda: float(leads(model.scores(texts.slice(0, 1)))[0, 2]), row, 1e-2)
    assert found.contributions[2].value == pytest.approx(expected, rel=0.05, abs=1e-4)


@pytest.mark.usefixtures("one_thread")
def test_a_frozen_model_names_its_words_by_their_slope() -> None:
    from test_frozen import ENCODER

    from arxivcli.models.encoder import Encoder
    from arxivcli.models.frozen import FrozenClassifier, Head
    from arxivcli.surroundings import Place

    chance = np.random.default_rng(0)
    sizes = [(384,), (384,), (384, 8), (8,), (8, 3), (3,)]
    head = Head(*(chance.normal(size=size).astype(np.float32) for size in sizes))
    encoder = Encoder.load(ENCODER, Place("cpu"))
    model = FrozenClassifier(("hep-ph", "math.NT", "astro-ph.GA"), encoder, head)
    found, *_ = model.contributions(pa.array([PAPER]), np.array([2]))
    assert [one.text for one in found.contributions] == ["galaxies", "of", "quarks", "primes", "and", "galaxies"]
    network = encoder._network

    def embedded() -> np.ndarray:
        return network.encode([PAPER], convert_to_numpy=True, show_progress_bar=False)[0]

    [token] = network.tokenizer("and", add_special_tokens=False)["input_ids"]
    row, slope = network.transformers_model.get_input_embeddings().weight[token], head.slope(embedded(), 2)
    expected = slope_of(lambda: float(embedded() @ slope), row, 1e-2)
    assert found.contributions[4].value == pytest.approx(expected, rel=0.05, abs=1e-4)
    lead, step = leads(head.logits(embedded()[None]))[0, 2], slope * 1e-3
    assert leads(head.logits((embedded() + step)[None]))[0, 2] - lead == pytest.approx(float(slope @ step), rel=0.05)
