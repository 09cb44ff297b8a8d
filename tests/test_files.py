"""What people call a file of papers is read; what is no paper keeps its place and says why."""

import datetime as dt
import gzip
import io
import json
import os
import re
import tempfile
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from invented import records

from arxivcli.errors import InputError, UsageError
from arxivcli.papers import PAPERS
from arxivcli.sources import fields, files, lines
from arxivcli.sources.files import Columns

SNAPSHOT = {
    "id": "0704.0001",
    "submitter": "A. Nobody",
    "authors": "A. Nobody",
    "title": "On  nothing\n in particular",
    "comments": None,
    "journal-ref": None,
    "doi": "10.1000/1",
    "report-no": None,
    "categories": "cs.IT math.IT cs.LG",
    "license": None,
    "abstract": "  We say nothing.\n",
    "versions": [
        {"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"},
        {"version": "v2", "created": "Tue, 24 Jul 2007 20:10:27 GMT"},
    ],
    "update_date": "2008-11-26",
    "authors_parsed": [],
}
FROM_THE_API = {
    "id": "http://arxiv.org/abs/1605.08386v1",
    "title": "Walks",
    "summary": "We walk.",
    "published": "2016-05-26T17:59:46Z",
    "updated": "2016-05-27T10:00:00Z",
    "primary_category": "math.CO",
    "categories": ["cs.DM", "math.CO"],
}


def seconds(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp())


class Readings:
    """All readings of a source, joined."""

    def __init__(self, source: object, *args: object, **options: object) -> None:
        found = list(files.read(source, *args, **options))  # type: ignore[arg-type]
        self.papers = pa.Table.from_batches([reading.papers for reading in found], PAPERS).to_pylist()
        self.errors = [error for reading in found for error in reading.errors.to_pylist()]
        self.lines = [line for reading in found for line in reading.lines.to_pylist()]
        self.revised = [moment for reading in found for moment in reading.revised.to_pylist()]
        self.rows = [row for reading in found for row in reading.rows or ()]
        self.formats = {reading.format for reading in found}
        self.header = found[0].header if found else None

    @property
    def titles(self) -> list[str]:
        return [paper["title"] for paper in self.papers]


def read(folder: Path, name: str, content: str | bytes, *args: object, **options: object) -> Readings:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Readings(path, *args, **options)


def test_a_snapshot_record_is_read_as_it_is(tmp_path: Path) -> None:
    found = read(tmp_path, "arxiv-metadata-oai-snapshot.json", json.dumps(SNAPSHOT) + "\n" + json.dumps(SNAPSHOT))
    assert found.formats == {"jsonl"}
    assert found.papers[0] == {
        "id": "0704.0001",
        "title": SNAPSHOT["title"],
        "abstract": SNAPSHOT["abstract"],
        "categories": ["cs.IT", "cs.LG"],
        "created": dt.date(2007, 4, 2),
    }
    assert found.revised == [seconds("2008-11-26T00:00:00+00:00")] * 2


def test_a_record_of_the_api_is_read_as_it_is(tmp_path: Path) -> None:
    found = read(tmp_path, "paper.json", json.dumps(FROM_THE_API, indent=2))
    assert found.papers == [
        {
            "id": "1605.08386",
            "title": "Walks",
            "abstract": "We walk.",
            "categories": ["math.CO", "cs.DM"],
            "created": dt.date(2016, 5, 26),
        }
    ]
    assert found.revised == [seconds("2016-05-27T10:00:00+00:00")]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["list.json", "list.jsonl", "list", "list.csv"])
def test_a_json_list_under_any_name(tmp_path: Path, name: str, indent: int | None) -> None:
    papers = [{"title": 'A "{[,]}" \\'}, {"title": "B", "tags": [{"term": "cs.LG"}]}, None, {"title": "é"}]
    found = read(tmp_path, name, json.dumps(papers, indent=indent))
    assert found.titles == ['A "{[,]}" \\', "B", "", "é"]
    assert found.papers[1]["categories"] == ["cs.LG"]
    assert found.errors == [None, None, "not an object", None]
    assert found.lines == [1, 2, 3, 4]


