"""Linear layers in whole numbers of eight bits: a quarter of the memory, and four times as quick where a CPU has VNNI.

Each token has a step of its own (dynamic quantisation), each output too; products are added up exactly, in 32 bits, so
that an answer depends neither on its company nor on the processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

if TYPE_CHECKING:
    from torch import Tensor

_READ = 127
_ZERO = 128
"""Added to numbers that are read, so that none is negative: of signed ones most processors have to make such first."""
_WEIGHT = 127
_PAIR = 128
"""No two weights that follow each other are larger together. Processors without VNNI multiply two numbers of eight
bits, made positive, by two weights, and add both up in sixteen bits: 255 times this is what fits there.
"""
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class EightBits:
    """`x @ weight.T + bias` (n, N) of x (n, K).

    Attributes:
        codes: the weights as whole numbers, in oneDNN's own order.
        scales: (N,) the steps of the weights of each output.
        bias: (N,).
        width: K, made even.
    """

    codes: Tensor
    scales: Tensor
    bias: Tensor
    width: int

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor) -> Self:
        """The nearest to a layer of float32 weights (N, K)."""
        codes, scales = whole(weight)
        return cls(torch.ops.onednn.qlinear_prepack(codes, None), scales, bias, codes.shape[1])

    def __call__(self, x: Tensor) -> Tensor:
        """(n, N) of (n, K)."""
        if x.shape[1] < self.width:
            x = torch.nn.functional.pad(x, (0, 1))
        most = torch.maximum(x.amax(dim=1, keepdim=True), x.amin(dim=1, keepdim=True).neg_())
        steps = most.clamp_min_(_TINY).div_(_READ)
        # Torch rounds to signed bytes five times as quick as to others; flipping the highest bit adds _ZERO.
        read = (x / steps).round_().to(torch.int8).view(torch.uint8).bitwise_xor_(_ZERO)
        none = torch.zeros(len(self.scales), dtype=torch.int64)
        found = torch.ops.onednn.qlinear_pointwise(
            read, 1.0, _ZERO, self.codes, self.scales, none, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return torch.addcmul(self.bias, found, steps, out=found)


def whole(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (N, K) as int8 codes, K made even, and the step of each row, (N,)."""
    if weight.shape[1] % 2:
        weight = torch.nn.functional.pad(weight, (0, 1))
    pairs = weight.reshape(len(weight), -1, 2)
    largest = weight.abs().amax(dim=1) / _WEIGHT
    scales = torch.maximum(largest, pairs.abs().sum(dim=2).amax(dim=1) / _PAIR).clamp_min(_TINY)
    codes = (pairs / scales[:, None, None]).round_()
    # Rounding may have made a pair larger by one: the larger of the two is what that matters least to.
    over = (codes.abs().sum(dim=2, keepdim=True) - _PAIR).clamp_min_(0)
    larger = codes.abs().argmax(dim=2, keepdim=True)
    codes.scatter_add_(2, larger, -over * codes.gather(2, larger).sign())
    return codes.reshape(weight.shape).to(torch.int8), scales
