"""`arxivcli fetch` as people run it: the command against the double, signals, second processes, and what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fetched
import prepared
import pytest
from double import Catalogue, Double, faults
from snapshots import stops

from arxivcli import taxonomy
from arxivcli.sources import entries
from arxivcli.steps import fetching

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAPERS = 400


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(Catalogue(PAPERS), page=40) as running:
        yield running


class Shell:
    """A folder to stand in and the addresses of the double."""

    def __init__(self, double: Double, folder: Path) -> None:
        self.folder = folder
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("KAGGLE_", "ARXIVCLI_"))}
        self.environment = ours | {
            "XDG_CACHE_HOME": str(folder / "cache"),
            "ARXIVCLI_OAI_URL": double.oai_url,
            "ARXIVCLI_API_URL": double.query_url,
            "ARXIVCLI_SNAPSHOT_URL": double.snapshot_url,
            "ARXIVCLI_ALLOW_HOST": double.origin("storage", "localhost").partition("//")[2],
        }

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        pace = [] if "--pace" in arguments else ["--pace", "0.01"]
        command = [*prepared.PROGRAM, *arguments, *(pace if arguments[0] == "fetch" else [])]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return prepared.Popen(command, cwd=self.folder, env=self.environment, text=True, **pipes)

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        stdin = options.pop("input", None)
        process = self.start(*arguments, **options | ({"stdin": subprocess.PIPE} if stdin else {}))
        out, err = process.communicate(stdin, timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def done(self, *arguments: str) -> str:
        """Standard output of a command that must end well."""
        finished = self.run(*arguments)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout


@pytest.fixture
def shell(double: Double, tmp_path: Path) -> Shell:
    return Shell(double, tmp_path)


def test_from_the_servers_to_a_model(tmp_path: Path) -> None:
    """fetch -> preprocess -> train -> classify, as `examples/fetch` shows it."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    script = ROOT / "examples" / "fetch" / "offline.sh"
    done = subprocess.run(
        ["bash", str(script), str(tmp_path / "work")],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^read +3,\d+", done.stdout, re.MULTILINE)
    assert "older record of the same paper" in done.stdout
    answer = done.stdout.partition("$ arxivcli classify")[2].splitlines()[1]
    assert json.loads(answer)["top_category"]


def test_without_options_it_is_the_snapshot(shell: Shell, double: Double) -> None:
    shell.done("fetch")
    assert (shell.folder / "data/raw/arxiv-metadata-oai-snapshot.zip").stat().st_size > 10_000
    again = shell.run("fetch")
    assert "nothing to do" in again.stderr
    shell.done("preprocess", "data/raw", "--max-bad", "1")
    manifest = json.loads((shell.folder / "data/papers/manifest.json").read_text())
    assert manifest["read"] == len(double.catalogue)


def test_what_comes_from_different_servers_is_one_collection(shell: Shell, double: Double) -> None:
    shell.done("fetch", "--source", "oai")
    shell.done("fetch", "--query", "cat:math.NT")
    shell.done("fetch", ",".join(double.catalogue.ids[:3]))
    assert set(fetched.records(shell.folder / "data/raw")) == set(double.catalogue.ids)
    newest = double.catalogue.ids[5]
    double.catalogue.revise(newest, title="Another title")
    shell.done("fetch", newest)
    assert fetched.records(shell.folder / "data/raw")[newest]["title"].strip() == "Another title"


def test_ids_that_are_none_and_papers_that_are_not_there(shell: Shell, double: Double) -> None:
    some = double.catalogue.ids[:2]
    finished = shell.run("fetch", "-", "--json", input=f"{some[0]}\nhttps://arxiv.org/abs/{some[1]}v1\nwhat 9912.99999")
    assert finished.returncode == 3
    assert "not an arXiv id: what; not on arXiv: 9912.99999; the others are fetched" in finished.stderr
    assert finished.stderr.count("what") == 1
    assert "the others" not in shell.run("fetch", "what").stderr
    said = json.loads(finished.stdout)
    assert (said["fetched"], said["malformed"], said["missing"]) == (2, ["what"], ["9912.99999"])
    assert set(fetched.records(shell.folder / "data/raw")) == set(some)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "cs.LG", "--limit", "3"), "--limit is not for --source oai"),
        (("--source", "snapshot", "--from", "2024-01-01"), "--source oai"),
        (("--query", ""), "nothing to search for"),
        (("--source", "api"), "nothing to search for"),
        (("--set", ""), "--set is empty"),
        (("--from", " "), "--from is empty"),
        (("-o", ""), "--output is empty"),
        (("--set", "cs.LG", "--from", "2025-6-1"), "--from 2025-6-1 is no day"),
        (("--query", "cat:cs.LG", "--until", "1970-01-01"), "later --until"),
        (("--query", 'ti:"deep'), "no counterpart"),
        (("--query", b"ti:\xe9".decode(errors="surrogateescape")), "a character that is none"),
        (("--set", "cs.LG", "--timeout", "inf"), "--timeout inf cannot be"),
        (("--set", "cs.LG", "--pace", "1e300"), "--pace 1e+300 cannot be"),
        (("--set", "cs.LG", "--max-wait", "nan"), "--max-wait"),
        (("--set", "cs.LG", "--contact", "Jürgen <j@example.org>"), "is no mail address"),
        (("--set", "cs.LG", "--contact", "j@example.org\nX: y"), "is no mail address"),
        (("2401.00001", "--query", "cat:cs.LG"), "leave out --query"),
        (("--set", "cs.LGG"), "did you mean cs.LG?"),
        (("--from", "2020-02-30"), "no day"),
        (("--source", "oai", "--oai-url", "ftp://x/"), "http"),
        (("--source", "oai", "--oai-url", "http://me:secret@x/"), "password"),
        (("--source", "oai", "--oai-url", "https://oaipmh.arxiv.org/oai", "--pace", "1"), "3 seconds"),
    ],
    ids=lambda value: ascii(" ".join(value) if isinstance(value, tuple) else value),
)
def test_what_cannot_be(arguments: tuple[str, ...], says: str, shell: Shell, double: Double) -> None:
    for also in ((), ("--dry-run",)):
        finished = shell.run("fetch", *arguments, *also)
        assert finished.returncode == 2
        assert says in finished.stderr
        assert finished.stderr.count("\n") == 1
        assert "secret" not in finished.stderr
    assert len(double.log) == 0


