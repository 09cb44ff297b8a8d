"""How a fast model is trained: stochastic gradients on random sub-bags, some papers by their title alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from arxivcli.models import factors, packing, stacking
from arxivcli.models import vocabulary as vocabularies
from arxivcli.models.bucketing import Steps
from arxivcli.models.descent import Descent, Lesson, log_softmax, sums
from arxivcli.models.fast import FastClassifier, bag_weights, idf, idf_codes
from arxivcli.models.fast_papers import Papers, Unseen
from arxivcli.models.features import Bags
from arxivcli.models.mix import Mix
from arxivcli.models.stacking import Answers, Stacking

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts
    from arxivcli.models.fast_settings import FastSettings
    from arxivcli.models.features import Vocabulary
    from arxivcli.surroundings import Surroundings

_BATCH = 4096
_SAMPLE = 30_000
"""Training papers whose answers say which labels are mistaken for each other."""
_STEPS_WANTED = 1200
_LARGEST_BATCH = 512
_HOPEFUL_STEPS = 100
_STARTING_SPREAD = 0.1
_FEW_STEPS = 800
"""Up to so many steps, embeddings begin with a wide spread, which gets them going; with more steps it is narrower: what
rare features keep of it is noise in every answer.
"""


class FastTrainee:
    """A fast model being trained (see `learning.loop.Trainee`): one or several members, whose logits are averaged.

    A sum of embeddings under a linear head is one matrix (F, L) in the end, and so is a mean of several: an ensemble
    costs training time, but neither space nor time later. Members differ in order, sub-bags and starting point; where a
    layer is stacked on them, also in a part of the papers, another one for each, that they never see. Their answers to
    it are what the layer learns from, in epochs that follow those of the members.
    """

    def __init__(
        self,
        settings: FastSettings,
        labels: tuple[str, ...],
        vocabulary: Vocabulary,
        training: Papers,
        validation: Papers,
        mix: Mix,
        counts: NDArray[np.float32],
    ) -> None:
        """`counts` (n,) is what each training paper counts in the loss."""
        self.settings = settings
        self.labels = labels
        self.vocabulary = vocabulary
        self._training = training
        self._validation = validation
        self._unseen = Unseen.of(training, len(labels), settings) if settings.stacked else None
        papers = max(1, len(training.truth) - (self._unseen.most if self._unseen else 0))
        self.papers_per_step = settings.batch_size or int(np.clip(papers // 64, 16, _LARGEST_BATCH))
        self.papers_per_step = min(self.papers_per_step, papers)
        self._steps = Steps(papers, self.papers_per_step, settings.seed)
        self.steps_per_epoch = self._steps.per_epoch
        epochs = settings.epochs or int(np.clip(-(-_STEPS_WANTED // self.steps_per_epoch), 4, 40))
        self.epochs = epochs * settings.members + (settings.stacked_epochs if self._unseen else 0)
        self._steps_of_member = epochs * self.steps_per_epoch
        self._steps_of_members = self._steps_of_member * settings.members
        # Epochs of a few steps say little, and between the last epochs of two members nothing can get better.
        patience = max(settings.patience, -(-_HOPEFUL_STEPS // self.steps_per_epoch))
        self.patience = patience if settings.members == 1 else self.epochs
        self._documents = np.bincount(training.whole.features, minlength=len(vocabulary))
        self._idf_codes = idf_codes(self._documents, len(training.truth))
        self._idf = idf(self._idf_codes)
        self._mix = mix
        self._counts = counts
        self.rate = settings.lr
        self._mean = np.zeros((len(vocabulary) + 1, len(labels)), np.float32)
        """The finished members' mean: a row of logits a feature, the biases last."""
        self._finished = 0
        self._next = 0
        """The step to come."""
        self._member = self._new_member(0)
        self._stacking: Stacking | None = None
        answers = len(self._unseen.rows) if self._unseen else papers
        self._order = Steps(answers, max(1, answers // self.steps_per_epoch), settings.seed)

    @classmethod
    def prepare(
        cls,
        settings: FastSettings,
        training: LabelledTexts,
        validation: LabelledTexts,
        surroundings: Surroundings,  # noqa: ARG003  always the CPU, and quick to make again
    ) -> Self:
        """Learn the vocabulary from the training texts and turn both splits into bags."""
        vocabulary = vocabularies.learn(training, settings.min_count, settings.max_words, settings.max_pairs)
        mix = Mix.of(training, settings.balance)
        return cls(
            settings,
            training.labels,
            vocabulary,
            Papers.of(vocabulary, training),
            Papers.of(vocabulary, validation),
            mix,
            mix.of_papers(training, settings.recency),
        )

    def _new_member(self, number: int) -> Descent:
        if self._unseen:
            self._seen = self._unseen.seen(number)
        chance = np.random.default_rng([self.settings.seed, 1, number])
        spread = _STARTING_SPREAD * min(1, _FEW_STEPS / self._steps_of_member)
        return Descent(len(self.vocabulary), self.settings.dimension, len(self.labels), chance, spread)

    def step(self, number: int) -> float:
        """Learn from the batch of global step `number`; its loss."""
        self._next = number + 1
        if self._finished < self.settings.members and number == (self._finished + 1) * self._steps_of_member:
            self._finish_member()
        if number >= self._steps_of_members:
            return self._step_of_stacking(number - self._steps_of_members)
        rows = self._steps[number]
        if self._unseen:
            rows = self._seen[rows]
        chance = np.random.default_rng([self.settings.seed, 2, number])
        # Titles come on top of the whole papers: in their place, they cost accuracy on whole papers.
        again = rows[chance.random(len(rows)) < self.settings.title_only]
        from_title = np.arange(len(rows) + len(again)) >= len(rows)
        rows = np.concatenate([rows, again])
        self.rate = self.settings.lr * (1 - number % self._steps_of_member / self._steps_of_member)
        return self._member.step(self._lesson(rows, from_title, chance), self.rate)

    def _finish_member(self) -> None:
        """Count the member in, keep its answers to the papers it has not seen, and go on to the next."""
        if self._unseen:
            entries = self._unseen.of_member(self._finished)
            rows, titles = self._unseen.rows[entries], self._unseen.titles[entries]
            self._unseen.answers[entries] = self._logits(self._training, self._matrix(), rows, titles)
        self._mean, self._finished = self._with_current(), self._finished + 1
        if self._finished < self.settings.members:
            self._member = self._new_member(self._finished)
        elif self._unseen:
            self._stacking = self._new_stacking()

    def _new_stacking(self) -> Stacking:
        return Stacking(len(self.labels), self.settings.stacked, np.random.default_rng([self.settings.seed, 4]))

    def _step_of_stacking(self, number: int) -> float:
        if self._unseen is None or self._stacking is None:
            raise ValueError("a step beyond the last one")
        steps = self.settings.stacked_epochs * self.steps_per_epoch
        self.rate = self.settings.stacked_lr * (1 - number / steps)
        entries = self._order[number]
        chance = np.random.default_rng([self.settings.seed, 5, number])
        kept = chance.random((len(entries), self.settings.stacked), np.float32) >= self.settings.stacked_dropout
        rows, labels = self._unseen.rows[entries], len(self.labels)
        truth = self._training.truth[rows]
        listed = self._training.shares(rows, labels)
        counts = self._counts[rows]
        logits = self._unseen.answers[entries].astype(np.float32)
        return self._stacking.step(Answers(logits, truth, counts, listed, self.settings.auxiliary), kept, self.rate)

    def _lesson(self, rows: NDArray[np.int64], from_title: NDArray[np.bool_], chance: np.random.Generator) -> Lesson:
        """Some papers as random parts of their bags, and what they should be answered with."""
        bags = self._training.taken(rows, from_title)
        keep = 1 - self.settings.feature_dropout
        kept = chance.random(len(bags.features), np.float32) < keep
        weights = bag_weights(bags, self._idf)[kept] / np.float32(keep)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[bags.offsets]
        truth, labels = self._training.truth[rows], len(self.labels)
        wanted = np.full((len(rows), labels), self.settings.label_smoothing / labels, np.float32)
        wanted[np.arange(len(rows)), truth] += 1 - self.settings.label_smoothing
        counts = self._counts[rows]
        sub_bags = Bags(bags.features[kept], bags.counts[kept], offsets)
        return Lesson(sub_bags, weights, wanted, counts, self._training.shares(rows, labels), self.settings.auxiliary)

    def batch(self, number: int) -> list[str]:  # noqa: ARG002
        """No ids: it keeps none."""
        return []

    def validate(self) -> dict[str, float]:
        """Loss and top-1 on the validation papers in the wanted mix of labels, and top-1 by their titles alone."""
        truth = self._validation.truth
        weights = self._mix.importance[truth]
        current = self.weights()
        everything, shift = np.arange(len(truth)), self._mix.shift.astype(np.float32)
        whole, titles = (
            _answers(self._logits(self._validation, current["matrix"], everything, titles), current) + shift
            for titles in (False, True)
        )
        losses = -log_softmax(whole)[np.arange(len(truth)), truth]
        figures = {"loss": losses, "top1": whole.argmax(1) == truth, "title_only_top1": titles.argmax(1) == truth}
        return {name: float((values * weights).sum() / weights.sum()) for name, values in figures.items()}

    def _logits(
        self,
        papers: Papers,
        matrix: NDArray[np.float32],
        rows: NDArray[np.int64],
        titles: NDArray[np.bool_] | bool = False,
    ) -> NDArray[np.float32]:
        """Of some papers, or of the titles alone of all of them or of those marked, in the training papers' mix."""
        titles = np.broadcast_to(titles, len(rows))
        parts = [np.empty((0, len(self.labels)), np.float32)]
        for start in range(0, len(rows), _BATCH):
            some = rows[start : start + _BATCH]
            bags = papers.taken(some, titles[start : start + _BATCH])
            parts.append(sums(bags, bag_weights(bags, self._idf), matrix[:-1]) + matrix[-1])
        return np.concatenate(parts)

    def _matrix(self) -> NDArray[np.float32]:
        """Of the current member, (F + 1, L)."""
        rows = (self._member.embeddings @ self._member.heads[0, :-1])[: len(self.vocabulary)]
        return np.vstack([rows, self._member.heads[0, -1:]])

    def _with_current(self) -> NDArray[np.float32]:
        """The mean of the finished members and the current one, (F + 1, L)."""
        share = np.float32(1 / (self._finished + 1))
        mean = self._mean * (1 - share)
        mean += share * self._matrix()
        return mean

    def state(self) -> dict[str, NDArray[Any]]:
        """The member in training, the mean of those before it, their answers, and the layer that learns from them."""
        state = self._member.state() | {"mean": self._mean, "finished": np.array(self._finished)}
        state["next"] = np.array(self._next)
        if self._unseen:
            state["answers"] = self._unseen.answers
        if self._stacking:
            state |= {f"stacking.{name}": tensor for name, tensor in self._stacking.state().items()}
        return state

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go back to a state."""
        self._member.restore(state)
        self._mean, self._finished, self._next = state["mean"].copy(), int(state["finished"]), int(state["next"])
        if self._unseen:
            self._seen = self._unseen.seen(self._finished)
            self._unseen.answers[:] = state["answers"]
        stacking = {
            name.removeprefix("stacking."): part for name, part in state.items() if name.startswith("stacking.")
        }
        if stacking:
            self._stacking = self._new_stacking()
            self._stacking.restore(stacking)

    def weights(self) -> dict[str, NDArray[Any]]:
        """The mean of the members, (F + 1, L): a row of logits a feature, the biases last; and the layer on top of it.

        A member counts from its last epoch on, the first one always: half-trained, it would only blur the others.
        """
        if self._stacking:
            return {"matrix": self._mean, **self._stacking.weights()}
        whole = self._finished == 0 or self._next >= (self._finished + 1) * self._steps_of_member
        return {"matrix": self._with_current() if whole else self._mean}

    @property
    def provisional(self) -> bool:
        """Whether a layer is still to come, or to be finished: at the end of its rates it is best.

        Before, its answers to the validation papers waver by more than what the last epochs bring.
        """
        return self._unseen is not None and self._next < self.epochs * self.steps_per_epoch

    def facts(self) -> dict[str, Any]:
        """Nothing: the settings say it all."""
        return {}

    def classifier(self, weights: dict[str, NDArray[Any]]) -> FastClassifier:
        """The finished model from weights of `weights()`."""
        matrix, bias = weights["matrix"][:-1], weights["matrix"][-1]
        sample = np.unique(np.linspace(0, len(self._training.truth), _SAMPLE, endpoint=False).astype(np.int64))
        shift = self._mix.shift.astype(np.float32)
        likely = log_softmax(self._logits(self._training, weights["matrix"], sample) + shift)
        answers = np.exp(likely)
        curved = factors.curvature(answers, self._mix.importance[self._training.truth[sample]])
        widths = packing.widths(min(self.settings.kept, len(self.labels)))
        embeddings, head = factors.factorised(
            matrix, self._documents.astype(np.float64) * np.square(self._idf), curved, widths
        )
        packed = packing.packed(embeddings, widths[0])
        layer, shifted = None, bias + shift
        if "inner" in weights:
            layer, shifted = stacking.on_vectors(head, bias, shift, weights["inner"], weights["outer"])
        return FastClassifier(self.labels, self.vocabulary, self._idf_codes, packed, head, shifted, layer)


def _answers(logits: NDArray[np.float32], weights: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The logits with the corrections of the layer, if there is one."""
    return stacking.corrected(logits, weights["inner"], weights["outer"]) if "inner" in weights else logits
