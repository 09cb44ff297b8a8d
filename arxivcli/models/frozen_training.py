"""How the head of a frozen encoder is trained: on embeddings that are made once, some papers by their title alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from arxivcli import text
from arxivcli.accelerators import ONE_THREAD
from arxivcli.errors import FolderError, UsageError
from arxivcli.models import hub
from arxivcli.models.bucketing import Steps
from arxivcli.models.embeddings import CachedEncoder
from arxivcli.models.encoder import Encoder
from arxivcli.models.frozen import FrozenClassifier, Head
from arxivcli.models.mix import Mix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts
    from arxivcli.models.frozen_settings import FrozenSettings
    from arxivcli.surroundings import Surroundings

_VALIDATION_BATCH = 4096
_LEAST_SPREAD = 1e-6
_CHANCE = 2
"""Stream of random numbers of what happens in a step; `Steps` has another."""


class FrozenTrainee:
    """The head of a frozen encoder being trained (see `learning.loop.Trainee`).

    It is small, so it is trained on the CPU wherever the encoder runs, and by each of several processes alike; and on
    one core, which is some thousand papers a second, does not slow down where other work keeps the other cores, and
    gives the same weights however many there are.
    """

    def __init__(
        self,
        settings: FrozenSettings,
        embedder: CachedEncoder,
        training: _Papers,
        validation: _Papers,
        labels: tuple[str, ...],
        mix: Mix,
    ) -> None:
        self.settings = settings
        self.labels = labels
        self._embedder = embedder
        self._training = training
        self._validation = validation
        papers = max(1, len(training.truth))
        self.papers_per_step = min(settings.batch_size, papers)
        self._steps = Steps(papers, self.papers_per_step, settings.seed)
        self.steps_per_epoch = self._steps.per_epoch
        self.epochs = settings.epochs
        self.rate = 0.0
        self.patience = settings.patience
        self.provisional = False
        self._mean, self._scale = _standard(training.whole)
        self._network = _Network(len(self._mean), settings.hidden, len(labels), settings.seed)
        self._stepper = torch.optim.AdamW(
            [
                {"params": self._network.matrices(), "weight_decay": settings.weight_decay},
                {"params": self._network.biases(), "weight_decay": 0.0},
            ],
            lr=settings.lr,
        )
        self._mix = mix
        self._loss = nn.CrossEntropyLoss(
            torch.from_numpy(mix.weights).float(), label_smoothing=settings.label_smoothing
        )

    @classmethod
    def prepare(
        cls,
        settings: FrozenSettings,
        training: LabelledTexts,
        validation: LabelledTexts,
        surroundings: Surroundings,
    ) -> Self:
        """Embed both splits, as far as the cache does not hold them already.

        Raises:
            UsageError, RemoteError: the encoder cannot be had.
            TrainingError: it gives no numbers in this precision.
        """
        encoder = _encoder(settings, surroundings)
        embedder = CachedEncoder(encoder, surroundings)
        return cls(
            settings,
            embedder,
            _Papers.of(embedder, training, "training", titles=settings.title_only > 0),
            _Papers.of(embedder, validation, "validation", titles=True),
            training.labels,
            Mix.of(training, settings.balance),
        )

    def step(self, number: int) -> float:
        """Learn from the batch of global step `number`; its loss."""
        with ONE_THREAD:
            return self._step(number)

    def _step(self, number: int) -> float:
        rows = self._steps[number]
        chance = np.random.default_rng([self.settings.seed, _CHANCE, number])
        # Titles come on top of the whole papers: in their place, they cost accuracy on whole papers.
        again = rows[chance.random(len(rows)) < self.settings.title_only]
        embeddings = self._training.whole[rows]
        if self._training.titles is not None:
            embeddings = np.concatenate([embeddings, self._training.titles[again]])
            rows = np.concatenate([rows, again])
        keep = 1 - self.settings.dropout
        kept = (chance.random((len(rows), self.settings.hidden), np.float32) < keep) / np.float32(keep)
        self.rate = self.settings.lr * (1 + math.cos(math.pi * number / (self.epochs * self.steps_per_epoch))) / 2
        for group in self._stepper.param_groups:
            group["lr"] = self.rate
        self._stepper.zero_grad()
        logits = self._network(self._standardised(embeddings), torch.from_numpy(kept))
        loss = self._loss(logits, torch.from_numpy(self._training.truth[rows]))
        if loss.isfinite():
            loss.backward()
            gradients = [tensor.grad for tensor in self._network.parameters() if tensor.grad is not None]
            if all(gradient.isfinite().all() for gradient in gradients):
                self._stepper.step()
                return float(loss.item())
        return math.nan

    def batch(self, number: int) -> list[str]:
        """Ids of the papers of a step."""
        ids = self._training.ids
        return [] if ids is None else ids.take(pa.array(self._steps[number])).to_pylist()

    def _standardised(self, embeddings: NDArray[np.float16]) -> torch.Tensor:
        return torch.from_numpy((embeddings.astype(np.float32) - self._mean) * self._scale)

    def validate(self) -> dict[str, float]:
        """Loss and top-1 on the validation papers in the wanted mix of labels, and top-1 by their titles alone."""
        truth = torch.from_numpy(self._validation.truth)
        weights = torch.from_numpy(self._mix.importance)[truth]
        whole, titles = self._logits(self._validation.whole), self._logits(self._validation.titles)
        losses = nn.functional.cross_entropy(whole, truth, reduction="none")
        figures = {"loss": losses, "top1": whole.argmax(1) == truth, "title_only_top1": titles.argmax(1) == truth}
        return {name: float((values * weights).sum() / weights.sum()) for name, values in figures.items()}

    def _logits(self, embeddings: NDArray[np.float16] | None) -> torch.Tensor:
        if embeddings is None:
            raise ValueError("no embeddings of titles were made")
        with torch.no_grad(), ONE_THREAD:
            parts = [
                self._network(self._standardised(embeddings[start : start + _VALIDATION_BATCH]))
                for start in range(0, len(embeddings), _VALIDATION_BATCH)
            ]
        return torch.cat(parts) + torch.from_numpy(self._mix.shift).float()

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights and the optimiser's moments."""
        tensors = self.weights()
        for key, moments in self._stepper.state_dict()["state"].items():
            tensors |= {f"stepper.{key}.{name}": np.asarray(value) for name, value in moments.items()}
        return tensors

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go back to a state."""
        tensors = {name: torch.from_numpy(tensor.copy()) for name, tensor in state.items()}
        self._network.load_state_dict({name: tensors[name] for name in self._network.state_dict()})
        kept = self._stepper.state_dict()
        kept["state"] = {}
        for name, tensor in tensors.items():
            owner, _, rest = name.partition(".")
            if owner == "stepper":
                key, _, moment = rest.partition(".")
                kept["state"].setdefault(int(key), {})[moment] = tensor
        self._stepper.load_state_dict(kept)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Of the two layers, as they are now (views, not copies)."""
        return {name: tensor.numpy() for name, tensor in self._network.state_dict().items()}

    def facts(self) -> dict[str, Any]:
        """Nothing: the settings say it all."""
        return {}

    def classifier(self, weights: dict[str, NDArray[Any]]) -> FrozenClassifier:
        """The finished model from weights of `weights()`."""
        head = Head(
            self._mean,
            self._scale,
            np.ascontiguousarray(weights["hidden.weight"].T),
            weights["hidden.bias"],
            np.ascontiguousarray(weights["output.weight"].T),
            (weights["output.bias"] + self._mix.shift).astype(np.float32),
        )
        return FrozenClassifier(self.labels, self._embedder.encoder, head, self._embedder)


