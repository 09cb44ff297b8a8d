"""A cascade's accuracy against its speed: the fast model, the second one, and both at several thresholds.

    python tests/bench/cascade.py CORPUS SECOND [--model builtin] [--split test] [--papers 5000] [--rounds 3]
        [--below 0.3,0.5,0.7,0.9] [--workers N]

CORPUS is a folder made by `arxivcli preprocess`, SECOND a model by name or folder. Each line is a whole process of
`arxivcli classify` that reads the papers as JSON lines and writes its answers to a file, the best of the rounds, which
take turns. `top1` is the share of papers whose primary category is the first answer; `second` the share answered by the
second model. Only papers whose primary both models know are asked, among the labels both know.
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

from arxivcli.models import card as cards
from arxivcli.models import deferral, shelf
from arxivcli.shards import Shards


def prepared(corpus: Path, split: str, most: int, labels: set[str], papers: Path) -> list[str]:
    """Write the papers; their primary categories."""
    truth: list[str] = []
    rows = (row for batch in Shards.open(corpus).batches(split) for row in batch.to_pylist())
    known = (row for row in rows if row["categories"] and row["categories"][0] in labels)
    with papers.open("w", encoding="utf-8") as file:
        for row in islice(known, most):
            paper = {"id": row["id"], "title": row["title"], "abstract": row["abstract"]}
            file.write(json.dumps(paper, ensure_ascii=False) + "\n")
            truth.append(row["categories"][0])
    return truth


def timed(command: list[str], output: Path) -> float:
    """Seconds of wall clock of one whole process."""
    began = time.perf_counter()
    subprocess.run([*command, "-o", str(output)], check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


def measured(output: Path, truth: list[str]) -> tuple[float, float]:
    """Share of right answers, and share of answers that are the second model's."""
    answers = [json.loads(line) for line in output.read_bytes().splitlines()]
    right = sum(answer["top_category"] == primary for answer, primary in zip(answers, truth, strict=True))
    return right / len(truth), sum(answer.get("model") == "second" for answer in answers) / len(truth)


def main() -> None:
    """Write the papers, run in turns, print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("corpus", type=Path)
    ask.add_argument("second")
    ask.add_argument("--model", default="builtin")
    ask.add_argument("--split", default="test")
    ask.add_argument("--papers", type=int, default=5_000)
    ask.add_argument("--below", default="0.3,0.5,0.7,0.9")
    ask.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    ask.add_argument("--rounds", type=int, default=3)
    asked = ask.parse_args()
    first, second = (cards.read(shelf.folder(name)) for name in (asked.model, asked.second))
    common = [label for label in first.labels if label in second.labels]
    program = [sys.executable, "-m", "arxivcli", "-q", "classify", "--top", "1", "--workers", str(asked.workers)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "second").symlink_to(shelf.folder(asked.second).resolve())
        papers = folder / "papers.jsonl"
        truth = prepared(asked.corpus, asked.split, asked.papers, set(common), papers)
        program += [str(papers), "--labels", ",".join(common)]
        cascade = [*program, "--model", asked.model, "--cascade", str(folder / "second")]
        commands = {
            "first alone": [*program, "--model", asked.model],
            "second alone": [*program, "--model", asked.second],
            f"default ({deferral.below(first):.3f})": cascade,
            **{f"below {below}": [*cascade, "--cascade-below", below] for below in asked.below.split(",")},
        }
        best: dict[str, float] = {}
        for _ in range(asked.rounds):
            for name, command in commands.items():
                took = timed(command, folder / f"{name.replace(' ', '-')}.jsonl")
                best[name] = min(took, best.get(name, took))
        print(f"{len(truth):,} papers, {len(common)} labels, best of {asked.rounds}, {asked.workers} workers")
        print(f"{'':18} {'top1':>7} {'second':>8} {'seconds':>9} {'papers/s':>10}")
        for name, took in best.items():
            top1, sent = measured(folder / f"{name.replace(' ', '-')}.jsonl", truth)
            sent = 1.0 if name == "second alone" else sent
            print(f"{name:18} {top1:7.1%} {sent:8.1%} {took:9.2f} {len(truth) / took:10,.0f}")


if __name__ == "__main__":
    main()
