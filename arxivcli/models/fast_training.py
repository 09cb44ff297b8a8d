"""How a fast model is trained: stochastic gradients on random sub-bags, some papers by their title alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn

from arxivcli import text
from arxivcli.models import vocabulary as vocabularies
from arxivcli.models.bucketing import Steps
from arxivcli.models.fast import FastClassifier, bag_weights, quantised
from arxivcli.models.features import Bags, Vocabulary
from arxivcli.models.mix import Mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts
    from arxivcli.models.fast_settings import FastSettings
    from arxivcli.surroundings import Surroundings

_VALIDATION_BATCH = 4096
_STEPS_WANTED = 1200
_LARGEST_BATCH = 512
_STARTING_SPREAD = 0.1


class FastTrainee:
    """A fast model being trained (see `learning.loop.Trainee`)."""

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
        self.epochs = settings.epochs or int(np.clip(-(-_STEPS_WANTED // self.steps_per_epoch), 4, 40))
        idf = vocabularies.inverse_document_frequencies(training.whole, len(vocabulary))
        self._idf16, self._idf = idf, idf.astype(np.float32)
        self._network = _Network(len(vocabulary), settings.dimension, len(labels), settings.seed)
        self._steppers = [
            torch.optim.SparseAdam([self._network.bag.weight], lr=settings.lr),
            torch.optim.Adam(self._network.head.parameters(), lr=settings.lr),
        ]
        self.rate = settings.lr
        self._mix = mix
        weights = torch.from_numpy(mix.weights).float()
        self._loss = nn.CrossEntropyLoss(weights, label_smoothing=settings.label_smoothing)

    @classmethod
    def prepare(
        cls,
        settings: FastSettings,
        training: LabelledTexts,
        validation: LabelledTexts,
        surroundings: Surroundings,  # noqa: ARG003  always the CPU, and quick to make again
    ) -> Self:
        """Learn the vocabulary from the training texts and turn both splits into bags."""
        vocabulary = vocabularies.learn(
            training.texts, len(training.truth), settings.min_count, settings.max_words, settings.max_pairs
        )
        return cls(
            settings,
            training.labels,
            vocabulary,
            _Papers.of(vocabulary, training),
            _Papers.of(vocabulary, validation),
            Mix.of(training, settings.balance),
        )

    def step(self, number: int) -> float:
        """Learn from the batch of global step `number`; its loss."""
        rows = self._steps[number]
        chance = np.random.default_rng([self.settings.seed, 2, number])
        # Titles come on top of the whole papers: in their place, they cost accuracy on whole papers.
        again = rows[chance.random(len(rows)) < self.settings.title_only]
        from_title = np.arange(len(rows) + len(again)) >= len(rows)
        rows = np.concatenate([rows, again])
        bags = self._training.taken(rows, from_title)
        keep = 1 - self.settings.feature_dropout
        kept = chance.random(len(bags.features), np.float32) < keep
        weights = bag_weights(bags, self._idf) * kept / np.float32(keep)
        self.rate = self.settings.lr * (1 - number / (self.epochs * self.steps_per_epoch))
        for stepper in self._steppers:
            stepper.param_groups[0]["lr"] = self.rate
            stepper.zero_grad()
        loss = self._loss(self._network(bags, weights), torch.from_numpy(self._training.truth[rows]))
        if loss.isfinite():
            loss.backward()
            for stepper in self._steppers:
                stepper.step()
        return float(loss.item())

    def batch(self, number: int) -> list[str]:  # noqa: ARG002
        """No ids: it keeps none."""
        return []

    def validate(self) -> dict[str, float]:
        """Loss and top-1 on the validation papers in the wanted mix of labels, and top-1 by their titles alone."""
        truth = torch.from_numpy(self._validation.truth)
        weights = torch.from_numpy(self._mix.importance)[truth]
        whole, titles = (self._logits(np.full(len(truth), from_title)) for from_title in (False, True))
        losses = nn.functional.cross_entropy(whole, truth, reduction="none")
        figures = {"loss": losses, "top1": whole.argmax(1) == truth, "title_only_top1": titles.argmax(1) == truth}
        return {name: float((values * weights).sum() / weights.sum()) for name, values in figures.items()}

    def _logits(self, from_title: NDArray[np.bool_]) -> torch.Tensor:
        rows = np.arange(len(from_title))
        parts = []
        with torch.no_grad():
            for start in range(0, len(rows), _VALIDATION_BATCH):
                some = slice(start, start + _VALIDATION_BATCH)
                bags = self._validation.taken(rows[some], from_title[some])
                parts.append(self._network(bags, bag_weights(bags, self._idf)))
        return torch.cat(parts) + torch.from_numpy(self._mix.shift).float()

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights and the moments of both optimisers."""
        tensors = self.weights()
        for number, stepper in enumerate(self._steppers):
            for key, values in stepper.state_dict()["state"].items():
                tensors |= {f"stepper{number}.{key}.{name}": np.asarray(value) for name, value in values.items()}
        return tensors

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go back to a state."""
        weights = {name: torch.from_numpy(state[name].copy()) for name in self._network.state_dict()}
        self._network.load_state_dict(weights)
        for number, stepper in enumerate(self._steppers):
            kept = stepper.state_dict()
            kept["state"] = {}
            for name, tensor in state.items():
                owner, _, rest = name.partition(".")
                if owner == f"stepper{number}":
                    key, _, moment = rest.partition(".")
                    value = int(tensor) if number == 0 and moment == "step" else torch.from_numpy(tensor.copy())
                    kept["state"].setdefault(int(key), {})[moment] = value
            stepper.load_state_dict(kept)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Embeddings, head and bias as they are now (views, not copies)."""
        return {name: tensor.numpy() for name, tensor in self._network.state_dict().items()}

    def facts(self) -> dict[str, Any]:
        """Nothing: the settings say it all."""
        return {}

    def classifier(self, weights: dict[str, NDArray[Any]]) -> FastClassifier:
        """The finished model from weights of `weights()`."""
        embeddings, scales = quantised(weights["bag.weight"].astype(np.float32), self.settings.bits)
        head = np.ascontiguousarray(weights["head.weight"].astype(np.float32).T)
        bias = (weights["head.bias"] + self._mix.shift).astype(np.float32)
        return FastClassifier(self.labels, self.vocabulary, self._idf16, embeddings, scales, head, bias)


