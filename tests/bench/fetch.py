"""How fast fetch is when nobody makes it wait: beside sickle, harvesting the same records from the same server.

Run from the root of the repository:
    python -m tests.bench.fetch --papers 40000

The server is the double of arXiv's on this machine, its pages made once before anybody is timed. arXiv itself allows a
page every three seconds, about 800 records/s: whatever is faster than that is never what one waits for. Both write JSON
lines; arxivcli also syncs every page to the disk, lists all ids again, and merges. Whole processes, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SICKLE = """
import json, sys
from sickle import Sickle
with open(sys.argv[2], "w") as out:
    for record in Sickle(sys.argv[1]).ListRecords(metadataPrefix="arXivRaw"):
        out.write(json.dumps(record.metadata) + "\\n")
"""


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of wall clock and of CPU of a whole process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[:4]} ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Serve, run in turns, print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--papers", type=int, default=40_000)
    ask.add_argument("--rounds", type=int, default=3)
    asked = ask.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ports, environment = folder / "ports.json", os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
        server = [sys.executable, "-m", "tests.double", "--papers", str(asked.papers), "--port-file", str(ports)]
        with subprocess.Popen(server, stdout=subprocess.DEVNULL) as serving:
            while not ports.exists() or not ports.read_text():
                time.sleep(0.1)
            url = json.loads(ports.read_text())["oai"]
            fetch = [
                sys.executable,
                "-m",
                "arxivcli",
                "-q",
                "fetch",
                "--source",
                "oai",
                "--oai-url",
                url,
                "--pace",
                "0",
            ]
            runs: dict[str, list[tuple[float, float]]] = {"arxivcli": [], "sickle": []}
            timed([sys.executable, "-c", SICKLE, url, os.devnull], environment)  # the server makes its pages
            for number in range(asked.rounds):
                runs["arxivcli"].append(timed([*fetch, "-o", str(folder / f"raw{number}")], environment))
                runs["sickle"].append(timed([sys.executable, "-c", SICKLE, url, str(folder / "lines")], environment))
            serving.terminate()
    best = {name: min(some) for name, some in runs.items()}
    print(f"{asked.papers:,} records, pages of 2,500, best of {asked.rounds}")
    for name, (wall, cpu) in best.items():
        print(f"{name:9} {wall:6.2f} s wall {cpu:6.2f} s CPU {asked.papers / wall:8,.0f} records/s")
    print(f"arxivcli is {best['sickle'][0] / best['arxivcli'][0]:.2f}x as fast as sickle")


if __name__ == "__main__":
    main()
