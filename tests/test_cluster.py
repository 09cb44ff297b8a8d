"""--engine ray on a real cluster of two nodes on this machine: the same bytes, once, whoever dies."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import invented
import pytest

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # read when Ray is imported: its nodes are on loopback then
pytest.importorskip("ray", reason="the extra cluster is not installed")

from arxivcli import cluster
from arxivcli.cli import app
from arxivcli.errors import InputError, RemoteError
from arxivcli.steps import resuming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns of itself

CODE = Path(__file__).parent
ALONE = ("--workers", "1")
"""No processes are forked from this one, in which Ray has threads."""


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Whatever hangs is a failure, not a suite that never ends."""

    def late(*_: Any) -> None:
        raise TimeoutError("this took five minutes")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two nodes of one core each, on loopback."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(CODE))  # what tests send by name is found there
        patch.delenv("RAY_ADDRESS", raising=False)
        node = {"num_cpus": 1, "object_store_memory": 200 << 20, "include_dashboard": False}
        nodes = started(lambda: Cluster(initialize_head=True, head_node_args=node))
        started(lambda: nodes.add_node(num_cpus=1, object_store_memory=200 << 20))
        yield nodes.address
        nodes.shutdown()


def started(start: Callable[[], Any]) -> Any:
    """What is started; Ray gives a node thirty seconds, and others may keep this machine busy for as long."""
    try:
        return start()
    except Exception as error:  # Ray has no name for it
        if "timed out during startup" not in str(error):
            raise
        return start()


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Papers for several pieces, some of them none."""
    path = tmp_path_factory.mktemp("papers") / "papers.jsonl"
    lines = [json.dumps(paper) for paper in invented.records(3_000)]
    lines[100:2_900:700] = ["no paper"] * 4
    path.write_text("\n".join(lines * 2) + "\n")
    return path


def test_the_answers_are_the_same_bytes(
    address: str, papers: Path, handmade_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    many = [str(papers), "-m", str(handmade_model), "--multi", *ALONE]
    assert app._run(["-q", "classify", *many, "-o", str(tmp_path / "local.jsonl")], debug=False) == 3
    begun = [*many, "-o", str(tmp_path / "ray.jsonl"), "--resume"]
    interrupted(["-q", "classify", *begun], 1)
    asked = [*many, "-o", str(tmp_path / "ray.jsonl"), "--engine", "ray", "--ray-address", address, "--resume"]
    capfd.readouterr()
    assert app._run(["-q", "classify", *asked], debug=False) == 3
    shown = capfd.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith("error: 8 of 6,000 papers have no answer: not JSON (8, ")
    before = (tmp_path / "ray.jsonl").read_bytes()
    assert before == (tmp_path / "local.jsonl").read_bytes()
    assert app._run(["-q", "classify", *asked], debug=False) == 0, "all is there: nothing is done again"
    assert (tmp_path / "ray.jsonl").read_bytes() == before


def interrupted(command: list[str], pieces: int) -> None:
    """Run until some pieces are answered, then stop as Ctrl-C does."""
    kept = resuming.Record.kept

    def some(self: resuming.Record, answers: Any) -> Any:
        for number, answered in enumerate(kept(self, answers)):
            if number == pieces:
                raise KeyboardInterrupt
            yield answered

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resuming.Record, "kept", some)
        assert app._run(command, debug=False) == 130


def test_a_whole_process_writes_answers_alone_and_leaves_when_its_reader_does(
    address: str, papers: Path, handmade_model: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "arxivcli", "-q", "classify", "-", "-m", str(handmade_model), "--keep-going"]
    onto = ["--engine", "ray", "--ray-address", address, "--cascade", "builtin", "--cascade-below", "0.5"]
    lines = papers.read_bytes().splitlines(keepends=True)[:400]
    choose = ["--labels", "cs.CL,cs.CV,math.NT"]
    here = subprocess.run([*command, *choose, *onto[4:]], input=b"".join(lines), capture_output=True, check=True)
    assert here.stdout.count(b"\n") == len(lines)
    long = tmp_path / "long.jsonl"
    long.write_bytes(b"".join(lines) + papers.read_bytes() * 8)
    there = subprocess.PIPE
    with subprocess.Popen([*command, *choose, *onto], stdin=long.open("rb"), stdout=there, stderr=there) as program:
        assert program.stdout
        assert program.stderr
        assert [program.stdout.readline() for _ in lines] == here.stdout.splitlines(keepends=True)
        program.stdout.close()
        assert program.wait(60) == 141
        assert program.stderr.read() == b""


# -- deaths -----------------------------------------------------------------------------------------------------------


def dying(folder: Path, tasks: list[int]) -> list[str]:
    """Squares; the process that first does 7 is killed in the middle of it."""
    found = []
    for task in tasks:
        if task == 7 and not (folder / "died").exists():
            (folder / "died").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / "log").open("a") as log:
            log.write(f"{task}\n")
        found.append(f"{task * task}")
    return found


def poisoned(tasks: list[int]) -> list[int]:
    if 3 in tasks:
        os.kill(os.getpid(), signal.SIGKILL)
    return tasks


def spoiled(tasks: list[int]) -> Iterator[int]:
    for task in tasks:
        if task == 5:
            raise InputError("the fifth is bad", "leave it out")
        yield task


def making(work: Any) -> Any:
    return work


def numbers(taken: list[int], stop: int) -> Iterator[int]:
    for number in range(stop):
        taken.append(number)
        yield number


def test_a_worker_that_is_killed_loses_nothing(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TRIES", 1)
    with cluster.joined(address, 1) as there:
        assert there.slots == 2
        results = list(there.in_order(partial(making, partial(dying, tmp_path)), range(24), together=2))
        assert results == [f"{number * number}" for number in range(24)]
        assert (tmp_path / "died").exists()
        taken: list[int] = []
        slow = there.in_order(partial(making, list), numbers(taken, 60))
        for number, result in enumerate(slow):
            assert result == number
            assert len(taken) <= number + 3 * 4 * there.slots, "a slow reader holds everything back"
        found = []
        with pytest.raises(InputError, match="fifth") as caught:
            found += there.in_order(partial(making, spoiled), range(12), together=4)
        assert caught.value.hint == "leave it out"
        found = []
        with pytest.raises(RemoteError, match=r"again and again over number 3, .*memory"):
            found += there.in_order(partial(making, poisoned), range(6), named=lambda task: f"number {task}")
        assert found == [0, 1, 2], "what stands before it is answered"
        os.kill(there._driver._process.pid, signal.SIGKILL)
        with pytest.raises(RemoteError, match="is gone"):
            list(there.in_order(partial(making, list), range(6)))


def test_a_kill_from_outside_in_the_middle_of_classify(
    address: str, papers: Path, handmade_model: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.jsonl"
    long.write_bytes(papers.read_bytes() * 4)
    many = ["-q", "classify", str(long), "-m", str(handmade_model), "--keep-going", *ALONE]
    assert app._run([*many, "-o", str(tmp_path / "local.jsonl")], debug=False) == 0
    output, record = tmp_path / "ray.jsonl", tmp_path / "ray.jsonl.resume"
    command = [sys.executable, "-m", "arxivcli", *many, "-o", str(output), "--resume"]
    onto = ["--engine", "ray", "--ray-address", address]
    with subprocess.Popen([*command, *onto], stderr=subprocess.PIPE) as program:
        killed = 0
        while program.poll() is None:
            if killed < 2 and (working := workers()):
                os.kill(working[0], signal.SIGKILL)
                killed += 1
            time.sleep(0.05)
        assert program.stderr
        assert program.stderr.read() == b""
    assert killed
    assert program.returncode == 0
    assert output.read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    assert record.stat().st_size < 10_000


def workers() -> list[int]:
    """Processes of our own cluster that are at work: their names say at what."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(b"ray::Map") and _ours(int(folder.name)):
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _ours(number: int) -> bool:
    """Whether a process descends from this one."""
    while number > 1:
        if number == os.getpid():
            return True
        number = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    return False


