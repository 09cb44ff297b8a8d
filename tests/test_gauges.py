"""Readings of GPUs and the machine: true, off the training thread, silent where there is nothing to read."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from nvml import GIB

from arxivcli.learning import gauges
from arxivcli.learning.gauges import Gauges, Reading

if TYPE_CHECKING:
    from collections.abc import Callable

SHOW = """
import json, sys, time
import nvml
from arxivcli.learning.gauges import Gauges
{prepare}
with Gauges(seconds=0.05) as gauges:
    end = time.monotonic() + 20
    while not gauges.latest() and time.monotonic() < end:
        time.sleep(0.02)
    for reading in gauges.latest():
        print(reading)
    {then}
"""


def until(true: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def shown(prepare: str, then: str = "", **environment: str) -> tuple[list[str], str]:
    """Readings a process prints, and what is said on its stderr."""
    with tempfile.TemporaryDirectory() as folder:  # with LOGLEVEL=DEBUG nvitop leaves a log where it stands
        ran = subprocess.run(
            [sys.executable, "-c", SHOW.format(prepare=prepare, then=then)],
            capture_output=True,
            text=True,
            check=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)} | environment,
            timeout=60,
        )
    return ran.stdout.splitlines(), ran.stderr


def test_nvidias_gpus_are_read_through_their_driver() -> None:
    lines, said = shown("nvml.install(2)")
    assert lines == [
        str(Reading("GPU 0 NVIDIA H100 PCIe", 40, GIB, 80 * GIB, 30, 250.5)),
        str(Reading("GPU 1 NVIDIA H100 PCIe", 80, 2 * GIB, 80 * GIB, 60, None)),
    ]
    assert said == ""


@pytest.mark.parametrize("hidden", ["", "-1", "nonsense"])
def test_gpus_that_are_hidden_are_not_read(hidden: str) -> None:
    lines, said = shown("nvml.install(2)", CUDA_VISIBLE_DEVICES=hidden)
    assert [line.partition(",")[0] for line in lines] == ["Reading(name='CPU and RAM'"]
    assert said == ""


@pytest.mark.parametrize("prepare", ["", "nvml.install(2, loaded=False)"], ids=["no library", "no kernel module"])
def test_a_machine_without_a_driver_says_nothing_of_it(prepare: str) -> None:
    lines, said = shown(prepare, LOGLEVEL="DEBUG")
    assert [line.partition(",")[0] for line in lines] == ["Reading(name='CPU and RAM'"]
    assert said == ""


def test_a_gpu_that_falls_off_the_bus_has_no_reading_any_more(tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    then = f"""
    open({str(lost)!r}, "w").close()
    end = time.monotonic() + 20
    while gauges.latest()[0].name.startswith("GPU") and time.monotonic() < end:
        time.sleep(0.02)
    print(gauges.latest()[0].name)
"""
    lines, said = shown("nvml.install(1)", then, NVML_LOST=str(lost))
    assert lines[0].startswith("Reading(name='GPU 0 NVIDIA H100 PCIe'")
    assert lines[1:] == ["CPU and RAM"]
    assert said == ""


def card(drm: Path, name: str, vendor: str = gauges.AMD, **files: str) -> Path:
    """A graphics card as the amdgpu driver shows it; `__` in a name is a folder's end."""
    device = drm / name / "device"
    for path, content in {"vendor": vendor, **files}.items():
        file = device / path.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return device


def instinct(drm: Path, name: str) -> Path:
    return card(
        drm,
        name,
        product_name="AMD Instinct MI210",
        gpu_busy_percent="93",
        mem_info_vram_used=str(12 * GIB),
        mem_info_vram_total=str(64 * GIB),
        hwmon__hwmon4__power1_average="187000000",
        hwmon__hwmon4__temp1_input="61000",
    )


def test_amds_gpus_are_read_from_the_kernels_files(tmp_path: Path) -> None:
    instinct(tmp_path, "card1")
    card(tmp_path, "card0", vendor="0x1a03")  # the board's own graphics
    card(tmp_path, "card10", gpu_busy_percent="0", hwmon__hwmon0__power1_input="8000000")
    (tmp_path / "card1-DP-1").mkdir()
    (tmp_path / "renderD128").mkdir()
    assert gauges.amd(tmp_path)() == (
        Reading("GPU 0 AMD Instinct MI210", 93, 12 * GIB, 64 * GIB, pytest.approx(61), pytest.approx(187)),  # type: ignore[arg-type]
        Reading("GPU 1 AMD", 0, power=pytest.approx(8)),  # type: ignore[arg-type]
    )


def test_a_card_that_goes_away_has_no_reading(tmp_path: Path) -> None:
    device = instinct(tmp_path, "card0")
    read = gauges.amd(tmp_path)
    assert len(read()) == 1
    (device / "gpu_busy_percent").write_text("nonsense")
    (device / "hwmon" / "hwmon4" / "temp1_input").unlink()
    assert read()[0].figures().keys() == {"memory_used", "memory_total", "power"}
    device.rename(device.with_name("gone"))
    assert read() == ()


def test_where_the_files_are_hidden_pytorch_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_number: int) -> int:
        raise ModuleNotFoundError("No module named 'amdsmi'")

    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 1,
        get_device_name=lambda _: "AMD Radeon PRO W7900",
        mem_get_info=lambda _: (40 * GIB, 48 * GIB),
        utilization=fails,
        temperature=lambda _: 55,
        power_draw=lambda _: 120_000,
    )
    version = SimpleNamespace(hip="6.4")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(version=version, cuda=cuda))
    expected = Reading("GPU 0 AMD Radeon PRO W7900", None, 8 * GIB, 48 * GIB, 55, 120)
    assert gauges.amd(tmp_path / "nothing")() == (expected,)
    version.hip = None
    assert gauges.amd(tmp_path / "nothing")() == ()


def test_without_a_gpu_it_is_the_machine(tmp_path: Path) -> None:
    with Gauges(seconds=0.01, drm=tmp_path) as found:
        assert until(lambda: bool(found.latest()))
        (reading,) = found.latest()
    assert reading.name == "CPU and RAM"
    assert 0 <= reading.figures()["busy"] <= 100
    assert 0 < reading.figures()["memory_used"] < reading.figures()["memory_total"]


def test_a_training_on_the_cpu_is_shown_the_cpu(tmp_path: Path) -> None:
    instinct(tmp_path, "card0")
    names = []
    for gpus in (True, False):
        with Gauges(gpus=gpus, seconds=0.01, drm=tmp_path) as found:
            assert until(lambda found=found: bool(found.latest()))  # type: ignore[misc]
            names.append(found.latest()[0].name)
    assert names == ["GPU 0 AMD Instinct MI210", "CPU and RAM"]


def test_samples_come_from_a_thread_that_ends() -> None:
    before = threading.active_count()
    with Gauges(seconds=0.01) as found:
        assert until(lambda: bool(found.latest()))
        assert threading.active_count() == before + 1
        first = found.latest()
        assert until(lambda: found.latest() is not first)
    assert threading.active_count() == before


def test_a_driver_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(gauges, "_PATIENCE", 0.05)
    monkeypatch.setattr(gauges, "host", lambda: lambda: hanging.wait(20) and ())
    found = Gauges(gpus=False)
    found.start()
    began = time.monotonic()
    found.stop()
    assert time.monotonic() - began < 5
    assert found.latest() == ()
    hanging.set()
