"""`arxivcli serve` under load: real connections on this machine, users who each ask as soon as they have their answer.

    python tests/bench/serve.py papers.jsonl [--model NAME|FOLDER] [--users 1 10 50 200] [--seconds 10]
        [--overload 500] [--impatient] [--compare] [-- OPTIONS OF arxivcli serve]

The papers are JSON lines with title and abstract. For every number of users: answers a second, p50, p95 and p99 of the
time an answer takes, and how many were anything but 200. `--overload` adds that many users at once, many of whom are to
be refused (503): goodput against the best of the others, how quickly refusals come, and what the memory does. A short
queue shows it: `-- --queue 100 --max-items 100`. Who is refused comes again when told to, with `--impatient` at once.
`--compare` measures `--batch 1` as well, in turns: what scoring together is worth.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import TYPE_CHECKING, cast

import orjson
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

WARM = 1.0
ROUNDS = 3
BYSTANDERS = 20
"""Users in a process of their own. They, too, come again when they were told to: who does not has to wait."""
LENGTH = re.compile(rb"content-length: (\d+)\r\n")
RETRY_AFTER = re.compile(rb"retry-after: (\d+)\r\n")


@dataclass
class Seen:
    """What users saw: seconds of every answer by status, and what went wrong otherwise."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)

    def add(self, status: int, seconds: float) -> None:
        """An answer."""
        self.seconds.setdefault(status, []).append(seconds)

    def quantile(self, status: int, share: float) -> float:
        """Milliseconds within which so many answers came."""
        times = sorted(self.seconds.get(status) or [float("nan")])
        return 1000 * times[min(len(times) - 1, int(share * len(times)))]


def requests(path: str) -> list[bytes]:
    """A whole HTTP request for every paper."""
    made = []
    with open(path, "rb") as file:  # noqa: PTH123
        for line in file:
            paper = orjson.loads(line)
            body = orjson.dumps({"title": paper["title"], "abstract": paper["abstract"]})
            head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            made.append(head + b"content-length: %d\r\n\r\n" % len(body) + body)
    return made


class User(asyncio.Protocol):
    """Asks, waits for the answer, asks again; who is refused and patient comes again when told to."""

    def __init__(self, papers: list[bytes], first: int, seen: Seen, counting: asyncio.Event, patient: bool) -> None:
        self.papers, self.next, self.seen, self.counting, self.patient = papers, first, seen, counting, patient
        self.gathered = b""
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.ask()

    def ask(self) -> None:
        if self.ended:
            return
        self.asked = time.perf_counter()
        self.transport.write(self.papers[self.next % len(self.papers)])
        self.next += 1

    def data_received(self, data: bytes) -> None:
        self.gathered += data
        head, end, body = self.gathered.partition(b"\r\n\r\n")
        if not end or len(body) < int(LENGTH.search(head + b"\r\n")[1]):  # type: ignore[index]
            return
        self.gathered = b""
        if self.counting.is_set():
            self.seen.add(int(head[9:12]), time.perf_counter() - self.asked)
        if self.patient and (wait := RETRY_AFTER.search(head + b"\r\n")):
            asyncio.get_running_loop().call_later(int(wait[1]), self.ask)
        else:
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended:
            self.seen.wrong[type(exc).__name__ if exc else "closed"] += 1


async def load(port: int, papers: list[bytes], users: int, seconds: float, patient: bool) -> Seen:
    """So many users for so long, after a moment to warm up."""
    loop, seen, counting = asyncio.get_running_loop(), Seen(), asyncio.Event()
    people = []
    for number in range(users):
        first = number * 7919
        try:
            _, user = await loop.create_connection(
                lambda n=first: User(papers, n, seen, counting, patient), "127.0.0.1", port
            )
        except OSError as error:
            seen.wrong[type(error).__name__] += 1
            continue
        people.append(user)
    await asyncio.sleep(WARM)
    counting.set()
    await asyncio.sleep(seconds)
    counting.clear()
    for user in people:
        user.ended = True
        user.transport.abort()
    await asyncio.sleep(0.2)
    return seen


def seen_by(users: int, port: int, papers: list[bytes], seconds: float, patient: bool = True) -> Seen:
    """What so many users saw, in an event loop of their own."""
    return uvloop.run(load(port, papers, users, seconds, patient))


