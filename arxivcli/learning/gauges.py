"""What GPUs and the machine say while a model learns: how busy, how full, how warm, how many watts."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from arxivcli.learning import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arxivcli.learning.loop import Epoch

    Source = Callable[[], tuple["Reading", ...]]

SECONDS = 1.0
"""Between two samples."""

DRM = Path("/sys/class/drm")
"""Where Linux lists graphics cards."""

AMD = "0x1002"
"""AMD's PCI vendor id."""

_PATIENCE = 2.0  # seconds that a driver which hangs may hold up the end of a training
_CARD = re.compile(r"card\d+")


@dataclass(frozen=True)
class Reading:
    """What one device says at one moment; None is what it does not tell.

    Attributes:
        name: The device, as people know it.
        busy: Percent of the time it was at work.
        memory_used: Bytes.
        memory_total: Bytes.
        temperature: Degrees Celsius.
        power: Watts.
    """

    name: str
    busy: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: float | None = None
    power: float | None = None

    def figures(self) -> dict[str, float]:
        """The figures it tells, by name."""
        told = {name: value for name, value in vars(self).items() if name != "name"}
        return {name: float(value) for name, value in told.items() if value is not None}


class Gauges:
    """Samples on a thread of its own, between `start` and `stop` or inside `with`; a driver that fails says nothing.

    As an observer of a training it samples while that lasts, and only the machine when it runs on the CPU.

    Args:
        gpus: Whether to look for GPUs; without any, and where none answers, it is the machine itself.
        seconds: Between two samples.
        drm: Where Linux lists graphics cards.
    """

    def __init__(self, *, gpus: bool = True, seconds: float = SECONDS, drm: Path = DRM) -> None:
        self._gpus = gpus
        self._seconds = seconds
        self._drm = drm
        self._latest: tuple[Reading, ...] = ()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="gauges", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """No more samples; a driver that hangs is not waited for."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)

    def latest(self) -> tuple[Reading, ...]:
        """The newest readings, one a device; none before the first sample."""
        return self._latest

    def began(self, facts: dict[str, Any]) -> None:
        """Sample what the training runs on."""
        self._gpus = facts.get("device", "cpu") != "cpu"
        self.start()

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """Nothing to do: samples come from the thread."""

    def epoch_ended(self, epoch: Epoch) -> None:
        """Nothing to do."""

    def finished(self, folder: Path, card: Any) -> None:  # noqa: ARG002  an observer's
        """No more samples."""
        self.stop()

    def stopped(self) -> None:
        """No more samples."""
        self.stop()

    def _watch(self) -> None:
        sources = [nvidia(), amd(self._drm)] if self._gpus else []
        machine = host()
        self._stopped.wait(min(self._seconds, 0.2))  # how busy a processor is shows over some time only
        while not self._stopped.is_set():
            read = (source() for source in sources)
            self._latest = next((readings for readings in read if readings), ()) or machine()
            self._stopped.wait(self._seconds)


def host() -> Source:
    """Reads the machine: its processors together, and its memory."""
    from nvitop import host as machine  # noqa: PLC0415  every command would pay for it

    machine.cpu_percent()  # the first answer is always 0: it is counted from call to call

    def read() -> tuple[Reading, ...]:
        memory = machine.virtual_memory()
        return (Reading("CPU and RAM", machine.cpu_percent(), memory.total - memory.available, memory.total),)

    return read


def nvidia() -> Source:
    """Reads NVIDIA's GPUs, those that CUDA_VISIBLE_DEVICES leaves; nothing where there is no driver."""
    errors = _nvml_errors()
    devices = _nvidia_devices(errors)

    def reading(number: int, device: Any) -> Reading | None:
        try:
            memory, milliwatts = device.memory_info(), _number(device.power_usage())
            found = Reading(
                f"GPU {number} {device.name()}",
                _number(device.gpu_utilization()),
                _number(memory.used),
                _number(memory.total),
                _number(device.temperature()),
                None if milliwatts is None else milliwatts / 1000,
            )
        except errors:
            return None
        return found if found.figures() else None

    return lambda: _without_none(reading(number, device) for number, device in enumerate(devices))