# -- corpora and refusals ---------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_corpus_is_the_same_shards(
    address: str, papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("arxivcli.steps.preprocessing.units.UNIT_BYTES", 600_000)
    table = tmp_path / "more.csv"
    table.write_text(
        "id,title,abstract,categories\n" + "".join(f"a{n},Title {n},Abstract {n},cs.LG\n" for n in range(99))
    )
    for name, onto in (("local", []), ("ray", ["--engine", "ray", "--ray-address", address])):
        asked = ["-q", "preprocess", str(papers), "more.csv", "-o", name, "--max-bad", "0.01", "--json", *ALONE, *onto]
        assert app._run(asked, debug=False) == 0
        before = contents(tmp_path / name)
        assert app._run(asked, debug=False) == 0
        assert contents(tmp_path / name) == before, "nothing is appended"
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert {name.partition("/")[0] for name in contents(tmp_path / "ray")} > {"train", "test", "manifest.json"}


def test_where_nobody_answers_or_has_time_it_is_said(
    address: str, handmade_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["classify", "--title", "Galaxies", "-m", str(handmade_model), "--engine", "ray"]
    for where, code, said in (
        ("nonsense", 2, "nonsense is no address of a Ray cluster"),
        ("ray://127.0.0.1:10001", 2, "name its head as host:6379"),
        (f"127.0.0.1:{closed()}", 4, "Connection refused; is it running"),
    ):
        assert app._run([*asked, "--ray-address", where], debug=False) == code
        shown = capsys.readouterr()
        assert said in shown.err
        assert (shown.out, shown.err.count("\n")) == ("", 1)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)  # as if it were not there
        assert app._run(asked, debug=False) == 2
    assert "pip install 'arxivcli[cluster]'" in capsys.readouterr().err
    monkeypatch.setattr(cluster, "_NOTICE", 0.2)
    monkeypatch.setattr(cluster, "_PATIENCE", 0.5)
    with cores_taken(address):
        assert app._run([*asked, "--ray-address", address], debug=False) == 4
    assert capsys.readouterr().err.splitlines() == [
        "note: waiting for one of the 2 cores of the cluster",
        "error: the cluster had no free core for 0.5 seconds; wait for others to end, or add a node",
    ]


