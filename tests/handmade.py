"""A small model nobody trained: each topic word of `invented` speaks for its own category."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from invented import TOPICS

from arxivcli import text
from arxivcli.calibration import COVERAGES, Calibration
from arxivcli.models import card
from arxivcli.models.fast import FastClassifier
from arxivcli.models.features import Vocabulary
from arxivcli.models.packing import packed

if TYPE_CHECKING:
    from pathlib import Path


def save(folder: Path) -> Path:
    """Write the model as a folder that `--model` takes."""
    labels = tuple(sorted(TOPICS))
    owners = {word.lower(): labels.index(topic) for topic, words in TOPICS.items() for word in words.split()}
    words = sorted(owners)
    embeddings = np.zeros((len(words), len(labels) + len(labels) % 2), np.float32)
    embeddings[np.arange(len(words)), [owners[word] for word in words]] = 1
    classifier = FastClassifier(
        labels=labels,
        vocabulary=Vocabulary(pa.array(words), np.empty(0, np.int64)),
        idf=np.zeros(len(words), np.uint8),
        embeddings=packed(embeddings, embeddings.shape[1]),
        head=np.eye(embeddings.shape[1], len(labels), dtype=np.float32) * 3,
        bias=np.linspace(0, 0.1, len(labels), dtype=np.float32),
    )
    folder.mkdir(parents=True, exist_ok=True)
    classifier.save(folder)
    quantiles = {f"{coverage:.2f}": coverage for coverage in COVERAGES}
    card.write(
        folder,
        card.Card(
            "fast", "handmade", labels, "category", text.RECIPE, {}, {}, {}, Calibration(0.8, quantiles=quantiles)
        ),
    )
    return folder