def test_objects_printed_one_after_another(tmp_path: Path) -> None:
    content = "\n".join(json.dumps({"title": title}, indent=2) for title in "abc")
    assert read(tmp_path, "papers.json", content).titles == ["a", "b", "c"]


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=6,
    ),
    st.sampled_from([None, 1]),
    st.integers(1, 9),
    st.booleans(),
)
def test_json_elements_are_the_elements_of_the_list(
    values: list[object], indent: int | None, step: int, ascii_only: bool
) -> None:
    stream = io.BytesIO(json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode())
    found = [
        json.loads(element) for element in lines.json_elements(lambda _: stream.read(step), "x") if element.strip()
    ]
    assert found == values


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.integers(1, 50))
def test_lines_are_cut_at_newlines_alone(expected: list[bytes], step: int) -> None:
    stream = io.BytesIO(b"".join(line + b"\n" for line in expected))
    assert [line for block in lines.line_blocks(lambda _: stream.read(step)) for line in block] == expected


@given(st.binary(max_size=300), st.integers(1, 60))
def test_spans_are_the_file_and_end_at_newlines(content: bytes, size: int) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        spans = list(lines.cuts(Path(file.name), size))
    assert b"".join(content[start:stop] for start, stop in spans) == content
    assert all(content[stop - 1 : stop] == b"\n" for _, stop in spans[:-1])


def test_lines_that_are_no_papers_keep_their_place(tmp_path: Path) -> None:
    deep = b'{"title": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    found = read(
        tmp_path,
        "mixed.jsonl",
        b"\n".join(
            [
                b'\xef\xbb\xbf{"title": "with a byte order mark"}\r',
                b"",
                b'{"title": "cut',
                b'{"title": "\xff"}',
                b'{"title": "x", "year": NaN}',
                b'{"title": "\\ud800"}',
                b'{"title": "nul \x00"}',
                deep,
                b'{"title": "big", "n": ' + b"9" * 5000 + b"}",
                b'"just a string"',
                b'{"title": "  ", "abstract": null}',
                b'{"title": {"en": "x"}}',
                b'{"title": "t", "id": 1605.0838}',
                b'{"title": "line\xe2\x80\xa8separator"}',
                b'{"title": "first", "title": "last"}',
                b'{"abstract": "only an abstract"}',
                b'{"title": 1984, "id": 7}',
            ]
        ),
    )
    assert dict(zip(found.lines, found.errors, strict=True)) == {
        1: None,
        2: "empty line",
        3: "not JSON",
        4: "not UTF-8",
        5: "not JSON",
        6: "not JSON",
        7: "not JSON",
        8: "not JSON",
        9: "not JSON",
        10: "not an object",
        11: "no title",
        12: "title is not text",
        13: "id is a number with a fraction",
        14: None,
        15: None,
        16: None,
        17: None,
    }
    assert found.titles[-4:] == ["line\u2028separator", "last", "", "1984"]
    assert found.papers[-1]["id"] == "7"


def test_a_line_too_long_to_keep_is_one_failed_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_CAP", 1000)
    monkeypatch.setattr(lines, "_CHUNK", 300)
    long = json.dumps({"title": "x" * 5000})
    found = read(tmp_path, "a.jsonl", f'{{"title": "a"}}\n{long}\n{{"title": "b"}}')
    assert (found.titles, found.errors) == (["a", "", "b"], [None, "line too long", None])
    assert read(tmp_path, "a.txt", f"a\n{'x' * 5000}\nb").errors == [None, "line too long", None]
    assert read(tmp_path, "a.csv", f"title\na\n{'x' * 5000}\nb\n").errors == [None, "line too long", None]
    with pytest.raises(InputError, match="element 2 does not end"):
        read(tmp_path, "a.json", f'[{{"title": "a"}}, {long}]')


# -- tables -----------------------------------------------------------------------------------------------------------


def test_a_spreadsheet_with_all_its_habits(tmp_path: Path) -> None:
    content = '\ufeffPaper Title;Summary;Year\r\n"Two\nlines; really";"says ""hi""";1\r\n\r\nOnly a title\r\n;;\r\n'
    found = read(tmp_path, "papers.csv", content)
    assert found.header == ("Paper Title", "Summary", "Year")
    assert found.titles == ["Two\nlines; really", "Only a title", ""]
    assert found.papers[0]["abstract"] == 'says "hi"'
    assert found.lines == [2, 5, 6]
    assert found.errors == [None, None, "no title"]
    assert found.rows == [("Two\nlines; really", 'says "hi"', "1"), ("Only a title",), ("", "", "")]


