"""`arxivcli serve` with a model that does what titles say: `explode`, `nothing` (no numbers), `sleep 0.3`.

It can also say which words count: those that alone would be scored above the average label, or below it. A folder that
says it is fine-tuned is loaded as this, too.
"""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from arxivcli.models import shelf
from arxivcli.models.fast import FastClassifier

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROGRAM = [sys.executable, str(Path(__file__))]


@dataclass(frozen=True)
class Contribution:
    text: str
    value: float
    where: str
    spans: tuple[tuple[int, int], ...]


class Explanation(list[Contribution]):
    def strongest(self, most: int) -> list[Contribution]:
        return sorted((one for one in self if one.value), key=lambda one: -abs(one.value))[:most]


class Misbehaving(FastClassifier):
    def scores(self, texts: pa.StringArray) -> NDArray[np.float32]:
        titles = [text.partition("\n")[0] for text in texts.to_pylist()]
        if "explode" in titles:
            raise RuntimeError("CUDA error: out of memory")
        time.sleep(sum(float(title.split()[1]) for title in titles if title.startswith("sleep ")))
        logits = super().scores(texts)
        logits[[title == "nothing" for title in titles]] = np.nan
        return logits

    def contributions(self, texts: pa.StringArray, towards: NDArray[np.int64]) -> list[Explanation]:
        return [self._explained(*pair) for pair in zip(texts.to_pylist(), towards.tolist(), strict=True)]

    def _explained(self, text: str, label: int) -> Explanation:
        fields = zip(("title", "abstract"), text.split("\n"), strict=True)
        words = [(where, word) for where, field in fields for word in re.finditer(r"\w+", field)]
        known = sorted({word[0] for _, word in words})
        logits = super().scores(pa.array(["", *known], pa.string()))
        leads = logits[:, label] - logits.mean(axis=1)
        values = dict(zip(known, (leads[1:] - leads[0]).tolist(), strict=True))
        return Explanation(
            Contribution(word[0].lower(), values[word[0]], where, (word.span(),)) for where, word in words
        )


if __name__ == "__main__":
    sys.modules["misbehaving"] = sys.modules["__main__"]
    shelf._LOADERS |= dict.fromkeys(("fast", "finetuned"), "misbehaving:Misbehaving.load")
    from arxivcli.cli.app import main

    main()
