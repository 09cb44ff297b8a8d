"""Runs `arxivcli classify` as people do, and reads what it says."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import TYPE_CHECKING

import prepared

if TYPE_CHECKING:
    import subprocess

PROGRAM = [*prepared.PROGRAM, "classify"]
MANY = 40_000
"""How many papers the fixture `many_papers` holds."""


def run(*arguments: object, given: str | bytes | None = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The real program; without `given` its standard input is empty."""
    return prepared.run(
        [*PROGRAM, *map(str, arguments)],
        input=given.encode() if isinstance(given, str) else given,
        capture_output=True,
        check=False,
        env=os.environ | environment,
        timeout=120,
    )


def answers(done: subprocess.CompletedProcess[bytes], code: int = 0) -> list[dict[str, object]]:
    """The JSON lines of a run that ended as expected."""
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(done: subprocess.CompletedProcess[bytes], delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(done.stdout.decode(), newline=""), delimiter=delimiter))


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The one line on stderr."""
    [line] = done.stderr.decode().splitlines()
    return line
