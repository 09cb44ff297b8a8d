"""Which of a computer's devices PyTorch can really use, and with how many threads."""

from __future__ import annotations

import platform
import threading
import warnings

import torch

from arxivcli.errors import UsageError


def usable(wanted: str) -> tuple[str, str]:
    """The kind of device to use, the CPU where all else fails, and what is wrong with the one that was wanted.

    CUDA, ROCm (which calls itself cuda), MPS and XPU are found by "auto"; a device that is there must also do a sum.
    """
    if wanted == "cpu":
        return "cpu", ""
    with warnings.catch_warnings(record=True) as said:  # PyTorch tells of a broken driver in a warning only
        warnings.simplefilter("always")
        found = torch.accelerator.current_accelerator(check_available=True)
    kind = "cpu" if found is None else found.type
    if kind == "cpu" or wanted not in {"auto", kind}:
        why = " ".join(str(said[0].message).split()) if said else ""
        if wanted != "auto":
            why = why or f"this PyTorch ({torch.__version__}) finds {'no GPU' if kind == 'cpu' else f'only {kind}'}"
        return "cpu", why
    try:
        torch.ones(8, device=kind).sum().item()
    except RuntimeError as error:
        return "cpu", f"{kind} is there but fails: {' '.join(str(error).split())}"
    return kind, ""


EIGHT_BITS = "cpu-int8"
"""The CPU, with the linear layers of a BERT in whole numbers of eight bits."""


def for_scoring(wanted: str) -> str:
    """The device to score on: the one asked for by name, or the best there is. Raises UsageError."""
    kind, trouble = (wanted, _no_eight_bits()) if wanted == EIGHT_BITS else usable(wanted)
    if trouble and wanted != "auto":
        raise UsageError(f"cannot score on {wanted}: {trouble}", "leave out --device")
    return kind


def _no_eight_bits() -> str:
    """Why this computer cannot, at least not quickly; nothing where it can."""
    if platform.machine().lower() not in {"x86_64", "amd64"} or torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        return "it takes an x86-64 processor with AVX2"
    usable = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return "" if usable else f"this PyTorch ({torch.__version__}) is without oneDNN"


class _OneThread:
    """Inside, by however many callers at once, PyTorch starts no threads of its own; afterwards as many as before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 1

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch.get_num_threads()
                torch.set_num_threads(1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.set_num_threads(self._before)


ONE_THREAD = _OneThread()