@contextmanager
def service(options: list[str]) -> Iterator[tuple[int, int]]:
    """Port and process of a service that is ready."""
    command = [sys.executable, "-m", "arxivcli", "serve", "--port", "0", "--no-access-log", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        said = ""
        for line in process.stderr or ():
            said += line
            if found := re.search(r"serving on http://.*:(\d+)", line):
                yield int(found[1]), process.pid
                return
        sys.exit(f"the service did not begin: {said}")
    finally:
        process.terminate()
        process.wait(60)


def memory(pid: int) -> float:
    """MiB in use by a process and its children."""
    listed = subprocess.run(
        ["ps", "-o", "rss=", "--pid", str(pid), "--ppid", str(pid)], capture_output=True, check=True
    )
    return sum(map(int, listed.stdout.split())) / 1024


def told(name: str, seen: Seen, seconds: float) -> float:
    """Print a line; the answers a second."""
    good = len(seen.seconds.get(200, ())) / seconds
    others = {status: len(times) for status, times in sorted(seen.seconds.items()) if status != 200}
    p50, p95, p99 = (seen.quantile(200, share) for share in (0.5, 0.95, 0.99))
    rest = "  ".join(f"{status}: {count:,}" for status, count in others.items()) or "no errors"
    wrong = f"  {dict(seen.wrong)}" if seen.wrong else ""
    print(f"{name:>12} {good:9,.1f}/s   p50 {p50:8.1f} ms  p95 {p95:8.1f} ms  p99 {p99:8.1f} ms   {rest}{wrong}")
    return good


def measure(asked: argparse.Namespace, papers: list[bytes], options: list[str]) -> None:
    """All numbers of users, one after another, and more than can be served."""
    with service(["--model", asked.model, *options]) as (port, pid):
        rates = {}
        for users in asked.users:
            rates[users] = told(f"{users} users", seen_by(users, port, papers, asked.seconds), asked.seconds)
        if asked.overload:
            before = memory(pid)
            overload(asked, papers, port, max(rates, key=lambda users: rates[users]))
            print(f"memory {before:,.0f} MiB before, {memory(pid):,.0f} MiB after")


def overload(asked: argparse.Namespace, papers: list[bytes], port: int, best: int) -> None:
    """Too many users in turns with the best number of them: the machine is not equally quick all the time."""
    peak = good = 0.0
    refused: list[float] = []
    apart: list[float] = []
    for _ in range(ROUNDS):
        peak += told(f"{best} users", seen_by(best, port, papers, asked.seconds), asked.seconds)
        with ProcessPoolExecutor(1, get_context("spawn")) as aside:
            beside = aside.submit(seen_by, BYSTANDERS, port, papers[:100], asked.seconds)
            seen = seen_by(asked.overload, port, papers, asked.seconds, not asked.impatient)
            others = beside.result()
        good += told(f"{asked.overload} users", seen, asked.seconds)
        good += len(others.seconds.get(200, ())) / asked.seconds
        refused += seen.seconds.get(503, [])
        apart += others.seconds.get(503, [])
    print(f"overload: {good / peak:.0%} of the best; {refusals(refused)}; seen from aside {refusals(apart)}")


def refusals(seconds: list[float]) -> str:
    """How quickly they came."""
    seen = Seen({503: seconds})
    p50, p95, p99 = (seen.quantile(503, share) for share in (0.5, 0.95, 0.99))
    return f"{len(seconds):,} refusals p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms"


def main() -> None:
    """Measure, in turns with one-by-one where that is asked for."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("papers")
    ask.add_argument("--model", default="builtin")
    ask.add_argument("--users", type=int, nargs="+", default=[1, 10, 50, 200])
    ask.add_argument("--seconds", type=float, default=10.0)
    ask.add_argument("--overload", type=int, default=0)
    ask.add_argument("--impatient", action="store_true")
    ask.add_argument("--compare", action="store_true")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    asked = ask.parse_args(sys.argv[1:end])
    asked.options = sys.argv[end + 1 :]
    papers = requests(asked.papers)
    print(f"{len(papers):,} papers, {os.cpu_count()} cores, model {asked.model}, {' '.join(asked.options)}")
    if asked.compare:
        print("one by one:")
        measure(asked, papers, [*asked.options, "--batch", "1", "--batch-wait", "0"])
        print("together:")
    measure(asked, papers, asked.options)


if __name__ == "__main__":
    main()
