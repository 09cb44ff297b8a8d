"""A hidden layer on top of a linear model's answers, trained on answers to papers that the model has not seen.

Stacked generalisation (Wolpert 1992). Trained together with the embeddings, such a layer learns the training papers by
heart; on answers of members that were trained without those papers, it learns what wrong answers look like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController

from arxivcli.models.descent import adam, cross_entropy, log_softmax
from arxivcli.models.layer import Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_SPREAD = np.float32(1 / 3)
_LIKELY = np.float32(2)
"""What centred logits, which are of about three, and probabilities are multiplied by: Adam's rates are for numbers of
about one.
"""
_LEAST = 1e-6


@dataclass(frozen=True)
class Answers:
    """What n answers teach.

    Attributes:
        logits: (n, L) of papers that were not learned from.
        truth: (n,) their labels.
        counts: (n,) what each counts.
        listed: (n, L) distribution over all listed labels, which a second head learns.
        share: what its loss counts beside the first's.
    """

    logits: Floats
    truth: NDArray[np.int64]
    counts: Floats
    listed: Floats
    share: float


class Stacking:
    """The layer in training: it reads logits (n, L), each less their mean, and their softmax, and corrects them."""

    def __init__(self, labels: int, units: int, chance: np.random.Generator) -> None:
        reach = (2 * labels) ** -0.5
        self.inner = chance.uniform(-reach, reach, (2 * labels + 1, units)).astype(np.float32)
        self.outer = np.zeros((2, units + 1, labels), np.float32)
        """One head for the label and one for all that are listed; last rows are biases. At first nothing changes."""
        self._moments = [np.zeros((2, *part.shape), np.float32) for part in (self.inner, self.outer)]
        self.steps = 0
        self._blas = ThreadpoolController()

    def step(self, answers: Answers, kept: NDArray[np.bool_], rate: float) -> float:
        """Move against the gradient of the mean loss, some units (n, U) being kept and the others dropped; what it was.

        No step is made when it is no number.
        """
        with self._blas.limit(limits=1), np.errstate(over="ignore", invalid="ignore"):
            return self._step(answers, (kept / max(float(kept.mean()), _LEAST)).astype(np.float32), rate)

    def _step(self, answers: Answers, kept: Floats, rate: float) -> float:
        read = _read(answers.logits)
        units = np.maximum(read @ self.inner[:-1] + self.inner[-1], 0) * kept
        shares = (answers.counts / answers.counts.sum(dtype=np.float64)).astype(np.float32)
        wanted = np.zeros_like(answers.logits)
        wanted[np.arange(len(wanted)), answers.truth] = 1
        losses: list[float] = []
        pulls: list[Floats] = []
        for head, goal, share in zip(self.outer, (wanted, answers.listed), (1.0, answers.share), strict=True):
            loss, pull = cross_entropy(answers.logits + units @ head[:-1] + head[-1], goal, shares)
            losses.append(share * loss)
            pulls.append(pull * np.float32(share))
        if not np.isfinite(sum(losses)):
            return sum(losses)
        self.steps += 1
        below = sum(pull @ head[:-1].T for pull, head in zip(pulls, self.outer, strict=True)) * kept * (units > 0)
        outer = np.stack([np.vstack([units.T @ pull, pull.sum(axis=0)]) for pull in pulls])
        slopes = (np.vstack([read.T @ below, below.sum(axis=0)]), outer)
        for part, moments, slope in zip((self.inner, self.outer), self._moments, slopes, strict=True):
            adam(part, moments, slope, rate, self.steps)
        return losses[0]

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything the next step depends on (views, not copies)."""
        moments = {f"moments{number}": moments for number, moments in enumerate(self._moments)}
        return {"inner": self.inner, "outer": self.outer, "steps": np.array(self.steps)} | moments

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go back to a state."""
        self.inner, self.outer, self.steps = state["inner"].copy(), state["outer"].copy(), int(state["steps"])
        self._moments = [state[f"moments{number}"].copy() for number in range(2)]

    def weights(self) -> dict[str, Floats]:
        """`inner` (2 L + 1, U) and `outer` (U + 1, L)."""
        return {"inner": self.inner, "outer": self.outer[0]}


def corrected(logits: Floats, inner: Floats, outer: Floats) -> Floats:
    """Logits (n, L) with the corrections of a layer of `Stacking.weights`."""
    units = np.maximum(_read(logits) @ inner[:-1] + inner[-1], 0)
    better: Floats = logits + units @ outer[:-1] + outer[-1]
    return better


def on_vectors(head: Floats, bias: Floats, shift: Floats, inner: Floats, outer: Floats) -> tuple[Layer, Floats]:
    """The same layer on vectors (D,) whose logits are `v @ head + bias`, and a bias (L,) with its own and the shift.

    Its numbers are those that half precision keeps.
    """
    of_logits, of_likely = inner[: len(bias)], inner[len(bias) : -1]
    centred = (head - head.mean(axis=1, keepdims=True)) * _SPREAD
    start = (bias - bias.mean()) * _SPREAD @ of_logits + inner[-1]
    more = outer[-1] + shift
    parts = (centred @ of_logits, of_likely * _LIKELY, -more, start, outer[:-1])
    return Layer(*(part.astype(np.float16).astype(np.float32) for part in parts)), bias + more


def _read(logits: Floats) -> Floats:
    centred = (logits - logits.mean(axis=1, keepdims=True)) * _SPREAD
    likely = np.exp(log_softmax(logits)) * _LIKELY
    return np.hstack([centred, likely])
