"""A download that dies, is stopped or meets a full disk: the same call goes on, and the file is the same."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from double import Catalogue, Double, faults
from downloading import KILLED, Downloads
from loopback import quiet_environment
from snapshots import NOTE, PARTIAL, RECORD, ZIP, asked, got, names, refused, stops, storage, whole

from arxivcli.errors import StorageError
from arxivcli.sources import partial
from arxivcli.sources.snapshot import standing
from arxivcli.storage import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_environment(monkeypatch, tmp_path_factory.mktemp("alone"))


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(Catalogue(300)) as served:
        yield served


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downloads]:
    with pytest.MonkeyPatch.context() as patched:
        quiet_environment(patched, tmp_path_factory.mktemp("downloads"))
        process = Downloads()
    yield process
    process.close()


# Sudden deaths


def is_as_recorded(file: Path) -> bool:
    md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).digest()
    return json.loads((file.parent / RECORD).read_text())["md5"] == base64.b64encode(md5).decode()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_a_killed_download_is_gone_on_with(double: Double, tmp_path: Path, downloads: Downloads, share: float) -> None:
    size = double.snapshot.stored().size
    here = min(int(size * share), size - 1)
    double.faults.add(stops(here, "hang"), site="storage")
    child = downloads.begin(double.snapshot_url, tmp_path, hosts=[storage(double)])
    if here:
        wait_for(lambda: (tmp_path / PARTIAL).exists() and (tmp_path / PARTIAL).stat().st_size == here)
    else:
        wait_for(lambda: any(entry.status for entry in double.log.of("storage")))
    os.kill(child, signal.SIGKILL)
    assert downloads.end() == KILLED
    assert not (tmp_path / ZIP).exists()
    assert downloads.run(double.snapshot_url, tmp_path, hosts=[storage(double)]) == ZIP
    assert (tmp_path / ZIP).read_bytes() == whole(double)
    assert names(tmp_path) == {ZIP, RECORD}
    assert asked(double) == [None, f"bytes={here}-" if here else None]


def test_death_at_any_moment(double: Double, tmp_path: Path, downloads: Downloads) -> None:
    """At 25 random ones; after each success there is another version."""
    chance = random.Random(3)
    wishes = {"hosts": [storage(double)], "sync": 20_000}
    double.faults.add(faults.drip(4_000, 0.01), site="storage", times=None)
    began = time.monotonic()
    assert downloads.run(double.snapshot_url, tmp_path / "undisturbed", **wishes) == ZIP
    long = time.monotonic() - began
    double.log.clear()
    folder = tmp_path / "disturbed"
    for _ in range(25):
        ended = downloads.run(double.snapshot_url, folder, death=chance.random() * long, **wishes)
        assert ended in {ZIP, KILLED}
        if (there := standing(folder)) and not (folder / PARTIAL).exists():
            assert is_as_recorded(there.file)
        if ended == ZIP:
            double.catalogue.add(20)
            double.snapshot.publish()
    double.faults.clear()
    assert downloads.run(double.snapshot_url, folder, **wishes) == ZIP
    assert (folder / ZIP).read_bytes() == whole(double)
    assert {name.removesuffix(".partial") for name in names(folder)} <= {ZIP, RECORD, NOTE}
    assert any(asked(double))


def test_death_before_every_change_of_the_disk(double: Double, tmp_path: Path, downloads: Downloads) -> None:
    """While a new version takes the place of an old one."""
    wishes = {"hosts": [storage(double)], "sync": 40_000}
    assert downloads.run(double.snapshot_url, tmp_path / "template", **wishes) == ZIP
    old = whole(double)
    double.catalogue.add(3)
    double.snapshot.publish()
    ended, deaths = KILLED, -1
    while ended == KILLED:
        deaths += 1
        folder = shutil.copytree(tmp_path / "template", tmp_path / str(deaths))
        ended = downloads.run(double.snapshot_url, folder, crash=deaths, **wishes)
        assert (folder / ZIP).read_bytes() in {old, whole(double)}
        if ended == KILLED:
            assert downloads.run(double.snapshot_url, folder, **wishes) == ZIP
        assert (folder / ZIP).read_bytes() == whole(double)
        assert is_as_recorded(folder / ZIP)
        assert names(folder) <= {ZIP, RECORD, NOTE, NOTE + ".partial"}
    assert ended == ZIP
    assert deaths > 15


def test_an_interrupt_ends_it_at_once(double: Double, tmp_path: Path, downloads: Downloads) -> None:
    double.faults.add(stops(9_000, "hang"), site="storage")
    child = downloads.begin(double.snapshot_url, tmp_path, hosts=[storage(double)])
    wait_for(lambda: (tmp_path / PARTIAL).exists() and (tmp_path / PARTIAL).stat().st_size == 9_000)
    began = time.monotonic()
    os.kill(child, signal.SIGINT)
    assert downloads.end() == "KeyboardInterrupt:"
    assert time.monotonic() - began < 1
    assert json.loads((tmp_path / NOTE).read_text())["offset"] == 9_000
    assert got(double, tmp_path)[0].file.read_bytes() == whole(double)


# The disk


def test_a_limit_of_the_disk_is_said_and_gone_on_from(double: Double, tmp_path: Path, downloads: Downloads) -> None:
    said = downloads.run(double.snapshot_url, tmp_path, hosts=[storage(double)], limit=12_345)
    assert said.startswith(f"StorageError: cannot write {tmp_path}: File too large")
    assert (tmp_path / PARTIAL).stat().st_size == 12_345
    assert got(double, tmp_path)[0].file.read_bytes() == whole(double)
    assert asked(double) == [None, "bytes=12345-"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_said_and_gone_on_from(double: Double, small_disk: Path) -> None:
    assert whole(double)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(40 << 10))
    error = refused(double, small_disk, code=5)
    assert error.what == f"cannot write {small_disk}: the disk is full"
    assert names(small_disk) == {"filler", PARTIAL, NOTE}
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    double.log.clear()
    assert got(double, small_disk)[0].file.read_bytes() == whole(double)
    assert asked(double)[0] is not None
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    double.catalogue.add(1)
    double.snapshot.publish()
    assert "the file system is read-only" in refused(double, small_disk, code=5).what


def test_places_where_nothing_can_be_written(double: Double, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "in it", tmp_path / ("x" * 300)):
        assert isinstance(refused(double, folder, code=5), StorageError)
    assert len(double.log) == 0


def test_what_is_safe_on_the_disk_is_noted_now_and_then(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "_SYNC", 10_000)
    noted: list[int] = []

    def noting(path: Path, content: bytes) -> None:
        noted.append(json.loads(content)["offset"])
        write_whole(path, content)

    monkeypatch.setattr(partial, "write_whole", noting)
    double.faults.add(faults.drip(1_000, 0.0001), site="storage")
    found, _ = got(double, tmp_path)
    assert noted[0] == 0
    assert noted[-1] == found.size
    assert len(noted) >= found.size // 20_000
    assert noted == sorted(noted)
