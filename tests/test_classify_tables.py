"""Tables as the programs around classify leave them: cut, xsv, csvkit, spreadsheets, and SQLite."""

from __future__ import annotations

import io
import sqlite3
import stat
import subprocess
import tracemalloc
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from classifying import answers, rows, run, said

from arxivcli.errors import InputError, UsageError
from arxivcli.sources import files
from arxivcli.sources.fields import Columns

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(handmade_model: Path) -> Path:
    return handmade_model


def titles(source: str | bytes | Path, format_: str | None = None, **columns: Any) -> list[str]:
    """What is read; the reason in brackets where nothing is."""
    raw = source.encode() if isinstance(source, str) else source
    found = files.read(io.BytesIO(raw) if isinstance(raw, bytes) else raw, format_, Columns(**columns, texts_only=True))
    return [
        f"[{error}]" if error else title
        for reading in found
        for title, error in zip(reading.papers["title"].to_pylist(), reading.errors.to_pylist(), strict=True)
    ]


# -- without a header -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_table_without_a_header_comes_back_without_one(model: Path, delimiter: str) -> None:
    table = f'7{delimiter}"Galaxies\nand dust"{delimiter}x\n8{delimiter}Primes{delimiter}y\n'
    done = run("-", "-m", model, "--no-header", "--title-column", 2, "--id-column", 1, given=table)
    assert done.returncode == 0, done.stderr
    assert [row[:4] for row in rows(done, delimiter)] == [
        ["7", "Galaxies\nand dust", "x", "astro-ph.GA"],
        ["8", "Primes", "y", "math.NT"],
    ]
    found = answers(
        run("-", "-m", model, "--no-header", "--title-column", 2, "--id-column", 1, "-f", "jsonl", given=table)
    )
    assert [one["id"] for one in found] == ["7", "8"]


def test_one_column_without_a_header_is_titles() -> None:
    assert titles("Galaxies\n\nPrimes\n", headed=False) == ["Galaxies", "[empty line]", "Primes"]
    assert titles('\n\n"Galaxies, and dust"\nPrimes, too\n', headed=False)[-2:] == ["Galaxies, and dust", "Primes, too"]
    assert titles("\nGalaxies\tdust\n\nPrimes\tzeta\n", headed=False, title="2") == ["dust", "zeta"]


