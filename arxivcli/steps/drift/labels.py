"""How a mix of labels changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from arxivcli import distributions
from arxivcli.statistics import shares, significance
from arxivcli.steps.drift.report import LabelRow, LabelShift

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVEL = 0.05
"""Up to this adjusted p-value a label is said to have grown or shrunk."""


def shift(reference: Mapping[str, int], current: Mapping[str, int]) -> LabelShift:
    """The change from one side's papers of each label to the other's; both have papers."""
    names = sorted({*reference, *current})
    before, after = (np.array([side.get(name, 0) for name in names], np.int64) for side in (reference, current))
    n, m = int(before.sum()), int(after.sum())
    chi = shares.chi_square(before, after)
    added = distributions.divergences(before, after)
    parts = shares.stability_parts(before, after)
    p = significance.benjamini_hochberg(shares.two_proportions(before, n, after, m))
    order = np.argsort(-added, kind="stable")
    ratio = shares.ratios(before, after)
    intervals = shares.wilson(before, n), shares.wilson(after, m)
    rows = tuple(
        LabelRow(
            names[i],
            int(before[i]),
            int(after[i]),
            float(before[i] / n),
            (float(intervals[0][0][i]), float(intervals[0][1][i])),
            float(after[i] / m),
            (float(intervals[1][0][i]), float(intervals[1][1][i])),
            float(ratio[0][i]),
            (float(ratio[1][i]), float(ratio[2][i])),
            float(added[i]),
            float(parts[i]),
            float(p[i]),
        )
        for i in order.tolist()
    )
    sure = [row for row in rows if row.p <= LEVEL]
    return LabelShift(
        reference=n,
        current=m,
        psi=float(parts.sum()),
        psi_by_chance=shares.stability_by_chance(before, after),
        distance=float(np.sqrt(added.sum())),
        chi_square=chi.statistic,
        freedom=chi.freedom,
        p=chi.p,
        cramers_v=chi.effect,
        rows=rows,
        grew=tuple(row.label for row in sure if row.current_share > row.reference_share),
        shrank=tuple(row.label for row in sure if row.current_share < row.reference_share),
        new=tuple(row.label for row in rows if row.reference == 0),
        vanished=tuple(row.label for row in rows if row.current == 0),
    )
