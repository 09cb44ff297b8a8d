"""A matrix of features by labels -> fewer numbers a feature, those kept that change the answers most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FLOOR = 1e-6
"""Directions of logits that matter less than this share of the most important one are as good as none."""


def curvature(probs: NDArray[np.float32], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much the answers change with the logits, (L, L): the mean of diag(p) - p p' over papers that count so.

    Half of its quadratic form is the Kullback-Leibler divergence that a small change of the logits makes (it is the
    Fisher information of a softmax): so it knows which labels are often mistaken for each other.

    Args:
        probs: (n, L) answers of the model.
        counts: (n,) what each paper counts.
    """
    shares = (counts / counts.sum())[:, None]
    weighted = probs * shares
    matrix: NDArray[np.float64] = np.diag(weighted.sum(axis=0)) - probs.T.astype(np.float64) @ weighted
    return matrix


def factorised(
    matrix: NDArray[np.float32], met: NDArray[np.float64], curved: NDArray[np.float64], widths: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings (F, D) and head (D, L) whose product is as near the matrix (F, L) as D numbers a feature allow.

    Near is measured in the change of the answers: principal components in the metric of `curved`, features counting
    as often as they are `met`. The first `widths[0]` components, the next `widths[1]` and so on are each turned by a
    random rotation, so that all numbers of a group are of one size and share a scale well.
    """
    power, directions = np.linalg.eigh(curved)
    power = np.sqrt(np.maximum(power, max(power.max(), _FLOOR) * _FLOOR))
    bent = (matrix @ ((directions * power) @ directions.T).astype(np.float32)).astype(np.float32)
    strength, axes = np.linalg.eigh((bent.T * met.astype(np.float32)) @ bent)
    order = np.argsort(-strength, kind="stable")[: sum(widths)]
    # With fewer labels than numbers, the last numbers are zeros.
    axes = np.pad(axes[:, order], ((0, 0), (0, sum(widths) - len(order))))
    chance = np.random.default_rng(0)
    start = 0
    for width in widths:
        rotation, _ = np.linalg.qr(chance.standard_normal((width, width)))
        axes[:, start : start + width] = axes[:, start : start + width] @ rotation
        start += width
    back = axes.T @ ((directions / power) @ directions.T)
    return bent @ axes.astype(np.float32), np.ascontiguousarray(back, np.float32)
