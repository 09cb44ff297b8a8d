"""Whether one model is better than another on the same papers, or only luckier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from arxivcli.metrics.bootstrap import Estimate, estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.metrics.quality import Draws

RARE = 0.05
"""p-values below are no luck."""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same papers.

    Attributes:
        first: name of the one that is compared with.
        second: name of the other.
        only_first: papers whose best answer is right with the first alone; counted, never weighted.
        only_second: ... with the second alone.
        mcnemar_exact: two-sided p-value of McNemar's exact test (1947): how often as large a difference in right
            answers would come by luck if both were equally good.
        mcnemar_midp: its mid-p variant, less cautious (Fagerland, Lydersen and Laake 2013).
        differences: figure by figure the second's less the first's, with the interval of a paired bootstrap; those
            from titles alone are called `title_...`.
    """

    first: str
    second: str
    only_first: int
    only_second: int
    mcnemar_exact: float
    mcnemar_midp: float
    differences: dict[str, Estimate]

    @property
    def better(self) -> str | None:
        """The name of the model whose first answers are right more often; None when these papers cannot tell."""
        top1 = self.differences["top1"]
        if self.mcnemar_midp >= RARE or top1.low <= 0 <= top1.high:
            return None
        return self.second if top1.low > 0 else self.first


def mcnemar(only_first: int, only_second: int) -> tuple[float, float]:
    """Exact and mid-p two-sided p-values for so many discordant papers; 1 and 1 when there are none."""
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    if discordant == 0:
        return 1.0, 1.0
    # Logarithms of C(n, k) / 2^n for k up to the fewer. scipy has this sum, but takes most of a second to import.
    k = np.arange(1, fewer + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((discordant + 1 - k) / k))]) - discordant * np.log(2)
    points = np.exp(logs)
    tail, point = float(points.sum()), float(points[-1])
    return min(1.0, 2 * tail), min(1.0, 2 * tail - point)


def compared(
    names: tuple[str, str],
    right: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    drawn: dict[str, tuple[Draws, Draws]],
) -> Comparison:
    """Two models whose figures were drawn from the same resamples; `drawn` has a prefix for the names of each kind."""
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    differences = {
        prefix + name: estimate(second.values[name] - value, second.resampled[name] - first.resampled[name])
        for prefix, (first, second) in drawn.items()
        for name, value in first.values.items()
        if name in second.values
    }
    return Comparison(*names, only_first, only_second, *mcnemar(only_first, only_second), differences)
