"""What a request costs `arxivcli serve` in CPU time, which means something on a busy machine too.

    python tests/bench/serve_cpu.py papers.jsonl [--requests 10000] [--users 64] [-- OPTIONS OF arxivcli serve]

Prints CPU seconds of the service per 10,000 requests that are answered, and per 10,000 that are refused because its
queue is full: the model is then kept busy by somebody who asks it to sleep.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import uvloop
from serve import LENGTH, requests

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
SLEEPERS = 2
"""One that is being scored, one that fills the queue."""


def seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def service(*options: str) -> Iterator[tuple[int, int]]:
    """Port and process of a service whose model sleeps when a title says so."""
    program = HERE.parent / "misbehaving.py"
    command = [sys.executable, str(program), "serve", "--port", "0", "--no-access-log", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr or ():
            if found := re.search(r"serving on http://.*:(\d+)", line):
                yield int(found[1]), process.pid
                return
        sys.exit("the service did not begin")
    finally:
        process.kill()
        process.wait()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """The status of the answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(LENGTH.search(head)[1]))  # type: ignore[index]
    return int(head[9:12])


async def user(port: int, papers: list[bytes], times: int, wanted: int) -> None:
    """Ask so often, one after another; every answer must have that status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(times):
        status = await exchange(reader, writer, papers[number % len(papers)])
        if status != wanted:
            sys.exit(f"{status} instead of {wanted}")
    writer.close()


async def cost(port: int, pid: int, papers: list[bytes], users: int, total: int, wanted: int) -> float:
    """CPU seconds of 10,000 requests."""
    before = seconds(pid)
    await asyncio.gather(*(user(port, papers, total // users, wanted) for _ in range(users)))
    return (seconds(pid) - before) * 10_000 / (total // users * users)


async def refused(port: int, pid: int, papers: list[bytes], users: int, total: int) -> float:
    """As `cost`, while the queue is full."""
    body = orjson.dumps({"title": "sleep 600", "abstract": "a"})
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    sleepers = []
    for _ in range(SLEEPERS):
        sleepers.append(await asyncio.open_connection("127.0.0.1", port))
        sleepers[-1][1].write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        await asyncio.sleep(0.5)
    return await cost(port, pid, papers, users, total, 503)


def main() -> None:
    """Measure both."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("papers")
    ask.add_argument("--requests", type=int, default=10_000)
    ask.add_argument("--users", type=int, default=64)
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    asked = ask.parse_args(sys.argv[1:end])
    options = sys.argv[end + 1 :]
    papers = requests(asked.papers)
    with service(*options) as (port, pid):
        uvloop.run(cost(port, pid, papers, asked.users, 2_000, 200))
        began = time.perf_counter()
        found = uvloop.run(cost(port, pid, papers, asked.users, asked.requests, 200))
        print(f"answered: {found:6.2f} CPU s / 10,000   ({asked.requests / (time.perf_counter() - began):,.0f}/s)")
    full = ["--queue", "1", "--max-items", "1", "--batch", "1", "--deadline", "3000", "--hang-timeout", "3000"]
    with service(*options, *full) as (port, pid):
        users = asked.requests // 5  # each is not heard for a second after every refusal
        found = uvloop.run(refused(port, pid, papers, users, asked.requests))
        print(f"refused:  {found:6.2f} CPU s / 10,000")


if __name__ == "__main__":
    main()