def test_a_look_at_what_would_be_done_asks_nobody(shell: Shell, double: Double) -> None:
    everything = json.loads(shell.done("fetch", "--source", "oai", "--dry-run", "--json"))
    some = json.loads(shell.done("fetch", "--set", "econ.GN", "--from", "2026-01-01", "--dry-run", "--json"))
    assert 1_000 < everything["requests"] < 3_000
    assert everything["minutes"] > 100 > some["minutes"] >= 1
    assert "set=econ:econ:GN" in some["for"]
    assert json.loads(shell.done("fetch", "--dry-run", "--json"))["megabytes"] > 1_000
    archive = json.loads(shell.done("fetch", "--set", "cs", "--dry-run", "--json"))["papers"]
    primaries = sum(papers for label, papers in taxonomy.papers_per_label().items() if label.startswith("cs."))
    assert 1.2 < archive / primaries < 1.5
    wrong = shell.run("fetch", "2401.00001", "what", "--dry-run")
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert "not an arXiv id: what" in wrong.stderr
    assert len(double.log) == 0
    assert not (shell.folder / "data").exists()


def test_status_says_what_is_there_and_how_to_go_on(shell: Shell, double: Double) -> None:
    nothing = shell.run("fetch", "--status")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "nothing is fetched into data/raw yet" in nothing.stderr
    double.faults.add(faults.status(403), number=4, verb="ListRecords", times=None)
    stopped = shell.run("fetch", "--source", "oai", "--from", "2010-01-01")
    assert stopped.returncode == 4
    [row] = json.loads(shell.done("fetch", "--status", "--json"))
    assert row["state"] == "unfinished, 3 pages"
    double.faults.clear()
    shell.done(*row["command"].removeprefix("arxivcli ").split())
    states = {row["what"]: row["state"] for row in json.loads(shell.done("fetch", "--status", "--json"))}
    assert states["oai-from-2010-01-01"].startswith("finished")
    assert states["papers"].startswith("merged")


