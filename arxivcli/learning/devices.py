"""Devices, precision and processes: what there is, what was asked for, and what several processes agree on."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import torch
from accelerate.state import PartialState
from torch import distributed

from arxivcli import accelerators
from arxivcli.errors import TrainingError
from arxivcli.surroundings import Place, Precision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arxivcli.progress import Progress

_HINT = "see what `arxivcli doctor` says of it, or train with --device cpu"


def find(device: str, precision: str, progress: Progress, mixed_on_cpu: bool = False) -> Place:
    """This process's place: `device` (auto, cpu, cuda, mps, xpu) in `precision` (auto, fp32, bf16, fp16).

    Under `torchrun`, `accelerate launch` or `mpirun` the processes are joined first. What auto settles for is told:
    bf16 where the device is quicker in it, on CPUs only for models that want it (`mixed_on_cpu`).

    Raises:
        TrainingError: a device asked for by name cannot be used, or cannot do the precision.
    """
    kind, trouble = accelerators.usable(device)
    if trouble and device != "auto":
        raise TrainingError(f"cannot train on {device}: {trouble}", _HINT)
    state = PartialState(cpu=kind == "cpu") if _several() else None
    place = str(state.device) if state is not None else kind
    first = state is None or state.process_index == 0
    if first and (trouble or (kind == "cpu" and device == "auto")):
        progress.note(f"training on the CPU: {trouble or 'no GPU found'}")
    chosen = _precision(kind, precision, mixed_on_cpu)
    if kind == "cuda" and chosen == "fp32":
        torch.set_float32_matmul_precision("high")  # TF32: fp32 at tensor-core speed, with ten bits of mantissa
    if state is None:
        return Place(place, chosen)
    return Place(place, chosen, state.process_index, state.num_processes)


def _several() -> bool:
    """Whether a launcher has started this process as one of several."""
    names = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
    return any(os.environ.get(name, "1") not in {"", "1"} for name in names)


def _precision(kind: str, wanted: str, mixed_on_cpu: bool) -> Precision:
    bf16 = _has_bf16(kind)
    if wanted == "auto":
        quick = bf16 if kind != "cpu" else mixed_on_cpu and _cpu_multiplies_bf16()
        return "bf16" if quick else "fp32"
    if wanted == "bf16" and not bf16:
        raise TrainingError(f"{kind} here has no bf16", "choose --precision fp16 or fp32")
    return next(name for name in get_args(Precision) if name == wanted)


def _has_bf16(kind: str) -> bool:
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return kind in {"cpu", "xpu"}


def _cpu_multiplies_bf16() -> bool:
    """Whether the CPU has instructions for it, with which training is half as quick again; others are slower in it."""
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every PyTorch
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def agreed(number: int, place: Place) -> int:
    """The largest `number` any process says; every process must ask at the same step."""
    if place.processes == 1:
        return number
    told = torch.tensor([number], device=place.device)
    distributed.all_reduce(told, distributed.ReduceOp.MAX)
    return int(told.item())


def wait(place: Place) -> None:
    """Until all processes are here."""
    agreed(0, place)


@contextmanager
def together(place: Place) -> Iterator[None]:
    """Inside, processes may talk; afterwards this one is alone."""
    try:
        yield
    finally:
        if place.processes > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
            PartialState._reset_state()
