"""The two shapes that flow between stations: papers and predictions, as Arrow schemas."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa


class _NoPandas:
    """An import finder that knows no pandas."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _let_pandas_sleep() -> None:
    """pyarrow imports pandas (one second) when it first converts a Python value; here it looks once and finds none.

    Tables still become data frames with `to_pandas` afterwards.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas)
        pa.scalar("")
        pa.array([0])
        sys.meta_path.remove(_NoPandas)


_let_pandas_sleep()

PAPERS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("title", pa.string()),
        pa.field("abstract", pa.string()),
        pa.field("categories", pa.list_(pa.string())),
        pa.field("created", pa.date32()),
    ]
)
"""A paper: arXiv id without version or the caller's key, title, abstract (may be empty), categories (primary first,
empty when unknown), date of the first version (null when unknown)."""

PREDICTIONS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("scores", pa.list_(pa.float32())),
        pa.field("set", pa.list_(pa.string())),
        pa.field("error", pa.string()),
    ]
)
"""An answer: labels best first, calibrated probabilities beside them, conformal set (null when not asked for), and why
there is no answer (null when fine). Labels are none where there is an error, or where no label was sure enough."""


def one_paper(title: str, abstract: str = "", identifier: str = "") -> pa.RecordBatch:
    """A single paper is a batch of one."""
    values = [[identifier], [title], [abstract], [[]], [None]]
    columns = [pa.array(value, field.type) for value, field in zip(values, PAPERS, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=PAPERS)
