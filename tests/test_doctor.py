"""`doctor`: what it sees of hardware and PyTorch, the command that mends it, and how it leaves."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from double.exchange import Answer, Request, page
from loopback import address, free_port, quiet_environment, site

from arxivcli import storage
from arxivcli.errors import FolderError, StorageError
from arxivcli.learning import hardware, logins
from arxivcli.learning.hardware import Build, Hardware, verdict
from arxivcli.steps import checkup

if TYPE_CHECKING:
    from collections.abc import Mapping

CUDA = Build("2.13.0+cu130", "CUDA", "13.0")
ROCM = Build("2.13.0+rocm6.4", "ROCm", "6.4")
CPU = Build("2.13.0+cpu")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quiet_environment(monkeypatch, tmp_path)
    for name in [name for name in os.environ if name.startswith(("WANDB_", "HF_", "CUDA_VISIBLE", "HIP_", "ROCR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def machine(root: Path, devices: Mapping[str, Mapping[str, str]], nodes: tuple[str, ...] = ()) -> Hardware:
    """What is found of PCI devices and device nodes, written as Linux shows them."""
    for name, files in devices.items():
        folder = root / "sys/bus/pci/devices" / name
        folder.mkdir(parents=True)
        for file, content in files.items():
            (folder / file).write_text(f"{content}\n")
    (root / "dev").mkdir(parents=True)
    for node in nodes:
        (root / "dev" / node).touch()
    return hardware.hardware(root)


NVIDIA = {"vendor": "0x10de", "class": "0x030200"}
SOUND = {"vendor": "0x10de", "class": "0x040300"}
INSTINCT = {"vendor": "0x1002", "class": "0x120000", "mem_info_vram_total": str(64 << 30)}
RYZEN = {"vendor": "0x1002", "class": "0x030000", "mem_info_vram_total": str(512 << 20)}


@pytest.mark.parametrize(
    ("devices", "nodes", "expected"),
    [
        ({}, (), Hardware()),
        ({"0000:01:00.0": NVIDIA, "0000:01:00.1": SOUND}, (), Hardware(("NVIDIA",))),
        ({"0000:01:00.1": SOUND}, (), Hardware()),
        ({"0000:01:00.0": NVIDIA}, ("nvidia0", "nvidiactl"), Hardware(("NVIDIA",), ("NVIDIA",))),
        ({}, ("nvidiactl",), Hardware(("NVIDIA",), ("NVIDIA",))),  # a container
        ({"0000:c1:00.0": INSTINCT}, (), Hardware(("AMD",))),
        ({"0000:c1:00.0": INSTINCT}, ("kfd",), Hardware(("AMD",), ("AMD",))),
        ({"0000:04:00.0": RYZEN}, ("kfd",), Hardware()),  # a processor's own graphics
        ({"0000:04:00.0": RYZEN, "0000:01:00.0": NVIDIA}, ("kfd", "nvidia0"), Hardware(("NVIDIA",), ("NVIDIA",))),
    ],
)
def test_gpus_are_seen_where_the_kernel_shows_them(
    tmp_path: Path, devices: dict[str, dict[str, str]], nodes: tuple[str, ...], expected: Hardware
) -> None:
    assert machine(tmp_path / "root", devices, nodes) == expected


def test_no_linux_no_gpus(tmp_path: Path) -> None:
    assert hardware.hardware(tmp_path / "nothing") == Hardware()


NVIDIAS, AMDS = Hardware(("NVIDIA",), ("NVIDIA",)), Hardware(("AMD",), ("AMD",))


@pytest.mark.parametrize(
    ("found", "build", "says", "mend"),
    [
        (NVIDIAS, CPU, "an NVIDIA GPU is here, but this PyTorch is a CPU build", "--torch-backend=auto"),
        (NVIDIAS, ROCM, "an NVIDIA GPU is here, but this PyTorch is a ROCm build", "--torch-backend=auto"),
        (AMDS, CPU, "an AMD GPU is here, but this PyTorch is a CPU build", "--torch-backend=auto"),
        (AMDS, CUDA, "an AMD GPU is here, but this PyTorch is a CUDA build", "--torch-backend=auto"),
        (NVIDIAS, Build("2", "CUDA", trouble="driver too old"), "GPU: driver too old", "--torch-backend=auto"),
        (AMDS, ROCM, "cannot use the AMD GPU", "--torch-backend=auto"),
        (Hardware(("NVIDIA",)), CPU, "its driver is not loaded", "--gpus all"),
        (Hardware(("AMD",)), ROCM, "its driver is not loaded", "--device /dev/kfd"),
        (NVIDIAS, Build("2", "CUDA", "13", ("Tesla P40",), ("Tesla P40",)), "no code for Tesla P40", "--torch-backend"),
    ],
)
def test_what_does_not_fit_is_said_with_the_command_that_mends_it(
    found: Hardware, build: Build, says: str, mend: str
) -> None:
    told = verdict(found, build)
    assert not told.fits
    assert says in told.says
    assert mend in told.mend


@pytest.mark.parametrize(
    ("found", "build", "says"),
    [
        (Hardware(), CPU, "none: models train and answer on the CPU"),
        (Hardware(), CUDA, "none: models train and answer on the CPU"),
        (Hardware(), Build("2.13.0", devices=("MPS",)), "MPS"),
        (NVIDIAS, Build("2", "CUDA", "13.0", ("H100", "H100")), "H100, H100"),
        (Hardware(("AMD", "NVIDIA"), ("NVIDIA", "AMD")), Build("2", "CUDA", "13.0", ("H100",)), "H100"),
    ],
)
def test_what_fits_is_left_alone(found: Hardware, build: Build, says: str) -> None:
    assert verdict(found, build) == hardware.Verdict(True, says)


@pytest.mark.parametrize(
    ("found", "build", "name"),
    [(NVIDIAS, CUDA, "CUDA_VISIBLE_DEVICES"), (AMDS, ROCM, "HIP_VISIBLE_DEVICES")],
)
def test_gpus_that_the_environment_hides(
    monkeypatch: pytest.MonkeyPatch, found: Hardware, build: Build, name: str
) -> None:
    monkeypatch.setenv(name, "-1")
    assert verdict(found, build) == hardware.Verdict(False, f"{name}=-1 hides the GPUs", f"unset {name}")


@pytest.mark.parametrize(
    ("code", "gpu", "runs"),
    [
        ("sm_80", (8, 6), True),
        ("sm_86", (8, 0), False),
        ("sm_75", (6, 1), False),
        ("sm_90a", (9, 0), True),
        ("sm_90", (10, 0), False),
        ("compute_90", (10, 0), True),
        ("sm_120", (12, 0), True),
        ("gfx90a", (9, 0), False),
    ],
)
def test_which_code_runs_on_which_gpu(code: str, gpu: tuple[int, int], runs: bool) -> None:
    assert hardware._runs(code, *gpu) is runs


@pytest.mark.parametrize(
    ("place", "begins"),
    [
        ("/Users/me/.local/share/uv/tools/arxivcli", "uv tool install {source} --reinstall --torch-backend=cu128"),
        (
            "/Users/me/.local/share/pipx/venvs/arxivcli",
            "pipx install {source} --force --backend uv --pip-args=--torch-backend=cu128",
        ),
        ("/Users/me/project/.venv", "uv pip install --python {python} --reinstall-package torch --torch-backend=cu128"),
    ],
)
def test_the_install_line_is_that_of_this_installation(
    monkeypatch: pytest.MonkeyPatch, place: str, begins: str
) -> None:
    monkeypatch.setattr(sys, "prefix", place)
    line = hardware.install_line("cu128")
    source = shlex.quote(str(Path(__file__).parents[1]))  # tests run from a checkout
    assert line.startswith(begins.format(source=source, python=shlex.quote(sys.executable)))


def test_the_pytorch_that_runs_these_tests_is_read() -> None:
    import torch

    found = hardware.build()
    assert found.version == torch.__version__
    assert (found.kind == "CUDA") == (torch.version.cuda is not None)
    assert bool(found.devices) == torch.accelerator.is_available()


def by_name(findings: list[checkup.Finding]) -> dict[str, checkup.Finding]:
    return {finding.check: finding for finding in findings}


CHECKS = [
    *("arxivcli", "python", "machine", "torch", "gpu", "built-in model", "wandb", "hub"),
    *("disk here", "disk of caches", "cache of arxivcli", "cache of the hub", "cache of wandb"),
]


def test_the_command_shows_everything_and_leaves_with_0(tmp_path: Path) -> None:
    shown = {}
    for flags in ((), ("--json",)):
        ran = subprocess.run(
            [sys.executable, "-m", "arxivcli", "doctor", *flags], capture_output=True, text=True, check=True
        )
        assert ran.stderr == ""
        shown[flags] = ran.stdout
    rows = json.loads(shown["--json",])
    assert [row["check"] for row in rows] == CHECKS
    assert {row["state"] for row in rows} <= {"ok", "note", "warning"}
    assert [line for check in CHECKS for line in shown[()].splitlines() if line.startswith(f"{check}  ")]
    assert "hub: unset HF_HUB_OFFLINE" in shown[()].splitlines()
    assert not (tmp_path / "cache").exists()


def hub(monkeypatch: pytest.MonkeyPatch, url: str) -> checkup.Finding:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    asking = checkup._Hub()
    asking.start()
    return asking.finding()


def test_a_hub_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as served:
        found = hub(monkeypatch, address(served, ""))
        assert (found.state, found.mend) == ("ok", "")
        assert found.found.startswith(f"http://127.0.0.1:{served.port} answers in ")


def test_a_hub_that_refuses_or_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_request: Request) -> Answer:
        return page(503, "text/plain", "no")

    with site(refuse) as served:
        found = hub(monkeypatch, address(served, ""))
    assert found.state == "warning"
    assert "status 503" in found.found
    gone = hub(monkeypatch, f"http://127.0.0.1:{free_port()}")
    assert gone.state == "warning"
    assert "Connection refused" in gone.found
    assert "--encoder FOLDER" in gone.mend


def test_a_hub_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def dawdle(_request: Request) -> Answer:
        time.sleep(3)
        return page(200, "text/plain", "at last")

    monkeypatch.setattr(checkup, "HUB_SECONDS", 0.3)
    began = time.monotonic()
    with site(dawdle) as served:
        found = hub(monkeypatch, address(served, ""))
        assert time.monotonic() - began < 2.5
    assert found.state == "warning"


def test_a_password_in_the_hubs_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = hub(monkeypatch, "http://me:hunter2@127.0.0.1:1")
    assert "hunter2" not in str(found.figures())


def test_a_damaged_model_is_6(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from arxivcli.models import shelf

    copy = tmp_path / "builtin"
    shutil.copytree(shelf.folder(shelf.BUILTIN), copy)
    monkeypatch.setattr(shelf, "folder", lambda _name: copy)
    assert checkup._builtin().state == "ok"
    with (copy / "README.md").open("a") as file:
        file.write("!")
    found = checkup._builtin()
    assert found.state == "broken"
    with pytest.raises(FolderError, match="sha256 expected"):
        checkup.judge([found])


def test_a_pytorch_that_cannot_be_loaded_is_6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as Python marks what must not be imported
    (found,) = checkup._pytorch()
    assert found.state == "broken"
    with pytest.raises(FolderError, match="PyTorch cannot be loaded") as caught:
        checkup.judge([found])
    assert caught.value.exit_code == 6


def test_disks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    places = {"disk here": tmp_path / "not" / "made"}
    (roomy,) = checkup._disks(places)
    assert roomy.state in {"ok", "warning"}
    assert str(places["disk here"]) in roomy.found
    assert not places["disk here"].exists()
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(checkup, "_TIGHT", free * 2)
    (tight,) = checkup._disks(places)
    assert (tight.state, tight.mend) == ("warning", "free some space")
    monkeypatch.setattr(checkup, "_FULL", free * 2)
    (full,) = checkup._disks(places)
    with pytest.raises(StorageError, match="is full") as caught:
        checkup.judge([roomy, full])
    assert caught.value.exit_code == 5


def test_a_cache_folder_that_can_be_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there_is_no_asking_after = tmp_path / ("x" * 300) / "arxivcli"
    assert [found.check for found in checkup._disks({"disk of caches": there_is_no_asking_after})] == ["disk of caches"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(there_is_no_asking_after))
    assert next(checkup._caches()).found == f"{storage.cache_folder()}: empty"
    (tmp_path / "file").write_text("mine")
    (found,) = checkup._disks({"disk of caches": tmp_path / "file" / "arxivcli"})
    assert (found.state, found.mend) == ("warning", "go elsewhere, or set XDG_CACHE_HOME to another disk")
    assert found.found.endswith("cannot be written")


def test_caches_are_measured_without_following_links(tmp_path: Path) -> None:
    folder = storage.cache_folder()
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "one").write_bytes(bytes(3_000_000))
    (folder / "link").symlink_to(folder / "deep" / "one")
    (tmp_path / "cache" / "wandb").mkdir()
    found = by_name(list(checkup._caches()))
    assert found["cache of arxivcli"].found == f"{folder}: 3.0 MB"
    assert found["cache of wandb"].found == f"{logins.cache_folder()}: 0.0 MB"


def test_broken_things_end_the_command_after_the_table(tmp_path: Path) -> None:
    """A torch that fails to load, as with a missing system library."""
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')\n")
    ran = subprocess.run(
        [sys.executable, "-m", "arxivcli", "doctor"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert ran.returncode == 6
    assert "broken" in ran.stdout
    assert "cache of wandb" in ran.stdout
    assert ran.stderr.startswith("error: PyTorch cannot be loaded: libcudart.so.13")
    assert len(ran.stderr.splitlines()) == 1
