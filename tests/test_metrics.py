"""Figures agree with scikit-learn and scipy, intervals hold what they should, 0/0 is defined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    label_ranking_average_precision_score,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from arxivcli import calibration, metrics
from arxivcli.metrics import bootstrap, conformal, pairs, quality, reliability, slices
from arxivcli.metrics.outcomes import Outcomes, outcomes

LABELS = 7
EVERY = np.arange(LABELS)
PARENTS = {"archive": np.array([0, 0, 1, 1, 2, 2, 2]), "group": np.array([0, 0, 0, 0, 1, 1, 1])}
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=40)


class Papers:
    """Logits that know something of the truth, cross-lists, weights, and what became of it all."""

    def __init__(self, seed: int, papers: int = 150, knowing: float = 2.0) -> None:
        chance = np.random.default_rng(seed)
        self.truth = chance.integers(0, LABELS, papers)
        logits = chance.normal(size=(papers, LABELS)).astype(np.float32)
        logits[np.arange(papers), self.truth] += knowing * chance.uniform(size=papers)
        self.probs = calibration.probabilities(logits, 0.7)
        self.plain = calibration.probabilities(logits)
        self.weights = chance.uniform(0.1, 5, papers)
        self.listed = np.stack([self.truth, chance.integers(-1, LABELS, papers)], axis=1)
        self.best = self.probs.argmax(axis=1)
        self.found = found(self.probs, self.truth, self.listed, self.plain)

    def mean(self, column: np.ndarray) -> float:
        return float(np.average(column, weights=self.weights))


def found(
    probs: np.ndarray, truth: np.ndarray, listed: np.ndarray, plain: np.ndarray, thresholds: tuple[float, ...] = (0.2,)
) -> Outcomes:
    return outcomes(probs, plain.max(axis=1), truth, listed, EVERY[: probs.shape[1]], thresholds)


def drawn(of: Outcomes, weights: np.ndarray, resamples: bootstrap.Resampling | None = None) -> quality.Draws:
    return quality.draws(of, weights, PARENTS, LABELS, resamples or bootstrap.resampling(len(of), 20))


@few
@given(seeds)
def test_figures_agree_with_scikit_learn(seed: int) -> None:
    papers = Papers(seed)
    truth, best, weights = papers.truth, papers.best, papers.weights
    exact = papers.probs.astype(float) / papers.probs.sum(axis=1, keepdims=True, dtype=float)
    onehot = np.eye(LABELS)[truth]
    seen = np.unique(truth)
    expected = {
        "top1": accuracy_score(truth, best, sample_weight=weights),
        "top3": top_k_accuracy_score(truth, exact, k=3, sample_weight=weights, labels=EVERY),
        "top5": top_k_accuracy_score(truth, exact, k=5, sample_weight=weights, labels=EVERY),
        "any_listed": papers.mean([b in row for b, row in zip(best, papers.listed, strict=True)]),
        "archive": accuracy_score(PARENTS["archive"][truth], PARENTS["archive"][best], sample_weight=weights),
        "group": accuracy_score(PARENTS["group"][truth], PARENTS["group"][best], sample_weight=weights),
        "macro_f1": f1_score(truth, best, labels=seen, average="macro", sample_weight=weights, zero_division=0),
        "weighted_f1": f1_score(truth, best, average="weighted", sample_weight=weights, zero_division=0),
        "mrr": label_ranking_average_precision_score(
            onehot, exact, sample_weight=weights
        ),  # one relevant label: 1/rank
        "nll": log_loss(truth, exact, sample_weight=weights, labels=EVERY),
        "brier": papers.mean(np.square(exact - onehot).sum(axis=1)),
        "coverage": papers.mean((papers.probs[np.arange(len(truth)), truth] >= 0.2) | (best == truth)),
        "set_size": papers.mean(np.maximum((papers.probs >= 0.2).sum(axis=1), 1)),
    }
    values = drawn(papers.found, weights).values
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert set(values) == {*expected, "ece", "ece_before"}


@few
@given(seeds)
def test_labels_and_confusions_agree_with_scikit_learn(seed: int) -> None:
    papers = Papers(seed)
    found, weights = papers.found, papers.weights
    confusion = slices.confusion(found, LABELS, weights)
    np.testing.assert_allclose(
        confusion, confusion_matrix(papers.truth, papers.best, labels=EVERY, sample_weight=weights)
    )
    names = [f"label{number}" for number in EVERY]
    rows = slices.label_rows(found, confusion, names, drawn(found, weights))
    expected = precision_recall_fscore_support(
        papers.truth, papers.best, labels=EVERY, sample_weight=weights, zero_division=0
    )
    told = np.array([[row.precision, row.recall, row.f1.value] for row in rows]).T
    present = [names.index(row.label) for row in rows]
    np.testing.assert_allclose(told, np.array(expected[:3])[:, present], atol=1e-12)
    assert [row.papers for row in rows] == np.bincount(papers.truth, minlength=LABELS)[present].tolist()
    by_archive = slices.gathered(confusion, PARENTS["archive"], 3)
    archive = PARENTS["archive"]
    np.testing.assert_allclose(
        by_archive,
        confusion_matrix(archive[papers.truth], archive[papers.best], labels=range(3), sample_weight=weights),
    )


@few
@given(seeds)
def test_reliability_bins_agree_with_scikit_learn(seed: int) -> None:
    papers = Papers(seed)
    ones = np.ones(len(papers.truth))
    bins = reliability.reliability(papers.found.confidence, papers.found.right, ones)
    filled = bins.weight > 0
    right, sure = calibration_curve(papers.found.right, papers.found.confidence, n_bins=reliability.ECE_BINS)
    np.testing.assert_allclose(bins.accuracy[filled], right)
    np.testing.assert_allclose(bins.confidence[filled], sure, rtol=1e-6)
    values = drawn(papers.found, papers.weights).values
    assert values["ece"] == pytest.approx(metrics.calibration_error(papers.probs, papers.truth, papers.weights))
    assert values["ece_before"] == pytest.approx(metrics.calibration_error(papers.plain, papers.truth, papers.weights))


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_sign_test_of_the_discordant_papers(first: int, second: int) -> None:
    exact, midp = pairs.mcnemar(first, second)
    if first + second == 0:
        assert (exact, midp) == (1, 1)
        return
    assert exact == pytest.approx(stats.binomtest(first, first + second).pvalue, rel=1e-9)
    point = stats.binom.pmf(min(first, second), first + second, 0.5)
    assert midp == pytest.approx(2 * stats.binom.cdf(min(first, second), first + second, 0.5) - point, rel=1e-9)
    assert 0 <= midp <= exact <= 1


def test_the_order_of_two_models_turns_differences_around() -> None:
    first, second = Papers(1, 300), Papers(1, 300, knowing=4.0)
    resamples = bootstrap.resampling(300, 400)
    both = [drawn(each.found, each.weights, resamples) for each in (first, second)]
    right = first.found.right, second.found.right
    forth = pairs.compared(("a", "b"), right, {"": (both[0], both[1])})
    back = pairs.compared(("b", "a"), right[::-1], {"": (both[1], both[0])})
    assert (forth.only_first, forth.only_second) == (back.only_second, back.only_first)
    assert forth.mcnemar_exact == back.mcnemar_exact < 0.05
    for name, ahead in forth.differences.items():
        assert ahead.value == -back.differences[name].value
        assert ahead.low == pytest.approx(-back.differences[name].high, abs=2e-3)
    assert forth.differences["top1"].low > 0


def test_a_model_against_itself_has_no_difference_at_all() -> None:
    papers = Papers(2)
    draws = drawn(papers.found, papers.weights)
    same = pairs.compared(("a", "a again"), (papers.found.right, papers.found.right), {"": (draws, draws)})
    assert same.mcnemar_exact == same.mcnemar_midp == 1
    assert all((d.low, d.value, d.high) == (0, 0, 0) for d in same.differences.values())


def test_intervals_are_those_of_scipys_bootstrap() -> None:
    papers = Papers(3, 400)
    ones = np.ones(400)
    told = quality.quality(drawn(papers.found, ones, bootstrap.resampling(400, 4000)), ones)
    for figure, column in ((told.top1, papers.found.right), (told.brier, papers.found.brier)):
        ours = (figure.low, figure.high)
        theirs = stats.bootstrap((column.astype(float),), np.mean, n_resamples=4000, method="BCa", rng=0)
        assert ours == pytest.approx(theirs.confidence_interval, abs=0.15 * (figure.high - figure.low))


def test_blocks_of_papers_spread_as_papers_do() -> None:
    papers = Papers(4, 6000)
    ones = np.ones(6000)
    figures = [
        quality.quality(drawn(papers.found, ones, bootstrap.resampling(6000, 1000, blocks=blocks)), ones).figures()
        for blocks in (6000, 1000)
    ]
    for name, alone in figures[0].items():
        together = figures[1][name]
        assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.2), name


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    chance, held = np.random.default_rng(5), 0
    for seed in range(300):
        right = (chance.random(120) < 0.7).astype(float)
        resamples = bootstrap.resampling(120, 300, seed)
        draws = (resamples.counts @ resamples.sums(right)) / 120
        found = bootstrap.estimate(right.mean(), draws)
        held += found.low <= 0.7 <= found.high
    assert 0.91 <= held / 300 <= 0.98


def test_a_calibration_error_is_never_outside_its_own_interval() -> None:
    for seed in range(20):
        papers = Papers(seed, 100, knowing=0)
        told = quality.quality(drawn(papers.found, papers.weights, bootstrap.resampling(100, 200)), papers.weights)
        for figure in told.figures().values():
            assert figure.low <= figure.value <= figure.high


def test_what_chance_alone_adds_to_a_calibration_error_is_not_added_twice() -> None:
    chance, places = np.random.default_rng(11), []
    for seed in range(20):
        probs = chance.dirichlet(np.full(LABELS, 0.3), 400).astype(np.float32)
        truth = (probs.cumsum(axis=1) < chance.random((400, 1)) * probs.sum(axis=1, keepdims=True) * 0.9999).sum(axis=1)
        of = found(probs, truth, truth[:, None], probs)
        ece = quality.quality(drawn(of, np.ones(400), bootstrap.resampling(400, 300, seed)), np.ones(400)).ece
        places.append((ece.value - ece.low) / (ece.high - ece.low))
    assert np.mean(places) > 0.4  # plain percentiles leave hardly anything below


@given(st.integers(0, 50), st.integers(1, 50))
def test_a_share_has_wilsons_interval(hits: int, more: int) -> None:
    papers = hits + more
    found = bootstrap.share(hits / papers, papers)
    expected = stats.binomtest(hits, papers).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_four_papers_out_of_four_are_no_certainty() -> None:
    probs = np.tile(np.array([[0.97, *[0.005] * 6]], np.float32), (4, 1))
    truth = np.zeros(4, int)
    of = found(probs, truth, truth[:, None], probs)
    told = quality.quality(drawn(of, np.ones(4)), np.ones(4))
    for figure in (told.top1, told.macro_f1, told.weighted_f1, told.mrr, told.archive, told.coverage):
        assert figure is not None
        assert figure.value == 1
        assert figure.low == pytest.approx(0.51, abs=0.01)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    papers = Papers(6)
    once, again, other = (drawn(papers.found, papers.weights, bootstrap.resampling(150, 50, s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(once.resampled["ece"], again.resampled["ece"])
    assert not np.array_equal(once.resampled["ece"], other.resampled["ece"])


def test_weights_count_papers_several_times() -> None:
    papers = Papers(7, 60)
    times = np.random.default_rng(8).integers(1, 4, 60)
    rows = np.repeat(np.arange(60), times)
    repeated = found(papers.probs[rows], papers.truth[rows], papers.listed[rows], papers.plain[rows])
    once = drawn(papers.found, times.astype(float)).values
    assert once == pytest.approx(drawn(repeated, np.ones(len(rows))).values)
    abstained = conformal.abstention(papers.found, times.astype(float))
    assert abstained.accuracy[-1] == pytest.approx(once["top1"])
    [weighted], [alike] = (
        conformal.covered(papers.found, (0.9,), times.astype(float)),
        conformal.covered(repeated, (0.9,), np.ones(len(rows))),
    )
    assert vars(weighted) == pytest.approx(vars(alike))


def test_answering_only_when_sure_pays() -> None:
    papers = Papers(9, 3000)
    curve = conformal.abstention(papers.found, np.ones(3000))
    assert len(curve.answered) == conformal.STEPS
    np.testing.assert_allclose(curve.answered, np.arange(1, 21) / 20, atol=1e-3)
    order = np.argsort(-papers.probs.max(axis=1), kind="stable")
    for share, accuracy in zip(curve.answered, curve.accuracy, strict=True):
        assert accuracy == pytest.approx(papers.found.right[order[: round(share * 3000)]].mean())
    assert curve.accuracy[3] > curve.accuracy[-1] + 0.1
    assert (np.diff(curve.confidence) <= 0).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_the_median_size_is_one_that_half_of_the_sets_do_not_exceed(sizes: list[int]) -> None:
    found = conformal.median(np.array(sizes), np.ones(len(sizes)))
    assert found == sorted(sizes)[(len(sizes) - 1) // 2]


@few
@given(seeds)
def test_slices_are_the_figures_of_their_papers(seed: int) -> None:
    papers = Papers(seed)
    number = np.random.default_rng(seed).integers(-1, 3, len(papers.truth))
    told = slices.slices(papers.found, number, ("a", "b", "c"), papers.weights)
    assert sum(part.papers for part in told) == (number >= 0).sum()
    for part in told:
        rows = number == "abc".index(part.name)
        weights = papers.weights[rows]
        assert part.top1.value == pytest.approx(np.average(papers.found.right[rows], weights=weights))
        assert part.confidence == pytest.approx(np.average(papers.probs.max(axis=1)[rows], weights=weights))
        assert part.coverage is not None
        assert part.coverage.low <= part.coverage.value <= part.coverage.high


def test_suspects_are_sure_disagreements_and_no_cross_lists() -> None:
    papers = Papers(10, 2000, knowing=8.0)
    wrong = np.random.default_rng(0).choice(2000, 40, replace=False)
    labels = papers.truth.copy()
    labels[wrong] = (labels[wrong] + 1) % LABELS  # filed wrongly
    listed = np.stack([labels, np.where(np.arange(2000) % 2, papers.best, -1)], axis=1)
    suspected = slices.suspects(found(papers.probs, labels, listed, papers.plain), LABELS)
    assert not (suspected % 2).any()  # odd papers list the best answer
    assert (papers.best[suspected] != labels[suspected]).all()
    most = suspected[: len(wrong) // 4]
    assert np.isin(most, wrong).mean() > 0.9


def test_one_paper_one_label_and_no_quantiles_have_finite_answers() -> None:
    probs = np.ones((1, 1), np.float32)
    truth = np.zeros(1, int)
    of = outcomes(probs, probs[:, 0], truth, truth[:, None], np.array([0]))
    draws = quality.draws(of, np.ones(1), {"archive": truth, "group": truth}, 1, bootstrap.resampling(1, 10))
    told = quality.quality(draws, np.ones(1))
    assert told.coverage is told.set_size is None
    assert "coverage" not in told.figures()
    assert (told.top1.value, told.macro_f1.value, told.nll.value, told.ece.value) == (1, 1, 0, 0)
    assert np.isfinite([[f.low, f.value, f.high] for f in told.figures().values()]).all()
    assert conformal.covered(of, (), np.ones(1)) == ()


def test_no_papers_no_nan() -> None:
    none = np.empty((0, LABELS), np.float32)
    of = found(none, np.empty(0, int), np.empty((0, 2), int), none)
    told = quality.quality(drawn(of, np.empty(0)), np.empty(0))
    assert told.papers == 0
    assert {figure.value for figure in told.figures().values()} == {0}
    assert np.isfinite([[f.low, f.high] for f in told.figures().values()]).all()
    assert slices.slices(of, np.empty(0, int), ("a",), np.empty(0)) == ()
    assert len(slices.suspects(of, LABELS)) == 0


def test_a_label_without_papers_is_no_part_of_the_macro_f1() -> None:
    probs = np.eye(LABELS, dtype=np.float32)[[0, 0, 1, 6]]
    truth = np.array([0, 0, 1, 1])
    of = found(probs, truth, truth[:, None], probs)
    assert drawn(of, np.ones(4)).values["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)


@given(seeds)
def test_equal_scores_rank_as_the_first_answers_do(seed: int) -> None:
    chance = np.random.default_rng(seed)
    probs = chance.integers(1, 4, (50, LABELS)).astype(np.float32) / 10
    truth = chance.integers(0, LABELS, 50)
    of = found(probs, truth, truth[:, None], probs)
    order = metrics.top(probs, LABELS)
    np.testing.assert_array_equal(of.rank, (order == truth[:, None]).argmax(axis=1) + 1)
    np.testing.assert_array_equal(of.answers, order[:, :5])
