"""A factorised softmax regression and its descent: sparse bags in, embeddings and head out, touching only what is met.

Embeddings (F, D) times a head (D, L), as in fastText (Joulin et al. 2016); the gradient is written out, Adam (Kingma
and Ba 2015) moves only the rows that a batch has met (as SparseAdam of PyTorch does). A second head learns all listed
categories on the same embeddings, which makes them better for the first (multi-task learning: Caruana 1997).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import ThreadpoolController

from arxivcli import parallel
from arxivcli.models.vocabulary import in_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.models.features import Bags

    Floats = NDArray[np.float32]

_FADING = (0.9, 0.999)
_EPSILON = 1e-8
_ROWS_AT_ONCE = 512
"""Rows moved at once: few enough that all that is worked on stays in the processor's cache."""


@dataclass(frozen=True)
class Lesson:
    """What n texts teach.

    Attributes:
        bags: their features.
        weights: of each entry of the bags.
        wanted: (n, L) distribution over the labels that the first head should answer.
        counts: (n,) what each text counts.
        listed: (n, L) distribution that the second head should answer; None when there is none.
        share: what the second head's loss counts beside the first's.
    """

    bags: Bags
    weights: Floats
    wanted: Floats
    counts: Floats
    listed: Floats | None = None
    share: float = 0.0


class Descent:
    """The parameters of one factorised softmax regression, and Adam's moments of them."""

    def __init__(
        self, features: int, dimension: int, labels: int, chance: np.random.Generator, spread: float = 0.1
    ) -> None:
        self.embeddings = chance.standard_normal((max(1, features), dimension), np.float32) * np.float32(spread)
        reach = dimension**-0.5
        self.heads = chance.uniform(-reach, reach, (2, dimension + 1, labels)).astype(np.float32)
        self.heads[:, -1] = 0
        self._moments = np.zeros((2, *self.embeddings.shape), np.float32)
        self._head_moments = np.zeros((2, *self.heads.shape), np.float32)
        self.steps = 0
        self._blas = ThreadpoolController()
        """A BLAS of several threads waits for them longer than these small products take."""

    def step(self, lesson: Lesson, rate: float) -> float:
        """Move against the gradient of the mean loss; what it was. No step is made when it is no number."""
        # Numbers that run away end as a loss that is no number, which is looked at below.
        with self._blas.limit(limits=1), np.errstate(over="ignore", invalid="ignore"):
            return self._step(lesson, rate)

    def _step(self, lesson: Lesson, rate: float) -> float:
        hidden = sums(lesson.bags, lesson.weights, self.embeddings)
        losses: list[float] = []
        pulls: list[Floats | None] = []
        shares = lesson.counts / max(lesson.counts.sum(dtype=np.float64), _EPSILON)
        for head, wanted, share in zip(self.heads, (lesson.wanted, lesson.listed), (1.0, lesson.share), strict=True):
            if wanted is None or not share:
                pulls.append(None)
                continue
            loss, pull = cross_entropy(_logits(hidden, head), wanted, shares)
            losses.append(share * loss)
            pulls.append(pull * np.float32(share))
        loss = sum(losses)
        if not np.isfinite(loss):
            return loss
        self.steps += 1
        below = sum(pull @ head[:-1].T for pull, head in zip(pulls, self.heads, strict=True) if pull is not None)
        nothing = np.zeros_like(self.heads[0])
        slopes = [nothing if p is None else np.vstack([hidden.T @ p, p.sum(axis=0)]) for p in pulls]
        adam(self.heads, self._head_moments, np.stack(slopes), rate, self.steps)
        self._move_rows(lesson.bags, lesson.weights, below, rate)
        return losses[0]

    def _move_rows(self, bags: Bags, weights: Floats, below: Floats, rate: float) -> None:
        """Adam for the embeddings of the features that were met; `below` is the gradient of the hidden sums (n, D)."""
        text = np.repeat(np.arange(len(bags.offsets) - 1, dtype=np.int32), np.diff(bags.offsets))
        order = np.argsort(bags.features, kind="stable")
        features = bags.features[order]
        first = np.flatnonzero(np.diff(features, prepend=-1))
        bounds = np.append(first, len(features))
        met = features[first]
        text, weights = text[order], weights[order]

        def move(start: int) -> None:
            some = bounds[start : start + _ROWS_AT_ONCE + 1]
            entries = slice(some[0], some[-1])
            sums = csr_array((weights[entries], text[entries], some - some[0]), shape=(len(some) - 1, len(below)))
            rows = met[start : start + _ROWS_AT_ONCE]
            values, moments = self.embeddings[rows], self._moments[:, rows]
            adam(values, moments, sums @ below, rate, self.steps)
            self.embeddings[rows], self._moments[:, rows] = values, moments

        deque(in_threads(move, range(0, len(met), _ROWS_AT_ONCE)), maxlen=0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything the next step depends on (views, not copies)."""
        return {
            "embeddings": self.embeddings,
            "heads": self.heads,
            "moments": self._moments,
            "head_moments": self._head_moments,
            "steps": np.array(self.steps),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go back to a state."""
        self.embeddings, self.heads = state["embeddings"].copy(), state["heads"].copy()
        self._moments, self._head_moments = state["moments"].copy(), state["head_moments"].copy()
        self.steps = int(state["steps"])


def cross_entropy(logits: Floats, wanted: Floats, shares: NDArray[np.floating]) -> tuple[float, Floats]:
    """The loss of logits (n, L) that should be distributions `wanted` (n, L), and its gradient, (n, L).

    `shares` (n,) are what each row counts, one in all.
    """
    likely = log_softmax(logits)
    loss = float(shares @ -(wanted * likely).sum(axis=1, dtype=np.float64))
    pull: Floats = np.exp(likely) * wanted.sum(axis=1, keepdims=True) - wanted
    pull *= shares[:, None].astype(np.float32)
    return loss, pull


def adam(values: Floats, moments: Floats, slope: Floats, rate: float, steps: int) -> None:
    """One step of Adam in place, the so-manieth; `moments` (2, ...) of `values` (...)."""
    for number, (fading, power) in enumerate(zip(_FADING, (slope, slope * slope), strict=True)):
        moments[number] *= np.float32(fading)
        moments[number] += np.float32(1 - fading) * power
    first, second = (1 - fading**steps for fading in _FADING)
    size = np.sqrt(moments[1])
    size += np.float32(_EPSILON)
    np.divide(moments[0], size, out=size)
    size *= np.float32(rate * np.sqrt(second) / first)
    values -= size


def sums(bags: Bags, weights: Floats, rows: Floats) -> Floats:
    """The weighted sums of the rows (F, D) that n bags name, (n, D)."""
    texts = len(bags.offsets) - 1
    sparse = csr_array((weights, bags.features, bags.offsets), shape=(texts, len(rows)))
    bounds = np.linspace(0, texts, parallel.cores() + 1).astype(np.int64).tolist()
    parts = [part for part in pairwise(bounds) if part[1] > part[0]]
    found = in_threads(lambda part: sparse[part[0] : part[1]] @ rows, parts)
    return np.concatenate([np.empty((0, rows.shape[1]), np.float32), *found])


def log_softmax(logits: Floats) -> Floats:
    """Logarithms of the softmax of each row."""
    logits = logits - logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


def _logits(hidden: Floats, head: Floats) -> Floats:
    logits: Floats = hidden @ head[:-1]
    logits += head[-1]
    return logits