@pytest.mark.parametrize(
    ("name", "delimiter"), [("a.csv", ","), ("a.tsv", "\t"), ("a.csv", ";"), ("a.csv", "\t"), ("a", ",")]
)
def test_the_delimiter_is_found_out(tmp_path: Path, name: str, delimiter: str) -> None:
    found = read(tmp_path, name, f"arXiv ID{delimiter}Title\n2401.00001v3{delimiter}A title\n")
    assert found.papers[0] | {"created": None} == found.papers[0]
    assert (found.papers[0]["id"], found.titles) == ("2401.00001", ["A title"])


def test_printed_lists_of_categories(tmp_path: Path) -> None:
    found = read(tmp_path, "a.csv", "titles,summaries,terms\nA,b,\"['stat.ML', 'cs.LG']\"\nB,c,cs.CV; cs.LG\n")
    assert [paper["categories"] for paper in found.papers] == [["stat.ML", "cs.LG"], ["cs.CV", "cs.LG"]]


def test_broken_rows_of_a_table(tmp_path: Path) -> None:
    content = b'title,abstract\nfine,x\n\xff,x\na,b,c\nstill,fine,\n"never closed\nrest'
    found = read(tmp_path, "a.csv", content)
    assert found.errors == [None, "not UTF-8", "more cells than columns", None, "a quote is never closed", None]
    assert found.lines == [2, 3, 4, 5, 6, 7]
    assert (found.rows[1], found.rows[4]) == (("\ufffd", "x"), ("never closed",))


def test_a_quote_that_nobody_closes_spoils_one_line(tmp_path: Path) -> None:
    rows = 100_000
    table = 'title,note\nfirst,\n"open,1\n' + "row of text,é\n" * rows + '"two\nlines",2\n"open,1\nafter,2\n'
    found = read(tmp_path, "a.csv", table)
    assert [(line, error) for line, error in zip(found.lines, found.errors, strict=True) if error] == [
        (3, "a quote is never closed"),
        (rows + 6, "a quote is never closed"),
    ]
    assert found.titles[-4:] == ["row of text", "two\nlines", "", "after"]
    assert found.lines[-4:] == [rows + 3, rows + 4, rows + 6, rows + 7]


def test_odd_rows(tmp_path: Path) -> None:
    many = "line\n" * 900
    found = read(tmp_path, "a.csv", f'title,note\n"{many}",x\nA,a\rb\n{"y" * (2 << 20)},\nB,\n"cut\n')
    assert found.titles == [many, "", "", "B", ""]
    assert found.errors == [
        None, "a carriage return inside a row", "cell too long", None, "a quote is never closed"
    ]  # fmt: skip
    assert found.lines == [2, 903, 904, 905, 906]


def test_a_table_without_titles_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"columns found: Name, Text; name it with --title-column"):
        read(tmp_path, "a.csv", "Name,Text\nx,y\n")
    found = read(tmp_path, "a.csv", "Name,Text\nx,y\n", columns=Columns(title="name", abstract="Text"))
    assert (found.titles, found.papers[0]["abstract"]) == (["x"], "y")
    with pytest.raises(UsageError, match=r"--title-column Nam: no such column; there are: Name, Text"):
        read(tmp_path, "a.csv", "Name,Text\nx,y\n", columns=Columns(title="Nam"))


def test_of_two_columns_with_one_name_the_first_counts(tmp_path: Path) -> None:
    assert read(tmp_path, "a.csv", "title,title\na,b\n").titles == ["a"]


def test_parquet_of_other_people(tmp_path: Path) -> None:
    table = pa.table(
        {
            "Title": pa.array(["a", None, "c"], pa.large_string()),
            "arxiv_id": ["704.0001v2", "x", None],
            "categories": [["cs.LG"], None, []],
            "published": pa.array([dt.datetime(2020, 1, 2, 3, tzinfo=dt.UTC), None, None], pa.timestamp("us", "UTC")),
            "embedding": [[1.0], [2.0], [3.0]],
        }
    )
    pq.write_table(table, tmp_path / "a.bin")
    found = Readings(tmp_path / "a.bin")
    assert found.formats == {"parquet"}
    assert found.papers[0] == {
        "id": "0704.0001",
        "title": "a",
        "abstract": "",
        "categories": ["cs.LG"],
        "created": dt.date(2020, 1, 2),
    }
    assert found.errors == [None, "no title", None]
    packed = gzip.compress((tmp_path / "a.bin").read_bytes())
    assert read(tmp_path, "a.parquet.gz", packed).titles == ["a", "", "c"]


