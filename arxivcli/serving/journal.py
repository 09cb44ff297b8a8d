"""The log of predictions: packed JSON lines that `arxivcli drift` reads, in files that turn over and never grow past a
size.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import storage
from arxivcli.serving.writing import Writing
from arxivcli.sources import prediction_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from arxivcli.serving.settings import Keeping

_PREFIX, _SUFFIX = "predictions-", ".jsonl.zst"
_SECONDS = 0.5
_BATCHES = 2000
_SAID_AGAIN = 60.0
"""Seconds until it is said again that records are lost."""
_FILES = 16
"""How many files of full size make up all that is kept."""


@dataclass(frozen=True)
class _Batch:
    papers: pa.RecordBatch
    predictions: pa.RecordBatch
    time: datetime


class Journal:
    """Writes answers into a folder. A disk that is full costs records, which are counted, and no answers."""

    def __init__(
        self,
        keeping: Keeping,
        counted: Callable[[str, int], None] = lambda state, count: None,  # noqa: ARG005
        failed: Callable[[OSError], None] = lambda error: None,  # noqa: ARG005
    ) -> None:
        """`counted` hears how many records were written or lost, `failed` why, once a minute.

        Raises StorageError when the folder cannot be written to.
        """
        if keeping.folder is None:
            raise ValueError("no folder to write to")
        self._folder = keeping.folder
        self._keeping = keeping
        self._counted = counted
        self._failed = failed
        self._told = -math.inf
        self._random = random.Random()  # noqa: S311  which answers are kept is no secret
        self._file: Path | None = None
        self._day = ""
        with storage.storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        self._writing = Writing[_Batch](self._write, _SECONDS, _BATCHES, lambda lost: counted("lost", lost))

    def add(self, papers: pa.RecordBatch, predictions: pa.RecordBatch, time: datetime) -> None:
        """Keep the PREDICTIONS for PAPERS, or the share of them that is wanted."""
        if self._keeping.share < 1:
            kept = [self._random.random() < self._keeping.share for _ in range(papers.num_rows)]
            papers, predictions = papers.filter(pa.array(kept)), predictions.filter(pa.array(kept))
        answered = pc.is_null(predictions["error"])
        papers, predictions = papers.filter(answered), predictions.filter(answered)
        if papers.num_rows:
            self._writing.add(_Batch(papers, predictions, time))

    def close(self) -> None:
        """Write what is left."""
        self._writing.close()

    def _write(self, batches: Sequence[_Batch]) -> int:
        form = redacted if self._keeping.redact else prediction_log.json_lines
        count: int = sum(batch.papers.num_rows for batch in batches)
        lines = b"".join(form(batch.papers, batch.predictions, batch.time) for batch in batches)
        try:
            self._append(pa.Codec("zstd").compress(lines, asbytes=True))
            self._forget()
        except OSError as error:
            self._file = None  # another file, when there is room again
            if time.monotonic() - self._told > _SAID_AGAIN:
                self._told = time.monotonic()
                self._failed(error)
            return count
        self._counted("written", count)
        return 0

    def _append(self, frame: bytes) -> None:
        """Append a whole zstd frame, or nothing: a file can be read at any time."""
        now = datetime.now(UTC)
        full = self._keeping.size / _FILES
        if self._file is None or self._day != f"{now:%Y%m%d}" or self._size(self._file) + len(frame) > full:
            self._day = f"{now:%Y%m%d}"
            self._file = self._folder / f"{_PREFIX}{now:%Y%m%dT%H%M%S.%f}-{os.getpid()}{_SUFFIX}"
            self._file.touch(0o600)  # what people asked is for nobody else
        with self._file.open("ab", buffering=0) as file:  # a buffer would try again when it is closed
            before = file.tell()
            rest = memoryview(frame)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                os.ftruncate(file.fileno(), before)
                if before == 0:
                    self._file.unlink(missing_ok=True)
                raise

    def _forget(self) -> None:
        """Remove the oldest files of this and other processes beyond the size all may have."""
        files = sorted(self._folder.glob(f"{_PREFIX}*{_SUFFIX}"))
        total = sum(map(self._size, files))
        for file in files[:-1]:
            if total <= self._keeping.size:
                return
            total -= self._size(file)
            file.unlink(missing_ok=True)

    @staticmethod
    def _size(file: Path) -> int:
        try:
            return int(file.stat().st_size)
        except FileNotFoundError:  # another process has removed it
            return 0


def redacted(papers: pa.RecordBatch, predictions: pa.RecordBatch, time: datetime) -> bytes:
    """The lines that log PREDICTIONS without a word of PAPERS: an `x` for each, lengths, a hash that equals tell.

    So `arxivcli drift` can read them, and compares their answers and how many words they have.
    """
    lines = []
    for paper, answer in zip(papers.to_pylist(), predictions.to_pylist(), strict=True):
        pairs = zip(answer["labels"], answer["scores"], strict=True)
        text = f"{paper['title']}\n{paper['abstract']}"
        record = {
            "id": paper["id"],
            "time": time,
            "title": prediction_log.crossed_out(paper["title"]),
            "abstract": prediction_log.crossed_out(paper["abstract"]),
            "title_characters": len(paper["title"]),
            "abstract_characters": len(paper["abstract"]),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "predictions": [{"category": label, "confidence": score} for label, score in pairs],
        }
        lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))
    return b"".join(lines)
