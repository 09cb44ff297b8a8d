"""The report's folder: metrics.json, predictions.parquet, label-errors.csv, and nothing of anybody else's touched.

Its page and figures are drawn by whoever shows the report, in `reporting`; an old page goes as soon as it is wrong.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from arxivcli import answers, reports, storage
from arxivcli.steps.evaluation.report import MADE_BY
from arxivcli.steps.evaluation.scoring import WRITTEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from arxivcli.steps.evaluation.report import Evaluation

METRICS, PREDICTIONS, ERRORS = "metrics.json", "predictions.parquet", "label-errors.csv"
COLUMNS: Final = (
    "model", "id", "title", "categories", "suggested", "confidence", "listed_confidence",
)  # fmt: skip
_GROUP: Final = 20_000
"""Papers in a row group at least: slow models come in small batches, which would make large files."""

_MARK: Final = {"made_by": MADE_BY}


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder for this process alone; removed again when nothing came into it.

    Raises:
        UsageError: it is no folder, or holds files under our names that are not of a report.
        StorageError: it cannot be written, or another process works in it.
    """
    reports.require_ours(folder, MADE_BY, {METRICS: _our_metrics, PREDICTIONS: _our_predictions, ERRORS: _our_errors})
    new = not folder.exists()
    try:
        with storage.owned(folder):
            yield
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _our_metrics(path: Path) -> bool:
    return (reports.json_object(path) or {}).get("made_by") == MADE_BY


def _our_predictions(path: Path) -> bool:
    try:
        return (pq.read_schema(path).metadata or {}).get(b"made_by") == MADE_BY.encode()
    except (OSError, pa.ArrowException):
        return False


def _our_errors(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.readline() == answers.table([COLUMNS])
    except OSError:
        return False


@contextmanager
def predictions(folder: Path) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """What takes predictions batch by batch; the file is there when all have come."""
    with storage.whole_file(folder / PREDICTIONS) as file:
        writer = pq.ParquetWriter(file, WRITTEN.with_metadata(_MARK), compression="zstd", compression_level=1)
        waiting: list[pa.RecordBatch] = []

        def keep(batch: pa.RecordBatch) -> None:
            waiting.append(batch)
            if sum(map(len, waiting)) >= _GROUP:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting.clear()

        with writer:
            yield keep
            writer.write_table(pa.Table.from_batches(waiting, WRITTEN))


def write(folder: Path, report: Evaluation) -> None:
    """The review list, then metrics.json with the hashes of both other files; an older page is gone before."""
    reports.outdate(folder)
    rows = [
        (
            model.name,
            suspect.id,
            suspect.title,
            " ".join(suspect.categories),
            suspect.suggested,
            f"{suspect.confidence:.4f}",
            f"{suspect.listed_confidence:.4f}",
        )
        for model in report.models
        for suspect in model.suspects
    ]
    storage.write_whole(folder / ERRORS, answers.table([COLUMNS, *rows]))
    files = {name: storage.sha256(folder / name) for name in (PREDICTIONS, ERRORS)}
    content = json.dumps(report.as_json() | {"files": files}, ensure_ascii=False, indent=1, allow_nan=False)
    storage.write_whole(folder / METRICS, content.encode() + b"\n")
