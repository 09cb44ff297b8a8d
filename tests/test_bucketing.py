"""Texts that go through a network together: each once, and hardly padded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arxivcli.models import bucketing

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=300).map(np.array)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 5))
def test_an_epoch_takes_every_text_at_most_once(lengths: np.ndarray, size: int, seed: int) -> None:
    size = min(size, len(lengths))
    steps = bucketing.LikeLengths(lengths, size, seed)
    epochs = [[steps[step] for step in range(e * steps.per_epoch, (e + 1) * steps.per_epoch)] for e in range(2)]
    for rows in map(np.concatenate, epochs):
        assert len(rows) == len(set(rows.tolist())) == len(lengths) // size * size
    again = bucketing.LikeLengths(lengths, size, seed)
    last = 2 * steps.per_epoch - 1
    assert again[last].tolist() == epochs[1][-1].tolist()  # whatever was asked for before
    assert again[0].tolist() == epochs[0][0].tolist()


def test_little_is_padded_and_long_and_short_steps_come_mixed() -> None:
    lengths = np.random.default_rng(0).integers(8, 512, 20_000)
    steps = bucketing.LikeLengths(lengths, 32, 0)
    taken = [lengths[steps[step]] for step in range(steps.per_epoch)]
    padded = sum(len(some) * some.max() for some in taken)
    assert padded < 1.03 * lengths.sum()
    longest = np.array([some.max() for some in taken])
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.1


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 5))
def test_steps_of_texts_of_any_length_are_parts_of_one_shuffling(texts: int, size: int, seed: int) -> None:
    size = min(size, texts)
    steps = bucketing.Steps(texts, size, seed)
    for epoch in range(2):
        rows = np.concatenate([steps[epoch * steps.per_epoch + place] for place in range(steps.per_epoch)])
        assert rows.tolist() == np.random.default_rng([seed, 1, epoch]).permutation(texts)[: len(rows)].tolist()
        assert len(rows) == texts // size * size


@given(LENGTHS)
def test_scoring_takes_each_text_once_and_bounds_the_tokens(lengths: np.ndarray) -> None:
    taken = list(bucketing.batches(lengths))
    assert sorted(np.concatenate(taken).tolist()) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * lengths[rows].max() <= 8192 for rows in taken)