class _Network(nn.Module):
    """Weighted sums of embeddings, and a linear head."""

    def __init__(self, features: int, dimension: int, labels: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.bag = nn.EmbeddingBag(max(1, features), dimension, mode="sum", sparse=True)
        self.head = nn.Linear(dimension, labels)
        with torch.no_grad():
            self.bag.weight.normal_(0, _STARTING_SPREAD, generator=generator)
            self.head.weight.uniform_(-(dimension**-0.5), dimension**-0.5, generator=generator)
            self.head.bias.zero_()

    def forward(self, bags: Bags, weights: NDArray[np.float32]) -> torch.Tensor:
        """Logits (texts, labels)."""
        features, offsets = torch.from_numpy(bags.features), torch.from_numpy(bags.offsets[:-1].astype(np.int32))
        logits: torch.Tensor = self.head(self.bag(features, offsets, per_sample_weights=torch.from_numpy(weights)))
        return logits


@dataclass(frozen=True)
class _Papers:
    """Bags of whole papers and of their titles alone, and the true labels (n,)."""

    whole: Bags
    titles: Bags
    truth: NDArray[np.int64]

    @classmethod
    def of(cls, vocabulary: Vocabulary, papers: LabelledTexts) -> Self:
        whole = vocabularies.all_bags(vocabulary, papers.texts())
        titles = vocabularies.all_bags(vocabulary, map(text.title_only, papers.texts()))
        return cls(whole, titles, papers.truth)

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
