"""What an answer looks like outside: valid JSON whatever an id holds, tables that come back as they went in."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli import answer_fields, answers, taxonomy
from arxivcli.papers import PREDICTIONS

LABELS = ["cs.LG", "hep-th", "math.NT", "astro-ph.GA"]
awkward = st.text(st.one_of(st.sampled_from("=+-@\t\r\n\"',;\\\x00\x1b\x7f\x9b\u2028é'"), st.characters(codec="utf-8")))


def answered(identifier: str | None, scores: list[float]) -> dict[str, object]:
    return {"id": identifier, "labels": LABELS[: len(scores)], "scores": scores, "set": None, "error": None}


def failed(identifier: str | None, error: str) -> dict[str, object]:
    return {"id": identifier, "labels": [], "scores": [], "set": None, "error": error}


rows = st.one_of(
    st.builds(answered, st.none() | awkward, st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4)),
    st.builds(failed, st.none() | awkward, awkward),
)


def batch(some: list[dict[str, object]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(some, schema=PREDICTIONS)


@given(st.lists(rows, max_size=6), st.integers(0, 3))
def test_every_answer_is_one_line_of_json_that_says_the_same(some: list[dict[str, object]], skipped: int) -> None:
    written = answers.json_lines(batch(some).slice(skipped))
    assert not any(0x7F <= ord(sign) <= 0x9F or (ord(sign) < 0x20 and sign != "\n") for sign in written.decode())
    lines = written.decode().split("\n")
    assert lines.pop() == ""
    for row, line in zip(some[skipped:], lines, strict=True):
        read = json.loads(line)
        assert read["id"] == row["id"]
        assert read.get("error") == row["error"]
        assert [entry["category"] for entry in read["predictions"]] == row["labels"]
        assert read["top_category"] == (row["labels"][0] if row["labels"] else None)
        for entry, score in zip(read["predictions"], row["scores"], strict=True):
            assert entry["confidence"] == pytest.approx(score, abs=0.50001e-4)
            assert entry["name"] == taxonomy.name(entry["category"])


def test_the_confidences_of_many_are_written_as_those_of_few() -> None:
    every = [step / 10_000 for step in range(10_001)]
    some = batch([answered(str(row), every[row * 4 : row * 4 + 4]) for row in range(2501)])
    few = b"".join(answers.json_lines(some.slice(start, 100)) for start in range(0, 2501, 100))
    assert answers.json_lines(some) == few
    read = [entry["confidence"] for line in few.splitlines() for entry in json.loads(line)["predictions"]]
    assert read == every


def test_the_shape_of_an_answer() -> None:
    fine = answered("2401.01234", [0.83, 1.0]) | {"set": ["cs.LG"]}
    first, second = answers.json_lines(batch([fine, failed(None, "no title")])).decode().splitlines()
    assert first == (
        '{"id":"2401.01234","top_category":"cs.LG","predictions":['
        '{"category":"cs.LG","name":"Machine Learning","confidence":0.83},'
        '{"category":"hep-th","name":"High Energy Physics - Theory","confidence":1.0}],"set":["cs.LG"]}'
    )
    assert second == '{"id":null,"top_category":null,"predictions":[],"error":"no title"}'
    assert answers.json_object(batch([fine]))["predictions"][0]["confidence"] == 0.83
    assert answers.json_lines(batch([])) == b""
    empty_set = answers.json_lines(batch([fine | {"set": []}]))
    assert json.loads(empty_set)["set"] == []


def test_cells() -> None:
    fine = answered("a", [0.5, 0.25, 0.125]) | {"set": ["cs.LG", "hep-th"]}
    wanted = answer_fields.cells_of(["set"])
    assert answer_fields.cells(wanted, batch([fine, failed("b", "not JSON")])) == [
        ("cs.LG", "0.5", "hep-th 0.25; math.NT 0.125", "cs.LG hep-th", ""),
        ("", "", "", "", "not JSON"),
    ]
    assert answer_fields.cells(answer_fields.cells_of(()), batch([answered("a", [0.00004])])) == [
        ("cs.LG", "0.0", "", "")
    ]


@given(st.lists(st.lists(awkward, min_size=2, max_size=4), max_size=5), st.sampled_from(",\t;"))
def test_raw_tables_come_back_as_they_went_in(cells: list[list[str]], delimiter: str) -> None:
    written = answers.table(cells, delimiter, raw=True).decode()
    assert list(csv.reader(io.StringIO(written, newline=""), delimiter=delimiter)) == cells


@given(awkward)
def test_no_cell_acts(cell: str) -> None:
    safe = answers.safe(cell)
    assert safe[:1] not in set("=+-@\t\r") or float(safe) is not None
    assert not any(ord(sign) < 0x20 and sign not in "\t\n\r" for sign in safe)
    assert not any(0x7F <= ord(sign) <= 0x9F for sign in safe)
    assert answers.safe(safe) == safe


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+cmd", "'+1+cmd"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\tx", "'\tx"),
        ("-1.5e-3", "-1.5e-3"),
        ("-", "'-"),
        ("red \x1b[31m", "red ␛[31m"),
        ("plain, é", "plain, é"),
    ],
)
def test_what_spreadsheets_and_terminals_would_run(cell: str, safe: str) -> None:
    assert answers.safe(cell) == safe


def test_no_column_is_named_twice() -> None:
    plain, with_sets = answer_fields.cells_of(()), answer_fields.cells_of(["set"])
    assert answer_fields.names_beside(["id", "title"], plain) == plain
    once = answer_fields.names_beside(["title", "category"], with_sets)
    assert once[0] == "predicted_category"
    assert once[3:] == ("predicted_set", "predicted_error")
    assert answer_fields.names_beside(["category", *once], with_sets)[0] == "predicted_category_2"
