"""What a service was asked and what it answered, one record a paper: how it is written, and read back.

A log is a file or a folder of files: JSON lines, best packed (`.jsonl.zst`), or parquet. A record has the fields of
LOGGED:

    {"id": "r-81", "time": "2026-11-24T09:10:21Z", "title": "...", "abstract": "...",
     "predictions": [{"category": "cs.LG", "confidence": 0.83}, ...], "categories": ["cs.LG"]}

`predictions` come best first, confidences are calibrated probabilities; there are none where there was no answer.
`categories`, primary first, may come later, when somebody knows them, or never. Other fields are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from arxivcli.errors import InputError
from arxivcli.sources import files
from arxivcli.sources.fields import Columns, NotAPaperError
from arxivcli.sources.lines import line_blocks
from arxivcli.sources.readings import PaperRows, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path
    from typing import BinaryIO

    from arxivcli.sources.streams import Stream

PREDICTION = pa.struct([pa.field("category", pa.string()), pa.field("confidence", pa.float32())])

LOGGED = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("time", pa.timestamp("us", "UTC")),
        pa.field("title", pa.string()),
        pa.field("abstract", pa.string()),
        pa.field("predictions", pa.list_(PREDICTION)),
        pa.field("categories", pa.list_(pa.string())),
    ]
)
"""A logged answer: the caller's id, when it was given, what was read, what was answered (best first), and the true
categories (null while unknown)."""

_BATCH = 4096
_PREDICTIONS = "predictions"


@dataclass(frozen=True)
class Answered:
    """n records of a source: the papers, and where the source is a log the best answer of each.

    Attributes:
        reading: the papers; `created` is the day of the answer where a log says no other.
        categories: (n,) the category of most confidence, null where nothing was answered.
        confidences: (n,) its confidence, null likewise.
    """

    reading: Reading
    categories: pa.StringArray
    confidences: pa.FloatArray


def json_lines(papers: pa.RecordBatch, predictions: pa.RecordBatch, time: datetime) -> bytes:
    """The lines that log the PREDICTIONS for PAPERS; categories that a paper has are logged as known."""
    lines = []
    for paper, answer in zip(papers.to_pylist(), predictions.to_pylist(), strict=True):
        pairs = zip(answer["labels"] or (), answer["scores"] or (), strict=True)
        record = {
            "id": paper["id"],
            "time": time,
            "title": paper["title"],
            "abstract": paper["abstract"],
            _PREDICTIONS: [{"category": label, "confidence": score} for label, score in pairs],
            "categories": paper["categories"] or None,
        }
        lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))
    return b"".join(lines)


def crossed_out(text: str) -> str:
    """An `x` for each word: what a log has that keeps no texts."""
    return " ".join("x" for _ in text.split())


def is_crossed_out(texts: pa.ChunkedArray) -> bool:
    """Whether all of them are as `crossed_out` makes them."""
    return bool(pc.all(pc.match_substring_regex(texts, "^x?( x)*$")).as_py())


def read(source: Path | BinaryIO) -> Iterator[Answered]:
    """The records of a log, or of any other file of papers, in its order and in bounded memory.

    Raises InputError for what cannot be read or is no such file.
    """
    with files.opened(source) as stream:
        found = files.detect(stream)
        if found == "jsonl" and _first_has_predictions(stream):
            yield from _gathered(stream, found, _lines(stream))
        elif found == "parquet" and (table := _parquet_log(stream)) is not None:
            yield from _gathered(stream, found, _rows(stream, table))
        else:
            for reading in files.read_stream(stream, found, Columns(), _BATCH):
                nothing = pa.nulls(reading.papers.num_rows, pa.string())
                yield Answered(reading, nothing, nothing.cast(pa.float32()))


def _first_has_predictions(stream: Stream) -> bool:
    head = stream.look(lambda head: b"\n" in head.strip())
    try:
        record = orjson.loads(head.strip().partition(b"\n")[0])
    except orjson.JSONDecodeError:
        return False
    return isinstance(record, dict) and _PREDICTIONS in record


def _parquet_log(stream: Stream) -> pq.ParquetFile | None:
    """The table if it has predictions; a packed parquet file is never taken for a log, it is packed within."""
    if stream.searchable is None:
        return None
    try:
        table = pq.ParquetFile(stream.searchable, pre_buffer=False)
    except (pa.ArrowException, OSError):
        return None  # the reader of papers says what is wrong with it
    return table if _PREDICTIONS in table.schema_arrow.names else None


Record = tuple[Any, bytes, str | None]
"""A record, its JSON text if it has one, and why there is no record."""


def _lines(stream: Stream) -> Iterator[Record]:
    for block in line_blocks(stream.read):
        for line in block:
            if line is None:
                yield None, b"", "line too long"
            elif line.strip():
                try:
                    yield orjson.loads(line), line, None
                except orjson.JSONDecodeError:
                    yield None, line, "not JSON"


def _rows(stream: Stream, table: pq.ParquetFile) -> Iterator[Record]:
    names = [name for name in LOGGED.names if name in table.schema_arrow.names]
    try:
        for batch in table.iter_batches(_BATCH, columns=names, use_threads=False):
            for record in batch.to_pylist():
                yield record, b"", None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{stream.name} is a damaged parquet file: {error}", "get the file again") from error


def _gathered(stream: Stream, format: str, records: Iterable[Record]) -> Iterator[Answered]:  # noqa: A002
    """The records in batches; one that is no paper, or whose predictions are none, keeps its place and its reason."""
    papers = PaperRows(stream.name, format, Columns())
    best: list[tuple[str | None, float | None]] = []

    def take() -> Answered:
        categories, confidences = zip(*best, strict=True)
        best.clear()
        return Answered(papers.take(), pa.array(categories, pa.string()), pa.array(confidences, pa.float32()))

    for number, (record, line, failure) in enumerate(records, 1):
        answer: tuple[str | None, float | None] = None, None
        try:
            if failure:
                raise NotAPaperError(failure)
            if type(record) is dict:
                record.setdefault("created", record.get("time"))
                answer = _best(record.get(_PREDICTIONS))
            papers.add(record, number, line)
        except NotAPaperError as error:
            papers.fail(str(error), number)
        best.append(answer)
        if len(best) >= _BATCH:
            yield take()
    if best:
        yield take()


def _best(predictions: Any) -> tuple[str | None, float | None]:
    """The category of most confidence. Raises NotAPaperError for what are no predictions."""
    if predictions is None or predictions == []:
        return None, None
    if not (isinstance(predictions, list) and all(map(_is_prediction, predictions))):
        raise NotAPaperError("predictions are no list of {category, confidence}")
    best = max(predictions, key=lambda entry: float(entry["confidence"]))
    return best["category"], float(best["confidence"])


def _is_prediction(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("category"), str)
        and isinstance(entry.get("confidence"), int | float)
        and 0 <= entry["confidence"] <= 1
    )
