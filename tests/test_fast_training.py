"""How a fast model learns: gradients that are right, members that are averaged, pairs that tell, factors that keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from arxivcli.errors import UsageError
from arxivcli.models import factors, packing, stacking
from arxivcli.models import vocabulary as vocabularies
from arxivcli.models.base import LabelledTexts
from arxivcli.models.descent import Descent, Lesson, log_softmax, sums
from arxivcli.models.fast_settings import FastSettings
from arxivcli.models.fast_training import FastTrainee
from arxivcli.models.features import Bags
from arxivcli.models.mix import Mix
from arxivcli.models.stacking import Answers, Stacking
from arxivcli.splits import NO_MONTH
from arxivcli.surroundings import Surroundings

FEATURES, LABELS = 40, 5


def some_bags(chance: np.random.Generator, texts: int) -> Bags:
    sizes = chance.integers(0, 9, texts)
    found = [np.sort(chance.choice(FEATURES, size, replace=False)) for size in sizes]
    features = np.concatenate([np.empty(0, np.int64), *found]).astype(np.int32)
    return Bags(features, np.ones(len(features), np.uint8), np.concatenate([[0], np.cumsum(sizes)]))


def a_lesson(seed: int, share: float) -> Lesson:
    chance = np.random.default_rng(seed)
    bags = some_bags(chance, 12)
    wanted = np.eye(LABELS, dtype=np.float32)[chance.integers(0, LABELS, 12)]
    listed = chance.dirichlet(np.ones(LABELS), 12).astype(np.float32)
    weights = chance.uniform(0.1, 1, len(bags.features)).astype(np.float32)
    return Lesson(bags, weights, wanted, chance.uniform(0.2, 3, 12).astype(np.float32), listed, share)


class Torch(nn.Module):
    """The same model, differentiated by somebody else."""

    def __init__(self, start: Descent) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(FEATURES, start.embeddings.shape[1], mode="sum", sparse=True)
        self.bag.weight.data = torch.from_numpy(start.embeddings.copy())
        self.heads = nn.Parameter(torch.from_numpy(start.heads.copy()))

    def forward(self, lesson: Lesson) -> torch.Tensor:
        offsets = torch.from_numpy(lesson.bags.offsets[:-1].astype(np.int32))
        hidden = self.bag(
            torch.from_numpy(lesson.bags.features), offsets, per_sample_weights=torch.from_numpy(lesson.weights)
        )
        counts = torch.from_numpy(lesson.counts / lesson.counts.sum())
        total = torch.zeros(())
        for head, wanted, share in zip(self.heads, (lesson.wanted, lesson.listed), (1.0, lesson.share), strict=True):
            likely = torch.log_softmax(hidden @ head[:-1] + head[-1], 1)
            total = total + share * (counts * -(torch.from_numpy(wanted) * likely).sum(1)).sum()
        return total


@pytest.mark.parametrize("share", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_steps_are_those_of_pytorchs_sparse_adam(seed: int, share: float) -> None:
    mine = Descent(FEATURES, 6, LABELS, np.random.default_rng(seed))
    theirs = Torch(mine)
    steppers = [torch.optim.SparseAdam([theirs.bag.weight], lr=0.01), torch.optim.Adam([theirs.heads], lr=0.01)]
    for number in range(8):
        lesson = a_lesson(10 * seed + number, share)
        mine.step(lesson, 0.01)
        for stepper in steppers:
            stepper.zero_grad()
        theirs(lesson).backward()
        for stepper in steppers:
            stepper.step()
    np.testing.assert_allclose(mine.embeddings, theirs.bag.weight.detach().numpy(), atol=1e-3)
    np.testing.assert_allclose(mine.heads[0], theirs.heads[0].detach().numpy(), atol=1e-3)


def test_the_loss_is_the_weighted_cross_entropy_of_the_first_head() -> None:
    descent, lesson = Descent(FEATURES, 6, LABELS, np.random.default_rng(0)), a_lesson(1, 0.5)
    logits = sums(lesson.bags, lesson.weights, descent.embeddings) @ descent.heads[0, :-1] + descent.heads[0, -1]
    losses = -(lesson.wanted * log_softmax(logits)).sum(axis=1)
    assert descent.step(lesson, 0.01) == pytest.approx(np.average(losses, weights=lesson.counts), rel=1e-5)


def test_a_step_whose_loss_is_no_number_changes_nothing() -> None:
    descent, lesson = Descent(FEATURES, 6, LABELS, np.random.default_rng(0)), a_lesson(1, 0.5)
    descent.step(lesson, 0.01)
    before = {name: np.array(tensor) for name, tensor in descent.state().items()}
    broken = replace(lesson, weights=np.full_like(lesson.weights, np.nan))
    assert not np.isfinite(descent.step(broken, 0.01))
    for name, tensor in descent.state().items():
        np.testing.assert_array_equal(tensor, before[name])


@given(st.integers(0, 1000), st.integers(0, 9))
def test_sums_are_those_of_a_dense_product(seed: int, texts: int) -> None:
    chance = np.random.default_rng(seed)
    bags = some_bags(chance, texts)
    weights = chance.normal(size=len(bags.features)).astype(np.float32)
    rows = chance.normal(size=(FEATURES, 3)).astype(np.float32)
    dense = np.zeros((texts, FEATURES))
    dense[np.repeat(np.arange(texts), np.diff(bags.offsets)), bags.features] = weights
    np.testing.assert_allclose(sums(bags, weights, rows), dense @ rows, atol=1e-5)


def labelled(texts: list[str], truth: list[int], labels: int) -> LabelledTexts:
    names = tuple(f"l{number}" for number in range(labels))
    return LabelledTexts(lambda: [pa.array(texts)], np.array(truth), names, np.ones(labels))


def test_pairs_are_kept_that_tell_something_about_the_label() -> None:
    texts, truth = [], []
    for number in range(300):
        label = number % 3
        topic = ("bin packing", "knot theory", "dark matter")[label]
        texts.append(f"\nwe show that {topic} it is")
        truth.append(label)
    found = vocabularies.learn(labelled(texts, truth, 3), min_count=2, max_words=100, max_pairs=3)
    first, second = np.divmod(found.pairs, len(found.words))
    words = found.words.to_pylist()
    pairs = {f"{words[a]} {words[b]}" for a, b in zip(first, second, strict=True)}
    assert len(pairs) == 3
    assert not pairs & {"we show", "show that", "it is"}


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([NO_MONTH, 0, 60, 120, 660])), max_size=30))
def test_newer_papers_count_more_and_their_labels_as_before(papers: list[tuple[int, int]]) -> None:
    truth, months = (np.array([paper[part] for paper in papers], np.int64) for part in (0, 1))
    some = LabelledTexts(list, truth, ("a", "b", "c"), np.array([1.0, 2.0, 0.5]), months=lambda: months)
    trained = Mix.of(some, 0.0) if papers else Mix(np.ones(3), np.zeros(3))
    alike, counts = trained.of_papers(some, 0), trained.of_papers(some, 5)
    np.testing.assert_allclose(alike, trained.weights[truth], rtol=1e-6)
    for label in range(3):
        here = truth == label
        np.testing.assert_allclose(counts[here].sum(), alike[here].sum(), rtol=1e-5)
        np.testing.assert_allclose(counts[here & (months == NO_MONTH)], alike[here & (months == NO_MONTH)], rtol=1e-6)
        older, newer = (counts[here & (months == month)] for month in (60, 120))
        if len(older) and len(newer):
            assert older[0] < newer[0]
            if max(months) == 120:  # one of these is five years younger than the other
                assert older[0] / newer[0] == pytest.approx(0.2 + 0.8 / 2, rel=1e-4)


def fisher(chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    probs = chance.dirichlet(np.full(LABELS, 0.3), 200).astype(np.float32)
    return probs, factors.curvature(probs, chance.uniform(0.5, 2, 200))


@pytest.mark.parametrize("seed", range(3))
def test_the_curvature_is_what_small_changes_of_the_logits_cost(seed: int) -> None:
    chance = np.random.default_rng(seed)
    probs = chance.dirichlet(np.full(LABELS, 0.3), 200)
    curved = factors.curvature(probs.astype(np.float32), np.ones(200))
    change = chance.normal(size=LABELS) * 1e-3
    moved = log_softmax((np.log(probs) + change).astype(np.float64))
    divergence = (probs * (np.log(probs) - moved)).sum(axis=1).mean()
    assert change @ curved @ change / 2 == pytest.approx(divergence, rel=0.02)


def test_as_many_factors_as_labels_lose_nothing_that_a_softmax_sees() -> None:
    chance = np.random.default_rng(0)
    _, curved = fisher(chance)
    matrix = chance.normal(size=(30, LABELS)).astype(np.float32)
    embeddings, head = factors.factorised(matrix, np.ones(30), curved, (4, 4))
    assert embeddings.shape == (30, 8)
    np.testing.assert_allclose(log_softmax(embeddings @ head), log_softmax(matrix), atol=1e-3)


def test_fewer_factors_keep_what_the_answers_depend_on() -> None:
    chance = np.random.default_rng(0)
    matrix = chance.normal(size=(3000, LABELS)).astype(np.float32)
    matrix[:, 3] *= 9  # large, and of a label that nobody is ever answered with
    probs = chance.dirichlet([1, 1, 1, 1e-3, 1], 500).astype(np.float32)
    embeddings, head = factors.factorised(matrix, np.ones(3000), factors.curvature(probs, np.ones(500)), (3,))
    lost = np.delete(matrix - embeddings @ head, 3, axis=1)
    lost -= lost.mean(axis=1, keepdims=True)
    assert np.abs(lost).max() < 0.5


@pytest.mark.parametrize("dimension", range(1, 130))
def test_the_parts_of_a_row_are_whole_bytes(dimension: int) -> None:
    fine, coarse = packing.widths(dimension)
    assert fine % 2 == 0
    assert coarse % 4 == 0
    assert fine >= coarse
    assert dimension <= fine + coarse <= dimension + 1


def small_papers() -> tuple[list[str], list[int]]:
    chance = np.random.default_rng(0)
    topics = ["quark gluon plasma", "graph colouring", "neural network", "protein folding"]
    truth = chance.integers(0, 4, 400).tolist()
    noise = [" ".join(chance.choice(["we", "show", "study", "new", "results"], 4)) for _ in truth]
    texts = [f"{topics[t]}\n{n} {topics[t]}" for t, n in zip(truth, noise, strict=True)]
    return texts, truth


def trainee(members: int, epochs: int = 2, **more: float) -> FastTrainee:
    chosen = FastSettings(members=members, epochs=epochs, dimension=8, batch_size=50, lr=0.02, **more)  # type: ignore[arg-type]
    papers = labelled(*small_papers(), 4)
    return FastTrainee.prepare(chosen, papers, papers, Surroundings.__new__(Surroundings))


def test_members_are_averaged() -> None:
    one, three = trainee(1), trainee(3)
    matrices = []
    for number in range(3 * one.steps_per_epoch * 2):
        three.step(number)
        if (number + 1) % (one.steps_per_epoch * 2) == 0:
            member = three._member
            matrices.append(np.vstack([member.embeddings @ member.heads[0, :-1], member.heads[0, -1:]]))
    assert three.epochs == 3 * one.epochs
    np.testing.assert_allclose(three.weights()["matrix"], np.mean(matrices, axis=0), atol=1e-5)
    assert np.abs(matrices[0] - matrices[1]).max() > 1e-3


def test_a_half_trained_member_does_not_count() -> None:
    several = trainee(2)
    for number in range(2 * several.steps_per_epoch):
        several.step(number)
    first = several.weights()["matrix"].copy()
    several.step(2 * several.steps_per_epoch)
    np.testing.assert_allclose(several.weights()["matrix"], first, atol=1e-6)


@pytest.mark.parametrize("part", [0.5, 0.8])
@pytest.mark.parametrize("stacked", [{}, {"stacked": 6, "stacked_epochs": 4}])
def test_an_ensemble_that_was_cut_goes_on_as_if_never_cut(stacked: dict[str, int], part: float) -> None:
    whole, cut = trainee(3, **stacked), trainee(3, **stacked)
    last = whole.epochs * whole.steps_per_epoch
    for number in range(last):
        whole.step(number)
        if number < int(part * last):
            cut.step(number)
    again = trainee(3, **stacked)
    again.restore({name: np.array(tensor) for name, tensor in cut.state().items()})
    for number in range(int(part * last), last):
        again.step(number)
    assert again.weights().keys() == whole.weights().keys()
    for name, tensor in whole.weights().items():
        np.testing.assert_array_equal(again.weights()[name], tensor)


@pytest.mark.parametrize("stacked", [0, 6])
def test_the_finished_model_answers_as_what_was_trained(stacked: int) -> None:
    several = trainee(2, epochs=6, stacked=stacked, stacked_lr=0.05)
    for number in range(several.epochs * several.steps_per_epoch):
        several.step(number)
    model = several.classifier(several.weights())
    weights = several.weights()
    exact = several._logits(several._training, weights["matrix"], np.arange(400))
    if stacked:
        better = stacking.corrected(exact, weights["inner"], weights["outer"])
        assert np.abs(better - exact).max() > 0.1
        exact = better
    found = model.scores(pa.array(small_papers()[0]))
    assert np.abs(log_softmax(found) - log_softmax(exact)).max() < 0.25
    assert (found.argmax(axis=1) == small_papers()[1]).mean() > 0.99


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_steps_of_a_stacked_layer_are_those_of_pytorchs_adam(share: float) -> None:
    chance = np.random.default_rng(0)
    mine = Stacking(LABELS, 6, chance)
    mine.outer[:] = chance.normal(size=mine.outer.shape) * 0.3
    inner, outer = (nn.Parameter(torch.from_numpy(part.copy())) for part in (mine.inner, mine.outer))
    stepper = torch.optim.Adam([inner, outer], lr=0.01)
    for _ in range(8):
        logits = chance.normal(size=(20, LABELS)).astype(np.float32) * 3
        truth = chance.integers(0, LABELS, 20)
        counts = chance.uniform(0.2, 3, 20).astype(np.float32)
        listed = chance.dirichlet(np.ones(LABELS), 20).astype(np.float32)
        kept = chance.random((20, 6)) < 0.8
        loss = mine.step(Answers(logits, truth, counts, listed, share), kept, 0.01)
        given_ = torch.from_numpy(logits)
        read = torch.cat([(given_ - given_.mean(1, keepdim=True)) / 3, 2 * torch.softmax(given_, 1)], dim=1)
        units = torch.relu(read @ inner[:-1] + inner[-1])
        units = units * torch.from_numpy(kept / kept.mean()).float()
        weights, goal = torch.from_numpy(counts / counts.sum()), torch.from_numpy(listed)
        likely = [torch.log_softmax(given_ + units @ head[:-1] + head[-1], 1) for head in outer]
        first = (weights * -likely[0][torch.arange(20), torch.from_numpy(truth)]).sum()
        stepper.zero_grad()
        (first + share * (weights * -(goal * likely[1]).sum(1)).sum()).backward()
        stepper.step()
        assert loss == pytest.approx(first.item(), rel=1e-4)
    np.testing.assert_allclose(mine.inner, inner.detach().numpy(), atol=1e-3)
    np.testing.assert_allclose(mine.outer[0], outer[0].detach().numpy(), atol=1e-3)


def test_a_stacked_layer_learns_from_answers_to_papers_the_member_never_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    several = trainee(3, stacked=6, stacked_epochs=2)
    papers = len(several._training.truth)
    seen: list[set[int]] = [set(), set(), set()]
    lesson = FastTrainee._lesson

    def spied(self: FastTrainee, rows: np.ndarray, *others: object) -> Lesson:
        seen[self._finished] |= set(rows.tolist())
        return lesson(self, rows, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(FastTrainee, "_lesson", spied)
    matrices = []
    for number in range(several.epochs * several.steps_per_epoch):
        assert several.provisional, "only at its last step it is whole"
        several.step(number)
        if (number + 1) % several._steps_of_member == 0 and len(matrices) < 3:
            matrices.append(several._matrix())
    assert not several.provisional
    never = [set(range(papers)) - rows for rows in seen]
    assert [len(rows) for rows in never] == pytest.approx([papers / 3] * 3, abs=1)
    assert set.union(*never) == set(range(papers))
    unseen = several._unseen
    assert unseen is not None
    assert 0 < unseen.titles.sum() < papers / 4
    for entry, (row, title) in enumerate(zip(unseen.rows, unseen.titles, strict=True)):
        member = next(number for number, rows in enumerate(never) if row in rows)
        expected = several._logits(several._training, matrices[member], np.array([row]), bool(title))
        np.testing.assert_allclose(unseen.answers[entry], expected[0], atol=0.02)


def test_a_layer_wants_members_to_stand_on() -> None:
    with pytest.raises(UsageError, match="several members"):
        trainee(1, stacked=6)
