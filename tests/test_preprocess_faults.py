"""preprocess under fire: whatever happens, nothing half-done looks finished, and the same command ends the same way."""

import errno
import gzip
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prepared
import pytest
from invented import records

from arxivcli.errors import ArxivcliError, StorageError
from arxivcli.steps.preprocessing import Recipe, crew, preprocess, shelving, units

# The real program, with units so small that a few papers make many of them.
PROGRAM = """
import sys
from arxivcli.steps.preprocessing import shelving, units
units.UNIT_BYTES, units._CHUNK, units._BATCH, shelving.ENOUGH = 20_000, 3_000, 20, 20
from arxivcli.cli.app import main
try:
    main()
finally:
    # Not getrusage: its maximum is inherited from the process that started this one.
    peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
    print(int(peak.split()[1]) // 1024, file=sys.stderr)
"""


def started(source: Path | str, folder: Path, *options: str, **settings: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, "preprocess", str(source), "-o", str(folder), *options]
    settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    start = settings.pop("start", prepared.Popen)
    return start(command, text=True, start_new_session=True, **settings)


def finished(source: Path | str, folder: Path, *options: str, **settings: Any) -> tuple[int, str]:
    """Exit code and what was said."""
    process = started(source, folder, *options, **settings)
    _, said = process.communicate(timeout=120)
    assert "Traceback" not in said
    wait_until_alone(process.pid)
    return process.returncode, said


def session(leader: int) -> list[str]:
    """The processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = path.read_text().rsplit(")", 1)
        except OSError:
            continue
        state, _, _, its_session = rest.split()[:4]
        if int(its_session) == leader and state != "Z":
            found.append(name)
    return found


def wait_until_alone(leader: int) -> None:
    deadline = time.monotonic() + 10
    while session(leader):
        assert time.monotonic() < deadline, session(leader)
        time.sleep(0.02)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few hundred papers, some twice, in about twenty units."""
    path = tmp_path_factory.mktemp("source") / "papers.jsonl"
    papers = records(600) + [paper | {"title": "Newer", "update_date": "2026-01-01"} for paper in records(600)[::7]]
    path.write_text("".join(json.dumps(paper) + "\n" for paper in papers))
    return path


@pytest.fixture(scope="module")
def golden(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("golden") / "out"
    code, said = finished(source, folder, "--workers", "1")
    assert (code, "saved" in said) == (0, True)
    return everything(folder)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_anywhere_it_ends_with_the_same_bytes(
    workers: str, source: Path, golden: dict[str, bytes], tmp_path: Path
) -> None:
    chance = random.Random(workers)
    for attempt in range(2):
        folder = tmp_path / str(attempt)
        for _ in range(3):
            process = started(source, folder, "--workers", workers)
            deadline = time.monotonic() + 20
            while not (folder / ".staging").exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.4 if workers == "1" else 1.5))
            process.kill()
            process.communicate()
            wait_until_alone(process.pid)
            assert not (folder / "manifest.json").exists() or not (
                everything(folder).keys() ^ golden.keys()
            ) - leftovers(folder)
        assert finished(source, folder, "--workers", workers)[0] == 0
        assert everything(folder) == golden


