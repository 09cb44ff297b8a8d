"""Where classify begins and ends: files, pipes, workers, signals, terminals."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import prepared
import pytest
from classifying import PROGRAM, run, said

from arxivcli import storage
from arxivcli.errors import StorageError


@pytest.fixture(scope="module")
def model(handmade_model: Path) -> Path:
    return handmade_model


@pytest.fixture(scope="module")
def many(many_papers: Path) -> Path:
    return many_papers


# -- files, pipes, signals ---------------------------------------------------------------------------------------------


def test_output_files_are_whole_and_follow_their_names(model: Path, tmp_path: Path) -> None:
    papers = tmp_path / "papers.jsonl"
    papers.write_text('{"title": "Galaxies"}\n{"title": ""}\n')
    for name, begins in (
        ("a.json", b"[\n{"),
        ("a.jsonl", b'{"id"'),
        ("a.csv", b"id,title,category"),
        ("a.out", b'{"id"'),
    ):
        done = run(papers, "-m", model, "-o", tmp_path / name)
        assert (done.returncode, done.stdout) == (3, b""), (
            "rows without an answer are in the file, and the code says so"
        )
        assert (tmp_path / name).read_bytes().startswith(begins)
    assert not list(tmp_path.glob("*.partial"))
    before = papers.read_bytes()
    assert run(papers, "-m", model, "-o", papers).returncode == 2
    assert papers.read_bytes() == before


def test_devices_stay_devices(model: Path) -> None:
    assert run("-m", model, "--title", "a", "-o", os.devnull).returncode == 0
    assert Path(os.devnull).is_char_device()
    with pytest.raises(StorageError, match="it is no file"), storage.whole_file(Path(os.devnull)):
        pass
    full = run("-m", model, "--title", "a", "-o", "/dev/full")
    assert (full.returncode, "the disk is full" in said(full)) == (5, True)


def test_open_descriptors_are_written_through(model: Path, many: Path, tmp_path: Path) -> None:
    """Whatever they are called: replacing the name would leave the shell's file empty."""
    (tmp_path / "link").symlink_to("second")
    (tmp_path / "second").symlink_to("/proc/self/fd/1")
    for name, redirected in (("/dev/fd/3", "3"), ("/dev/fd/1", "1"), ("/dev/stdout", "1"), (tmp_path / "link", "1")):
        out = tmp_path / "out"
        shell(f'echo before > {out}; $RUN -m "$MODEL" --title Galaxies -o {name} {redirected}>> {out}', model, many)
        assert out.read_bytes().startswith(b'before\n{"id":null,"top_category":"astro-ph.GA"')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out", "second"]
    done = shell('$RUN -m "$MODEL" --title Galaxies -o /dev/fd/9 9>&-', model, many)
    assert (done.returncode, said(done)) == (5, "error: cannot write /dev/fd/9: it is not open; choose another output")


def shell(script: str, model: Path, many: Path) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"RUN": " ".join(PROGRAM), "MODEL": str(model), "MANY": str(many)}
    return subprocess.run(["bash", "-c", script], capture_output=True, check=False, env=environment, timeout=120)


def test_a_reader_who_leaves_is_not_spoken_of(model: Path, many: Path) -> None:
    done = shell('$RUN -q -m "$MODEL" "$MANY" | head -1; exit ${PIPESTATUS[0]}', model, many)
    assert (done.returncode, done.stderr, done.stdout.count(b"\n")) == (141, b"", 1)


def test_closed_streams(model: Path, many: Path) -> None:
    done = shell('$RUN -m "$MODEL" <&-', model, many)
    assert (done.returncode, said(done).startswith("error: <stdin> is empty")) == (3, True)
    done = shell('$RUN -m "$MODEL" --title Galaxies >&-', model, many)
    assert (done.returncode, said(done)[:36]) == (5, "error: the standard output is closed")
    done = shell('$RUN -m "$MODEL" --title Galaxies -o "$MODEL/../out.json" >&-', model, many)
    assert (done.returncode, (model.parent / "out.json").exists()) == (0, True)
    done = shell('$RUN -m "$MODEL" --title Galaxies 2>&-', model, many)
    assert (done.returncode, done.stdout[:11]) == (0, b'{"id":null,')
    done = shell('$RUN -q -m "$MODEL" "$MANY" >/dev/full', model, many)
    assert (done.returncode, "the disk is full" in said(done)) == (5, True)


