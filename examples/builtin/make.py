#!/usr/bin/env python3
"""Make the model that ships inside the package, from papers to model card, with the tool itself.

    python examples/builtin/make.py PAPERS... [--build FOLDER]

PAPERS are files that `arxivcli preprocess` reads, real arXiv papers with title, abstract and categories. The finished
model replaces `arxivcli/models/builtin`. The same papers make the same bytes, on another processor too; an interrupted
run is continued by the same command. About seventy minutes and 6 GB of memory for half a million papers on two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from arxivcli import storage, taxonomy
from arxivcli.models import card as cards
from arxivcli.models import deferral

BUILTIN = Path(__file__).resolve().parents[2] / "arxivcli" / "models" / "builtin"
SHARES = "0.94,0.01,0.03,0.02"  # train, validation, calibration, test: most of it to learn from
SETTINGS = ("prior=arxiv", "members=12", "stacked=1024")
ABSTAIN = 0.2
"""Least confidence of the first answer that the card suggests."""
NOT_PAPERS = Path(__file__).with_name("not_papers.jsonl")
FIGURES = ("top1", "top3", "top5", "any_listed", "archive", "macro_f1", "nll", "ece")


def arxivcli(*arguments: str) -> str:
    """Run the tool; its standard output."""
    print("$ arxivcli", *arguments, file=sys.stderr)
    run = [sys.executable, "-m", "arxivcli", *arguments]
    # Sums in another order are other bytes: one thread, and instructions that every x86-64 processor has.
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    }
    return subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def main() -> None:
    """Corpus, training, evaluation, publication."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("papers", nargs="+")
    ask.add_argument("--build", type=Path, default=Path("build/builtin"), help="folder for the corpus and the model")
    args = ask.parse_args()
    corpus, model = args.build / "corpus", args.build / "builtin"
    arxivcli("preprocess", *args.papers, "--output", str(corpus), "--shares", SHARES)
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    arxivcli("train", "--model", "fast", "--data", str(corpus), "--output", str(model), *settings)
    found = {
        mix: json.loads(arxivcli("eval", str(model), "--data", str(corpus), "--weights", mix, "--json"))["models"][0]
        for mix in ("arxiv", "corpus")
    }
    answers = arxivcli("classify", "--model", str(model), "--top", "1", "--format", "jsonl", str(NOT_PAPERS))
    kinds = [json.loads(line)["kind"] for line in NOT_PAPERS.read_text("utf-8").splitlines()]
    sure = [json.loads(line)["predictions"][0]["confidence"] for line in answers.splitlines()]
    publish(model, found, list(zip(kinds, sure, strict=True)))


def publish(model: Path, found: dict[str, dict], strange: list[tuple[str, float]]) -> None:
    """Copy the model into the package, with a card that tells what was measured."""
    shutil.rmtree(BUILTIN, ignore_errors=True)
    shutil.copytree(model, BUILTIN, ignore=shutil.ignore_patterns(".*"))
    card = cards.read(BUILTIN)
    measured = {mix: {part: values(result[part]) for part in ("whole", "title_only")} for mix, result in found.items()}
    card = dataclasses.replace(card, metrics=card.metrics | {"test": measured})
    storage.write_whole(BUILTIN / "README.md", readme(card, found, strange).encode())
    cards.write(BUILTIN, card)
    size = sum(path.stat().st_size for path in BUILTIN.iterdir())
    print(f"{BUILTIN.name}: {size / 1e6:.1f} MB\n{readme(card, found, strange)}")


def values(quality: dict) -> dict[str, float]:
    """The figures of a report without their intervals, and how many papers they are of."""
    return {"papers": quality["papers"], **{name: quality[name]["value"] for name in FIGURES}}


