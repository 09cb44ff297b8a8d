"""Starts the real `arxivcli serve` on a free port and asks it, also as bad clients do."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PAPER = {"title": "Primes in short intervals", "abstract": "We count primes."}
JSON = {"content-type": "application/json"}
LINES = {"content-type": "application/x-ndjson"}
PATIENCE = 60.0


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        """The one sentence of an error, which is all there is."""
        [(key, sentence)] = self.json.items()
        assert key == "detail"
        assert isinstance(sentence, str)
        return sentence


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    host: str = "127.0.0.1"

    def ask(
        self,
        path: str,
        given: object = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = PATIENCE,
    ) -> Reply:
        """One request on a connection of its own; `given` goes as JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        if given is not None:
            body, headers = json.dumps(given).encode(), JSON | dict(headers or {})
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def predict(self, title: str = PAPER["title"], abstract: str = PAPER["abstract"], **more: Any) -> Reply:
        return self.ask("/predict", {"title": title, "abstract": abstract}, **more)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=PATIENCE)

    def raw(self, *pieces: bytes, pause: float = 0.0) -> bytes:
        """Send bytes as they are and read until the service closes the connection."""
        with self.connect() as connection:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except ConnectionError:
                    break
                time.sleep(pause)
            return rest(connection)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; `name` may be a whole series."""
        time.sleep(0.3)  # the page is as old as a quarter of a second
        page = self.ask("/metrics").body.decode()
        series = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", page, re.MULTILINE)
        return sum(map(float, series))

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def hears(self, word: str) -> None:
        """Wait until the log has it."""
        until(lambda: word in self.said())

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def until(true: Callable[[], bool]) -> None:
    """Wait for it, but not for ever."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def rest(connection: socket.socket) -> bytes:
    """What still comes until the other side closes."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionError:
        pass  # closed the hard way
    return found


@contextmanager
def serving(
    *options: object,
    program: Sequence[str] = prepared.PROGRAM,
    prepare: Callable[[], None] | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """A service that is ready; it is killed afterwards if it still runs. `prepare` runs in its process before it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [*program, "serve", "--port", "0", *map(str, options)]
        with log.open("wb") as file:
            process = prepared.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=file,
                preexec_fn=prepare,
                cwd=cwd,
                env=os.environ | dict(environment or {}),
                start_new_session=True,
            )
        try:
            yield Served(process, _port(process, log), log)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    found: list[re.Match[str]] = []

    def announced() -> bool:
        said = log.read_text("utf-8", "replace")
        assert process.poll() is None, said
        found.extend(re.finditer(r"serving on http://.*:(\d+)$", said, re.MULTILINE))
        return bool(found)

    until(announced)
    return int(found[0][1])


def together(*jobs: Callable[[], Reply]) -> list[Reply]:
    """What all of them, asked at the same time, get."""
    replies: list[Reply | None] = [None] * len(jobs)

    def ask(number: int) -> None:
        replies[number] = jobs[number]()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [reply for reply in replies if reply is not None]
