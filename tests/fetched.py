"""What tests of fetching share: a fetch from the double, in this process or one that can be killed, and what came."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import prepared

from arxivcli.progress import Silent
from arxivcli.steps import fetching
from arxivcli.steps.fetching import raw

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from double import Double

QUICK = fetching.Manners(pace=0.01, max_wait=5, timeout=5)
"""Waits are multiples of the pace."""

DRIVER = """
import json, os, signal, sys
from pathlib import Path
from arxivcli import storage
from arxivcli.steps import fetching
wanted, folder, manners, fatal = json.loads(sys.argv[1])
wanted["identifiers"] = tuple(wanted["identifiers"])
real, writes = storage.write_whole, 0
def write_whole(path, content):
    global writes
    writes += 1
    if writes == abs(fatal) and fatal < 0:  # between the write and what follows it
        real(path, content)
    if writes == abs(fatal):
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, content)
storage.write_whole = write_whole
fetching.fetch(fetching.Wanted(**wanted), Path(folder), fetching.Manners(**manners))
print(writes)
"""


class Watcher(Silent):
    """Remembers what people would have been told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.facts: list[dict[str, str | float]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, units: int = 1, **facts: str | float) -> None:  # noqa: ARG002
        self.facts.append(facts)


def harvest(double: Double, folder: Path, watcher: Watcher | None = None, **wanted: Any) -> fetching.Report:
    """Everything by OAI-PMH, or a slice of it."""
    return fetching.fetch(fetching.Wanted("oai", url=double.oai_url, **wanted), folder, QUICK, watcher)


def apart(wanted: fetching.Wanted, folder: Path, fatal: int = 0) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own; it is killed at its write number `fatal`, or right after number -`fatal`."""
    asked = json.dumps([asdict(wanted), str(folder), asdict(QUICK), fatal])
    return prepared.run([sys.executable, "-c", DRIVER, asked], capture_output=True, text=True, check=False)


def papers(folder: Path) -> dict[str, str]:
    """sha256 of each file of merged papers."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((folder / raw.PAPERS).iterdir())}


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """Every merged paper by id; none may be there twice."""
    found = [
        json.loads(line)
        for path in sorted((folder / raw.PAPERS).glob(f"*{raw.LINES}"))
        for line in raw.read_lines(path)
    ]
    assert len({record["id"] for record in found}) == len(found)
    return {record["id"]: record for record in found}


def leftovers(folder: Path) -> list[str]:
    """What no finished fetch leaves behind."""
    known = {".state.json", ".index.json"}
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name not in known and path.parent.name != raw.PAPERS
    ]


def cache_in(folder: Path) -> None:
    """Let the processes of this test keep their pace among themselves."""
    os.environ["XDG_CACHE_HOME"] = str(folder)