def test_a_slow_reader_holds_the_reading_back(model: Path, many: Path) -> None:
    """With nobody reading, only the window of two workers is taken from the pipe, not all of the 60 MB."""
    content = many.read_bytes() * 3
    with prepared.Popen([*PROGRAM, "-q", "-m", model, "--workers", "2"], stdin=-1, stdout=-1, stderr=-1) as program:
        assert program.stdin
        pipe = program.stdin.fileno()
        os.set_blocking(pipe, False)
        sent = 0
        while sent < len(content) and select.select([], [pipe], [], 3)[1]:
            sent += os.write(pipe, content[sent : sent + (1 << 20)])
        program.kill()
    assert 1 << 20 < sent < 40 << 20 < len(content)


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.fixture
def running(model: Path) -> subprocess.Popen[bytes]:
    """The program in the middle of an endless input, its answers flowing."""
    line = b'{"title": "Galaxies and primes"}\n' * 20_000
    endless = ["bash", "-c", 'IFS= read -r -d "" block; while printf %s "$block"; do :; done']
    feeder = subprocess.Popen(endless, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL)
    program = prepared.Popen([*PROGRAM, "-q", "-m", model, "--workers", "2"], stdin=feeder.stdout, stdout=-1, stderr=-1)
    assert feeder.stdin
    assert feeder.stdout
    assert program.stdout
    feeder.stdin.write(line)
    feeder.stdin.close()
    feeder.stdout.close()
    while len(children(program.pid)) < 2:
        for _ in range(20_000):
            program.stdout.readline()
    yield program
    program.kill()
    program.stdout.close()
    program.stderr.close()
    program.wait()
    feeder.kill()
    feeder.wait()


