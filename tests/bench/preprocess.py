"""How fast preprocess is, and how large: beside DuckDB doing the plain read_json -> parquet of the same file.

Run from the root of the repository, for example:
    python -m tests.bench.preprocess --papers 200000
    python -m tests.bench.preprocess --snapshot snapshot.jsonl --rounds 2
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

from tests.invented import records

PLAIN = """
import duckdb, sys
duckdb.sql("SET threads=2")
papers = f"(SELECT * FROM read_json('{sys.argv[1]}', format='newline_delimited'))"
duckdb.sql(f"COPY {papers} TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)")
"""


def invented_snapshot(path: Path, papers: int) -> Path:
    """A file in the form of arXiv's snapshot, of papers nobody wrote."""
    rest = {"submitter": None, "authors": "", "comments": None, "doi": None, "license": None, "authors_parsed": []}
    with path.open("w") as file:
        for start in range(0, papers, 5_000):
            for paper in records(min(5_000, papers - start), seed=start // 5_000):
                versions = [{"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"}]
                paper["id"] = f"{paper['id'][:5]}{start + int(str(paper['id'])[5:]):08d}"  # type: ignore[index]
                paper["abstract"] = f"  {paper['abstract']} {paper['abstract']}\n"
                file.write(json.dumps(paper | rest | {"versions": versions, "update_date": "2008-11-26"}) + "\n")
    return path


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of a command, resident memory summed over its processes."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(resident(path) for path in Path("/proc").glob("[0-9]*") if of_session(path, process.pid)))
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return time.perf_counter() - began, peak / (1 << 20)


def of_session(path: Path, leader: int) -> bool:
    """Whether a process belongs to the session of another."""
    try:
        return int((path / "stat").read_text().rsplit(")", 1)[1].split()[3]) == leader
    except OSError:
        return False


def resident(path: Path) -> int:
    """Bytes of memory a process holds."""
    try:
        return int((path / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--papers", type=int, default=200_000, help="size of the invented snapshot")
    ask.add_argument("--snapshot", type=Path, help="a snapshot file to use instead")
    ask.add_argument("--workers", default="2")
    ask.add_argument("--rounds", type=int, default=1)
    args = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = args.snapshot or invented_snapshot(Path(folder) / "snapshot.jsonl", args.papers)
        print(f"{source}: {source.stat().st_size / 1e6:,.0f} MB")
        for number in range(args.rounds):
            out = Path(folder) / str(number)
            ours, peak = measured(
                [sys.executable, "-m", "arxivcli", "preprocess", str(source), "-o", str(out), "--workers", args.workers]
            )
            plain, plain_peak = measured([sys.executable, "-c", PLAIN, str(source), f"{out}.parquet"])
            kept = json.loads((out / "manifest.json").read_bytes())["kept"]
            print(f"arxivcli preprocess  {ours:7.1f} s  {peak:6.0f} MiB  {kept / ours:9,.0f} papers/s")
            print(f"duckdb, plain copy   {plain:7.1f} s  {plain_peak:6.0f} MiB")
            print(f"ratio                {ours / plain:7.2f}")


if __name__ == "__main__":
    main()
