"""A double of NVIDIA's driver library, under the real pynvml and nvitop; `install` it in a process of its own.

    python -c "import nvml; nvml.install(2); ..."

While a file named by NVML_LOST exists its GPUs have fallen off the bus.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

LOST, NOT_SUPPORTED, NOT_LOADED = 15, 3, 9
GIB = 1 << 30


class Library:
    """What ctypes would load; GPU n is n + 1 times as busy and warm as the first, and the last has no power meter."""

    def __init__(self, gpus: int, loaded: bool) -> None:
        self.gpus = gpus
        self.loaded = loaded

    def nvmlInitWithFlags(self, _flags: int) -> int:  # noqa: N802  the library's own names
        return 0 if self.loaded else NOT_LOADED

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0

    def nvmlSystemGetDriverVersion(self, version: Any, _size: Any) -> int:  # noqa: N802
        version.value = b"580.65.06"
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.gpus
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:  # noqa: N802
        import ctypes

        ctypes.memmove(ctypes.addressof(handle._obj), ctypes.byref(ctypes.c_void_p(index.value + 1)), 8)
        return 0

    def nvmlDeviceGetName(self, _handle: Any, name: Any, _size: Any) -> int:  # noqa: N802
        name.value = b"NVIDIA H100 PCIe"
        return self._gone()

    def nvmlDeviceGetUtilizationRates(self, handle: Any, rates: Any) -> int:  # noqa: N802
        rates._obj.gpu, rates._obj.memory = 40 * number(handle), 10
        return self._gone()

    def nvmlDeviceGetMemoryInfo_v2(self, handle: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.total, memory._obj.used, memory._obj.free = 80 * GIB, number(handle) * GIB, 0
        return self._gone()

    def nvmlDeviceGetTemperature(self, handle: Any, _sensor: Any, degrees: Any) -> int:  # noqa: N802
        degrees._obj.value = 30 * number(handle)
        return self._gone()

    def nvmlDeviceGetPowerUsage(self, handle: Any, milliwatts: Any) -> int:  # noqa: N802
        milliwatts._obj.value = 250_500
        return NOT_SUPPORTED if number(handle) == self.gpus else self._gone()

    def _gone(self) -> int:
        return LOST if Path(os.environ.get("NVML_LOST", "/nowhere")).exists() else 0


def number(handle: Any) -> int:
    """1 for the first GPU."""
    import ctypes

    return int(ctypes.cast(handle, ctypes.c_void_p).value or 0)


def install(gpus: int, *, loaded: bool = True) -> None:
    """From now on pynvml finds this library; the kernel's part of the driver may be missing."""
    import pynvml

    pynvml.nvmlLib = Library(gpus, loaded)
