"""A process that downloads in children of its own, so that many of them can be killed and none has to start Python.

It reads lines of JSON, {"url", "folder", "hosts"} and the wishes below, and writes for each the child's process number
and then how it ended: the name of the file, the error, or `killed`.

`death`: the child is killed after so many seconds.
`crash`: the child ends like one that is killed, right before its so-manieth call that changes the disk.
`limit`: no file may become larger. `sync`: bytes between two times that they are made safe.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arxivcli.errors import ArxivcliError
from arxivcli.progress import Silent
from arxivcli.sources import partial, snapshot
from arxivcli.sources.web import Manners, Web

if TYPE_CHECKING:
    from collections.abc import Callable

KILLED = "killed"
_CALLS = ("fsync", "replace", "rename", "unlink", "remove")


class Downloads:
    """The process, seen from the test that started it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, __file__], stdin=-1, stdout=-1, text=True)

    def begin(self, url: str, folder: Path, **wishes: Any) -> int:
        """Begin a download; the process number of who does it."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"url": url, "folder": str(folder), **wishes}) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def end(self) -> str:
        """How it ended."""
        return self._line()

    def run(self, url: str, folder: Path, **wishes: Any) -> str:
        """Download, and say how it ended."""
        self.begin(url, folder, **wishes)
        return self.end()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """No more."""
        self._process.communicate()


def main() -> None:
    """Serve until there are no more lines."""
    for line in sys.stdin:
        wish = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            os.write(writing, _download(wish).encode())
            os._exit(0)
        os.close(writing)
        print(child, flush=True)
        if "death" in wish:
            time.sleep(wish["death"])
            os.kill(child, signal.SIGKILL)  # whose number is its own until it is waited for
        with os.fdopen(reading, encoding="utf-8") as said:
            result = said.read()
        os.waitpid(child, 0)
        print(result or KILLED, flush=True)


def _download(wish: dict[str, Any]) -> str:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    partial._SYNC = wish.get("sync", partial._SYNC)
    if "limit" in wish:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wish["limit"], wish["limit"]))
    if "crash" in wish:
        _crash_at(wish["crash"])
    try:
        with Web(wish["url"], Manners(pace=0.01, max_wait=5.0), Silent(), tuple(wish.get("hosts", ()))) as web:
            return snapshot.download(web, Path(wish["folder"]), Silent()).file.name
    except (ArxivcliError, KeyboardInterrupt) as error:
        return f"{type(error).__name__}: {error}"


def _crash_at(number: int) -> None:
    """End right before a call that changes the disk."""
    left = [number]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return call(*arguments, **options)

        return counting

    for name in _CALLS:
        setattr(os, name, counted(getattr(os, name)))


if __name__ == "__main__":
    main()
