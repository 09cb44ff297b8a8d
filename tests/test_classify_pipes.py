"""classify between two programs that talk while it runs: each line is answered soon after it came."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import prepared
import pytest
from classifying import MANY, PROGRAM
from invented import records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30
"""Seconds after which an answer is missing: starting the program on a busy machine is all that takes long."""


@pytest.fixture(scope="module")
def model(handmade_model: Path) -> Path:
    return handmade_model


class Conversation:
    """The program with a pipe at each end."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        assert program.stdin
        assert program.stdout
        self._program = program
        self._to: IO[bytes] = program.stdin
        self._from = program.stdout.fileno()
        self._held = b""

    def say(self, text: str) -> None:
        self._to.write(text.encode())
        self._to.flush()

    def hear(self) -> str:
        """The next line of the answers, which has to come although nothing more is said."""
        until = time.monotonic() + PATIENCE
        while b"\n" not in self._held:
            assert select.select([self._from], [], [], max(0, until - time.monotonic()))[0], "no answer came"
            more = os.read(self._from, 1 << 16)
            assert more, f"the program ended with {self._program.wait()}"
            self._held += more
        line, _, self._held = self._held.partition(b"\n")
        return line.decode()

    def silent(self, seconds: float) -> bool:
        return not self._held and not select.select([self._from], [], [], seconds)[0]

    def end(self) -> int:
        self._to.close()
        return self._program.wait(PATIENCE)


@contextmanager
def conversation(model: Path, *arguments: object) -> Iterator[Conversation]:
    command = [*PROGRAM, "-q", "-m", str(model), *map(str, arguments)]
    with prepared.Popen(command, stdin=-1, stdout=-1, stderr=sys.stderr) as program:
        try:
            yield Conversation(program)
        finally:
            program.kill()


TITLES = {"Galaxies": "astro-ph.GA", "Primes": "math.NT", "Quarks": "hep-ph", "More galaxies": "astro-ph.GA"}


@pytest.mark.parametrize("workers", [1, 2])
def test_json_lines_are_answered_one_by_one(model: Path, workers: int) -> None:
    with conversation(model, "-", "--workers", workers) as program:
        for number, (title, category) in enumerate(TITLES.items(), 1):
            program.say(json.dumps({"title": title}) + "\n")
            answer = json.loads(program.hear())
            assert (answer["id"], answer["top_category"]) == (str(number), category)
        program.say("\n")
        assert json.loads(program.hear())["error"] == "empty line"
        program.say('{"title": "half a line is')
        assert program.silent(0.3)
        program.say(' about primes"}\n')
        assert json.loads(program.hear())["top_category"] == "math.NT"
        assert program.end() == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_titles_are_answered_one_by_one(model: Path, workers: int) -> None:
    with conversation(model, "-", "--from", "txt", "--workers", workers) as program:
        program.say("\n")
        assert json.loads(program.hear())["error"] == "empty line"
        for title, category in TITLES.items():
            program.say(f"{title}\n")
            assert json.loads(program.hear())["top_category"] == category
        assert program.end() == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_are_answered_one_by_one(model: Path, workers: int) -> None:
    with conversation(model, "-", "--workers", workers) as program:
        program.say("title,note\n")
        assert program.silent(0.3)
        program.say("Galaxies,a\n")
        assert program.hear() == "title,note,category,confidence,alternatives,error"
        assert program.hear().startswith("Galaxies,a,astro-ph.GA,")
        program.say('Primes,b\n"Quarks\n')
        assert program.hear().startswith("Primes,b,math.NT,")
        assert program.silent(0.3)
        program.say('and more",c\n')
        assert program.hear() == '"Quarks'
        assert program.hear().startswith('and more",c,hep-ph,')
        assert program.end() == 0


def test_a_growing_file_is_followed(model: Path, tmp_path: Path) -> None:
    growing = tmp_path / "growing.jsonl"
    growing.write_text('{"title": "Galaxies"}\n')
    with subprocess.Popen(["tail", "-n", "+1", "-f", growing], stdout=-1) as tail:
        command = [*PROGRAM, "-m", str(model), "-"]
        with prepared.Popen(command, stdin=tail.stdout, stdout=-1) as program:
            assert program.stdout
            assert b"astro-ph.GA" in program.stdout.readline()
            with growing.open("a") as file:
                file.write('{"title": "Primes"}\n')
            assert b"math.NT" in program.stdout.readline()
            program.kill()
        tail.kill()


def test_after_a_burst_nothing_is_held_back(model: Path) -> None:
    """Several processes have their part in it, and give their answers although nothing more is said."""
    lines = "".join(json.dumps(paper) + "\n" for paper in records(2_000)) * (MANY // 2_000)
    with conversation(model, "-", "--workers", 2, "--top", 1) as program:
        speaker = threading.Thread(target=program.say, args=(lines,))
        speaker.start()
        for _ in range(MANY):
            program.hear()
        speaker.join()
        assert program.silent(0.2)
        program.say('{"title": "Primes", "id": "last"}\n')
        answer = json.loads(program.hear())
        assert (answer["id"], answer["top_category"]) == ("last", "math.NT")
        assert program.end() == 0