def _encoder(settings: FrozenSettings, surroundings: Surroundings) -> Encoder:
    """Raises UsageError, for the folder is no model of ours that came to harm: it is what somebody asked for."""
    try:
        folder = hub.folder(settings.encoder, surroundings.progress)
        return Encoder.load(folder, surroundings.place, settings.max_length)
    except FolderError as error:
        raise UsageError(error.what, error.hint) from error


class _Network(nn.Module):
    """Standardised embeddings -> hidden layer, rectified -> logits."""

    def __init__(self, width: int, hidden: int, labels: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.hidden = nn.Linear(width, hidden)
        self.output = nn.Linear(hidden, labels)
        with torch.no_grad():
            for layer in (self.hidden, self.output):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
                layer.bias.zero_()

    def matrices(self) -> list[torch.Tensor]:
        """What weight decay is for."""
        return [self.hidden.weight, self.output.weight]

    def biases(self) -> list[torch.Tensor]:
        """What it is not for."""
        return [self.hidden.bias, self.output.bias]

    def forward(self, embeddings: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (texts, labels); `kept` is what dropout leaves of each hidden unit."""
        hidden = nn.functional.relu(self.hidden(embeddings))
        logits: torch.Tensor = self.output(hidden if kept is None else hidden * kept)
        return logits


def _standard(embeddings: NDArray[np.float16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and inverse spread of each number, (D,)."""
    sums, squares = np.zeros((2, embeddings.shape[1]))
    for start in range(0, len(embeddings), _VALIDATION_BATCH):
        rows = embeddings[start : start + _VALIDATION_BATCH].astype(np.float64)
        sums += rows.sum(0)
        squares += np.square(rows).sum(0)
    papers = max(1, len(embeddings))
    mean = sums / papers
    spread = np.sqrt(np.maximum(squares / papers - np.square(mean), 0))
    return mean.astype(np.float32), (1 / np.maximum(spread, _LEAST_SPREAD)).astype(np.float32)


@dataclass(frozen=True)
class _Papers:
    """Embeddings (n, D) of whole papers and of their titles alone, the true labels (n,) and the ids."""

    whole: NDArray[np.float16]
    titles: NDArray[np.float16] | None
    truth: NDArray[np.int64]
    ids: pa.ChunkedArray | None

    @classmethod
    def of(cls, embedder: CachedEncoder, papers: LabelledTexts, split: str, titles: bool) -> Self:
        total = len(papers.truth)
        whole = embedder.embed_all(papers.texts(), total, f"encoding {split} papers")
        by_title = None
        if titles:

            def titles_alone() -> Iterator[pa.StringArray]:
                return map(text.title_only, papers.texts())

            by_title = embedder.embed_all(titles_alone(), total, f"encoding {split} titles")
        ids = None if papers.ids is None else pa.chunked_array(list(papers.ids()), pa.string())
        return cls(whole, by_title, papers.truth, ids)
