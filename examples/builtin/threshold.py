#!/usr/bin/env python3
"""Choose the probability from which `arxivcli classify --multi` suggests a cross-list.

    python examples/builtin/threshold.py CORPUS [--model builtin]

CORPUS is a folder made by `arxivcli preprocess` from papers of which all categories are known. For each threshold the
categories of a paper are the first answer and all others with at least so much probability; the best threshold has the
highest micro-F1 of these against the categories the paper has. It is chosen on the calibration split and told on the
test split, in the corpus' mix of categories and in arXiv's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from arxivcli import calibration, metrics, priors, text
from arxivcli.models import shelf
from arxivcli.shards import Shards

THRESHOLDS = np.round(np.arange(0.05, 0.51, 0.01), 2)


def scored(model: shelf.Model, shards: Shards, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (n, L), which labels each paper has (n, L), and what each counts in arXiv's mix (n,)."""
    probs, has, primaries = [], [], []
    for batch in shards.batches(split, 4096):
        logits = model.classifier.scores(text.model_input(batch))
        primary, listed = metrics.label_indices(batch["categories"], model.card.labels)
        truth = np.zeros(logits.shape, bool)
        rows, places = np.nonzero(listed != metrics.NOT_LISTED)
        truth[rows, listed[rows, places]] = True
        kept = primary != metrics.NOT_LISTED
        probs.append(calibration.calibrated(logits[kept], model.card.calibration))
        has.append(truth[kept])
        primaries.append(primary[kept])
    of = np.concatenate(primaries)
    here = np.maximum(np.bincount(of, minlength=len(model.card.labels)), 1) / len(of)
    return np.concatenate(probs), np.concatenate(has), (priors.arxiv(model.card.labels, model.card.level) / here)[of]


def quality(named: np.ndarray, has: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """Micro-averaged F1, precision and recall of categories."""
    right = weights @ (named & has).sum(1)
    answered, there = weights @ named.sum(1), weights @ has.sum(1)
    return 2 * right / (answered + there), right / answered, right / there


def named(probs: np.ndarray, threshold: float) -> np.ndarray:
    """The first answer and all that pass, (n, L)."""
    inside = probs >= threshold
    inside[np.arange(len(probs)), probs.argmax(1)] = True
    return inside


def main() -> None:
    """Tell the best threshold, and what it is worth."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("corpus", type=Path)
    ask.add_argument("--model", default="builtin")
    args = ask.parse_args()
    model, shards = shelf.load(args.model), Shards.open(args.corpus)
    held_out = {split: scored(model, shards, split) for split in ("calibration", "test")}
    for mix in ("corpus", "arxiv"):
        probs, has, weights = held_out["calibration"]
        counts = weights if mix == "arxiv" else np.ones(len(weights))
        found = [quality(named(probs, threshold), has, counts)[0] for threshold in THRESHOLDS]
        best = float(THRESHOLDS[int(np.argmax(found))])
        near = THRESHOLDS[np.array(found) > max(found) - 0.001]
        print(f"{mix}: best {best:.2f}, within 0.001 of its F1 from {near.min():.2f} to {near.max():.2f}")
        probs, has, weights = held_out["test"]
        counts = weights if mix == "arxiv" else np.ones(len(weights))
        for threshold in (best, 0.5, 2.0):
            f1, precision, recall = quality(named(probs, threshold), has, counts)
            what = f"threshold {threshold:.2f}" if threshold <= 1 else "first answer alone"
            print(f"  test, {what}: F1 {f1:.4f}, precision {precision:.4f}, recall {recall:.4f}")


if __name__ == "__main__":
    main()
