"""Probabilities as somebody wants to see them: under another mix of labels, among some labels only, at a coarser level.

All of it is Bayes' rule and addition: every label's probability is multiplied by what the asker knows, labels that are
out of the question are left out, the rest sums to one again, and what belongs together is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from arxivcli import calibration, taxonomy
from arxivcli.errors import UsageError, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from arxivcli.calibration import Calibration
    from arxivcli.taxonomy import Level

LEVELS: Final = ("category", "archive", "group")
"""Finest first."""

_LEAST_FACTOR: Final = 1e-100
_VANISHING: Final = 1e-30
"""Below it a float32 probability has lost its digits, or is zero."""


@dataclass(frozen=True, eq=False)
class View:
    """What becomes of the probabilities of L labels.

    Attributes:
        labels: the K labels of the answers.
        columns: (M,) which of the L labels are kept, those that become one answer side by side.
        starts: (K,) where in `columns` each answer begins.
        factors: (M,) what the probability of each kept label is multiplied by; None when all odds stay.
    """

    labels: tuple[str, ...]
    columns: NDArray[np.int64]
    starts: NDArray[np.int64]
    factors: NDArray[np.float64] | None = None
    restricted: bool = False
    """Whether some of the L labels are left out."""

    @classmethod
    def of(
        cls, labels: tuple[str, ...], answers: Mapping[str, str], factors: NDArray[np.float64] | None = None
    ) -> Self | None:
        """A view of `labels` in which each key of `answers` counts for its value; None when all stays as it is.

        Args:
            labels: the L labels, as the model has them.
            answers: the labels that are kept, and what each is part of.
            factors: (L,) what each probability is multiplied by.
        """
        if factors is not None and np.allclose(factors, factors.max(), rtol=1e-9, atol=0):
            factors = None
        if factors is None and all(answers.get(label) == label for label in labels):
            return None
        shown = tuple(dict.fromkeys(answers[label] for label in labels if label in answers))
        place = np.array([shown.index(answers[label]) if label in answers else len(shown) for label in labels])
        order = np.argsort(place, kind="stable")
        columns = order[: int((place < len(shown)).sum())]
        starts = np.searchsorted(place[columns], np.arange(len(shown)))
        if factors is not None:
            factors = np.maximum(factors[columns] / factors[columns].max(), _LEAST_FACTOR)
        return cls(shown, columns, starts, factors, restricted=len(columns) < len(labels))

    @property
    def keeps_promises(self) -> bool:
        """Whether conformal sets still hold the truth as often as they promise, see `sets`."""
        return self.factors is None and not self.restricted

    def probabilities(
        self, probs: NDArray[np.float32], logits: NDArray[np.float32], fitted: Calibration
    ) -> NDArray[np.float32]:
        """Probabilities of the answers, (n, K), rows sum to one.

        Factors multiply the calibrated probabilities, the line for the best label included: these are what best
        estimates the posterior under the model's own mix, and only from a posterior does the ratio of two mixes make
        the other one (Saerens, Latinne and Decaestecker 2002, "Adjusting the Outputs of a Classifier to New a Priori
        Probabilities").

        Args:
            probs: (n, L) calibrated probabilities of all labels.
            logits: (n, L) what they were made from.
            fitted: how.
        """
        kept = probs[:, self.columns].astype(np.float64)
        # Where the model is so sure that all kept labels vanish its best is none of them, and the odds of the others
        # are as the temperature makes them.
        lost = kept.max(axis=1, initial=0) < _VANISHING
        if lost.any():
            kept[lost] = calibration.probabilities(logits[np.ix_(lost, self.columns)], fitted.temperature)
        if self.factors is not None:
            kept *= self.factors
        kept /= kept.sum(axis=1, keepdims=True)
        summed = kept if len(self.starts) == len(self.columns) else np.add.reduceat(kept, self.starts, axis=1)
        return summed.astype(np.float32)

    def sets(self, inside: NDArray[np.bool_], probs: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Conformal sets of the answers, (n, K), from those of all labels, (n, L).

        A set holds what any of its labels is part of, and the best answer of `probs` (n, K): whenever the true label
        was in the set, what it is part of still is.
        """
        summed = np.logical_or.reduceat(inside[:, self.columns], self.starts, axis=1)
        summed[np.arange(len(probs)), probs.argmax(axis=1)] = True
        return summed

    def likeliest(self, answers: NDArray[np.int64], probs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Of each answer (n,) the index of the label that contributes most to it, by all labels' probs (n, L)."""
        ends = np.append(self.starts[1:], len(self.columns))
        kept = probs[:, self.columns] * (1 if self.factors is None else self.factors)
        best = np.empty(len(answers), np.int64)
        for row, (start, end) in enumerate(zip(self.starts[answers], ends[answers], strict=True)):
            best[row] = self.columns[start + kept[row, start:end].argmax()]
        return best


def above(labels: tuple[str, ...], own: Level, level: Level) -> dict[str, str]:
    """Each of the labels, which are of level `own`, with the label of `level` that it is part of.

    Raises UsageError when `level` is finer than `own`.
    """
    if LEVELS.index(level) < LEVELS.index(own):
        raise UsageError(
            f"this model answers at {own} level, and a {own} cannot be parted into its {_plural(level)}",
            f"ask for --level {own}, or name a model of {_plural(level)}",
        )
    parents = {taxonomy.parent(c, own): taxonomy.parent(c, level) for c in taxonomy.labels()}
    return {label: label if level == own else parents.get(label) or label for label in labels}


def among(names: str, labels: tuple[str, ...], own: Level) -> tuple[str, ...]:
    """Which of the labels, of level `own`, the names with commas between them mean; in the labels' order.

    Raises UsageError for names of none, see `meant`.
    """
    wanted: set[str] = set()
    for name in filter(None, (part.strip() for part in names.split(","))):
        wanted.update(meant(name, labels, own))
    if not wanted:
        raise UsageError("--labels names no label", "name categories, archives or groups with commas between them")
    return tuple(label for label in labels if label in wanted)


def meant(name: str, labels: tuple[str, ...], own: Level) -> tuple[str, ...]:
    """Which of the labels, of level `own`, one name means.

    It may be what arXiv calls a label today or ever did. An archive (`math`) or a group (`grp_physics`; `physics` alone
    is the archive) is all labels in it. Raises UsageError for what the labels have nothing of.
    """
    key = name.lower()
    level: Level = "group" if key.startswith("grp_") else "archive"
    found = tuple(label for label in labels if label.lower() == key)
    if not found and LEVELS.index(level) >= LEVELS.index(own):
        found = tuple(label for label, part in above(labels, own, level).items() if part == key.removeprefix("grp_"))
    folded = taxonomy.canonical(name)
    if found or folded in labels:
        return found or (str(folded),)
    coarser = [*taxonomy.labels("archive"), *(f"grp_{group}" for group in taxonomy.labels("group"))]
    if folded or key in coarser:
        raise UsageError(f"{name} is none of the {len(labels)} labels this model can answer", "leave it out")
    raise unknown(own, name, [*labels, *coarser], "`arxivcli models labels` lists them")


def _plural(level: Level) -> str:
    return "categories" if level == "category" else f"{level}s"
