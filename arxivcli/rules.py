"""Which papers a corpus leaves out, and why: pure functions over columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arxivcli import taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.taxonomy import Level

KEPT = ""
REASONS = (
    KEPT,
    "no title",
    "stub abstract",
    "withdrawn",
    "no category",
    "primary is no label",
    "not among the labels",
)
"""Why a paper is left out; the index of the first reason that holds is its verdict, 0 is none."""

STUB = 30
"""Bytes: a shorter abstract (`TBA`, `see the paper`) says nothing. An empty one is fine: titles are papers too."""

_NOTICE = 400  # bytes: a real abstract that mentions something withdrawn is longer
_BEGINS_WITHDRAWN = (
    r"(?i)^\W{0,3}(admin note: *)?(this |the )?(paper|article|manuscript|submission)? ?(has been |is |was )?withdrawn\b"
)
_SAYS_WITHDRAWN = (
    r"(?i)\b(paper|article|manuscript|submission|comment|note|version|preprint|letter|work)\b.{0,40}\bwithdrawn\b"
    r"|\bwithdrawn by (the |arxiv )?(author|admin|submitter)"
)


def verdicts(papers: pa.RecordBatch, level: Level, labels: tuple[str, ...]) -> NDArray[np.int8]:
    """For each of n papers (texts cleaned, categories folded to `level`) the index in REASONS of why it is left out."""
    length = _numpy(pc.binary_length(papers["abstract"]))
    untitled = _numpy(pc.equal(pc.binary_length(papers["title"]), 0))
    uncategorised = _numpy(pc.equal(pc.list_value_length(papers["categories"]), 0))
    known = label_indices(papers["categories"], taxonomy.labels(level)) >= 0
    asked = label_indices(papers["categories"], labels) >= 0
    conditions = [
        untitled & (length == 0),
        (length > 0) & (length < STUB),
        _withdrawn(papers["abstract"], length),
        uncategorised,
        ~known,
        ~asked,
    ]
    return np.select(conditions, [np.int8(index) for index in range(1, len(REASONS))], np.int8(0))


def _withdrawn(abstracts: pa.StringArray, length: NDArray[np.int32]) -> NDArray[np.bool_]:
    found = _numpy(pc.match_substring_regex(abstracts, "ithdrawn"))  # as a plain substring it takes twice as long
    some = found.nonzero()[0]
    mentions = abstracts.take(pa.array(some))
    begins = _numpy(pc.match_substring_regex(mentions, _BEGINS_WITHDRAWN))
    says = _numpy(pc.match_substring_regex(mentions, _SAYS_WITHDRAWN)) & (length[some] < _NOTICE)
    found[some] = begins | says
    return found


def label_indices(categories: pa.ListArray, labels: tuple[str, ...]) -> NDArray[np.int16]:
    """The primary's index in `labels` for each of n papers, -1 when it is not among them or there is none."""
    primaries = _primaries(categories).dictionary_encode()
    index = {label: number for number, label in enumerate(labels)}
    codes = np.array([index.get(primary, -1) for primary in primaries.dictionary.to_pylist()] + [-1], np.int16)
    return np.asarray(codes[primaries.indices.fill_null(len(codes) - 1).to_numpy()], np.int16)


def _primaries(categories: pa.ListArray) -> pa.StringArray:
    """The first of each list, null for an empty one."""
    filled = pc.greater(pc.list_value_length(categories), 0)
    return categories.values.take(pc.if_else(filled, categories.offsets[: len(categories)], None))


def _numpy(column: pa.Array) -> NDArray[Any]:
    return np.array(column.to_numpy(zero_copy_only=False))
