"""Whether the PyTorch that is installed fits the GPUs that are there, and which command mends it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from arxivcli.learning import kernel

_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD"}
_CLASSES = ("0x03", "0x12")
"""Of PCI devices: display controllers, and accelerators without a display."""

_LEAST_MEMORY = 4 << 30
"""Bytes below which an AMD GPU is a processor's own graphics, which nobody trains on."""

_BUILDS = {"NVIDIA": "CUDA", "AMD": "ROCm"}
_HIDING = {"NVIDIA": ("CUDA_VISIBLE_DEVICES",), "AMD": ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")}


@dataclass(frozen=True)
class Hardware:
    """GPUs that the kernel shows.

    Attributes:
        cards: Vendors (NVIDIA, AMD) with a card on the bus.
        drivers: Vendors whose driver is loaded and within reach.
    """

    cards: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Build:
    """The PyTorch that is installed.

    Attributes:
        version: As it names itself.
        kind: CPU, CUDA, ROCm or XPU; a CPU build on a Mac may have MPS.
        runtime: Version of CUDA or ROCm it was built with.
        devices: GPUs it can use, by name.
        too_new_for: Of these, the ones it has no code for.
        trouble: What it says about GPUs that it cannot use.
    """

    version: str
    kind: str = "CPU"
    runtime: str = ""
    devices: tuple[str, ...] = ()
    too_new_for: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Verdict:
    """What to make of hardware and build: whether something should be done, and what."""

    fits: bool
    says: str
    mend: str = ""


def hardware(root: Path = Path("/")) -> Hardware:
    """The GPUs that Linux shows under `root`; on other systems none."""
    cards = {vendor for device in kernel.entries(root / "sys/bus/pci/devices") if (vendor := _vendor(device))}
    names = {path.name for path in kernel.entries(root / "dev")}
    if names & {"nvidiactl", "nvidia0"}:
        cards.add("NVIDIA")
    drivers = [("NVIDIA", bool(names & {"nvidiactl", "nvidia0"})), ("AMD", "kfd" in names and "AMD" in cards)]
    return Hardware(tuple(sorted(cards)), tuple(vendor for vendor, there in drivers if there))


def _vendor(device: Path) -> str:
    """Who made a PCI device, when it is a GPU that one would train on."""
    vendor = _VENDORS.get(kernel.line(device / "vendor"), "")
    memory = kernel.line(device / "mem_info_vram_total")  # the amdgpu driver's
    small = memory.isdecimal() and int(memory) < _LEAST_MEMORY
    return vendor if kernel.line(device / "class").startswith(_CLASSES) and not small else ""


def build() -> Build:
    """The PyTorch of this program. Raises ImportError or OSError when it cannot be loaded."""
    import torch  # noqa: PLC0415  seconds that only those pay who ask

    runtime, kind = next(
        ((str(version), name) for name, version in _runtimes(torch.version).items() if version), ("", "CPU")
    )
    with warnings.catch_warnings(record=True) as said:  # a broken driver is told of in a warning only
        warnings.simplefilter("always")
        found = torch.accelerator.current_accelerator(check_available=True)
    trouble = " ".join(str(said[0].message).split()) if said else ""
    if found is None:
        return Build(torch.__version__, kind, runtime, trouble=trouble)
    if found.type != "cuda":
        return Build(torch.__version__, kind, runtime, (found.type.upper(),), trouble=trouble)
    known = set(torch.cuda.get_arch_list())
    names, strangers = [], []
    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(number)
        names.append(card.name)
        if kind == "CUDA" and not any(_runs(code, card.major, card.minor) for code in known):
            strangers.append(card.name)
    return Build(torch.__version__, kind, runtime, tuple(names), tuple(strangers), trouble)


def _runtimes(version: Any) -> dict[str, str | None]:
    return {"ROCm": version.hip, "CUDA": version.cuda, "XPU": getattr(version, "xpu", None)}


def _runs(code: str, major: int, minor: int) -> bool:
    """Whether code for `sm_86` or `compute_90` runs on a GPU: of its major version, or made anew for any later one."""
    kind, _, number = code.rstrip("af").partition("_")
    if not number.isdecimal():
        return False
    of = divmod(int(number), 10)
    return of <= (major, minor) if kind == "compute" else of[0] == major and of[1] <= minor


def verdict(found: Hardware, torch: Build) -> Verdict:
    """Whether the build fits the hardware, in words, with the command that mends it when it does not."""
    for vendor in found.drivers:
        if torch.kind != _BUILDS[vendor] and not torch.devices:
            return Verdict(
                False, f"an {vendor} GPU is here, but this PyTorch is a {torch.kind} build", install_line("auto")
            )
    if torch.too_new_for:
        names = ", ".join(sorted(set(torch.too_new_for)))
        return Verdict(False, f"this PyTorch has no code for {names}", install_line("auto"))
    if torch.devices:
        return Verdict(True, ", ".join(torch.devices))
    for vendor in found.drivers:
        return _unusable(vendor, torch)
    for vendor in found.cards:
        return Verdict(
            False,
            f"an {vendor} card is on the bus, but its driver is not loaded, or out of this container's reach",
            "docker run --gpus all …" if vendor == "NVIDIA" else "docker run --device /dev/kfd --device /dev/dri …",
        )
    return Verdict(True, "none: models train and answer on the CPU")


def _unusable(vendor: str, torch: Build) -> Verdict:
    """Why a GPU with a driver and the right PyTorch is not used."""
    for name in _HIDING[vendor]:
        if name in os.environ:
            return Verdict(False, f"{name}={os.environ[name]} hides the GPUs", f"unset {name}")
    if vendor == "AMD" and Path("/dev/kfd").exists() and not os.access("/dev/kfd", os.R_OK | os.W_OK):
        return Verdict(False, "no permission for /dev/kfd", "sudo usermod -aG render,video $USER")
    says = f"PyTorch {torch.version} cannot use the {vendor} GPU"
    return Verdict(False, f"{says}: {torch.trouble}" if torch.trouble else says, install_line("auto"))


def install_line(backend: str) -> str:
    """The command that gives this very installation PyTorch's build for `backend` (auto, cpu, cu128, ...)."""
    source, place = shlex.quote(_source()), Path(sys.prefix)
    if place.parent.name == "tools" and place.parent.parent.name == "uv":
        return f"uv tool install {source} --reinstall --torch-backend={backend}"
    if place.parent.name == "venvs" and "pipx" in place.parts:
        return f"pipx install {source} --force --backend uv --pip-args=--torch-backend={backend}"
    python = shlex.quote(sys.executable)
    return f"uv pip install --python {python} --reinstall-package torch --torch-backend={backend} torch"


def _source() -> str:
    """Where this program was installed from: a folder, or its name for a package index (PEP 610)."""
    origin = importlib.metadata.distribution("arxivcli").read_text("direct_url.json")
    url = urlsplit(json.loads(origin)["url"]) if origin else None
    return unquote(url.path) if url is not None and url.scheme == "file" else "arxivcli"
