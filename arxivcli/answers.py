"""What an answer looks like outside: one JSON object a paper, or cells beside the cells a table already has."""

from __future__ import annotations

import csv
import io
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import metrics, taxonomy
from arxivcli.papers import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

PLACES: Final = 4
"""Decimals of a confidence: a hundredth of a percent says more than any calibration can promise."""

_STEPS: Final = 10**PLACES

_NEEDS_ESCAPE = r'["\\\x00-\x1f]|[\x{7f}-\x{9f}\x{61c}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}]'
_JSON_CONTROL = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PICTURES: Final = 0x2400
_DELETE: Final = 0x7F


def predictions(
    ids: pa.StringArray,
    labels: tuple[str, ...],
    probs: NDArray[np.float32],
    count: int,
    inside: NDArray[np.bool_] | None = None,
    errors: pa.StringArray | None = None,
    *,
    least: float = 0.0,
    abstain: float = 0.0,
) -> pa.RecordBatch:
    """PREDICTIONS of n papers.

    Args:
        ids: of the n papers.
        labels: the L labels.
        probs: (m, L) calibrated probabilities of the m papers that have no error, in order.
        count: how many labels an answer names.
        inside: (m, L) which labels are in the conformal sets; None when nobody asked for sets.
        errors: why a paper has no answer, null for m of them; None when all have one.
        least: labels after the best are named when they have this probability.
        abstain: where the best has less than this probability no label is named, which is no error.
    """
    errors = pa.nulls(len(ids), pa.string()) if errors is None else errors
    fine = pc.is_null(errors).to_numpy(zero_copy_only=False)
    names = pa.array(labels, pa.string())
    order = metrics.top(probs, count)
    scores = np.take_along_axis(probs, order, axis=1)
    sizes = np.where(fine, order.shape[1], 0)
    if least or abstain:
        named = scores >= np.float32(least)
        named[:, :1] = True
        named &= scores[:, :1] >= np.float32(abstain)
        sizes[fine] = named.sum(axis=1)
        order, scores = order[named], scores[named]
    columns = [
        ids,
        _parted(sizes, names.take(pa.array(order.ravel()))),
        _parted(sizes, pa.array(scores.ravel(), pa.float32())),
        pa.nulls(len(ids), PREDICTIONS.field("set").type)
        if inside is None
        else best_first(labels, probs, inside, fine),
        errors,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=PREDICTIONS)


def best_first(
    labels: tuple[str, ...],
    probs: NDArray[np.float32],
    inside: NDArray[np.bool_],
    fine: NDArray[np.bool_],
) -> pa.ListArray:
    """Labels of n papers, the likeliest first; null where there is no answer.

    Args:
        labels: the L labels.
        probs: (m, L) of the m papers that are `fine`.
        inside: (m, L) which labels are meant.
        fine: (n,) which papers have an answer.
    """
    names = pa.array(labels, pa.string())
    rows, columns = np.nonzero(inside)
    order = np.lexsort((columns, -probs[rows, columns], rows))
    sizes = np.zeros(len(fine), np.int64)
    sizes[fine] = inside.sum(axis=1)
    return _parted(sizes, names.take(pa.array(columns[order])), ~fine)


def _parted(sizes: NDArray[np.int64], flat: pa.Array, mask: NDArray[np.bool_] | None = None) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=None if mask is None else pa.array(mask))


