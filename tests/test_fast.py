"""The fast model: its features are what the definition says, answers do not depend on company, files are checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli.errors import FolderError
from arxivcli.models import features, shelf
from arxivcli.models.fast import FastClassifier, bag_weights, idf, idf_codes
from arxivcli.models.features import Vocabulary, _one_of_the_same, tokenise
from arxivcli.models.layer import Layer
from arxivcli.models.packing import Packed, packed

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


@given(st.sets(st.text(max_size=30), max_size=50), st.lists(st.text(max_size=30)), st.integers(0, 3))
def test_words_are_found_as_a_dictionary_finds_them(known: set[str], others: list[str], skipped: int) -> None:
    names = {name: number for number, name in enumerate(known)}
    asked = [*others, *known]
    found = Vocabulary(pa.array(names, pa.string()), np.empty(0, np.int64)).word_ids(
        pa.array(asked, pa.string()).slice(skipped)
    )
    assert found.tolist() == [names.get(name, -1) for name in asked[skipped:]]


def test_words_are_found_among_many_and_beside_one_of_a_million_letters() -> None:
    names = [f"word{number}" for number in range(60_000)]
    vocabulary = Vocabulary(pa.array(names), np.empty(0, np.int64))
    asked = pa.array([*names, "a" * 10**6, *names])
    assert vocabulary.word_ids(asked).tolist() == [*range(60_000), -1, *range(60_000)]


def test_words_are_found_also_where_two_have_one_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_digests", lambda words: np.full(len(words), 1 << 63, np.uint64))
    vocabulary = Vocabulary(pa.array(["graph", "quark"]), np.empty(0, np.int64))
    assert vocabulary.word_ids(pa.array(["quark", "lepton", "graph"])).tolist() == [1, -1, 0]


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


ROUNDING = 0.01
"""What logits of up to ten may lose in whole numbers."""


def small_model(fine: int = 8, units: int = 0) -> FastClassifier:
    chance = np.random.default_rng(0)
    names = pa.array([*"abcdefghij", "naïve"])
    vocabulary = Vocabulary(names, np.sort(chance.choice(len(names) ** 2, 40, replace=False)))
    embeddings = packed(chance.normal(size=(len(vocabulary), 8)).astype(np.float32), fine)
    codes = chance.integers(0, 80, len(vocabulary)).astype(np.uint8)
    head, bias = chance.normal(size=(8, 3)).astype(np.float32), chance.normal(size=3).astype(np.float32)
    shapes = ((8, units), (3, units), 3, units, (units, 3))
    layer = Layer(*(chance.normal(size=shape).astype(np.float16).astype(np.float32) for shape in shapes))
    labels = ("cs.CL", "hep-th", "math.NT")
    return FastClassifier(labels, vocabulary, codes, embeddings, head, bias, layer if units else None)


TEXTS = ["a b c\nd e f a b", "", "\n", "unknown words only", "j i h g", "naïve\nnaïve a b", "a a a a a\n"]


@pytest.mark.parametrize("units", [0, 5])
@pytest.mark.parametrize("fine", [4, 8])
def test_a_text_scores_the_same_alone_and_in_company(fine: int, units: int) -> None:
    model = small_model(fine, units)
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


@pytest.mark.parametrize("units", [0, 5])
@pytest.mark.parametrize("fine", [4, 8])
def test_scores_are_the_formula(fine: int, units: int) -> None:
    model = small_model(fine, units)
    text = "a b a\nc a b"
    counted = features_by_definition(text, model.vocabulary)
    weight = {f: (1 + np.log(n)) * float(idf(model.idf)[f]) for f, n in counted.items()}
    norm = np.sqrt(sum(w * w for w in weight.values()))
    rows = model.embeddings.table.astype(float) * model.embeddings.scales.astype(float)[:, None]
    hidden = sum(w / norm * rows[f] for f, w in weight.items())
    logits = hidden @ model.head + model.bias
    if model.layer:
        likely = np.exp(logits + model.layer.level) / np.exp(logits + model.layer.level).sum()
        units = hidden @ model.layer.inner + likely @ model.layer.likely + model.layer.start
        logits = logits + np.maximum(units, 0) @ model.layer.outer
    np.testing.assert_allclose(model.scores(pa.array([text]))[0], logits, atol=ROUNDING)


@pytest.mark.parametrize("count", [0, 1, 8, 11])
def test_scores_are_the_head_on_the_vectors(count: int) -> None:
    model = small_model()
    texts = pa.array((TEXTS * 11)[:count], pa.string())
    vectors = model.vectors(texts)
    assert vectors.shape == (count, len(model.head))
    np.testing.assert_allclose(vectors @ model.head + model.bias, model.scores(texts), atol=ROUNDING)


def test_no_texts_no_scores() -> None:
    assert small_model().scores(pa.array([], pa.string())).shape == (0, 3)


def test_a_text_without_known_words_gets_the_bias() -> None:
    model = small_model()
    np.testing.assert_array_equal(model.scores(pa.array(["zzz", "", "\n"])), np.tile(model.bias, (3, 1)))


@pytest.mark.parametrize("units", [0, 5])
@pytest.mark.parametrize("fine", [4, 8])
def test_saved_and_loaded_is_the_same(tmp_path: Path, fine: int, units: int) -> None:
    model = small_model(fine, units)
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
        model.labels[:2], *(getattr(model, n) for n in ("vocabulary", "idf", "embeddings", "head", "bias"))
    )
    unfitting = Layer(*(np.ones(shape, np.float32) for shape in ((8, 5), (3, 5), 3, 4, (5, 3))))
    for broken in (short, replace(model, layer=unfitting)):
        broken.save(tmp_path)
        with pytest.raises(FolderError, match="do not fit"):
            FastClassifier.load(tmp_path)


NUMBERS = st.lists(st.lists(st.floats(-10, 10, width=16), min_size=8, max_size=8), min_size=1, max_size=5)


def restored(rows: Packed) -> NDArray[np.float32]:
    return rows.rows(slice(None)) * rows.scales.astype(np.float32)[:, None]


@given(NUMBERS)
def test_four_bits_are_no_worse_than_rounding_to_the_largest_number(rows: list[list[float]]) -> None:
    exact = np.array(rows, np.float32)
    error = np.square(restored(packed(exact, 8)) - exact).sum(axis=1)
    step = np.abs(exact).max(axis=1) / 7
    assert (error <= 8 * np.square(step * 0.51 + 1e-4)).all()


@given(NUMBERS)
def test_two_bits_are_better_than_nothing(rows: list[list[float]]) -> None:
    exact = np.array(rows, np.float32)
    small = packed(exact, 4)
    assert small.width == 8
    assert small.fine.shape[1] + small.coarse.shape[1] == 3
    error = np.square(restored(small) - exact)[:, 4:].sum(axis=1)
    rounding = 8 * np.square(np.abs(exact[:, :4]).max(axis=1) / 112 + 1e-4)  # of the coarse step to steps of the row
    too_much = np.abs(exact[:, 4:]).max(axis=1) > np.abs(exact[:, :4]).max(axis=1)  # cannot be told in its scale
    assert (too_much | (error <= np.square(exact[:, 4:]).sum(axis=1) + 16 * rounding)).all()


@given(NUMBERS, st.lists(st.integers(0, 4), max_size=9))
def test_rows_unpacked_as_they_come_are_those_of_the_table(rows: list[list[float]], which: list[int]) -> None:
    some = packed(np.array(rows, np.float32), 4)
    chosen = np.array([row for row in which if row < len(rows)], np.int32)
    np.testing.assert_array_equal(some.rows(chosen), some.table[chosen])


def test_normal_numbers_in_two_bits_keep_most_of_what_they_say() -> None:
    exact = np.random.default_rng(1).normal(size=(500, 112)).astype(np.float32)
    error = np.square(restored(packed(exact, 64)) - exact)
    assert error[:, :64].mean() < 0.02
    assert error[:, 64:].mean() < 0.14


@given(st.integers(1, 10**7), st.data())
def test_inverse_document_frequencies_are_what_their_codes_say(papers: int, draw: st.DataObject) -> None:
    documents = np.array([draw.draw(st.integers(1, papers))])
    exact = np.log((1 + papers) / (1 + documents)) + 1
    assert np.abs(idf(idf_codes(documents, papers)) - np.minimum(exact, 13.75)).max() <= 0.0251


def test_bag_weights_have_unit_length() -> None:
    model = small_model()
    bags = model.vocabulary.bags(pa.array(TEXTS))
    weights = bag_weights(bags, idf(model.idf))
    for start, end in pairwise(bags.offsets):
        assert start == end or np.linalg.norm(weights[start:end]) == pytest.approx(1, rel=1e-6)
