#!/usr/bin/env python3
"""Train variants of the built-in model and measure them all alike; a row each goes into RESULTS.md.

    python examples/builtin/laboratory.py VARIANTS.toml PAPERS... [--seeds 0 1] [--build FOLDER] [--sample SHARE]

VARIANTS.toml has a table for each variant, named as its rows shall be, of settings of `arxivcli train --model fast`:

    [wide]
    dimension = 256
    lr = 0.001

PAPERS are files that `arxivcli preprocess` reads. Each variant is trained twice with each seed: on a corpus that is
split by a hash of the abstracts, measured on its test papers in arXiv's mix of categories, and on one without the
newest months, measured on these. What is done already is not done again: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from pathlib import Path

from make import SHARES, arxivcli

from arxivcli import text
from arxivcli.models import shelf
from arxivcli.shards import Shards

RESULTS = Path(__file__).with_name("RESULTS.md")
TEST_FROM = "2026-03"
COLUMNS = (
    "variant", "seed", "MB", "minutes", "papers/s", "top1", "top3", "top5", "any", "NLL", "ECE",
    "title top1", "title ECE", "newest top1", "newest top5", "newest alike",
)  # fmt: skip


def main() -> None:
    """Corpora, then every variant with every seed."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("variants", type=Path)
    ask.add_argument("papers", nargs="+")
    ask.add_argument("--seeds", type=int, nargs="+", default=[0])
    ask.add_argument("--build", type=Path, default=Path("build/laboratory"))
    ask.add_argument("--sample", default="1.0", help="share of the papers, for a quick look")
    ask.add_argument("--results", type=Path, default=RESULTS)
    args = ask.parse_args()
    corpora = {"random": args.build / "random", "newest": args.build / "newest"}
    common = ("--shares", SHARES, "--sample", args.sample)
    arxivcli("preprocess", *args.papers, "--output", str(corpora["random"]), *common)
    arxivcli(
        "preprocess", *args.papers, "--output", str(corpora["newest"]), *common,
        "--split", "time", "--test-from", TEST_FROM,
    )  # fmt: skip
    for name, settings in tomllib.loads(args.variants.read_text("utf-8")).items():
        for seed in args.seeds:
            row = measured(name, settings | {"seed": seed}, corpora, args.build)
            keep(args.results, row)


def measured(name: str, settings: dict[str, object], corpora: dict[str, Path], build: Path) -> list[str]:
    """The cells of one variant's row."""
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    found = {}
    begun = time.monotonic()
    for split, corpus in corpora.items():
        model = build / f"{name}-{settings['seed']}-{split}"
        arxivcli("train", "--model", "fast", "--data", str(corpus), "--output", str(model), "--set", "prior=arxiv",
                 *changes)  # fmt: skip
        if split == "random":
            minutes = (time.monotonic() - begun) / 60
        for mix in ("arxiv", "corpus"):
            report = arxivcli("eval", str(model), "--data", str(corpus), "--weights", mix, "--json")
            found[split, mix] = json.loads(report)["models"][0]
    model = build / f"{name}-{settings['seed']}-random"
    size = sum(path.stat().st_size for path in model.iterdir() if path.is_file()) / 1e6
    whole, titles = found["random", "arxiv"]["whole"], found["random", "arxiv"]["title_only"]
    newest, alike = found["newest", "arxiv"]["whole"], found["newest", "corpus"]["whole"]
    figures = [whole[key]["value"] for key in ("top1", "top3", "top5", "any_listed")]
    return [
        name, str(settings["seed"]), f"{size:.1f}", f"{minutes:.1f}", f"{speed(model, corpora['random']):,.0f}",
        *(f"{100 * value:.1f}" for value in figures),
        f"{whole['nll']['value']:.3f}", f"{whole['ece']['value']:.3f}",
        f"{100 * titles['top1']['value']:.1f}", f"{titles['ece']['value']:.3f}",
        f"{100 * newest['top1']['value']:.1f}", f"{100 * newest['top5']['value']:.1f}",
        f"{100 * alike['top1']['value']:.1f}",
    ]  # fmt: skip


def speed(model: Path, corpus: Path) -> float:
    """Test papers scored in a second by one process, the best of three times."""
    classifier = shelf.load(str(model)).classifier
    texts = [text.model_input(batch) for batch in Shards.open(corpus).batches("test")]
    classifier.scores(texts[0])
    rates = []
    for _ in range(3):
        begun = time.perf_counter()
        for batch in texts:
            classifier.scores(batch)
        rates.append(sum(map(len, texts)) / (time.perf_counter() - begun))
    return max(rates)


def keep(results: Path, row: list[str]) -> None:
    """Put the row at the end of the file, in place of an earlier one of the same variant and seed."""
    head = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines = results.read_text("utf-8").rstrip("\n").split("\n") if results.exists() else []
    if head[0] not in lines:
        lines += ["", *head]
    same = f"| {row[0]} | {row[1]} |"
    lines = [line for line in lines if not line.startswith(same)]
    lines.append("| " + " | ".join(row) + " |")
    results.write_text("\n".join(lines) + "\n", "utf-8")
    print(lines[-1])


if __name__ == "__main__":
    main()