def test_parquet_with_damaged_ids_text_or_bytes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["a", "b"], "id": [1605.0838, 2.0]}), tmp_path / "a.parquet")
    found = Readings(tmp_path / "a.parquet")
    assert found.errors == ["id is a number with a fraction", None]
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff"))
    pq.write_table(pa.table({"title": broken}), tmp_path / "b.parquet")
    assert Readings(tmp_path / "b.parquet").errors == [None, "not UTF-8"]
    with pytest.raises(InputError, match="damaged parquet"):
        read(tmp_path, "c.parquet", (tmp_path / "a.parquet").read_bytes()[:-20])
    pq.write_table(pa.table({"x": [1]}), tmp_path / "d.parquet")
    with pytest.raises(InputError, match="no column of titles; columns found: x"):
        Readings(tmp_path / "d.parquet")


# -- packed files, names, standard input ------------------------------------------------------------------------------

ONE = b'{"title": "A"}\n'


gzipped = partial(gzip.compress, mtime=0)
"""The same bytes in every second: they name tests."""


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", gzipped(ONE)),
        ("a.jsonl.gz", gzipped(ONE) + gzipped(b"")),
        ("a.jsonl.zst", pa.compress(ONE, "zstd", asbytes=True)),
        ("a.zip", zipped(**{"../../outside.json": ONE})),
        ("a.zip", zipped(**{"folder/": b"", "__MACOSX/x": b"", "folder/a.json": ONE})),
        ("no-suffix", gzipped(ONE)),
        ("wrong.csv", gzipped(ONE)),
        ("wrong.parquet", ONE),
        ("wrong.json.gz", ONE),
    ],
)
def test_packed_and_misnamed_files(tmp_path: Path, name: str, content: bytes) -> None:
    assert read(tmp_path, name, content).titles == ["A"]
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert not (tmp_path.parent / "outside.json").exists()


MUCH = b"".join(json.dumps(record).encode() + b"\n" for record in records(2000))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl.gz", gzipped(MUCH)[:-40], "damaged or cut off"),
        (
            "a.jsonl.gz",
            gzipped(MUCH)[:2000] + b"\x00" * 99 + gzipped(MUCH)[2099:],
            "damaged or cut off",
        ),
        ("a.jsonl.zst", pa.compress(MUCH, "zstd", asbytes=True)[:-9], "damaged or cut off"),
        ("a.zip", zipped(a=MUCH)[:-60], "damaged or cut off"),
        (
            "a.zip",
            zipped(a=MUCH).replace(zlib.crc32(MUCH).to_bytes(4, "little"), b"sums"),
            "damaged or cut off: Bad CRC",
        ),
        ("a.zip", zipped(a=ONE) + zipped(a=ONE), "several archives in one file"),
        ("a.zip", zipped(a=MUCH)[:5_000] + zipped(a=ONE), "several archives in one file"),
        ("a.zip", zipped(a=MUCH, b=ONE), r"holds 2 files \(a, b\)"),
        ("a.zip", zipped(**{"only/": b""}), "holds 0 files"),
        ("a.jsonl", "title\n".encode("utf-16"), "is UTF-16"),
        ("a", b"", "is empty"),
        ("a", b"what is this\n", "is none of json, jsonl"),
    ],
)
def test_files_that_cannot_be_read_say_why(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(tmp_path, name, content)


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: zipped(a=content)])
def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: object) -> None:
    monkeypatch.setattr("arxivcli.sources.streams._EXPANSION_COUNTS_FROM", 1 << 20)
    with pytest.raises(InputError, match="more than 100 times its size"):
        read(tmp_path, "a.jsonl", pack(b" " * (8 << 20)), "jsonl")  # type: ignore[operator]


def test_a_zip_with_long_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one with a file of more than 4 GiB has them."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    packed = zipped(a=MUCH)
    assert b"PK\x06\x06" in packed
    assert len(read(tmp_path, "a.zip", packed).titles) == 2_000


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, says in ((tmp_path, "is a folder"), (tmp_path / "none", "No such file"), (Path("/dev/zero"), "a device")):
        with pytest.raises(InputError, match=says):
            Readings(path)
    with pytest.raises(UsageError, match="xml is no format; choose one of json, jsonl"):
        Readings(tmp_path, "xml")