def json_lines(predictions: pa.RecordBatch) -> bytes:
    """PREDICTIONS of n papers as n lines of JSON, each ended by a newline; confidences have four decimals.

    `{"id":"2401.01234","top_category":"cs.LG","predictions":[{"category":"cs.LG","name":"Machine Learning",
    "confidence":0.83}, ...]}`, then `"set"` when a coverage was asked for, `"cross_lists"` when these were,
    `"abstained":true` when no category was sure enough, `"explanation"`, `"model"` when there are several, and
    `"error"` when there is no answer.
    """
    if predictions.num_rows == 0:
        return b""
    best = first(predictions["labels"])
    lines = pc.binary_join_element_wise(
        '{"id":',
        _quoted(predictions["id"]),
        ',"top_category":',
        pc.if_else(pc.is_null(best), "null", _wrapped('"', best, '"')).fill_null("null"),
        ',"predictions":[',
        joined(predictions["labels"], _entries(predictions), ","),
        "]",
        _set(predictions["set"], "set"),
        _set(predictions["cross_lists"], "cross_lists") if "cross_lists" in predictions.schema.names else "",
        _left_open(predictions),
        _explanations(predictions["explanation"]) if "explanation" in predictions.schema.names else "",
        _model(predictions["model"]) if "model" in predictions.schema.names else "",
        _error(predictions["error"]),
        "}\n",
        "",
    )
    return _characters(lines)


def json_object(predictions: pa.RecordBatch) -> dict[str, Any]:
    """The answer for the first paper as Python values: what `json_lines` writes, for who sends JSON by other means."""
    answer: dict[str, Any] = orjson.loads(json_lines(predictions.slice(0, 1)))
    return answer


def abstained(predictions: pa.RecordBatch) -> pa.BooleanArray:
    """For which papers no label was sure enough: they have neither labels nor an error."""
    return pc.and_(pc.equal(pc.list_value_length(predictions["labels"]), 0), pc.is_null(predictions["error"]))


def table(rows: Iterable[Sequence[str]], delimiter: str = ",", *, raw: bool = False, line_end: str = "\n") -> bytes:
    """The rows as CSV (RFC 4180, but for the `line_end`). Unless `raw`, nothing in them can act: see `safe`."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
    careful = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    for row in rows:
        written = row if raw else [safe(cell) for cell in row]
        # Python before 3.13 does not quote a carriage return that is not part of the line's end.
        (careful if any("\r" in cell for cell in written) else writer).writerow(written)
    return text.getvalue().encode()


def safe(cell: str) -> str:
    """The cell as it is, or with a leading `'` where a spreadsheet would take it for a formula.

    Cells beginning with `= + - @` TAB or CR are such (OWASP, "CSV Injection"); plain numbers are not. Control
    characters, which can drive a terminal, become visible signs.
    """
    if not cell.isprintable() and _CONTROL.search(cell):
        cell = _CONTROL.sub(_picture, cell)
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _picture(match: re.Match[str]) -> str:
    """U+241B SYMBOL FOR ESCAPE for ESC, and so on; the C1 controls have no signs."""
    code = ord(match[0])
    return chr(_PICTURES + (0x21 if code == _DELETE else code)) if code <= _DELETE else "\ufffd"


# -- pieces of JSON, all of them vectorised ---------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _opening(label: str) -> str:
    entry = orjson.dumps({"category": label, "name": taxonomy.name(label)}).decode()
    return entry.removesuffix("}") + ',"confidence":'


def _entries(predictions: pa.RecordBatch) -> pa.StringArray:
    """`{"category":...,"name":...,"confidence":...}` for every label of every paper, flat."""
    labels = predictions["labels"].flatten().dictionary_encode()
    openings = pa.array([_opening(label) for label in labels.dictionary.to_pylist()], pa.string())
    return pc.binary_join_element_wise(openings.take(labels.indices), confidences(predictions["scores"]), "}", "")


def confidences(scores: pa.ListArray) -> pa.StringArray:
    """Scores with four decimals, as short as they are exact: `0.83`, `1.0`, `0.0`."""
    steps = np.rint(scores.flatten().to_numpy(zero_copy_only=False).astype(np.float64) * _STEPS).astype(np.int64)
    if len(steps) <= _STEPS:
        return pa.array([str(step / _STEPS) for step in steps.tolist()], pa.string())
    return _every_confidence().take(pa.array(steps))


@cache
def _every_confidence() -> pa.StringArray:
    return pa.array([str(step / _STEPS) for step in range(_STEPS + 1)], pa.string())


def _set(sets: pa.ListArray, name: str) -> pa.StringArray:
    inside = pc.binary_join(listed(sets, _wrapped('"', sets.flatten(), '"')), ",")
    return pc.if_else(pc.is_null(sets), "", _wrapped(f',"{name}":[', inside, "]")).fill_null("")


def _explanations(explanations: pa.ListArray) -> pa.StringArray:
    return pa.array([f',"explanation":{json_text(rounded(contributions(row)))}' for row in explanations.to_pylist()])


def contributions(row: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An explanation as answers show it: `{"text": "primes", "contribution": 0.83, "where": "title"}` for each word."""
    return [{name: one[name] for name in ("text", "contribution", "where")} for one in row]