def test_status_of_a_download_that_was_interrupted(shell: Shell, double: Double) -> None:
    fault = double.faults.add(stops(9_000), site="storage", times=None)
    assert shell.run("fetch", "-o", "my raw", "--max-wait", "0.001").returncode == 4
    fault.times = 0
    [row] = json.loads(shell.done("fetch", "--status", "-o", "my raw", "--json"))
    megabytes = double.snapshot.stored().size / 1e6
    assert row["state"] == f"unfinished, 0.0 of {megabytes:,.1f} MB"
    shell.done(*shlex.split(row["command"])[1:])
    [row] = json.loads(shell.done("fetch", "--status", "-o", "my raw", "--json"))
    assert row["state"] == f"{megabytes:,.1f} MB"
    assert shlex.split(row["command"])[1:] == ["fetch", "-o", "my raw"]


@pytest.mark.parametrize("damage", ["", "[]", '{"asked": []}', '{"asked": {}, "reached": "soon"}', None])
def test_status_of_a_damaged_harvest_beside_others(damage: str | None, shell: Shell) -> None:
    shell.done("fetch", "--set", "econ")
    shell.done("fetch", "--set", "math.NT")
    state = shell.folder / "data/raw/harvests/oai-econ/.state.json"
    state.unlink()
    state.mkdir() if damage is None else state.write_text(damage)
    states = {row["what"]: row["state"] for row in json.loads(shell.done("fetch", "--status", "--json"))}
    assert states["oai-econ"].startswith("damaged: ")
    assert states["oai-math.NT"].startswith("finished")
    again = shell.run("fetch", "--set", "econ")
    assert again.returncode == 6
    assert ".state.json is damaged; start this harvest over with --restart" in again.stderr
    shell.done("fetch", "--set", "econ", "--restart")


def test_status_of_a_file(shell: Shell) -> None:
    (shell.folder / "raw").write_text("x")
    finished = shell.run("fetch", "--status", "-o", "raw")
    assert finished.returncode == 5
    assert "raw is a file" in finished.stderr


@pytest.mark.parametrize("given", [" ", "\n\n"], ids=ascii)
def test_without_any_id_nothing_else_is_fetched(given: str, shell: Shell, double: Double) -> None:
    finished = shell.run("fetch", "-", input=given)
    assert finished.returncode == 3
    assert "no ids" in finished.stderr
    assert len(double.log) == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_stops_it_at_once_and_the_same_command_goes_on(
    number: signal.Signals, code: int, shell: Shell, double: Double, tmp_path: Path
) -> None:
    double.faults.add(faults.silent(), number=5)
    process = shell.start("fetch", "--source", "oai")
    while len(double.log) < 5:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=10)
    assert time.monotonic() - began < 5
    assert process.returncode == code
    assert "the same command goes on" in said
    assert said.strip().count("\n") <= 1
    assert not (tmp_path / "data/raw/.lock").exists()
    assert shell.run("fetch", "--source", "oai").returncode == 0
    assert set(fetched.records(tmp_path / "data/raw")) == set(double.catalogue.ids)


def test_a_second_process_in_the_same_folder_is_told_who_is_there(shell: Shell, double: Double) -> None:
    double.faults.add(faults.silent(), number=3)
    first = shell.start("fetch", "--source", "oai")
    while len(double.log) < 3:
        time.sleep(0.02)
    second = shell.run("fetch", "--query", "cat:cs.LG")
    assert second.returncode == 5
    assert f"process {first.pid}" in second.stderr
    reader = shell.run("preprocess", "data/raw")
    assert reader.returncode == 5
    assert f"data/raw is in use by process {first.pid}" in reader.stderr
    first.kill()
    first.communicate()
    assert shell.run("fetch", "--source", "oai").returncode == 0
    assert len(fetched.records(shell.folder / "data/raw")) == PAPERS


def test_two_fetches_take_turns(double: Double, tmp_path: Path) -> None:
    """Over all processes of a machine there is one request at a time, and the pace between two."""
    shells = [Shell(double, tmp_path) for _ in range(2)]
    running = [
        shell.start("fetch", "--source", "oai", "--set", name, "--pace", "0.3", "-o", f"raw-{name}")
        for shell, name in zip(shells, ("cs", "math"), strict=True)
    ]
    assert [process.communicate(timeout=60) and process.returncode for process in running] == [0, 0]
    assert double.log.most_at_once() == 1
    assert min(double.log.gaps()) >= 0.3


def test_papers_the_server_cannot_give_are_named_and_with_strict_an_error(shell: Shell, double: Double) -> None:
    bad = double.catalogue.order()[100][1]
    double.faults.add(faults.bad_record(bad), times=None)
    lenient = shell.run("fetch", "--source", "oai")
    assert lenient.returncode == 0
    assert f"the server cannot give {bad}" in lenient.stderr
    assert shell.run("fetch", "--source", "oai", "--restart", "--strict").returncode == 4


