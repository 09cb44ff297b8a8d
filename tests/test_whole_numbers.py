"""Products in whole numbers: exact, so the same in any company and order, and near those of real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli.models.whole_numbers import EXACT, Factor, rounded, shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

seeds = st.integers(0, 2**32 - 1)
widths = st.integers(1, 300)


def numbers(chance: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    """Rows and columns of very different sizes, some of them nothing but zeros."""
    of_rows, of_columns = (10.0 ** chance.integers(-4, 5, size) for size in ((rows, 1), (1, columns)))
    kept = chance.random((rows, 1)) < 0.9
    found: NDArray[np.float32] = (chance.normal(size=(rows, columns)) * of_rows * of_columns * kept).astype(np.float32)
    return found


@pytest.mark.parametrize("levels", [511, 2047])
@pytest.mark.parametrize("parts", [1, 2])
@given(seed=seeds, rows=st.integers(1, 40), width=widths)
def test_sums_of_products_stay_whole_numbers(levels: int, parts: int, seed: int, rows: int, width: int) -> None:
    """Also where all numbers of a row are the largest and of the signs that make the sum as large as it can be."""
    chance = np.random.default_rng(seed)
    whole, _ = rounded(numbers(chance, rows, width), levels)
    for part in Factor.of(numbers(chance, width, 9), levels, parts).parts:
        assert np.array_equal(whole, np.rint(whole))
        assert np.array_equal(part, np.rint(part))
        assert np.abs(whole).max() <= levels
        assert levels * np.abs(part).astype(np.int64).sum(axis=0).max() <= EXACT


@pytest.mark.parametrize("levels", [511, 2047])
@pytest.mark.parametrize("parts", [1, 2])
@given(seed=seeds, rows=st.integers(1, 40), width=widths)
def test_products_are_the_same_in_any_company_and_order(
    levels: int, parts: int, seed: int, rows: int, width: int
) -> None:
    chance = np.random.default_rng(seed)
    read, factor = numbers(chance, rows, width), Factor.of(numbers(chance, width, 9), levels, parts)
    found = factor.times(*rounded(read, levels))
    for row in range(rows):
        np.testing.assert_array_equal(factor.times(*rounded(read[row : row + 1], levels))[0], found[row])
    order = chance.permutation(width)
    turned = Factor(tuple(part[order] for part in factor.parts), factor.scales)
    np.testing.assert_array_equal(turned.times(*rounded(read[:, order], levels)), found)


@given(seed=seeds, rows=st.integers(1, 40), width=widths)
def test_products_are_near_those_of_the_numbers(seed: int, rows: int, width: int) -> None:
    """No further than half a step of each number of a row, and of each of a column, times what they are with."""
    chance = np.random.default_rng(seed)
    read, matrix = numbers(chance, rows, width), numbers(chance, width, 9)
    exact = read.astype(np.float64) @ matrix.astype(np.float64)
    of_row = np.abs(read).max(axis=1, keepdims=True) / 2047 / 2 * np.abs(matrix).sum(axis=0)
    of_column = np.abs(matrix).sum(axis=0) * 2047 / (EXACT - 2047 * (width / 2 + 1)) / 2
    for parts in (1, 2):
        of_columns = of_column * np.abs(read).sum(axis=1, keepdims=True) if parts == 1 else 0
        found = Factor.of(matrix, 2047, parts).times(*rounded(read, 2047))
        assert (np.abs(found - exact) <= 1.01 * (of_row + of_columns) + 1e-3 * of_row + 1e-9).all()


@given(seed=seeds, sizes=st.lists(st.one_of(st.integers(0, 400), st.just(60_000)), min_size=1, max_size=6))
def test_shares_of_a_bag_can_be_added_up_without_losing_a_bit(seed: int, sizes: list[int]) -> None:
    """Also of a bag of more than can be told apart, whose sums are then of what is left of them."""
    chance = np.random.default_rng(seed)
    weights = chance.uniform(0.01, 1, sum(sizes)).astype(np.float32)
    offsets = np.cumsum([0, *sizes])
    whole, steps = shares(weights, offsets, 128)
    assert np.array_equal(whole, np.rint(whole))
    for bag, step in enumerate(steps):
        some = slice(offsets[bag], offsets[bag + 1])
        assert 128 * whole[some].astype(np.int64).sum() <= EXACT
        # Half a step of each, and what single precision loses.
        assert np.abs(whole[some] * step - weights[some]).max(initial=0) <= 0.51 * step
        alone, (same,) = shares(weights[some], np.array([0, sizes[bag]]), 128)
        assert (alone.tolist(), same) == (whole[some].tolist(), step)