def closed() -> int:
    """A port where nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def cores_taken(address: str) -> Iterator[None]:
    """While somebody else has both cores reserved; a worker would take long to start on a busy machine."""
    import ray
    from ray.util.placement_group import placement_group

    ray.init(address, log_to_driver=False, logging_level="ERROR")
    try:
        assert placement_group([{"CPU": 1}] * 2).wait(120)
        yield
    finally:
        ray.shutdown()


def test_this_machine_alone_listens_to_itself_and_has_nothing_left_of_ray_afterwards(
    papers: Path, handmade_model: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "arxivcli", "classify", "-", "-m", str(handmade_model)]
    with subprocess.Popen(
        [*command, "--engine", "ray", "--workers", "1"],
        env=os.environ | {"ARXIVCLI_TEST": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as program:
        assert program.stdin
        assert program.stdout
        assert program.stderr
        program.stdin.write(papers.read_bytes()[:50_000].rpartition(b"\n")[0] + b"\n")
        program.stdin.flush()
        assert program.stdout.readline().startswith(b'{"id"')
        others = set(marked(tmp_path)) - {program.pid}
        assert heard_at(others) <= {"127.0.0.1", "::1"}
        os.killpg(program.pid, signal.SIGTERM)
        assert program.wait(30) == 143
        assert program.stderr.read() == b"error: stopped by SIGTERM\n"
    until = time.monotonic() + 30
    while marked(tmp_path):
        assert time.monotonic() < until, "processes are left"
        time.sleep(0.05)


def marked(mark: Path) -> list[int]:
    """Processes that a test started, and theirs."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"ARXIVCLI_TEST={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def heard_at(processes: set[int]) -> set[str]:
    """The addresses of this machine at which they listen."""
    sockets = set()
    for process in processes:
        with suppress(OSError):
            sockets |= {str(one.readlink()) for one in Path(f"/proc/{process}/fd").iterdir()}
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                words = struct.iter_unpack("<I", bytes.fromhex(local.partition(":")[0]))
                found.add(socket.inet_ntop(family, b"".join(struct.pack(">I", word) for (word,) in words)))
    assert found
    return {one.removeprefix("::ffff:") for one in found}