def leftovers(folder: Path) -> set[str]:
    """Scaffolding that a kill may leave beside a finished corpus."""
    return {name for name in everything(folder) if name.startswith(".")}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal_it_keeps_its_state(
    number: signal.Signals, code: int, source: Path, golden: dict[str, bytes], tmp_path: Path
) -> None:
    process = started(source, tmp_path / "out", "--workers", "2")
    while not list((tmp_path / "out").glob(".staging/unit-*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=10)
    assert "Traceback" not in said, said
    assert process.returncode == code
    wait_until_alone(process.pid)
    assert not (tmp_path / "out/manifest.json").exists()
    code, said = finished(source, tmp_path / "out")
    assert (code, "taking up the interrupted run" in said) == (0, True)
    assert everything(tmp_path / "out") == golden


def test_ctrl_c_while_its_workers_begin_is_one_line(source: Path, tmp_path: Path) -> None:
    process = started(source, tmp_path / "out", "--workers", "2")
    while len(session(process.pid)) < 3:  # itself, who looks after shared memory, a worker that imports
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(0.15)  # it imports
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said.splitlines()[-2]) == (130, "error: interrupted")
    assert "Traceback" not in said
    wait_until_alone(process.pid)


class FailingDisk:
    """A disk that is full at the n-th call that writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = self.fails_at = 0
        monkeypatch.setattr(os, "fsync", lambda _: None)  # no power cut is played here, and the real one is slow
        for owner, name in ((os, "fsync"), (os, "link"), (Path, "replace"), (Path, "mkdir"), (Path, "open")):
            monkeypatch.setattr(owner, name, self._failing(getattr(owner, name)))

    def _failing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if original.__name__ != "open" or "w" in "".join(map(str, args[1:])):
                self.calls += 1
                if self.calls == self.fails_at:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*args, **options)

        return call


def test_a_disk_that_is_full_at_any_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "UNIT_BYTES", 15_000)
    monkeypatch.setattr(shelving, "ENOUGH", 20)
    source = tmp_path / "papers.jsonl"
    source.write_text("".join(json.dumps(paper) + "\n" for paper in records(60)))
    preprocess([source], tmp_path / "golden", Recipe(), workers=1)
    disk = FailingDisk(monkeypatch)
    for number in range(1, 1000):
        folder = tmp_path / str(number)
        disk.calls, disk.fails_at = 0, number
        try:
            preprocess([source], folder, Recipe(), workers=1)
        except StorageError as error:
            assert "disk is full" in error.what  # noqa: PT017
        if disk.calls < number:
            break
        disk.fails_at = 0
        preprocess([source], folder, Recipe(), workers=1)
        assert everything(folder) == everything(tmp_path / "golden")
    assert number > 30


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_in_a_worker_is_exit_5(source: Path, golden: dict[str, bytes], tmp_path: Path) -> None:
    code, said = finished(source, tmp_path / "out", preexec_fn=limited(3_000))
    assert code == 5
    assert re.search(r"error: cannot write .*: File too large; run the same command again", said)
    assert not (tmp_path / "out/manifest.json").exists()
    assert finished(source, tmp_path / "out")[0] == 0
    assert everything(tmp_path / "out") == golden


def test_outputs_that_cannot_be(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file/below", tmp_path / ("x" * 300)):
        code, said = finished(source, folder)
        assert (code, said.startswith("error: cannot write")) == (5, True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati"},
        {"PYTHONHASHSEED": "77", "LC_ALL": "C", "TZ": "America/Lima"},
    ],
)
def test_surroundings_make_no_difference(
    environment: dict[str, str], source: Path, golden: dict[str, bytes], tmp_path: Path
) -> None:
    assert finished(source, tmp_path / "out", "--workers", "3", env=os.environ | environment)[0] == 0
    assert everything(tmp_path / "out") == golden


def test_a_damaged_archive_is_exit_3_and_nothing_is_final(source: Path, tmp_path: Path) -> None:
    packed = gzip.compress(source.read_bytes())
    for name, content in {"cut": packed[: len(packed) // 2], "flipped": packed[:-9] + bytes(5) + packed[-4:]}.items():
        (tmp_path / name).write_bytes(content)
        code, said = finished(tmp_path / name, tmp_path / "out" / name)
        assert (code, "damaged or cut off" in said) == (3, True)
        assert not list((tmp_path / "out" / name).glob("[a-z]*"))
        assert (tmp_path / name).read_bytes() == content


def test_an_endless_line_costs_no_memory(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.truncate(500_000_000)  # one line of NUL bytes, no disk space
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + source.read_bytes())
    code, said = finished(path, tmp_path / "out", "--workers", "1", "--max-bad", "0.01", start=subprocess.Popen)
    assert code == 0
    assert "long.jsonl:1: line too long" in said
    assert int(said.split()[-1]) < 300


def test_pipes_and_standard_input(source: Path, golden: dict[str, bytes], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(["sh", "-c", f"cat '{source}' > '{tmp_path}/pipe'"])
    assert finished(tmp_path / "pipe", tmp_path / "fifo")[0] == 0
    writer.wait(10)
    with source.open() as file:
        assert finished("-", tmp_path / "stdin", stdin=file)[0] == 0
    for folder in ("fifo", "stdin"):
        manifest = json.loads((tmp_path / folder / "manifest.json").read_bytes())
        assert manifest["kept"] == json.loads(golden["manifest.json"])["kept"]
    code, said = finished("-", tmp_path / "nothing")
    assert (code, "<stdin> is empty" in said) == (3, True)


def test_standard_input_starts_over(source: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    process = started("-", tmp_path / "out", "--workers", "1", stdin=reader)
    os.close(reader)
    os.write(writer, source.read_bytes()[:200_000])
    while not list((tmp_path / "out").glob(".staging/unit-*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    os.close(writer)
    with source.open() as file:
        code, said = finished("-", tmp_path / "out", stdin=file)
    assert (code, "standard input cannot be resumed: starting over" in said) == (0, True)


def test_the_second_of_two_at_once_ends_with_5(source: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    first = started("-", tmp_path / "out", stdin=reader)
    os.write(writer, source.read_bytes()[:60_000])
    while not (tmp_path / "out/.staging").exists():
        time.sleep(0.01)
    code, said = finished(source, tmp_path / "out")
    assert (code, f"in use by process {first.pid}" in said) == (5, True)
    os.close(writer)
    first.communicate(timeout=60)


# -- workers that die -------------------------------------------------------------------------------------------------


def dies_once(task: tuple[Path, int]) -> int:
    mark, number = task
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def always_dies(task: int) -> int:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_the_work_of_a_worker_that_died_is_done_again(tmp_path: Path) -> None:
    tasks = [(tmp_path / "mark", number) for number in range(8)]
    assert sorted(crew.run(dies_once, iter(tasks), workers=2)) == list(range(8))


def test_a_task_that_kills_every_worker_is_named() -> None:
    with pytest.raises(ArxivcliError, match="a worker process died twice over 3") as raised:
        list(crew.run(always_dies, iter(range(8)), workers=2))
    assert raised.value.exit_code == 1
