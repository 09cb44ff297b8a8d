"""Calibration keeps its promises, degenerate input has a defined answer."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli import calibration, metrics
from arxivcli.calibration import Calibration
from arxivcli.errors import UsageError

LABELS = 6
seeds = st.integers(0, 2**32 - 1)


def invented(seed: int, papers: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that know something of the truth, the truth, and weights."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, LABELS, papers)
    logits = chance.normal(size=(papers, LABELS)).astype(np.float32)
    logits[np.arange(papers), truth] += chance.uniform(0, 3)
    return logits, truth, chance.uniform(0.1, 5, papers)


@given(seeds, st.integers(1, 80), st.integers(0, 5))
def test_the_largest_come_first_and_of_equals_the_first(seed: int, count: int, papers: int) -> None:
    few = np.random.default_rng(seed).integers(0, 9, (papers, 70)).astype(np.float32) / 9
    expected = [sorted(range(70), key=lambda label: (-row[label], label))[:count] for row in few]
    np.testing.assert_array_equal(metrics.top(few, count), np.reshape(expected, (papers, min(count, 70))))


def test_calibration_error_of_a_known_case() -> None:
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], np.float32)
    truth = np.array([0, 1, 0, 1])
    expected = (abs(1.8 - 1) + abs(0.6 - 1) + abs(0.8 - 1)) / 4
    assert metrics.calibration_error(probs, truth, np.ones(4)) == pytest.approx(expected)


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "unknown"]), max_size=15), max_size=8))
def test_label_indices_are_the_places_among_the_labels(lists: list[list[str]]) -> None:
    labels = ("a", "b", "c")
    truth, listed = metrics.label_indices(pa.array(lists, pa.list_(pa.string())), labels)
    for row, names in enumerate(lists):
        numbers = [labels.index(n) if n in labels else metrics.NOT_LISTED for n in names][:13]
        assert listed[row].tolist() == numbers + [metrics.NOT_LISTED] * (13 - len(numbers))
        assert truth[row] == (numbers[0] if numbers else metrics.NOT_LISTED)


def test_importance_brings_papers_into_the_wanted_mix() -> None:
    truth = np.repeat([0, 1, 2], [60, 30, 10])
    weights = metrics.importance(truth, ("a", "b", "c"), {"a": 100, "b": 100, "c": 800})[truth]
    shares = np.bincount(truth, weights) / weights.sum()
    np.testing.assert_allclose(shares, [0.1, 0.1, 0.8])


@given(seeds, st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_the_temperature_undoes_a_scale(seed: int, scale: float) -> None:
    logits, truth, weights = invented(seed, 2000)
    plain = calibration.fit_temperature(logits, truth, weights)
    scaled = calibration.fit_temperature(logits * np.float32(scale), truth, weights)
    if 0.06 < plain < 4.5 and 0.06 < scaled < 18:
        assert scaled == pytest.approx(plain * scale, rel=1e-3)


@given(seeds)
def test_the_temperature_is_the_best_there_is(seed: int) -> None:
    logits, truth, weights = invented(seed, 500)
    found = calibration.fit_temperature(logits, truth, weights)

    def loss(temperature: float) -> float:
        probs = calibration.probabilities(logits, temperature).astype(float)
        return float(-(np.log(np.maximum(probs[np.arange(len(truth)), truth], 1e-300)) * weights).sum())

    assert 1 / 20 <= found <= 20
    if found < 19:  # logits that know nothing want no bound
        assert loss(found) <= min(loss(found * 1.05), loss(found / 1.05)) * (1 + 1e-6)


lines = st.builds(calibration.Calibration, st.floats(0.05, 20), slope=st.floats(0.05, 3), intercept=st.floats(-5, 5))
extremes = st.lists(st.lists(st.floats(-90, 90, width=32), min_size=4, max_size=4), min_size=1, max_size=5)


@given(extremes, lines)
def test_calibrating_keeps_the_order_of_labels_and_sums_to_one(
    rows: list[list[float]], how: calibration.Calibration
) -> None:
    logits = np.array(rows, np.float32)
    probs = calibration.calibrated(logits, how)
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
    order = np.argsort(-calibration.probabilities(logits, how.temperature), axis=1, kind="stable")
    sorted_probs = np.take_along_axis(probs, order, axis=1)
    assert (np.diff(sorted_probs, axis=1) <= 1e-6).all()
    for row, alone in zip(probs, logits, strict=True):
        np.testing.assert_array_equal(calibration.calibrated(alone[None], how)[0], row)


def test_confidence_that_is_too_steep_is_mended() -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(40_000, LABELS)).astype(np.float32) * 2
    odds = np.sort(logits, axis=1)
    sure = 1 / (1 + np.exp(-0.5 * (odds[:, -1] - odds[:, -2])))  # right less often than it says when sure
    right = chance.random(len(logits)) < sure
    truth = np.where(right, logits.argmax(axis=1), np.argsort(logits, axis=1)[:, -2])
    fitted = calibration.fit(logits[:20_000], truth[:20_000])
    ones = np.ones(20_000)
    before, after = (
        metrics.calibration_error(probs, truth[20_000:], ones)
        for probs in (
            calibration.probabilities(logits[20_000:], fitted.temperature),
            calibration.calibrated(logits[20_000:], fitted),
        )
    )
    assert after < 0.025 < before


@pytest.mark.parametrize("papers", [1, 2, 5])
def test_a_handful_of_papers_changes_little(papers: int) -> None:
    logits, truth, _ = invented(6, papers)
    fitted = calibration.fit(logits, truth)
    assert 0.5 < fitted.slope < 2
    assert abs(fitted.intercept) < 1


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_sets_hold_the_truth_as_often_as_promised(coverage: float) -> None:
    logits, truth, _ = invented(3, 40_000)
    half = len(truth) // 2
    fitted = calibration.fit(logits[:half], truth[:half])
    inside = calibration.conformal_sets(calibration.calibrated(logits[half:], fitted), fitted, coverage)
    held = inside[np.arange(half), truth[half:]].mean()
    assert coverage - 0.01 <= held
    if coverage > 0.9:  # below, the best label alone already holds more
        assert held <= coverage + 0.01


def test_every_set_has_the_best_label_and_grows_with_coverage() -> None:
    logits, truth, _ = invented(4, 1000)
    fitted = calibration.fit(logits, truth)
    probs = calibration.calibrated(logits, fitted)
    sets = [calibration.conformal_sets(probs, fitted, c) for c in (0.5, 0.75, 0.905, 0.99)]
    assert all(s[np.arange(1000), probs.argmax(axis=1)].all() for s in sets)
    assert all((small <= large).all() for small, large in pairwise(sets))


@pytest.mark.parametrize("coverage", [0.0, 0.49, 0.995, 1.0, 2.0, -1.0])
def test_a_coverage_that_cannot_be_promised_is_refused(coverage: float) -> None:
    logits, truth, _ = invented(5)
    with pytest.raises(UsageError, match=r"between 0\.50 and 0\.99"):
        calibration.conformal_sets(calibration.probabilities(logits), calibration.fit(logits, truth), coverage)


def test_probabilities_of_huge_logits_are_finite() -> None:
    probs = calibration.probabilities(np.array([[1e30, -1e30], [3e38, 3e38]], np.float32))
    np.testing.assert_allclose(probs, [[1, 0], [0.5, 0.5]])


def test_nothing_to_fit_on_changes_nothing() -> None:
    assert calibration.fit(np.empty((0, 3), np.float32), np.empty(0, int)) == calibration.Calibration()


def test_texts_without_an_abstract_have_their_own_calibration() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) * 3
    alone = np.array([False, True, False, True, True, False])
    quantiles = {"0.90": 0.2}
    fitted = Calibration(2.0, 0.9, 0.1, quantiles, title_only=Calibration(0.5, 1.1, 0.0, {"0.90": 0.9}))
    probs = calibration.calibrated(logits, fitted, alone)
    np.testing.assert_array_equal(probs[alone], calibration.calibrated(logits[alone], fitted.title_only))
    np.testing.assert_array_equal(probs[~alone], calibration.calibrated(logits[~alone], fitted))
    np.testing.assert_array_equal(calibration.calibrated(logits, fitted, ~alone | alone)[alone], probs[alone])
    inside = calibration.conformal_sets(probs, fitted, 0.9, alone)
    best = np.zeros_like(inside)
    best[np.arange(6), probs.argmax(axis=1)] = True
    np.testing.assert_array_equal(inside, best | (probs >= np.where(alone, 0.1, 0.8)[:, None].astype(np.float32)))


def test_a_calibration_is_read_back_as_it_was() -> None:
    fitted = Calibration(2.0, 0.9, 0.1, {"0.90": 0.2}, title_only=Calibration(0.5))
    assert Calibration.of(dataclasses.asdict(fitted)) == fitted
    with pytest.raises(ValueError, match="temperature 0 is not"):
        Calibration.of({"title_only": {"temperature": 0}})