@pytest.mark.parametrize(
    ("text", "columns", "says"),
    [
        ("1,Galaxies\n", {}, "has 2 columns and no header"),
        ("1,Galaxies\n", {"title": "3"}, "--title-column 3: no such column; there are: 1, 2"),
        ("1,Galaxies\n", {"title": "name"}, "--title-column name: no such column"),
    ],
)
def test_a_column_has_to_be_named_by_a_number_it_has(text: str, columns: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        titles(text, headed=False, **columns)


def test_an_empty_table_without_a_header_is_told() -> None:
    with pytest.raises(InputError, match="is empty"):
        titles("\n\n", headed=False)


def test_numbers_name_columns_that_have_names() -> None:
    table = "key,Name of it,1\n7,Galaxies,Primes\n"
    assert titles(table, title="2") == ["Galaxies"]
    assert titles(table, title="1") == ["Primes"]
    with pytest.raises(UsageError, match="--title-column 4: no such column"):
        titles(table, "csv", title="4")


@pytest.mark.parametrize("name", ["a.ris", "a.bib", "a.jsonl", "a.parquet"])
def test_a_name_that_tells_of_another_kind_is_no_table_without_header(model: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("TY  - JOUR\nTI  - Galaxies\nER  - \n")
    done = run(tmp_path / name, "-m", model, "--no-header", "--from", "csv")
    assert done.stdout.count(b"\n") == 3, "unless somebody says so"
    done = run(tmp_path / name, "-m", model, "--no-header")
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"{tmp_path / name} is neither CSV nor TSV" in said(done)


def test_what_was_said_about_a_table_and_is_none(model: Path) -> None:
    for arguments in (["--no-header"], ["--table", "x"]):
        done = run("-", "-m", model, "--from", "jsonl", *arguments, given='{"title": "Galaxies"}\n')
        assert (done.returncode, done.stdout, arguments[0] in said(done)) == (2, b"", True)


def test_rows_without_a_header_that_are_no_papers_keep_their_place(model: Path) -> None:
    done = run("-", "-m", model, "--no-header", "--title-column", 2, given="1,\n2,Galaxies,3,4\n3,Primes\n")
    assert done.returncode == 3
    assert [row[-1] for row in rows(done)] == ["no title", "more cells than columns", ""]
    assert "first at <stdin>:1" in said(done)


# -- other people's programs ------------------------------------------------------------------------------------------

SHEET = 'number;title;note\r\n1;"Galaxies; and\r\ndust";"a ""word"""\r\n2;Primes;\r\n'


def piped(command: str, given: str, model: Path, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """What classify makes of what a shell command makes of the text."""
    made = subprocess.run(["sh", "-c", command], input=given.encode(), capture_output=True, check=True).stdout
    return run("-", "-m", model, *arguments, given=made)


def test_cut_leaves_commas_bare(model: Path) -> None:
    table = "id\ttitle\tyear\n1\tGalaxies, dust, and more\t2001\n2\tPrimes\t2002\n"
    done = piped("cut -f2", table, model)
    assert rows(done)[1][:2] == ["Galaxies, dust, and more", "astro-ph.GA"]
    done = piped("cut -f2,3 | tail -n +2", table, model, "--no-header", "--title-column", "1")
    assert [row[2] for row in rows(done, "\t")] == ["astro-ph.GA", "math.NT"]
    found = answers(piped("cut -f2 | tail -n +2", table, model, "--from", "txt"))
    assert [one["top_category"] for one in found] == ["astro-ph.GA", "math.NT"]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_sheet_saved_by_a_spreadsheet(model: Path, bom: str) -> None:
    done = run("-", "-m", model, given=bom + SHEET)
    assert done.returncode == 0, done.stderr
    header, first, second = rows(done, ";")
    assert header[:4] == ["number", "title", "note", "category"]
    assert first[:4] == ["1", "Galaxies; and\r\ndust", 'a "word"', "astro-ph.GA"]
    assert second[:4] == ["2", "Primes", "", "math.NT"]


def test_columns_that_xsv_and_csvkit_quote(model: Path) -> None:
    """`xsv fmt --quote-always`, and csvkit's line numbers and commas."""
    done = run("-", "-m", model, given='"line_number","title"\n"1","Galaxies, dust"\n"2","Primes ""of"" two\nlines"\n')
    assert [row[2] for row in rows(done)] == ["category", "astro-ph.GA", "math.NT"]
    again = run("-", "-m", model, "-f", "csv", given=done.stdout)
    assert [row[6] for row in rows(again)] == ["predicted_category", "astro-ph.GA", "math.NT"]


# -- SQLite -----------------------------------------------------------------------------------------------------------


def database(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as made:
        for statement in statements:
            made.execute(statement)
        made.commit()
    return path


SHELF = (
    "CREATE TABLE shelf (key TEXT, 'Title' TEXT, abstract TEXT, id INTEGER)",
    """INSERT INTO shelf (rowid, Title, abstract, id)
    VALUES (9, 'Quarks', NULL, 3), (2, 'Galaxies', 'Dust', 1), (5, 'Primes', '', 2)""",
    "CREATE TABLE loans (key TEXT, day TEXT)",
)


def test_the_table_with_titles_is_answered_by_rowid(model: Path, tmp_path: Path) -> None:
    path = database(tmp_path / "library.db", *SHELF)
    before = path.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("library.db", before)
    for found in (
        answers(run(path, "-m", model)),
        answers(run("-", "-m", model, given=before)),
        answers(run("-", "-m", model, given=packed.getvalue())),
    ):
        assert [(one["id"], one["top_category"]) for one in found] == [
            ("1", "astro-ph.GA"), ("2", "math.NT"), ("3", "hep-ph"),
        ]  # fmt: skip
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["library.db"]


def test_one_of_several_tables_is_named(model: Path, tmp_path: Path) -> None:
    view = 'CREATE VIEW "my ""view" AS SELECT key AS title FROM shelf WHERE id = 1'
    path = database(tmp_path / "a.sqlite", *SHELF, view, "UPDATE shelf SET key = 'A key'")
    with pytest.raises(InputError, match='several tables with titles: my "view, shelf; choose one with --table'):
        titles(path)
    assert titles(path, table='my "view') == ["A key"]
    assert titles(path, table="shelf") == ["Galaxies", "Primes", "Quarks"]
    assert titles(path, table="loans", title="day") == []
    with pytest.raises(InputError, match=r"loans in .* has no column of titles; columns found: key, day"):
        titles(path, table="loans")
    done = run(path, "-m", model, "--table", "shelve")
    assert (done.returncode, "did you mean shelf?" in said(done)) == (2, True)


def test_titles_under_another_name(tmp_path: Path) -> None:
    path = database(
        tmp_path / "a.db", "CREATE TABLE t (name TEXT)", "INSERT INTO t VALUES ('Galaxies'), (NULL), (x'c3'), (7)"
    )
    assert titles(path, title="name") == ["Galaxies", "[no title]", "[title is not text]", "7"]
    with pytest.raises(InputError, match="no table with titles; tables found: t"):
        titles(path)
    with pytest.raises(InputError, match="no table with titles"):
        titles(path, title="naem")


def test_tables_without_rowids_and_text_that_is_none(tmp_path: Path) -> None:
    made = "CREATE TABLE t (id TEXT PRIMARY KEY, title TEXT) WITHOUT ROWID"
    filled = "INSERT INTO t VALUES ('b', 'Primes'), ('a', 'Galaxies'), ('c', CAST(x'ff41' AS TEXT))"
    path = database(tmp_path / "a.db", made, filled)
    assert titles(path) == ["Galaxies", "Primes", "[title is not text]"]


def test_a_database_that_nobody_may_write(tmp_path: Path) -> None:
    """One in WAL mode wants files beside it even to be read."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    path = database(folder / "a.db", "PRAGMA journal_mode = WAL", *SHELF)
    assert titles(path) == ["Galaxies", "Primes", "Quarks"]
    path.chmod(stat.S_IRUSR)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert titles(path) == ["Galaxies", "Primes", "Quarks"]
    finally:
        folder.chmod(stat.S_IRWXU)


@pytest.mark.parametrize("size", [20, 90, 5000])
def test_a_damaged_database_is_told(tmp_path: Path, size: int) -> None:
    path = database(tmp_path / "a.db", *SHELF)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"a\.db"):
        titles(path)


def test_a_large_database_is_not_held_in_memory(tmp_path: Path) -> None:
    path = database(
        tmp_path / "a.db",
        "CREATE TABLE t (title TEXT, abstract TEXT)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " INSERT INTO t SELECT 'Galaxies ' || i, hex(zeroblob(10000)) FROM n",
    )
    assert path.stat().st_size > 40_000_000
    tracemalloc.start()
    try:
        assert sum(len(reading.papers) for reading in files.read(path, batch_size=50)) == 2000
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
