"""One request at a time, a pace apart, whoever asks, and nobody's death stops the others."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from double import faults
from loopback import address, body, client

from arxivcli.errors import StorageError
from arxivcli.sources import pace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from double.serving import Site

ASKING = """
import sys
from arxivcli.progress import Silent
from arxivcli.sources.web import Manners, Web
url, number, pace = sys.argv[1:]
with Web(url, Manners(pace=float(pace)), Silent()) as web:
    for _ in range(int(number)):
        web.ask({"who": url.rpartition("/")[2]}, lambda reply: reply.body)
"""


pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def wait(waits: list[float]) -> Callable[[float, str], None]:
    """Lets time pass, and remembers how much."""

    def wait(seconds: float, _why: str) -> None:
        waits.append(seconds)
        time.sleep(seconds)

    return wait


def asking(url: str, number: int, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", ASKING, url, str(number), str(seconds)])


def test_two_processes_keep_one_pace_and_take_turns(server: Site) -> None:
    both = [asking(address(server, path), 6, 0.2) for path in ("/a", "/b")]
    assert [process.wait(30) for process in both] == [0, 0]
    assert len(server.log) == 12
    assert server.log.most_at_once() == 1
    assert min(server.log.gaps()) >= 0.19
    order = [entry.path for entry in server.log]
    turns = [len(list(same)) for _, same in itertools.groupby(order)]
    assert len(turns) > 4, order


def test_the_pace_is_kept_after_trouble_and_from_the_end_of_an_answer(server: Site) -> None:
    server.faults.add(faults.late(0.1), number=1)
    server.faults.add(faults.status(503, retry_after=0), number=(2, 3))
    server.faults.add(faults.reset(), number=4)
    with client(address(server), pace=0.1) as web:
        for _ in range(3):
            web.ask({}, body)
    assert len(server.log) == 6
    assert min(server.log.pauses()) >= 0.09


def test_the_death_of_whoever_asks_frees_the_others(server: Site) -> None:
    server.faults.add(faults.late(60), number=1)
    first = asking(address(server, "/a"), 1, 0.2)
    while not len(server.log):
        time.sleep(0.005)
    second = asking(address(server, "/b"), 1, 0.2)
    time.sleep(0.1)
    assert len(server.log) == 1
    first.send_signal(signal.SIGKILL)
    assert first.wait(5) == -signal.SIGKILL
    assert second.wait(10) == 0
    assert [entry.path for entry in server.log] == ["/a", "/b"]
    assert min(server.log.gaps()) >= 0.19


def test_waiting_for_others_is_said() -> None:
    held, reasons = threading.Event(), []

    def hold() -> None:
        with pace.turn("one", 0, lambda *_: None):
            held.set()
            time.sleep(0.3)

    def wait(seconds: float, why: str) -> None:
        reasons.append(why)
        time.sleep(seconds)

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    with pace.turn("one", 0.3, wait):
        other.join()
    assert reasons[0] == "another arxivcli is asking"
    assert reasons[-1] == "keeping the pace"


def test_servers_do_not_wait_for_each_other(wait: Callable[[float, str], None], waits: list[float]) -> None:
    with pace.turn("one", 9, wait), pace.turn("two:80", 9, wait):
        assert waits == []


@pytest.mark.parametrize("content", ["", "soon", "nan 1", "inf 1", "9e99 1", "\0" * 40, "1" * 400, "-5 x"])
def test_an_odd_note_is_no_note(
    tmp_path: Path, wait: Callable[[float, str], None], waits: list[float], content: str
) -> None:
    """Times ahead are those of a machine that has been started again."""
    with pace.turn("one", 9, wait):
        pass
    (note,) = (tmp_path / "cache" / "arxivcli").iterdir()
    note.write_text(content)
    with pace.turn("one", 9, wait):
        pass
    assert waits == []
    with pace.turn("one", 0.05, wait):
        pass
    assert len(waits) == 1


def test_without_a_cache_folder_there_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: Callable[[float, str], None], waits: list[float]
) -> None:
    (tmp_path / "cache").write_text("a file")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    for _ in range(2):
        with pace.turn("one", 0.05, wait):
            pass
    assert len(waits) == 1
    assert (tmp_path / "tmp" / f"arxivcli-{os.getuid()}" / "last-request-one").exists()


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, wait: Callable[[float, str], None]) -> None:
    (tmp_path / "cache" / "arxivcli" / "last-request-one").mkdir(parents=True)
    with pytest.raises(StorageError, match="a folder stands where a file should be"), pace.turn("one", 1, wait):
        pass
