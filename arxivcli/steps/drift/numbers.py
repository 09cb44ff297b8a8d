"""How a number of each paper changed: a length, a share of words, a confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from arxivcli.statistics import samples
from arxivcli.steps.drift.report import NumberShift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.statistics.samples import Test

    Floats = NDArray[np.float64]

BINS = 30
_NEARLY_ALL = 0.99


def distributions(reference: Floats, current: Floats, most: float | None = None) -> NumberShift:
    """The largest gap between the distributions of numbers from 0 on; at most `most`, where that is known."""
    return _shift(reference, current, samples.kolmogorov_smirnov(reference, current), most)


def means(reference: Floats, current: Floats, most: float | None = None) -> NumberShift:
    """The difference of the means of numbers from 0 on; at most `most`, where that is known."""
    return _shift(reference, current, samples.mean_change(reference, current), most)


def _shift(reference: Floats, current: Floats, test: Test, most: float | None) -> NumberShift:
    edges = np.linspace(0, most, BINS + 1) if most is not None else _whole_edges(reference, current)
    counts = [np.histogram(np.clip(side, 0, edges[-1]), edges)[0].tolist() for side in (reference, current)]
    return NumberShift(
        _mean(reference), _mean(current), test.effect, test.p, tuple(edges.tolist()), tuple(counts[0]), tuple(counts[1])
    )


def _whole_edges(*sides: Floats) -> Floats:
    """Edges that each bin of as many whole numbers, up to where nearly all are: no bin is rich or poor by rounding."""
    ends = [np.quantile(side, _NEARLY_ALL) for side in sides if len(side)]
    most = max(1.0, *ends) if ends else 1.0
    width = np.ceil(most / BINS)
    edges: Floats = np.arange(np.ceil(most / width) + 1) * width
    return edges


def _mean(side: Floats) -> float:
    return float(side.mean()) if len(side) else 0.0