@pytest.mark.parametrize(
    ("content", "format_", "titles"),
    [
        (ONE * 2, "jsonl", ["A", "A"]),
        (b"[" + ONE + b"]", "json", ["A"]),
        (b"title\nA\n", "csv", ["A"]),
        (gzipped(b"id\ttitle\n1\tA\n"), "tsv", ["A"]),
        (zipped(a=ONE), "json", ["A"]),
    ],
)
def test_standard_input_is_looked_at(content: bytes, format_: str, titles: list[str]) -> None:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        found = Readings(stream)
    assert (found.titles, found.formats <= {format_, "jsonl"}) == (titles, True)


def test_a_list_of_titles(tmp_path: Path) -> None:
    found = read(tmp_path, "titles.txt", "Deep nets\n \nShallow nets\n\n")
    assert (found.titles, found.lines) == (["Deep nets", "", "Shallow nets", ""], [1, 2, 3, 4])
    assert found.errors == [None, "empty line", None, "empty line"]
    assert Readings(io.BytesIO(b"Deep nets"), "txt").titles == ["Deep nets"]


def test_an_empty_line_is_a_row_of_one_column_alone(tmp_path: Path) -> None:
    found = read(tmp_path, "a.csv", "\n\r\ntitle\nA\n\r\n\nB\n")
    assert (found.titles, found.lines) == (["A", "", "", "B"], [4, 5, 6, 7])
    assert (found.errors, found.rows[1]) == ([None, "empty line", "empty line", None], ("",))
    assert read(tmp_path, "b.csv", "title,id\nA,1\n\nB,2\n").titles == ["A", "B"]


def test_empty_lines_below_one_object_are_no_records(tmp_path: Path) -> None:
    assert read(tmp_path, "a.json", '{"title": "A"}\n\n\n').titles == ["A"]
    assert read(tmp_path, "a.jsonl", '{"title": "A"}\n\n\n').errors == [None, "empty line", "empty line"]
    assert read(tmp_path, "b.json", '[{"title": "A"}, ]\n\n').titles == ["A"]


def test_nothing_is_no_record(tmp_path: Path) -> None:
    assert read(tmp_path, "a.jsonl", b"").papers == []
    assert read(tmp_path, "a.json", b" [ ] ").papers == []


def test_batches_are_no_larger_than_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(MUCH)
    sizes = [reading.papers.num_rows for reading in files.read(tmp_path / "a.jsonl", batch_size=300)]
    assert (max(sizes), sum(sizes)) == (300, 2000)


# -- ids, categories, dates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("0704.0001", "0704.0001"),
        ("704.0001", "0704.0001"),
        ("0704.0001v12", "0704.0001"),
        ("arXiv:2401.01234v2", "2401.01234"),
        ("https://arxiv.org/pdf/2401.01234v2.pdf", "2401.01234"),
        ("http://export.arxiv.org/abs/hep-th/9901001v1", "hep-th/9901001"),
        ("oai:arXiv.org:math.GT/0309136", "math.GT/0309136"),
        (" my-key v2 ", "my-key v2"),
        ("10.1000/182", "10.1000/182"),
        (17, "17"),
        (17.0, "17"),
        (None, ""),
        (float("nan"), ""),
    ],
)
def test_ids(written: object, means: str) -> None:
    assert fields.identifier(written) == means


@given(st.one_of(st.text(max_size=20), st.from_regex(r"(arXiv:)?[01]?\d{3}\.\d{4,5}(v\d)?", fullmatch=True)))
def test_an_id_is_tidied_once(written: str) -> None:
    once = fields.identifier(written)
    assert fields.identifier(once) == once
    assert not re.fullmatch(r"\d{3}\.\d{4}.*", once) or "v" not in once


@given(st.lists(st.sampled_from(["cs.LG", "stat.ML", "math-ph", "math.MP", "nonsense", "CS.cv"]), max_size=5))
def test_however_categories_are_written_they_are_the_same(ids: list[str]) -> None:
    spellings: list[object] = [" ".join(ids), ",".join(ids), "; ".join(ids), ids, str(ids), [{"term": i} for i in ids]]
    content = "\n".join(json.dumps({"title": "t", "categories": spelling}) for spelling in spellings)
    found = Readings(io.BytesIO(content.encode()), "jsonl")
    assert all(paper["categories"] == found.papers[0]["categories"] for paper in found.papers)


