"""How a fast model is trained: stochastic gradients on random sub-bags, some papers by their title alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from arxivcli import metrics, text
from arxivcli.models import factors, packing
from arxivcli.models import vocabulary as vocabularies
from arxivcli.models.bucketing import Steps
from arxivcli.models.descent import Descent, Lesson, log_softmax, sums
from arxivcli.models.fast import FastClassifier, bag_weights, idf, idf_codes
from arxivcli.models.features import Bags, Vocabulary
from arxivcli.models.mix import Mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts
    from arxivcli.models.fast_settings import FastSettings
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
    costs training time, but neither space nor time later. Members differ in order, sub-bags and starting point.
    """

    def __init__(
        self,
        settings: FastSettings,
        labels: tuple[str, ...],
        vocabulary: Vocabulary,
        training: _Papers,
        validation: _Papers,
        mix: Mix,
    ) -> None:
        self.settings = settings
        self.labels = labels
        self.vocabulary = vocabulary
        self._training = training
        self._validation = validation
        papers = max(1, len(training.truth))
        self.papers_per_step = settings.batch_size or int(np.clip(papers // 64, 16, _LARGEST_BATCH))
        self.papers_per_step = min(self.papers_per_step, papers)
        self._steps = Steps(papers, self.papers_per_step, settings.seed)
        self.steps_per_epoch = self._steps.per_epoch
        epochs = settings.epochs or int(np.clip(-(-_STEPS_WANTED // self.steps_per_epoch), 4, 40))
        self.epochs = epochs * settings.members
        self._steps_of_member = epochs * self.steps_per_epoch
        # Epochs of a few steps say little, and between the last epochs of two members nothing can get better.
        patience = max(settings.patience, -(-_HOPEFUL_STEPS // self.steps_per_epoch))
        self.patience = patience if settings.members == 1 else self.epochs
        self._documents = np.bincount(training.whole.features, minlength=len(vocabulary))
        self._idf_codes = idf_codes(self._documents, len(training.truth))
        self._idf = idf(self._idf_codes)
        self._mix = mix
        self.rate = settings.lr
        self._mean = np.zeros((len(vocabulary) + 1, len(labels)), np.float32)
        """The finished members' mean: a row of logits a feature, the biases last."""
        self._finished = 0
        self._member = self._new_member(0)

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
        return cls(
            settings,
            training.labels,
            vocabulary,
            _Papers.of(vocabulary, training),
            _Papers.of(vocabulary, validation),
            Mix.of(training, settings.balance),
        )

    def _new_member(self, number: int) -> Descent:
        chance = np.random.default_rng([self.settings.seed, 1, number])
        spread = _STARTING_SPREAD * min(1, _FEW_STEPS / self._steps_of_member)
        return Descent(len(self.vocabulary), self.settings.dimension, len(self.labels), chance, spread)

    def step(self, number: int) -> float:
        """Learn from the batch of global step `number`; its loss."""
        if number == (self._finished + 1) * self._steps_of_member:
            self._mean, self._finished = self._with_current(), self._finished + 1
            self._member = self._new_member(self._finished)
        rows = self._steps[number]
        chance = np.random.default_rng([self.settings.seed, 2, number])
        # Titles come on top of the whole papers: in their place, they cost accuracy on whole papers.
        again = rows[chance.random(len(rows)) < self.settings.title_only]
        from_title = np.arange(len(rows) + len(again)) >= len(rows)
        rows = np.concatenate([rows, again])
        self.rate = self.settings.lr * (1 - number % self._steps_of_member / self._steps_of_member)
        return self._member.step(self._lesson(rows, from_title, chance), self.rate)

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
        counts = self._mix.weights[truth].astype(np.float32)
        sub_bags = Bags(bags.features[kept], bags.counts[kept], offsets)
        return Lesson(sub_bags, weights, wanted, counts, self._training.shares(rows, labels), self.settings.auxiliary)

    def batch(self, number: int) -> list[str]:  # noqa: ARG002
        """No ids: it keeps none."""
        return []

    def validate(self) -> dict[str, float]:
        """Loss and top-1 on the validation papers in the wanted mix of labels, and top-1 by their titles alone."""
        truth = self._validation.truth
        weights = self._mix.importance[truth]
        matrix = self.weights()["matrix"]
        everything = np.arange(len(truth))
        whole, titles = (self._logits(self._validation, matrix, everything, titles) for titles in (False, True))
        losses = -log_softmax(whole)[np.arange(len(truth)), truth]
        figures = {"loss": losses, "top1": whole.argmax(1) == truth, "title_only_top1": titles.argmax(1) == truth}
        return {name: float((values * weights).sum() / weights.sum()) for name, values in figures.items()}

    def _logits(
        self, papers: _Papers, matrix: NDArray[np.float32], rows: NDArray[np.int64], titles: bool = False
    ) -> NDArray[np.float32]:
        """Of some papers, or of their titles alone, in the wanted mix of labels."""
        parts = [np.empty((0, len(self.labels)), np.float32)]
        for start in range(0, len(rows), _BATCH):
            some = rows[start : start + _BATCH]
            bags = papers.taken(some, np.full(len(some), titles))
            parts.append(sums(bags, bag_weights(bags, self._idf), matrix[:-1]) + matrix[-1])
        return np.concatenate(parts) + self._mix.shift.astype(np.float32)

    def _with_current(self) -> NDArray[np.float32]:
        """The mean of the finished members and the current one, (F + 1, L)."""
        share = np.float32(1 / (self._finished + 1))
        mean = self._mean * (1 - share)
        mean[:-1] += share * (self._member.embeddings @ self._member.heads[0, :-1])[: len(mean) - 1]
        mean[-1] += share * self._member.heads[0, -1]
        return mean

    def state(self) -> dict[str, NDArray[Any]]:
        """The member in training, and the mean of those before it."""
        return self._member.state() | {"mean": self._mean, "finished": np.array(self._finished)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go back to a state."""
        self._member.restore(state)
        self._mean, self._finished = state["mean"].copy(), int(state["finished"])

    def weights(self) -> dict[str, NDArray[Any]]:
        """The mean of the members, (F + 1, L): a row of logits a feature, the biases last.

        A member counts from its last epoch on, the first one always: half-trained, it would only blur the others.
        """
        whole = self._finished == 0 or self._member.steps >= self._steps_of_member
        return {"matrix": self._with_current() if whole else self._mean}

    def facts(self) -> dict[str, Any]:
        """Nothing: the settings say it all."""
        return {}

    def classifier(self, weights: dict[str, NDArray[Any]]) -> FastClassifier:
        """The finished model from weights of `weights()`."""
        matrix, bias = weights["matrix"][:-1], weights["matrix"][-1]
        sample = np.unique(np.linspace(0, len(self._training.truth), _SAMPLE, endpoint=False).astype(np.int64))
        answers = np.exp(log_softmax(self._logits(self._training, weights["matrix"], sample)))
        curved = factors.curvature(answers, self._mix.importance[self._training.truth[sample]])
        widths = packing.widths(min(self.settings.kept, len(self.labels)))
        embeddings, head = factors.factorised(
            matrix, self._documents.astype(np.float64) * np.square(self._idf), curved, widths
        )
        shifted = (bias + self._mix.shift).astype(np.float32)
        packed = packing.packed(embeddings, widths[0])
        return FastClassifier(self.labels, self.vocabulary, self._idf_codes, packed, head, shifted)


@dataclass(frozen=True)
class _Papers:
    """Bags of whole papers and of their titles alone, the true labels (n,), and all listed ones (n, most)."""

    whole: Bags
    titles: Bags
    truth: NDArray[np.int64]
    listed: NDArray[np.int64]

    @classmethod
    def of(cls, vocabulary: Vocabulary, papers: LabelledTexts) -> Self:
        whole = vocabularies.all_bags(vocabulary, papers.texts())
        titles = vocabularies.all_bags(vocabulary, map(text.title_only, papers.texts()))
        listed = papers.truth[:, None] if papers.listed is None else papers.listed
        return cls(whole, titles, papers.truth, listed)

    def shares(self, rows: NDArray[np.int64], labels: int) -> NDArray[np.float32]:
        """All listed labels of some papers, alike: (n, labels), each row sums to one."""
        listed = self.listed[rows]
        shares = np.zeros((len(rows), labels), np.float32)
        row, column = np.nonzero(listed != metrics.NOT_LISTED)
        shares[row, listed[row, column]] = 1
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def taken(self, rows: NDArray[np.int64], from_title: NDArray[np.bool_]) -> Bags:
        """The bags of some papers, by title alone where marked (and where there is a title with known words)."""
        title_sizes = self.titles.offsets[rows + 1] - self.titles.offsets[rows]
        from_title = from_title & (title_sizes > 0)
        sizes = np.where(from_title, title_sizes, self.whole.offsets[rows + 1] - self.whole.offsets[rows])
        starts = np.where(from_title, self.titles.offsets[rows], self.whole.offsets[rows])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        at = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
        by_title = np.repeat(from_title, sizes)
        features, counts = np.empty(len(at), np.int32), np.empty(len(at), np.uint8)
        for chosen, source in ((by_title, self.titles), (~by_title, self.whole)):
            features[chosen], counts[chosen] = source.features[at[chosen]], source.counts[at[chosen]]
        return Bags(features, counts, offsets)
