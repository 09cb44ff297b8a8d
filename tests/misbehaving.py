"""`arxivcli serve` with a model that does what titles say: `explode`, `nothing` (no numbers), `sleep 0.3`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from arxivcli.models import shelf
from arxivcli.models.fast import FastClassifier

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

PROGRAM = [sys.executable, str(Path(__file__))]


class Misbehaving(FastClassifier):
    def scores(self, texts: pa.StringArray) -> NDArray[np.float32]:
        titles = [text.partition("\n")[0] for text in texts.to_pylist()]
        if "explode" in titles:
            raise RuntimeError("CUDA error: out of memory")
        time.sleep(sum(float(title.split()[1]) for title in titles if title.startswith("sleep ")))
        logits = super().scores(texts)
        logits[[title == "nothing" for title in titles]] = np.nan
        return logits


if __name__ == "__main__":
    sys.modules["misbehaving"] = sys.modules["__main__"]
    shelf._CLASSES["fast"] = "misbehaving:Misbehaving"
    from arxivcli.cli.app import main

    main()
