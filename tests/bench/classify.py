"""`arxivcli classify` against fastText's own predict: whole processes, the same papers, in turns on the same machine.

    python tests/bench/classify.py papers.jsonl [--model NAME|FOLDER] [--dim 100 --buckets 2000000] [--rounds 3]

The papers are JSON lines with title, abstract and categories. fastText (words and word pairs, softmax over the primary
categories) is trained on them first; its speed does not depend on how well. It then answers in two ways: `texts` reads
lines made ready beforehand, as its command line does (nothing to parse or to clean), `papers` reads and writes the same
JSON lines as arxivcli. The best of the rounds counts. RSS is that of the largest process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from arxivcli import text
from arxivcli.sources import files

TRAIN = """
import sys, fasttext
_, texts, model, dim, buckets = sys.argv
fasttext.train_supervised(
    texts, dim=int(dim), wordNgrams=2, bucket=int(buckets), epoch=1, lr=0.5, verbose=0
).save_model(model)
"""
TEXTS = """
import sys, time, fasttext
_, model, texts = sys.argv
began = time.perf_counter()
model = fasttext.load_model(model)
print(f"{time.perf_counter() - began:.3f}", file=sys.stderr)
for line in open(texts, encoding="utf-8"):
    labels, scores = model.predict(line.rstrip("\\n"), k=3)
    sys.stdout.write(" ".join(f"{label} {score:.4f}" for label, score in zip(labels, scores)) + "\\n")
"""
PAPERS = """
import sys, time, fasttext, orjson
_, model, papers = sys.argv
began = time.perf_counter()
model = fasttext.load_model(model)
print(f"{time.perf_counter() - began:.3f}", file=sys.stderr)
for line in open(papers, "rb"):
    paper = orjson.loads(line)
    words = " ".join((paper["title"] + " " + paper["abstract"]).lower().split())
    labels, scores = model.predict(words, k=3)
    found = [{"category": label, "confidence": round(float(score), 4)} for label, score in zip(labels, scores)]
    sys.stdout.buffer.write(orjson.dumps({"id": paper["id"], "predictions": found}) + b"\\n")
"""


@dataclass(frozen=True)
class Run:
    """One whole process: seconds of wall clock and of CPU, MiB of its largest process, what it said on stderr."""

    wall: float
    cpu: float
    rss: float
    said: str


def timed(command: list[str], output: Path) -> Run:
    """Run it once, its answers into a file."""
    with output.open("wb") as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        said = err.read().decode()
    if process.returncode:
        sys.exit(f"{command[:4]} ended with {process.returncode}: {said}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def prepare(papers: Path, labelled: Path, plain: Path) -> int:
    """Write what fastText trains on and what it answers, one lower-case line a paper; how many papers there are."""
    count = 0
    with labelled.open("w", encoding="utf-8") as train, plain.open("w", encoding="utf-8") as predict:
        for reading in files.read(papers):
            lines = text.model_input(reading.papers).to_pylist()
            for line, categories in zip(lines, reading.papers["categories"].to_pylist(), strict=True):
                words = line.lower().replace("\n", " ")
                predict.write(words + "\n")
                if categories:
                    train.write(f"__label__{categories[0]} {words}\n")
            count += len(lines)
    return count


def main() -> None:
    """Prepare, train, run in turns, print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("papers", type=Path)
    ask.add_argument("--model", default="builtin")
    ask.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    ask.add_argument("--dim", type=int, default=100, help="fastText's own default")
    ask.add_argument("--buckets", type=int, default=2_000_000, help="fastText's own default")
    ask.add_argument("--rounds", type=int, default=3)
    asked = ask.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        labelled, plain, weights = folder / "train.txt", folder / "texts.txt", folder / "fasttext.bin"
        count = prepare(asked.papers, labelled, plain)
        train = [sys.executable, "-c", TRAIN, str(labelled), str(weights), str(asked.dim), str(asked.buckets)]
        timed(train, folder / "log")
        program = [sys.executable, "-m", "arxivcli", "-q", "classify", "--model", asked.model]
        commands = {
            "arxivcli": [*program, "--workers", str(asked.workers), str(asked.papers)],
            "fastText, texts": [sys.executable, "-c", TEXTS, str(weights), str(plain)],
            "fastText, papers": [sys.executable, "-c", PAPERS, str(weights), str(asked.papers)],
        }
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for _ in range(asked.rounds):
            for name, command in commands.items():
                output = folder / "answers"
                runs[name].append(timed(command, output))
                with output.open("rb") as written:
                    assert sum(1 for _ in written) == count, f"{name} did not answer every paper"
    report(runs, count, asked)


def report(runs: dict[str, list[Run]], count: int, asked: argparse.Namespace) -> None:
    """A line for each, its speed also without the loading of fastText's weights, and the ratios."""
    print(f"{count:,} papers, best of {asked.rounds}; fastText dim {asked.dim}, {asked.buckets:,} buckets, word pairs")
    best = {name: min(some, key=lambda run: run.wall) for name, some in runs.items()}
    ours = best["arxivcli"]
    for name, run in best.items():
        loading = float(run.said) if name.startswith("fastText") else 0.0
        line = f"{name:17} {run.wall:7.2f} s wall {run.cpu:7.2f} s CPU {count / run.wall:9,.0f}/s {run.rss:7,.0f} MiB"
        if loading:
            line += f"   we are {run.wall / ours.wall:.2f}x as fast; {loading:.2f} s of it is loading, "
            line += f"without it {(run.wall - loading) / ours.wall:.2f}x"
        print(line)


if __name__ == "__main__":
    main()
