"""The fast model: its features are what the definition says, answers do not depend on company, files are checked."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli.errors import FolderError
from arxivcli.models import shelf
from arxivcli.models.fast import FastClassifier, bag_weights, quantised, unpacked
from arxivcli.models.features import Vocabulary, _one_of_the_same, tokenise

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from arxivcli.models.base import Classifier

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
words = st.text("aAb9é-. \n$–", max_size=12)


def tokens_by_definition(text: str) -> list[tuple[str, bool]]:
    """Words one by one, and whether each stands before the first newline."""
    title, newline, _ = text.partition("\n")
    found, word, in_title = [], "", bool(newline)
    for at, sign in enumerate(text + " "):
        lower = sign.lower() if sign.isascii() else sign
        if lower in LETTERS or (not sign.isascii() and not "\u2000" <= sign < "\u2040"):
            word += lower
        elif word:
            found.append((word, in_title and at <= len(title)))
            word = ""
    return found


def features_by_definition(text: str, vocabulary: Vocabulary) -> Counter[int]:
    names = vocabulary.words.to_pylist()
    pairs = vocabulary.pairs.tolist()
    ids = [(names.index(w) if w in names else None, t) for w, t in tokens_by_definition(text)]
    counted: Counter[int] = Counter()
    for number, title in ids:
        if number is not None:
            counted[number] += 1 + title
    for (first, title), (second, also) in pairwise(ids):
        if first is not None and second is not None and title == also and first * len(names) + second in pairs:
            counted[len(names) + pairs.index(first * len(names) + second)] += 1 + title
    return counted


@given(st.lists(words, max_size=6))
def test_tokens_are_what_the_definition_says(texts: list[str]) -> None:
    tokens = tokenise(pa.array(texts, pa.string()))
    expected = [(word, row, title) for row, text in enumerate(texts) for word, title in tokens_by_definition(text)]
    assert list(zip(tokens.words.to_pylist(), tokens.text.tolist(), tokens.in_title.tolist(), strict=True)) == expected


@given(st.lists(words, max_size=6), st.integers(0, 3))
def test_bags_are_what_the_definition_says(texts: list[str], skipped: int) -> None:
    vocabulary = Vocabulary(pa.array(["a", "b", "ab", "9", "é"]), np.array([0, 1, 2, 5, 9, 12, 24]))
    some = pa.array(["padding"] * skipped + texts, pa.string()).slice(skipped)
    bags = vocabulary.bags(some)
    for row, text in enumerate(texts):
        start, end = bags.offsets[row], bags.offsets[row + 1]
        found = dict(zip(bags.features[start:end].tolist(), bags.counts[start:end].tolist(), strict=True))
        assert found == features_by_definition(text, vocabulary)


@given(st.sets(st.integers(0, 10**12), min_size=1, max_size=300), st.lists(st.integers(0, 10**12), max_size=50))
def test_many_pairs_are_found_as_few_are(known: set[int], others: list[int]) -> None:
    vocabulary = Vocabulary(pa.array([], pa.string()), np.array(sorted(known)))
    asked = np.array([*sorted(known), *others])
    expected = np.array([sorted(known).index(k) if k in known else -1 for k in asked.tolist()])
    np.testing.assert_array_equal(vocabulary._find(asked), expected)
    np.testing.assert_array_equal(vocabulary._table.find(asked), expected)


def test_keys_too_large_for_the_table_are_found_all_the_same() -> None:
    pairs = np.arange(2**62, 2**62 + 5000)
    vocabulary = Vocabulary(pa.array([], pa.string()), pairs)
    np.testing.assert_array_equal(vocabulary._find(np.append(pairs, [-1, 7, 2**62 - 1])), [*range(5000), -1, -1, -1])
    assert "_table" not in vars(vocabulary)


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(1, 10**10))
def test_equal_keys_share_one_of_their_positions(small: list[int], apart: int) -> None:
    keys = np.array(small, np.int64) * apart
    same = _one_of_the_same(keys)
    np.testing.assert_array_equal(keys[same], keys)
    assert len(np.unique(same)) == len(np.unique(keys))


def small_model(bits: int = 8) -> FastClassifier:
    chance = np.random.default_rng(0)
    names = pa.array([*"abcdefghij", "naïve"])
    vocabulary = Vocabulary(names, np.sort(chance.choice(len(names) ** 2, 40, replace=False)))
    embeddings, scales = quantised(chance.normal(size=(len(vocabulary), 8)).astype(np.float32), bits)
    idf = chance.uniform(1, 5, len(vocabulary)).astype(np.float16)
    head, bias = chance.normal(size=(8, 3)).astype(np.float32), chance.normal(size=3).astype(np.float32)
    return FastClassifier(("cs.CL", "hep-th", "math.NT"), vocabulary, idf, embeddings, scales, head, bias)


TEXTS = ["a b c\nd e f a b", "", "\n", "unknown words only", "j i h g", "naïve\nnaïve a b", "a a a a a\n"]


@pytest.mark.parametrize("bits", [4, 8])
def test_a_text_scores_the_same_alone_and_in_company(bits: int) -> None:
    model = small_model(bits)
    together = model.scores(pa.array(TEXTS))
    for row, text in enumerate(TEXTS):
        np.testing.assert_array_equal(model.scores(pa.array([text]))[0], together[row])
    many = model.scores(pa.array(TEXTS * 700))
    np.testing.assert_array_equal(many, np.tile(together, (700, 1)))


@pytest.fixture(scope="module")
def builtin_scores() -> tuple[Classifier, pa.StringArray, NDArray[np.float32]]:
    """The built-in model, 4,096 texts of its words in all lengths, and their scores."""
    model = shelf.load("builtin").classifier
    assert isinstance(model, FastClassifier)
    chance = np.random.default_rng(0)
    names = np.array(model.vocabulary.words.slice(0, 5000).to_pylist())
    fields = [" ".join(chance.choice(names, chance.integers(0, 150))) for _ in range(2 * 4096)]
    texts = pa.array(["\n".join(paper) for paper in zip(fields[::2], fields[1::2], strict=True)])
    return model, texts, model.scores(texts)


@pytest.mark.parametrize("size", [1, 7, 64, 300])
@given(first=st.integers(0, 4095))
def test_a_paper_scores_the_same_in_batches_of_any_size(
    builtin_scores: tuple[Classifier, pa.StringArray, NDArray[np.float32]], size: int, first: int
) -> None:
    model, texts, whole = builtin_scores
    np.testing.assert_array_equal(model.scores(texts.slice(first, size)), whole[first : first + size])


@pytest.mark.parametrize("bits", [4, 8])
def test_scores_are_the_formula(bits: int) -> None:
    model = small_model(bits)
    text = "a b a\nc a b"
    counted = features_by_definition(text, model.vocabulary)
    weight = {f: (1 + np.log(n)) * float(model.idf[f]) for f, n in counted.items()}
    norm = np.sqrt(sum(w * w for w in weight.values()))
    integers = model.embeddings if bits == 8 else unpacked(model.embeddings)
    rows = integers.astype(float) * model.scales.astype(float)[:, None]
    hidden = sum(w / norm * rows[f] for f, w in weight.items())
    np.testing.assert_allclose(model.scores(pa.array([text]))[0], hidden @ model.head + model.bias, rtol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 8, 11])
def test_scores_are_the_head_on_the_vectors(count: int) -> None:
    model = small_model()
    texts = pa.array((TEXTS * 11)[:count], pa.string())
    vectors = model.vectors(texts)
    assert vectors.shape == (count, len(model.head))
    np.testing.assert_allclose(vectors @ model.head + model.bias, model.scores(texts), rtol=1e-5)


def test_no_texts_no_scores() -> None:
    assert small_model().scores(pa.array([], pa.string())).shape == (0, 3)


def test_a_text_without_known_words_gets_the_bias() -> None:
    model = small_model()
    np.testing.assert_array_equal(model.scores(pa.array(["zzz", "", "\n"])), np.tile(model.bias, (3, 1)))


@pytest.mark.parametrize("bits", [4, 8])
def test_saved_and_loaded_is_the_same(tmp_path: Path, bits: int) -> None:
    model = small_model(bits)
    model.save(tmp_path)
    again = FastClassifier.load(tmp_path)
    assert again.labels == model.labels
    assert again.vocabulary.words.equals(model.vocabulary.words)
    np.testing.assert_array_equal(again.scores(pa.array(TEXTS)), model.scores(pa.array(TEXTS)))


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"{}", b"\xff" * 100])
def test_what_is_no_weights_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(FolderError, match="no fast model"):
        FastClassifier.load(tmp_path)


def test_tensors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = small_model()
    short = FastClassifier(
        model.labels[:2], *(getattr(model, n) for n in ("vocabulary", "idf", "embeddings", "scales", "head", "bias"))
    )
    short.save(tmp_path)
    with pytest.raises(FolderError, match="do not fit"):
        FastClassifier.load(tmp_path)


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=4, max_size=4), min_size=1, max_size=5))
def test_quantising_loses_at_most_half_a_step(rows: list[list[float]]) -> None:
    exact = np.array(rows, np.float32)
    steps, scales = quantised(exact)
    error = np.abs(steps * scales.astype(np.float32)[:, None] - exact)
    assert (error <= np.abs(exact).max(axis=1, keepdims=True) / 127 * 0.502 + 1e-4).all()


@given(st.lists(st.lists(st.floats(-10, 10, width=16), min_size=6, max_size=6), min_size=1, max_size=5))
def test_four_bits_are_no_worse_than_rounding_to_the_largest_entry(rows: list[list[float]]) -> None:
    exact = np.array(rows, np.float32)
    packed, scales = quantised(exact, 4)
    assert packed.shape == (len(rows), 3)
    error = np.square(unpacked(packed) * scales.astype(np.float32)[:, None] - exact).sum(axis=1)
    step = np.abs(exact).max(axis=1) / 7
    assert (error <= 6 * np.square(step * 0.502 + 1e-4)).all()


def test_bag_weights_have_unit_length() -> None:
    model = small_model()
    bags = model.vocabulary.bags(pa.array(TEXTS))
    weights = bag_weights(bags, model.idf.astype(np.float32))
    for start, end in pairwise(bags.offsets):
        assert start == end or np.linalg.norm(weights[start:end]) == pytest.approx(1, rel=1e-6)
