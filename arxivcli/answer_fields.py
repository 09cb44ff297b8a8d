"""The fields of an answer by name: as columns of Arrow, as JSON, as cells of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import answers, taxonomy
from arxivcli.errors import UsageError, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_LABEL: Final = pa.struct([("category", pa.string()), ("name", pa.string()), ("confidence", pa.float32())])
_WORD: Final = pa.struct([("text", pa.string()), ("contribution", pa.float32()), ("where", pa.string())])

FIELDS: Final[dict[str, pa.DataType]] = {
    "id": pa.string(),
    "title": pa.string(),
    "abstract": pa.string(),
    "category": pa.string(),
    "name": pa.string(),
    "confidence": pa.float32(),
    "alternatives": pa.list_(_LABEL),
    "labels": pa.list_(pa.string()),
    "scores": pa.list_(pa.float32()),
    "set": pa.list_(pa.string()),
    "cross_lists": pa.list_(pa.string()),
    "abstained": pa.bool_(),
    "explanation": pa.list_(_WORD),
    "model": pa.string(),
    "error": pa.string(),
}
"""All there are, with what they are in parquet. `category`, `name` and `confidence` are of the first label, null where
there is none; `alternatives` are the labels after it, `labels` and `scores` all of them."""

ASKED_FOR: Final = ("set", "cross_lists", "abstained", "explanation", "model")
"""Fields that an answer has when somebody asks for them, in this order."""


_LISTS: Final = ("labels", "set", "cross_lists")


def chosen(names: str) -> tuple[str, ...]:
    """The fields of a list of names with commas between them. Raises UsageError for one there is not, or twice."""
    found = tuple(filter(None, (name.strip() for name in names.split(","))))
    if not found:
        raise UsageError("--fields names no field", f"choose among {', '.join(FIELDS)}")
    for name in found:
        if name not in FIELDS:
            error = unknown("field", name, FIELDS)
            raise UsageError(error.what, f"choose among {', '.join(FIELDS)}")
        if found.count(name) > 1:
            raise UsageError(f"--fields names {name} twice", "name each field once")
    return found


def cells_of(asked: Sequence[str]) -> tuple[str, ...]:
    """The fields that are cells of a table unless somebody chooses: those ASKED_FOR that were, among the usual ones."""
    return ("category", "confidence", "alternatives", *(name for name in ASKED_FOR if name in asked), "error")


def columns_of(asked: Sequence[str]) -> tuple[str, ...]:
    """The fields that are columns of parquet unless somebody chooses."""
    return ("id", "category", "confidence", "labels", "scores", *(n for n in ASKED_FOR if n in asked), "error")


def batch(fields: Sequence[str], papers: pa.RecordBatch, predictions: pa.RecordBatch) -> pa.RecordBatch:
    """The fields of n answers as columns, typed as FIELDS are."""
    return pa.RecordBatch.from_arrays(
        [_column(name, papers, predictions).cast(FIELDS[name]) for name in fields],
        schema=pa.schema([(name, FIELDS[name]) for name in fields]),
    )


def json_lines(fields: Sequence[str], papers: pa.RecordBatch, predictions: pa.RecordBatch) -> bytes:
    """The fields of n answers as n lines of JSON, each ended by a newline; confidences have four decimals."""
    rows = batch(fields, papers, predictions).to_pylist()
    return "".join(f"{answers.json_text(answers.rounded(row))}\n" for row in rows).encode()


def cells(
    fields: Sequence[str], predictions: pa.RecordBatch, papers: pa.RecordBatch | None = None
) -> list[tuple[str, ...]]:
    """The fields of n answers as texts of cells; empty where nothing is. `papers` are read for title and abstract only.

    `alternatives` are `cs.CL 0.3; cs.LG 0.1`, `explanation` the words that spoke for the answer in the same way,
    `abstained` is `yes` or nothing, and other lists have spaces between them.
    """
    columns = (_cells(name, predictions, papers) for name in fields)
    return list(zip(*(column.fill_null("").to_pylist() for column in columns), strict=True))


def names_beside(taken: Iterable[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Names for the `wanted` cells that no `taken` column has: `category`, ...; else `predicted_category`, ..."""
    others = set(taken)
    if others.isdisjoint(wanted):
        return tuple(wanted)
    named = [f"predicted_{name}" for name in wanted]
    again = 2
    while not others.isdisjoint(named):
        named = [f"predicted_{name}_{again}" for name in wanted]
        again += 1
    return tuple(named)


def _column(name: str, papers: pa.RecordBatch, predictions: pa.RecordBatch) -> pa.Array:
    if name in {"title", "abstract"}:
        return papers[name]
    return _COLUMNS[name](predictions) if name in _COLUMNS else predictions[name]


def _cells(name: str, predictions: pa.RecordBatch, papers: pa.RecordBatch | None) -> pa.StringArray:
    if name in _CELLS:
        return _CELLS[name](predictions)
    if name in _LISTS:
        return pc.binary_join(predictions[name], " ")
    return _column(name, predictions if papers is None else papers, predictions)


def _alternatives(predictions: pa.RecordBatch) -> pa.ListArray:
    labels = predictions["labels"].flatten()
    parts = [labels, _names(labels), predictions["scores"].flatten()]
    structs = pa.StructArray.from_arrays(parts, fields=list(_LABEL))
    return pc.list_slice(answers.listed(predictions["labels"], structs), 1)


def _words(predictions: pa.RecordBatch) -> pa.ListArray:
    rows = [answers.contributions(row) for row in predictions["explanation"].to_pylist()]
    return pa.array(rows, FIELDS["explanation"])


def _confidence_cells(predictions: pa.RecordBatch) -> pa.StringArray:
    return answers.first(answers.listed(predictions["labels"], answers.confidences(predictions["scores"])))


def _score_cells(predictions: pa.RecordBatch) -> pa.StringArray:
    return answers.joined(predictions["labels"], answers.confidences(predictions["scores"]), " ")


def _alternative_cells(predictions: pa.RecordBatch) -> pa.StringArray:
    labels, scores = predictions["labels"], answers.confidences(predictions["scores"])
    both = pc.binary_join_element_wise(labels.flatten(), scores, " ")
    return answers.joined(labels, both, "; ", skip=1)


def _word_cells(predictions: pa.RecordBatch) -> pa.StringArray:
    rows = (answers.contributions(row) for row in predictions["explanation"].to_pylist())
    return pa.array(["; ".join(_said(one) for one in row if one["contribution"] > 0) for row in rows], pa.string())


def _said(one: dict[str, Any]) -> str:
    return f"{one['text']} {answers.rounded(one['contribution'])}"


def _names(labels: pa.StringArray) -> pa.StringArray:
    coded = labels.dictionary_encode()
    return pa.array([taxonomy.name(label) for label in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


_COLUMNS: Final[dict[str, Callable[[pa.RecordBatch], pa.Array]]] = {
    "category": lambda predictions: answers.first(predictions["labels"]),
    "name": lambda predictions: _names(answers.first(predictions["labels"])),
    "confidence": lambda predictions: answers.first(predictions["scores"]),
    "alternatives": _alternatives,
    "abstained": answers.abstained,
    "explanation": _words,
}
"""How fields are made that are no columns of PREDICTIONS."""

_CELLS: Final[dict[str, Callable[[pa.RecordBatch], pa.StringArray]]] = {
    "confidence": _confidence_cells,
    "alternatives": _alternative_cells,
    "scores": _score_cells,
    "abstained": lambda predictions: pc.if_else(answers.abstained(predictions), "yes", ""),
    "explanation": _word_cells,
}
"""How the texts of fields are made that are no texts."""
