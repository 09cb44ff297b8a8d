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
_WEIGHT = 127
_PAIR = 128
"""No two weights that follow each other are larger together. Processors without VNNI multiply two numbers of eight
bits, made positive, by two weights, and add both up in sixteen bits: 255 times this is what fits there.
"""
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class EightBits:
    """`x @ weight.T + bias` (n, N) of x (n, K): `codes` (N, K) int8, each row in steps of `scales` (N,); bias (N,)."""

    codes: Tensor
    scales: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor) -> Self:
        """The nearest to a layer of float32 weights (N, K)."""
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
        return cls(codes.reshape(weight.shape).to(torch.int8), scales, bias)

    def __call__(self, x: Tensor) -> Tensor:
        """(n, N) of (n, K)."""
        if x.shape[1] < self.codes.shape[1]:
            x = torch.nn.functional.pad(x, (0, 1))
        steps = x.abs().amax(dim=1, keepdim=True).clamp_min_(_TINY).div_(_READ)
        whole = (x / steps).round_().to(torch.int8)
        found = torch._int_mm(whole, self.codes.t()).float().mul_(steps)
        return torch.addcmul(self.bias, found, self.scales, out=found)

    def part(self, start: int, end: int) -> Self:
        """The layer of these outputs alone."""
        return type(self)(self.codes[start:end], self.scales[start:end], self.bias[start:end])