def all_gone(processes: list[int], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(Path(f"/proc/{process}").exists() for process in processes):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_all_processes_with_a_line(running: subprocess.Popen[bytes], number: int, code: int) -> None:
    workers = children(running.pid)
    assert len(workers) >= 2
    running.send_signal(number)
    _, stderr = running.communicate(timeout=20)
    assert running.returncode == code
    assert stderr.count(b"\n") == 1
    assert stderr.startswith(b"error: ")
    assert all_gone(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_signal_to_all_processes_is_no_dead_worker(running: subprocess.Popen[bytes]) -> None:
    for process in (*children(running.pid), running.pid):
        os.kill(process, signal.SIGTERM)
    _, stderr = running.communicate(timeout=20)
    assert (running.returncode, stderr) == (143, b"error: stopped by SIGTERM\n")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_worker_outlives_a_killed_parent(running: subprocess.Popen[bytes]) -> None:
    workers = children(running.pid)
    running.kill()
    running.wait()
    assert all_gone(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_worker_is_said(running: subprocess.Popen[bytes]) -> None:
    os.kill(children(running.pid)[-1], signal.SIGKILL)
    _, stderr = running.communicate(timeout=20)
    assert running.returncode == 1
    assert b"error: a worker process was killed" in stderr


# -- at a terminal -----------------------------------------------------------------------------------------------------


def terminal(model: Path, *arguments: str, **environment: str) -> pexpect.spawn:
    usual = {"TERM": "xterm-256color", "COLUMNS": "100", "LANG": "C.UTF-8", "ARXIVCLI_HISTORY": ""}
    environment = os.environ | usual | environment
    return pexpect.spawn(
        sys.executable, ["-m", "arxivcli", "classify", "-m", str(model), *arguments],
        encoding="utf-8", env=environment, dimensions=(40, 100), timeout=30,
    )  # fmt: skip


def end(session: pexpect.spawn) -> tuple[str, int | None]:
    session.expect(pexpect.EOF)
    session.close()
    return session.before, session.exitstatus


def plain(shown: str) -> str:
    """Without the styles the program itself uses."""
    return re.sub("\x1b\\[[0-9;]*m", "", shown)


def test_a_conversation(model: Path) -> None:
    session = terminal(model, "--coverage", "0.9", NO_COLOR="1")
    session.expect("Ctrl-D leaves")
    session.expect("Title: ")
    session.send("Studies of something\r")
    session.expect("Abstract: ")
    session.send("primes and\r")
    session.expect(r"\.\.\. ")
    session.send("zeta divisors\r\r")
    session.expect(r"math\.NT.* Number Theory .*━.* 9\d\.\d%")
    session.expect("90% sure to be one of: math.NT")
    session.expect("Title: ")
    session.send("\r")
    session.expect("Abstract: ")
    session.send("\r")
    session.expect("Title: ")
    session.send("   \r")
    session.expect("Title: ")
    session.send("\r")
    session.expect("Abstract: ")
    session.send("of quarks\r\r")
    session.expect("hep-ph")
    session.expect("Title: ")
    session.send("Galaxies " + "and dust " * 600 + "\r")
    session.expect("Abstract: ")
    session.send("\r")
    session.expect("Astrophysics of Galaxies")
    session.expect("Title: ")
    session.sendeof()
    assert end(session)[1] == 0


def test_an_interrupted_conversation(model: Path) -> None:
    session = terminal(model)
    session.expect("Title: ")
    session.sendintr()
    shown, code = end(session)
    assert code == 0
    assert "Traceback" not in shown


def test_what_a_terminal_shows(model: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.json"
    one.write_text(json.dumps({"title": "Galaxies \x1b[31m and\x9b31m \u202e dust", "abstract": "halo"}))
    shown, code = end(terminal(model, str(one), NO_COLOR="1"))
    assert code == 0
    assert "astro-ph.GA  Astrophysics of Galaxies  ━" in plain(shown)
    assert "\x1b[31m" not in shown
    assert "\x9b" not in shown
    several = tmp_path / "several.csv"
    several.write_text("id,title\n1,Galaxies \x1b[31m red\n2,Primes\n3,\n")
    shown, code = end(terminal(model, str(several)))
    assert code == 3
    assert "Number Theory" in shown
    assert "no answer: no title" in shown
    assert "\x1b[31m" not in shown
    shown, code = end(terminal(model, str(several), "--format", "csv"))
    assert "\x1b" not in shown


def test_a_long_table_has_one_header(model: Path, many: Path, tmp_path: Path) -> None:
    """Also where it comes in several batches."""
    some = tmp_path / "some.jsonl"
    some.write_bytes(b"".join(many.read_bytes().splitlines(keepends=True)[:9_000]))
    done = run(some, "-m", model, "-f", "table", "--coverage", "0.9", COLUMNS="100")
    assert done.returncode == 0
    shown = done.stdout.decode().splitlines()
    assert len(shown) == 9_000 + 2
    assert sum("confidence" in line for line in shown) == 1
    assert len({len(line) for line in shown}) == 1


def test_a_table_grows_as_papers_come(model: Path) -> None:
    script = 'while read -r line; do echo "$line"; done | {program} classify -m {model} --from txt -'
    program = f"{sys.executable} -m arxivcli"
    session = pexpect.spawn(
        "bash", ["-c", script.format(program=program, model=model)], encoding="utf-8", echo=False, timeout=30,
        env=os.environ | {"TERM": "dumb", "COLUMNS": "100"}, dimensions=(40, 100),
    )  # fmt: skip
    session.sendline("Galaxies")
    session.expect("confidence")
    session.expect("astro-ph.GA")
    session.sendline("Primes")
    session.expect("math.NT")
    session.sendeof()
    shown, _ = end(session)
    assert "confidence" not in shown


def test_a_dash_for_the_output_is_the_terminal(model: Path) -> None:
    shown, code = end(terminal(model, "--title", "Galaxies", "-o", "-", NO_COLOR="1"))
    assert (code, "Astrophysics of Galaxies  ━" in plain(shown)) == (0, True)


def test_a_conversation_whose_answers_go_elsewhere(model: Path, tmp_path: Path) -> None:
    session = pexpect.spawn(
        "bash", ["-c", f"{sys.executable} -m arxivcli classify -m {model} > {tmp_path}/out"],
        encoding="utf-8", timeout=30,
    )  # fmt: skip
    session.expect("Title: ")
    session.send("\r")
    session.expect("Abstract: ")
    session.send("primes\r\r")
    session.expect("Title: ")
    session.sendeof()
    assert end(session)[1] == 0
    assert json.loads((tmp_path / "out").read_text())["top_category"] == "math.NT"


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "dumb"}, {"COLUMNS": "0"}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_poor_terminals(model: Path, environment: dict[str, str]) -> None:
    shown, code = end(terminal(model, "--title", "Galaxies and dust", **environment))
    assert code == 0
    assert "Astrophysics of Galaxies" in shown
