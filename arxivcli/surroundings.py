"""Where a model is trained: on which device and in which precision, with which caches, and who is watching."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from arxivcli.progress import Progress, Silent

if TYPE_CHECKING:
    from pathlib import Path

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Place:
    """One process's device and precision.

    Attributes:
        device: as PyTorch names it: "cpu", "cuda:1", "mps", "xpu:0".
        precision: of the arithmetic; weights are kept in fp32.
        rank: number of this process among those that train together; 0 writes and prints.
        processes: how many they are.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    rank: int = 0
    processes: int = 1


@dataclass(frozen=True)
class Surroundings:
    """What a model in training may use besides its settings and its papers.

    Attributes:
        cache: folder for what is costly to make again, shared by all runs; it may be gone or not writable.
    """

    cache: Path
    place: Place = Place()
    progress: Progress = field(default_factory=Silent)