def readme(card: cards.Card, found: dict[str, dict], strange: list[tuple[str, float]]) -> str:
    """The model card for people."""
    arxiv = found["arxiv"]
    papers = card.corpus["papers"]
    fitted = card.calibration
    columns = [values(found[mix][part]) for mix in ("arxiv", "corpus") for part in ("whole", "title_only")]
    rows = "\n".join(
        f"| {name} | " + " | ".join(figure(name, column[name]) for column in columns) + " |" for name in FIGURES
    )
    labels = sorted((row for row in arxiv["per_label"] if row["papers"]), key=lambda row: row["f1"]["value"])
    worst = "\n".join(
        f"| {row['label']} | {taxonomy.name(row['label'])} | {row['precision']:.2f} | {row['recall']:.2f} "
        f"| {row['f1']['value']:.2f} |"
        for row in labels[:15]
    )
    return f"""# The built-in model

What `arxivcli classify` answers with when no other model is named. It puts a paper into one of arXiv's
{len(card.labels)} canonical active categories from title and abstract, or from the title alone.

- Kind: `fast`, a supervised bag of words and word pairs: the mean of {card.settings["members"]} trainings in
  {card.settings["kept"]} numbers a feature of two to four bits, and a hidden layer of {card.settings["stacked"]} units
  that learned from answers to papers the answering member had not seen; settings in `settings.toml`.
- Trained on {papers["train"]:,} real arXiv papers, 1986 to June 2026 (descriptive metadata, CC0), at most 2,000 a
  category before 2020 and 15,000 from then on: 2020-2024 is mostly computer science and mathematics, 2025-2026 is
  broad.
- Its probabilities are for arXiv as it is: logits are shifted from the training papers' mix of categories to arXiv's
  own (estimated numbers of papers by primary category, September 2025).
- Calibrated on {papers["calibration"]:,} other papers in arXiv's mix: temperature {fitted.temperature:.3f}, then slope
  {fitted.slope:.3f} and intercept {fitted.intercept:.3f} for the best answer's log-odds; conformal quantiles for
  coverages from 0.50 to 0.99. Texts without an abstract have their own: temperature
  {fitted.title_only.temperature:.3f}, slope {fitted.title_only.slope:.3f}, intercept
  {fitted.title_only.intercept:.3f}, quantiles.
- Made by `examples/builtin/make.py`.

## How good it is

On {arxiv["whole"]["papers"]:,} test papers the training never saw (no abstract of them occurs in the training papers),
weighted to arXiv's mix of categories, and with every paper counting alike:

| | arXiv's mix | title only | papers alike | title only |
|---|---|---|---|---|
{rows}

top1, top3, top5: the primary category is the first, among the first three, five. any_listed: the first answer is one
of the paper's categories, cross-lists included. archive: the first answer is of the right archive.

### By archive (arXiv's mix)

{table("archive", arxiv["per_archive"])}

### By year of submission (arXiv's mix)

{table("year", arxiv["per_year"])}

### By length of the abstract in characters (arXiv's mix)

{table("length", arxiv["per_length"])}

confidence: mean probability of the first answer, near top1 where it means what it says. coverage: how often the set of
`--coverage 0.9` holds the primary category.

### By confidence of the first answer (calibration papers in arXiv's mix)

{trust(card)}

What is below the confidence in bold `--cascade` gives to a second model unless `--cascade-below` says otherwise.

## Where it is bad

The categories with the lowest F1 in arXiv's mix:

| category | name | precision | recall | F1 |
|---|---|---|---|---|
{worst}

- Categories that are mostly about a method used everywhere (cs.LG, cs.AI, stat.ML), and general ones (cs.GL, stat.OT,
  cs.OH, physics.gen-ph): their papers look like those of their neighbours, and arXiv itself files them by judgement.
- Texts that are no papers, or not in English: it answers all the same, but is less sure. Of the invented texts in
  `examples/builtin/not_papers.jsonl`, the confidence of the first answer:

{strangers(strange)}

  Suggestion: `--abstain {ABSTAIN}` leaves {share(strange, ABSTAIN, other=False)} of these texts that are no papers and
  {share(strange, ABSTAIN, other=True)} of the papers in other languages without an answer, and of the test papers in
  arXiv's mix the {unanswered(arxiv):.0f} % it is least sure of.
"""


def figure(name: str, value: float) -> str:
    """Shares as percentages, the others as they are."""
    return f"{value:.3f}" if name in {"nll", "ece"} else f"{100 * value:.1f} %"


def table(what: str, slices: list[dict]) -> str:
    """Papers, top-1, mean confidence and coverage of each slice."""
    rows = [
        f"| {part['name']} | {part['papers']:,} | {100 * part['top1']['value']:.1f} % "
        f"| {100 * part['confidence']:.1f} % "
        f"| {100 * part['coverage']['value']:.0f} % |"
        for part in slices
    ]
    return "\n".join([f"| {what} | test papers | top1 | confidence | coverage |", "|---|---|---|---|---|", *rows])


def trust(card: cards.Card) -> str:
    """How often answers of a confidence or more are right, for every second of the confidences in the card."""
    chosen = deferral.below(card)
    rows = [
        f"| {'**' if row['confidence'] == chosen else ''}{row['confidence']:.2f}"
        f"{'**' if row['confidence'] == chosen else ''} | {100 * row['share']:.0f} % | {100 * row['accuracy']:.1f} % |"
        for row in card.metrics["selective"][1::2]
    ]
    return "\n".join(["| confidence | papers below it | top1 of the others |", "|---|---|---|", *rows])


def strangers(strange: list[tuple[str, float]]) -> str:
    """How sure it is of each kind of text that is no paper in English."""
    kinds: dict[str, list[float]] = {}
    for kind, confidence in strange:
        kinds.setdefault(kind, []).append(confidence)
    rows = [
        f"| {kind} | {len(found)} | {100 * sorted(found)[len(found) // 2]:.0f} % | {100 * max(found):.0f} % |"
        for kind, found in kinds.items()
    ]
    return "\n".join(["| text | texts | median | highest |", "|---|---|---|---|", *rows])


def share(strange: list[tuple[str, float]], least: float, *, other: bool) -> str:
    """How many of the texts in other languages, or of those that are no papers, are less sure than that."""
    some = [confidence for kind, confidence in strange if (kind == "other language") == other]
    return f"{sum(confidence < least for confidence in some)} of {len(some)}"


def unanswered(found: dict) -> float:
    """Percentage of the test papers that are less sure than ABSTAIN, by the steps of the report's curve."""
    points = zip(found["abstention"]["answered"], found["abstention"]["confidence"], strict=True)
    return 100 * (1 - max((answered for answered, confidence in points if confidence >= ABSTAIN), default=0.0))


if __name__ == "__main__":
    main()
