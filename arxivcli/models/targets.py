"""What a network should answer, and how far it is from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import nn

from arxivcli import metrics

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Task = Literal["primary", "all"]


def targets(
    truth: NDArray[np.int64], listed: NDArray[np.int64], labels: int, task: Task, cross_lists: float
) -> NDArray[np.float32]:
    """What each of n papers' labels should get, (n, labels).

    Args:
        truth: (n,) primary labels.
        listed: (n, most) all labels of each paper, padded with NOT_LISTED.
        labels: how many there are.
        task: `primary` makes a distribution, `all` ones for every label that a paper has.
        cross_lists: what the labels beside the primary share of a distribution.
    """
    wanted = np.zeros((len(truth), labels), np.float32)
    row, column = np.nonzero(listed != metrics.NOT_LISTED)
    primary = np.arange(len(truth)), truth
    if task == "all" or cross_lists:
        wanted[row, listed[row, column]] = 1
    if task == "all":
        wanted[primary] = 1
        return wanted
    wanted[primary] = 0
    wanted *= np.float32(cross_lists) / np.maximum(1, wanted.sum(1, keepdims=True))
    wanted[primary] = 1 - wanted.sum(1)
    return wanted


def losses(logits: torch.Tensor, wanted: torch.Tensor, task: Task, smoothing: float) -> torch.Tensor:
    """Cross-entropy of each row, (n,): of one distribution, or for task `all` summed over a yes or no for each label.

    `smoothing` of what is wanted is spread evenly over the answers there are (Szegedy et al. 2016).
    """
    if task == "all":
        wanted = wanted * (1 - smoothing) + smoothing / 2
        return nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1)
    wanted = wanted * (1 - smoothing) + smoothing / logits.shape[1]
    return -(wanted * nn.functional.log_softmax(logits, 1)).sum(1)