def rounded(value: Any) -> Any:
    """The value with all numbers in it as short as answers have them."""
    if isinstance(value, float):
        return round(value, PLACES)
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return {name: rounded(one) for name, one in value.items()} if isinstance(value, dict) else value


def json_text(value: Any) -> str:
    """A value as JSON in which every control character, also those JSON would let pass, is escaped."""
    return _JSON_CONTROL.sub(_escape, orjson.dumps(value).decode())


def _left_open(predictions: pa.RecordBatch) -> pa.StringArray | str:
    if _sizes(predictions["labels"]).all():
        return ""
    return pc.if_else(abstained(predictions), ',"abstained":true', "")


def _error(errors: pa.StringArray) -> pa.StringArray:
    if errors.null_count == len(errors):
        return pa.array([""] * len(errors), pa.string())
    return pc.if_else(pc.is_null(errors), "", _wrapped(',"error":', _quoted(errors), ""))


def _model(names: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.is_null(names), "", _wrapped(',"model":', _quoted(names), ""))


def _quoted(texts: pa.StringArray) -> pa.StringArray:
    """Each text as a JSON string; null as `null`. Control characters, also those JSON would let pass, are escaped."""
    plain = _wrapped('"', texts, '"').fill_null("null")
    odd = pc.match_substring_regex(texts, _NEEDS_ESCAPE).fill_null(False)
    if not pc.any(odd).as_py():
        return plain
    escaped = [json_text(text) for text in texts.filter(odd).to_pylist()]
    return pc.replace_with_mask(plain, odd, pa.array(escaped, pa.string()))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _wrapped(before: str, texts: pa.StringArray, after: str) -> pa.StringArray:
    return pc.binary_join_element_wise(before, texts, after, "")


# -- lists ------------------------------------------------------------------------------------------------------------


def first(lists: pa.ListArray) -> pa.StringArray:
    """The first of each list, null where it is empty or null."""
    sizes = _sizes(lists)
    starts = np.cumsum(sizes) - sizes
    return lists.flatten().take(pa.array(starts, mask=sizes == 0))


def joined(like: pa.ListArray, flat: pa.StringArray, separator: str, skip: int = 0) -> pa.StringArray:
    """`flat`, parted as the lists `like` are, joined list by list; the first `skip` of each list left out."""
    lists = listed(like, flat)
    return pc.binary_join(pc.list_slice(lists, skip) if skip else lists, separator).fill_null("")


def listed(like: pa.ListArray, flat: pa.Array) -> pa.ListArray:
    """`flat` parted as the lists `like` are; null lists are empty."""
    offsets = np.concatenate([[0], np.cumsum(_sizes(like))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _sizes(lists: pa.ListArray) -> NDArray[np.int64]:
    sizes: NDArray[np.int64] = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return sizes


def _characters(texts: pa.StringArray) -> bytes:
    """All texts, one after another."""
    _, offsets, values = texts.buffers()
    first, last = np.frombuffer(offsets, np.int32)[[texts.offset, texts.offset + len(texts)]]
    return bytes(memoryview(values)[first:last])