def test_categories_that_are_none() -> None:
    values = [None, "", [], 7, {"term": None}, "x" * 2000]
    content = "\n".join(json.dumps({"title": "t", "categories": value}) for value in values)
    found = Readings(io.BytesIO(content.encode()), "jsonl")
    assert found.errors == [None, None, None, "categories are not text", None, "categories are too long"]


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("Mon, 2 Apr 2007 19:18:42 GMT", "2007-04-02T19:18:42+00:00"),
        ("Mon, 02 Apr 2007 19:18:42 +0200", "2007-04-02T17:18:42+00:00"),
        ("2007-04-02", "2007-04-02T00:00:00+00:00"),
        ("2007-04", "2007-04-01T00:00:00+00:00"),
        ("2016-05-26T17:59:46Z", "2016-05-26T17:59:46+00:00"),
        (dt.date(2007, 4, 2), "2007-04-02T00:00:00+00:00"),
    ],
)
def test_dates(written: object, means: str) -> None:
    assert fields.moment(written) == seconds(means)


@given(st.text(max_size=40) | st.integers() | st.none() | st.booleans())
def test_what_is_no_date_is_none_or_a_number(written: object) -> None:
    assert fields.moment(written) is None or isinstance(fields.moment(written), int)


@given(
    st.dictionaries(
        st.sampled_from(
            ["title", "abstract", "id", "categories", "primary_category", "versions", "created", "update_date"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["created", "term", "x"]), inner)
            ),
            max_leaves=4,
        ),
    )
)
@example({"title": "A", "versions": True})
def test_no_record_stops_a_run(record: dict[str, object]) -> None:
    found = Readings(io.BytesIO(json.dumps(record).encode() + b'\n{"title": "after"}'), "jsonl")
    assert found.titles[-1] == "after"
    assert len(found.errors) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("title\r\nDeep learning\r\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"title,abstract\rquark,b\rgalaxy,c\r", "carriage returns alone"),
        (b"caf\xe9,title\nna\xefve,quark\n", ":1 is not UTF-8"),
        (bytes(range(256)) * 50, "has no column of titles"),
    ],
)
def test_tables_no_reader_understands_are_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "papers.csv").write_bytes(content)
    with pytest.raises(InputError, match=said):
        list(files.read(tmp_path / "papers.csv"))


def test_a_column_no_json_record_has_is_told(tmp_path: Path) -> None:
    (tmp_path / "papers.jsonl").write_bytes(b'{"title": "A", "abstract": "B"}\n{"title": "C"}\n')
    with pytest.raises(UsageError, match="--abstract-column summry: no such column; there are: title, abstract"):
        list(files.read(tmp_path / "papers.jsonl", columns=files.Columns(abstract="summry")))
    assert len(list(files.read(tmp_path / "papers.jsonl", columns=files.Columns(abstract="abstract")))) == 1


def test_a_damaged_first_line_costs_no_other_line(tmp_path: Path) -> None:
    for text in ('{bad\n[\n{"title":"A"}\n{"title":"B"}\n', '[\n{"title":"A"}\n{"title":"B"}\n'):
        for name in ("papers.jsonl", "papers"):
            found = read(tmp_path, name, text)
            assert found.titles[-2:] == ["A", "B"]
            assert len(found.titles) == text.count("\n")


def test_the_name_inside_a_zip_tells_its_format(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "papers.zip", "w") as archive:
        archive.writestr("titles.txt", "Dark matter halos, revisited\nPrimes, again\n")
    [reading] = files.read(tmp_path / "papers.zip")
    assert reading.papers["title"].to_pylist() == ["Dark matter halos, revisited", "Primes, again"]


def test_lines_of_titles_that_end_as_on_windows(tmp_path: Path) -> None:
    assert read(tmp_path, "titles.txt", "Primes\r\n\r\nGalaxies\r\n").titles == ["Primes", "", "Galaxies"]


def test_a_column_named_exactly_goes_before_one_spelled_otherwise(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("Title,title\nA,B\n")
    for name, title in (("Title", "A"), ("title", "B")):
        [reading] = files.read(tmp_path / "x.csv", columns=files.Columns(title=name))
        assert reading.papers["title"].to_pylist() == [title]
