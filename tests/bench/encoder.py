"""`arxivcli classify` with a fine-tuned model against transformers' own pipeline: same network, papers, threads.

    python tests/bench/encoder.py CORPUS MODEL [--split test] [--papers 1000] [--rounds 3] [--threads 2]
        [--batches 1,8,32]

MODEL is the folder of a fine-tuned model; one on MiniLM is made by
`arxivcli train --model scibert-full --encoder FOLDER --data CORPUS`. The other is
`pipeline("text-classification")` on that very folder: each batch size in a process of its own, texts cut where ours
are. Each line is a whole process from start to the last answer in a file, the best of the rounds, which take turns;
`network` leaves out start and loading of the pipeline, which ours has no counterpart of. `ratio` is how many
times as quick as the quickest pipeline it is, `alike` the share of papers with the first label of `arxivcli, cpu`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from arxivcli import text
from arxivcli.shards import Shards

PIPELINE = """
import json, sys, time
import torch
from transformers import pipeline

folder, texts, output, batch, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
asked = pipeline("text-classification", folder, device="cpu")
read = [json.loads(line) for line in open(texts)]
began = time.perf_counter()
found = asked(read, batch_size=int(batch), truncation=True)
took = time.perf_counter() - began
with open(output, "w") as file:
    file.writelines(one["label"] + "\\n" for one in found)
print(took)
"""


def prepared(corpus: Path, split: str, most: int, folder: Path) -> int:
    """Write the papers for both: as JSON lines, and as the texts that ours makes of them; how many there are."""
    count = 0
    with (folder / "papers.jsonl").open("w") as papers, (folder / "texts.jsonl").open("w") as texts:
        for batch in Shards.open(corpus).batches(split):
            both = zip(batch.to_pylist(), text.model_input(batch).to_pylist(), strict=True)
            for row, read in islice(both, most - count):
                papers.write(json.dumps({name: row[name] for name in ("id", "title", "abstract")}) + "\n")
                texts.write(json.dumps(read) + "\n")
                count += 1
    return count


def timed(command: list[str], threads: int) -> tuple[float, str]:
    """Seconds of wall clock of one whole process on so many cores, and what it printed."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
    began = time.perf_counter()
    done = subprocess.run(
        ["taskset", "-c", ",".join(map(str, cores)), *command],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    return time.perf_counter() - began, done.stdout


def labels(answers: Path) -> list[str]:
    """The first label of each answer."""
    return [json.loads(line)["top_category"] for line in answers.read_bytes().splitlines()]


def main() -> None:
    """Write the papers, run in turns, compare, print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("corpus", type=Path)
    ask.add_argument("model", type=Path)
    ask.add_argument("--split", default="test")
    ask.add_argument("--papers", type=int, default=1_000)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--batches", default="1,8,32", help="batch sizes of the pipeline; 1 is its default")
    asked = ask.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        count = prepared(asked.corpus, asked.split, asked.papers, folder)
        ours = [sys.executable, "-m", "arxivcli", "-q", "classify", str(folder / "papers.jsonl"), "--top", "1"]
        ours += ["--model", str(asked.model)]
        commands = {
            f"arxivcli, {device}": [*ours, "--device", device, "-o", str(folder / f"{device}.jsonl")]
            for device in ("cpu", "cpu-int8")
        }
        for size in asked.batches.split(","):
            output = str(folder / f"pipeline-{size}")
            commands[f"pipeline, {size}"] = [
                sys.executable, "-c", PIPELINE, str(asked.model), str(folder / "texts.jsonl"), output, size,
                str(asked.threads),
            ]  # fmt: skip
        best: dict[str, tuple[float, float]] = {}
        for _ in range(asked.rounds):
            for name, command in commands.items():
                took, said = timed(command, asked.threads)
                inside = float(said) if said.strip() else took
                whole, network = best.get(name, (took, inside))
                best[name] = min(took, whole), min(inside, network)
        answers = labels(folder / "cpu.jsonl")
        pipeline = min(whole for name, (whole, _) in best.items() if name.startswith("pipeline"))
        print(f"{count:,} papers, {asked.threads} threads, best of {asked.rounds}")
        print(f"{'':20} {'seconds':>8} {'network':>8} {'papers/s':>9} {'ratio':>6} {'alike':>7}")
        for name, (whole, network) in best.items():
            made = name.rpartition(" ")[2]
            if name.startswith("pipeline"):
                theirs = (folder / f"pipeline-{made}").read_text().splitlines()
            else:
                theirs = labels(folder / f"{made}.jsonl")
            alike = sum(one == other for one, other in zip(answers, theirs, strict=True)) / count
            print(f"{name:20} {whole:8.2f} {network:8.2f} {count / whole:9.1f} {pipeline / whole:6.2f} {alike:7.1%}")


if __name__ == "__main__":
    main()