def test_waiting_is_shown_as_waiting(shell: Shell, double: Double) -> None:
    double.faults.add(faults.status(503, retry_after=7), number=2)
    finished = shell.run("fetch", "--set", "econ", "--pace", "0.05")
    assert re.search(r"waiting \d s: .*503", finished.stderr)


def test_nothing_is_said_when_nobody_wants_to_know(shell: Shell) -> None:
    finished = shell.run("--quiet", "fetch", "--set", "econ")
    assert finished.stderr == ""
    assert finished.stdout


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "dumb"}, {"COLUMNS": "0"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"HTTPS_PROXY": "http://127.0.0.1:9"}],
    ids=str,
)
def test_odd_surroundings(environment: dict[str, str], shell: Shell) -> None:
    shell.environment |= environment
    finished = shell.run("fetch", "--set", "econ")
    assert finished.returncode == 0, finished.stderr
    assert "fetched" in finished.stdout


def test_closed_streams(shell: Shell, tmp_path: Path) -> None:
    for ends in ("0<&-", "2>&-"):
        command = f'"{sys.executable}" -m arxivcli fetch --set econ --pace 0.01 -o raw {ends}'
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=shell.environment, check=False, timeout=60)
        assert done.returncode == 0


def test_secrets_are_in_no_message(shell: Shell, double: Double) -> None:
    """Neither the key of an account nor the signature of an address, not even with --debug."""
    shell.environment |= {
        "KAGGLE_USERNAME": "somebody",
        "KAGGLE_KEY": "0123456789topsecret",
        "KAGGLE_API_ENDPOINT": double.origin("kaggle"),
    }
    double.faults.add(faults.status(403, "no"), site="storage", times=None)
    finished = shell.run("--debug", "fetch", "--max-wait", "0.5")
    assert finished.returncode == 4
    assert "Traceback" in finished.stderr
    signed = next(entry.target for entry in double.log if entry.site == "storage").partition("?")[2]
    assert signed
    for secret in ("topsecret", signed, *(value for _, value in double.log.credentials())):
        assert secret not in finished.stderr
    assert {site for site, _ in double.log.credentials()} == {"kaggle"}


def test_a_folder_without_papers_is_said(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "empty" / ".hidden").mkdir(parents=True)
    (tmp_path / "empty" / ".hidden" / "papers.json").write_text("{}")
    (tmp_path / "empty" / "x.json.partial").write_text("{}")
    finished = shell.run("preprocess", "empty")
    assert finished.returncode == 3
    assert "no file of papers" in finished.stderr


class TestManyRecords:
    def test_thirty_thousand_in_bad_weather(self, tmp_path: Path) -> None:
        """None lost, none twice, in less than 200 MB."""
        script = f"""
{fetched.DRIVER}
# Not getrusage: its maximum is inherited from the process that started this one.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)
"""
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        ports = tmp_path / "ports.json"
        papers = 30_000
        command = [sys.executable, "-m", "tests.double", "--papers", str(papers), "--page", "750"]
        with subprocess.Popen([*command, "--weather", "0.2", "--port-file", str(ports)], cwd=ROOT) as server:
            try:
                while not ports.exists() or not ports.read_text():
                    time.sleep(0.1)
                url = json.loads(ports.read_text())["oai"]
                manners = {"pace": 0.01, "max_wait": 30, "timeout": 30}
                asked = json.dumps([{"source": "oai", "url": url, "identifiers": []}, str(tmp_path), manners, 0])
                done = subprocess.run(
                    [sys.executable, "-c", script, asked], env=environment, capture_output=True, text=True, check=False
                )
            finally:
                server.terminate()
        assert done.returncode == 0, done.stderr
        assert float(done.stdout.split()[-1]) < 200
        ids = fetched.records(tmp_path)
        assert len(ids) == papers
        assert all(map(entries.is_identifier, ids))


def test_guessing_what_is_meant() -> None:
    def guess(**parts: Any) -> str:
        return fetching.Wanted.guessed(None, {}, **parts).source

    assert guess() == "snapshot"
    assert guess(set="cs.LG") == guess(first="2024-01-01") == "oai"
    assert guess(query="cat:cs.LG", first="2024-01-01") == guess(identifiers=("2401.00001",)) == "api"
