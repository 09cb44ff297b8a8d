"""The statistics agree with scipy, with brute force and with their own definitions, and have an answer for anything."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from arxivcli import distributions
from arxivcli.statistics import samples, shares, significance, words

counts = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=12)
seeds = st.integers(0, 2**32 - 1)


def sides(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    before, after = np.array(pairs, np.int64).T
    return before, after


@given(counts)
def test_shares_have_their_defined_distance_whatever_the_counts(pairs: list[tuple[int, int]]) -> None:
    before, after = sides(pairs)
    index, divergence = shares.stability_index(before, after), distributions.divergences(before, after).sum()
    chi = shares.chi_square(before, after)
    assert index >= 0
    assert 0 <= divergence <= 1 + 1e-12
    assert 0 <= chi.p <= 1
    assert 0 <= chi.effect <= 1 + 1e-12
    assert shares.stability_index(after, before) == pytest.approx(index)
    if before.sum() and after.sum():
        assert np.sqrt(divergence) == pytest.approx(jensenshannon(before, after, base=2), abs=1e-7)
        first, second = (before + 0.5) / (before + 0.5).sum(), (after + 0.5) / (after + 0.5).sum()
        both_ways = stats.entropy(first, second) + stats.entropy(second, first)
        assert index == pytest.approx(both_ways, abs=1e-12)
    else:
        assert index == divergence == 0
        assert chi.p == 1


@given(counts)
def test_the_same_shares_are_no_shift(pairs: list[tuple[int, int]]) -> None:
    before, _ = sides(pairs)
    assert shares.stability_index(before, before) == 0
    assert distributions.divergences(before, before).sum() == 0
    assert shares.chi_square(before, before).p == pytest.approx(1)


@given(counts)
def test_the_statistic_is_pearsons_and_the_limit_is_taken_where_labels_are_many(pairs: list[tuple[int, int]]) -> None:
    before, after = sides([pair for pair in pairs if sum(pair)] or [(1, 1)])
    found = shares.chi_square(before, after)
    if len(before) < 2 or not before.sum() or not after.sum():
        assert found == shares.ChiSquare(0, 0, 1, 0)
        return
    table = np.stack([before, after])
    if stats.contingency.expected_freq(table).min() < 5:
        if found.freedom == len(before) - 1:  # the papers were dealt anew
            assert found.p >= 1 / (1 + shares.DEALT)
            assert found.statistic == pytest.approx(stats.chi2_contingency(table, correction=False).statistic)
        return
    expected = stats.chi2_contingency(table, correction=False)
    assert (found.statistic, found.freedom) == pytest.approx((expected.statistic, expected.dof), abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.effect == pytest.approx(stats.contingency.association(table))


def test_rare_labels_are_taken_together_where_that_loses_little() -> None:
    before, after = np.array([500, 400, 3, 0, 3, 60]), np.array([400, 500, 1, 4, 3, 50])
    expected = stats.chi2_contingency([[500, 400, 60, 6], [400, 500, 50, 8]], correction=False)
    found = shares.chi_square(before, after)
    assert (found.statistic, found.freedom, found.p) == pytest.approx((expected.statistic, 3, expected.pvalue))


def test_with_rare_labels_the_test_is_fishers() -> None:
    for before, after in ([[6, 2], [1, 4]], [[30, 3], [28, 0]], [[5, 5], [4, 6]]):
        mine = shares.chi_square(np.array(before), np.array(after)).p
        chance = stats.hypergeom(sum(before) + sum(after), before[0] + after[0], sum(before))
        expected = before[0] + after[0], sum(before) / (sum(before) + sum(after))
        far = abs(before[0] - expected[0] * expected[1])
        every = np.arange(min(expected[0], sum(before)) + 1)
        exact = chance.pmf(every[np.abs(every - expected[0] * expected[1]) >= far - 1e-9]).sum()
        assert mine == pytest.approx(exact, abs=4.5 * np.sqrt(exact / shares.DEALT) + 1e-3)


def test_a_label_of_one_paper_does_not_blunt_the_test() -> None:
    before, after = np.array([5000, 4000, 1, 0]), np.array([4000, 5000, 1, 1])
    assert shares.chi_square(before, after).p == 0.0002  # nothing can be taken together without loss
    more = np.append(before, 400), np.append(after, 400)
    assert shares.chi_square(*more).p < 1e-20


def test_six_papers_of_a_label_that_is_rare_elsewhere_are_noticed() -> None:
    """36 papers of six labels against 1,500 of a hundred."""
    found = shares.chi_square(np.repeat([6, 0], [6, 94]), np.full(100, 15))
    assert found.p < 0.001


@pytest.mark.parametrize(("first", "second"), [(2000, 5000), (60, 5000), (60, 90)])
def test_the_index_that_chance_alone_makes_is_known(first: int, second: int) -> None:
    chance = np.random.default_rng(0)
    truth = chance.dirichlet(np.full(30, 5.0))
    drawn = [(chance.multinomial(first, truth), chance.multinomial(second, truth)) for _ in range(300)]
    found = [
        (shares.stability_index(*pair), shares.stability_by_chance(*pair))
        for pair in drawn[:: 1 if first > 100 else 10]
    ]
    mean, expected = np.mean(found, axis=0)
    assert mean == pytest.approx(expected, rel=0.12)


@given(st.integers(0, 300), st.integers(0, 300))
def test_wilson_agrees_with_scipy(hits: int, misses: int) -> None:
    low, high = shares.wilson(np.array([hits]), hits + misses)
    if hits + misses == 0:
        assert (low[0], high[0]) == (0, 1)
        return
    expected = stats.binomtest(hits, hits + misses).proportion_ci(0.95, method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert low[0] <= hits / (hits + misses) <= high[0]


@given(st.integers(0, 200), st.integers(1, 200), st.integers(0, 200), st.integers(1, 200))
def test_two_proportions_are_the_chi_square_of_their_table(a: int, b: int, c: int, d: int) -> None:
    found = shares.two_proportions(np.array([a]), a + b, np.array([c]), c + d)[0]
    if a + c == 0:
        assert found == 1
    else:
        assert found == pytest.approx(stats.chi2_contingency([[a, b], [c, d]], correction=False).pvalue)
    low, high = shares.difference(a, a + b, c, c + d)
    assert -1 <= low <= c / (c + d) - a / (a + b) <= high <= 1


def test_the_interval_of_a_difference_is_newcombes() -> None:
    # Newcombe (1998), table II, contrasts (a) 56/70 - 48/80 and (f) 10/10 - 0/20, method 10.
    assert shares.difference(48, 80, 56, 70) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert shares.difference(0, 20, 10, 10) == pytest.approx((0.6791, 1.0), abs=1e-4)


def test_intervals_of_ratios_hold_the_truth_as_often_as_they_say() -> None:
    chance = np.random.default_rng(0)
    held = []
    for _ in range(200):
        before, after = chance.multinomial(2_000, [0.05] * 20), chance.multinomial(3_000, [0.05] * 20)
        middle, low, high = shares.ratios(before, after)
        assert ((low < middle) & (middle < high)).all()
        held.append((low <= 1) & (high >= 1))
    assert np.mean(held) == pytest.approx(0.95, abs=0.01)


@given(seeds, st.integers(1, 150), st.integers(1, 150), st.booleans())
@example(116, 5, 5, True)  # scipy finds no exact p-value
def test_the_largest_gap_of_distributions_by_brute_force(seed: int, n: int, m: int, ties: bool) -> None:
    chance = np.random.default_rng(seed)
    before, after = chance.normal(size=n), chance.normal(0.3, size=m)
    if ties:
        before, after = before.round(), after.round()
    gaps = [abs((before <= x).mean() - (after <= x).mean()) for x in np.concatenate([before, after])]
    found = samples.kolmogorov_smirnov(before, after)
    assert found.effect == pytest.approx(max(gaps))
    assert 0 <= found.p <= 1


@pytest.mark.parametrize(
    ("before", "after", "effect", "p"),
    [
        ([], [1.0], 0, 1),
        ([1.0], [3.0], 2, 1),
        ([1.0, 1.0], [1.0, 1.0], 0, 1),
        ([1.0, 1.0], [2.0, 2.0, 2.0], 1, 0),
    ],
)
def test_means_of_few_numbers_have_defined_answers(
    before: list[float], after: list[float], effect: float, p: float
) -> None:
    assert samples.mean_change(np.array(before), np.array(after)) == samples.Test(effect, p)


@given(seeds, st.integers(2, 50), st.integers(2, 50))
def test_the_change_of_a_mean_is_welchs_test(seed: int, n: int, m: int) -> None:
    chance = np.random.default_rng(seed)
    before, after = chance.normal(size=n), chance.normal(0.5, 3, size=m)
    found = samples.mean_change(before, after)
    assert found.effect == pytest.approx(after.mean() - before.mean())
    assert found.p == pytest.approx(stats.ttest_ind(before, after, equal_var=False).pvalue)


def test_a_classifier_tells_apart_what_differs() -> None:
    chance = np.random.default_rng(0)
    before, after = chance.normal(size=(400, 10)), chance.normal(size=(500, 10))
    after[:, 0] += 1  # the best there is has an area of Φ(1 / √2) = 0.760
    found = samples.classifier_test(before, after)
    assert found.effect == pytest.approx(0.76, abs=0.03)
    assert found.p < 1e-6


RUNS = 60


def false_alarms(test: object) -> float:
    """Share of runs on one population with p <= 0.1; `test` takes two samples and a seed."""
    found = []
    for seed in range(RUNS):
        chance = np.random.default_rng(seed)
        found.append(test(chance.normal(size=(40, 4)), chance.normal(size=(60, 4)), seed).p <= 0.1)  # type: ignore[operator]
    return float(np.mean(found))


def test_p_values_of_one_population_are_small_as_rarely_as_they_say() -> None:
    limit = stats.binom.ppf(0.9999, RUNS, 0.1) / RUNS
    assert false_alarms(samples.classifier_test) <= limit
    assert false_alarms(lambda a, b, seed: samples.mean_discrepancy(a, b, 99, seed)) <= limit
    assert false_alarms(lambda a, b, _: samples.kolmogorov_smirnov(a[:, 0], b[:, 0])) <= limit
    assert false_alarms(lambda a, b, _: samples.mean_change(a[:, 0], b[:, 0])) <= limit


def slow_discrepancy(before: np.ndarray, after: np.ndarray) -> float:
    """The definition, pair by pair."""
    every = np.concatenate([before, after])
    width = np.median([np.square(a - b).sum() for a, b in combinations(every, 2)])

    def mean(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
        return float(np.mean([np.exp(-np.square(a - b).sum() / (2 * width)) for a, b in pairs]))

    within = mean(list(combinations(before, 2))) + mean(list(combinations(after, 2)))
    return within - 2 * mean([(a, b) for a in before for b in after])


@settings(max_examples=20)
@given(seeds, st.integers(2, 8), st.integers(2, 8), st.sampled_from([0.0, 1.0, 5.0]))
def test_the_mean_discrepancy_by_brute_force(seed: int, n: int, m: int, shift: float) -> None:
    chance = np.random.default_rng(seed)
    before, after = chance.normal(size=(n, 3)), chance.normal(shift, size=(m, 3))
    found = samples.mean_discrepancy(before, after, permutations=9, seed=seed)
    assert found.effect == pytest.approx(np.sqrt(max(0, slow_discrepancy(before, after))), abs=1e-7)
    assert 0.1 <= found.p <= 1


def test_vectors_that_are_all_one_show_no_shift() -> None:
    same = np.ones((20, 3))
    assert samples.mean_discrepancy(same, same) == samples.Test(0, 1)
    assert samples.classifier_test(same, same) == samples.Test(0.5, 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_by_their_definitions(values: list[float]) -> None:
    p = np.array(values)
    np.testing.assert_allclose(significance.benjamini_hochberg(p), stats.false_discovery_control(p))
    adjusted = significance.holm(p)
    for alpha in (0.01, 0.05, 0.3):  # Holm's steps: go down the sorted values until one is too large
        rejected, left = set(), len(p)
        for index in np.argsort(p, kind="stable"):
            if p[index] * left > alpha:
                break
            rejected.add(int(index))
            left -= 1
        assert set(np.flatnonzero(adjusted <= alpha)) == rejected


def test_log_odds_by_the_published_formula() -> None:
    before, after = np.array([90, 10, 0, 0]), np.array([40, 10, 30, 0])
    prior = 0.1 * (before + after)
    for word in range(3):
        odds = [
            (side[word] + prior[word]) / (side.sum() + prior.sum() - side[word] - prior[word])
            for side in (before, after)
        ]
        expected = np.log(odds[1]) - np.log(odds[0])
        variance = 1 / (before[word] + prior[word]) + 1 / (after[word] + prior[word])
        ratio, z = words.log_odds(before, after)
        assert ratio[word] == pytest.approx(expected)
        assert z[word] == pytest.approx(expected / np.sqrt(variance))
    assert (ratio[3], z[3]) == (0, 0)


@given(counts)
def test_log_odds_of_anything_are_numbers(pairs: list[tuple[int, int]]) -> None:
    before, after = sides(pairs)
    there, back = words.log_odds(before, after), words.log_odds(after, before)
    assert np.isfinite(there).all()
    np.testing.assert_allclose(there, np.negative(back), atol=1e-9)