def nvidia_driver() -> str | None:
    """Version of NVIDIA's driver, None when it is not there or does not answer."""
    errors = _nvml_errors()
    if not _nvidia_devices(errors):
        return None
    from nvitop import Device  # noqa: PLC0415

    version = Device.driver_version()
    return version if version and version != "N/A" else None


def _nvml_errors() -> tuple[type[Exception], ...]:
    """What NVIDIA's library raises when it has nothing to say; AttributeError when another pynvml is in its place."""
    import pynvml  # noqa: PLC0415

    return (pynvml.NVMLError, AttributeError, OSError)


def _nvidia_devices(errors: tuple[type[Exception], ...]) -> list[Any]:
    """nvitop's devices. It is asked only where there is a driver: it would print a page about a missing one."""
    import pynvml  # noqa: PLC0415
    from nvitop import Device  # noqa: PLC0415

    logging.getLogger("nvitop.api.libnvml").disabled = True
    try:
        pynvml.nvmlInit()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return list(Device.all() if visible is None else Device.from_cuda_visible_devices())
    except errors:
        return []


def _number(told: Any) -> Any:
    """The number that was told; None for nvitop's NA, which is a kind of string."""
    return told if isinstance(told, int | float) else None


def amd(drm: Path = DRM) -> Source:
    """Reads AMD's GPUs from the kernel's files, or where these are hidden through PyTorch; nothing without any."""
    cards = sorted((p for p in kernel.entries(drm) if _CARD.fullmatch(p.name)), key=lambda p: int(p.name[4:]))
    devices = [card / "device" for card in cards if kernel.line(card / "device" / "vendor") == AMD]

    def read() -> tuple[Reading, ...]:
        return _without_none(_card(number, device) for number, device in enumerate(devices)) or _through_torch()

    return read


def _card(number: int, device: Path) -> Reading | None:
    """A card's reading by the files of the amdgpu driver."""
    monitors = [p for p in kernel.entries(device / "hwmon") if p.name.startswith("hwmon")]
    sensors = monitors[0] if monitors else device
    watts = _scaled(sensors / "power1_average", 1e-6)
    found = Reading(
        f"GPU {number} {kernel.line(device / 'product_name') or 'AMD'}",
        _scaled(device / "gpu_busy_percent"),
        _int(device / "mem_info_vram_used"),
        _int(device / "mem_info_vram_total"),
        _scaled(sensors / "temp1_input", 1e-3),
        _scaled(sensors / "power1_input", 1e-6) if watts is None else watts,  # newer cards have no average
    )
    return found if found.figures() else None


def _through_torch() -> tuple[Reading, ...]:
    """The readings PyTorch has of AMD's GPUs, once a training has opened them."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.version.hip or not torch.cuda.is_initialized():
        return ()

    def asked(question: Callable[[int], Any], number: int) -> Any:
        try:
            return question(number)
        except (RuntimeError, ImportError, AttributeError, OSError):  # AMD's library is missing, or has lost the card
            return None

    found = []
    for number in range(torch.cuda.device_count()):
        free, total = asked(torch.cuda.mem_get_info, number) or (None, None)
        milliwatts = asked(torch.cuda.power_draw, number)
        found.append(
            Reading(
                f"GPU {number} {asked(torch.cuda.get_device_name, number) or 'AMD'}",
                asked(torch.cuda.utilization, number),
                None if free is None else total - free,
                total,
                asked(torch.cuda.temperature, number),
                None if milliwatts is None else milliwatts / 1000,
            )
        )
    return tuple(reading for reading in found if reading.figures())


def _without_none(readings: Iterator[Reading | None]) -> tuple[Reading, ...]:
    return tuple(reading for reading in readings if reading is not None)


def _int(path: Path) -> int | None:
    said = kernel.line(path)
    return int(said) if said.lstrip("-").isdecimal() else None


def _scaled(path: Path, unit: float = 1.0) -> float | None:
    said = _int(path)
    return None if said is None else said * unit
