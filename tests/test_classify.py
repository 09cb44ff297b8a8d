"""classify as people use it: anything with titles in, every paper in its place, one line and a code for each error."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING

import prepared
import pytest
from classifying import MANY, PROGRAM, answers, rows, run, said
from hypothesis import given, settings
from hypothesis import strategies as st
from invented import records
from test_startup import HEAVY, cpu_seconds, imported

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(handmade_model: Path) -> Path:
    return handmade_model


@pytest.fixture(scope="module")
def many(many_papers: Path) -> Path:
    return many_papers


# -- what goes in, what comes out -------------------------------------------------------------------------------------


def test_one_paper_is_one_object(model: Path, tmp_path: Path) -> None:
    paper = tmp_path / "paper.json"
    paper.write_text('{"id": "2401.01234", "title": "Galaxies and dust", "abstract": "Stellar halo."}')
    [answer] = answers(run(paper, "-m", model, "--top", "2"))
    assert list(answer) == ["id", "top_category", "predictions"]
    assert answer["id"] == "2401.01234"
    assert answer["top_category"] == "astro-ph.GA"
    first, second = answer["predictions"]
    assert first["name"] == "Astrophysics of Galaxies"
    assert 1 >= first["confidence"] > second["confidence"] >= 0


def test_lists_and_lines_become_lines_in_their_order(model: Path) -> None:
    papers = [{"title": "Galaxies"}, {"title": "Primes", "id": 7}, {"title": "Quarks", "id": "x"}]
    wanted = [("1", "astro-ph.GA"), ("7", "math.NT"), ("x", "hep-ph")]
    for text in (json.dumps(papers), "\n".join(map(json.dumps, papers))):
        found = answers(run("-m", model, given=text))
        assert [(answer["id"], answer["top_category"]) for answer in found] == wanted


def test_json_asked_for_is_one_value(model: Path) -> None:
    one = run("-m", model, "--format", "json", given='{"title": "Galaxies"}')
    assert json.loads(one.stdout)["top_category"] == "astro-ph.GA"
    two = run("-m", model, "--format", "json", given='{"title": "Galaxies"}\n{"title": "Primes"}\n')
    assert [answer["top_category"] for answer in json.loads(two.stdout)] == ["astro-ph.GA", "math.NT"]


def test_a_table_keeps_its_rows_and_columns(model: Path) -> None:
    table = 'key,Title,note\n1,"Galaxies, dust",a\n2,,b\n3,"Primes\nand zeta",\n4\n'
    done = run("-m", model, "--coverage", "0.9", given=table)
    assert done.returncode == 3
    header, *found = rows(done)
    assert header == ["key", "Title", "note", "category", "confidence", "alternatives", "set", "error"]
    assert [row[:3] for row in found] == [
        ["1", "Galaxies, dust", "a"],
        ["2", "", "b"],
        ["3", "Primes\nand zeta", ""],
        ["4", "", ""],
    ]
    assert [row[3] for row in found] == ["astro-ph.GA", "", "math.NT", ""]
    assert [row[7] for row in found] == ["", "no title", "", "no title"]
    assert found[0][6].split()[0] == "astro-ph.GA"
    label, score = found[0][5].split("; ")[0].split()
    assert label != "astro-ph.GA"
    assert 0 <= float(score) <= float(found[0][4])


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_what_parts_cells_stays(model: Path, delimiter: str) -> None:
    done = run("-m", model, given=f"title{delimiter}id\nGalaxies{delimiter}1\n")
    assert rows(done, delimiter)[1][:3] == ["Galaxies", "1", "astro-ph.GA"]


def test_lines_of_a_table_end_as_they_did(model: Path) -> None:
    done = run("-m", model, given='id,title\r\n1,Galaxies\r\n2,"Primes\nand zeta"\r\n')
    assert done.stdout.count(b"\r\n") == 3
    assert done.stdout.count(b"\n") == 4
    assert rows(done)[2][:3] == ["2", "Primes\nand zeta", "math.NT"]
    assert b"\r" not in run("-m", model, "-f", "tsv", given="title\r\nGalaxies\r\n").stdout


def test_ids_stay_as_they_are_written(model: Path) -> None:
    written = ["18446744073709551617", "9007199254740993", "123456789012345678901234567890", "7", "1e3", "2e30"]
    text = "".join(f'{{"id": {number}, "title": "Galaxies"}}\n' for number in written)
    found = [answer["id"] for answer in answers(run("-m", model, given=text))]
    assert found == [*written[:4], "1000", "2e30"]
    listed = "[" + text.replace("}\n", "},").removesuffix(",") + "]"
    assert [answer["id"] for answer in answers(run("-m", model, given=listed))] == found
    table = ["1e10", "0012", "+5", "9007199254740993", "1.50"]
    done = run("-m", model, given="id,title\n" + "".join(f"{key},Galaxies\n" for key in table))
    assert [row[0] for row in rows(done)[1:]] == table
    done = run("-m", model, "-f", "jsonl", given="id,title\n" + "".join(f"{key},Galaxies\n" for key in table))
    assert [answer["id"] for answer in answers(done)] == table


def test_ids_of_several_files_do_not_collide(model: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "a.jsonl", tmp_path / "b.txt"
    one.write_text('{"title": "Galaxies"}\n{"title": "Primes", "id": "x"}\n{"title": ""}\n')
    two.write_text("Quarks\n")
    found = answers(run(one, two, "-m", model), 3)
    assert [answer["id"] for answer in found] == [f"{one}:1", "x", f"{one}:3", f"{two}:1"]


def test_files_are_there_before_the_first_is_answered(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Galaxies\n")
    (tmp_path / "folder").mkdir()
    for wrong, says in (("none.txt", "No such file"), ("folder", "has no file of papers in it")):
        done = run(tmp_path / "a.txt", tmp_path / wrong, "-m", model)
        assert (done.returncode, done.stdout, says in said(done)) == (3, b"", True)


def test_semicolons_asked_to_be_tabs(model: Path) -> None:
    done = run("-m", model, "--format", "tsv", given="title;id\nGalaxies, dust;1\n")
    assert rows(done, "\t")[1][:3] == ["Galaxies, dust", "1", "astro-ph.GA"]


def test_rows_with_too_many_cells_lose_nothing(model: Path) -> None:
    done = run("-m", model, given="id,title\n1,Galaxies, dust and more\n2,Primes\n")
    header, first, second = rows(done)
    assert first[:2] == ["1", "Galaxies, dust and more"]
    assert len(header) == len(first) == len(second)
    assert (first[-1], second[2]) == ("more cells than columns", "math.NT")


def test_a_column_called_category_stays(model: Path) -> None:
    done = run("-m", model, given="title,category\nGalaxies,mine\n")
    assert rows(done)[0][:3] == ["title", "category", "predicted_category"]
    assert rows(done)[1][:3] == ["Galaxies", "mine", "astro-ph.GA"]


cells = st.text(
    st.one_of(st.sampled_from("\"',;\t=+-@é\u2028 \n"), st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    max_size=12,
)


@settings(max_examples=8)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=20))
def test_any_table_comes_back_with_answers_beside_it(model: Path, found: list[tuple[str, str]]) -> None:
    written = io.StringIO()
    csv.writer(written).writerows([("note", "title"), *found])
    done = run("-m", model, "--raw", "--keep-going", given=written.getvalue())
    assert done.returncode == 0, done.stderr
    header, *back = rows(done)
    assert header[:2] == ["note", "title"]
    assert [tuple(row[:2]) for row in back] == found
    assert all(bool(row[2]) != bool(row[-1]) for row in back)


def test_json_as_a_table_and_a_table_as_json(model: Path) -> None:
    done = run("-m", model, "--format", "csv", given='{"id": "a", "title": "=Galaxies"}')
    assert rows(done)[1][:3] == ["a", "'=Galaxies", "astro-ph.GA"]
    [answer] = answers(run("-m", model, "--format", "jsonl", given="title\nGalaxies\n"))
    assert (answer["id"], answer["top_category"]) == ("2", "astro-ph.GA")


def test_names_by_hand_packed_files_and_several_of_them(model: Path, tmp_path: Path) -> None:
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(b"kop,n\nGalaxies,q\n"))
    found = answers(run(packed, packed, "-m", model, "-f", "jsonl", "--title-column", "kop", "--id-column", "n"))
    assert [(answer["id"], answer["top_category"]) for answer in found] == [("q", "astro-ph.GA")] * 2


def test_categories_and_dates_do_not_matter(model: Path) -> None:
    [answer] = answers(run("-m", model, given='{"title": "Galaxies", "categories": 5, "created": [], "versions": {}}'))
    assert answer["top_category"] == "astro-ph.GA"


def test_title_and_abstract_without_a_file(model: Path) -> None:
    [answer] = answers(run("-m", model, "--title", "Studies", "--abstract", "of primes and zeta", given=None))
    assert (answer["id"], answer["top_category"]) == (None, "math.NT")
    assert run("-m", model, "--title", " ").returncode == 3


def test_coverage_adds_a_set_best_first(model: Path) -> None:
    [answer] = answers(run("-m", model, "--coverage", "0.95", "--top", "6", given='{"title": "Quarks and images"}'))
    ranked = [entry["category"] for entry in answer["predictions"]]
    assert answer["set"] == ranked[: len(answer["set"])]
    assert len(answer["set"]) >= 2


# -- the same answer whatever is around it ----------------------------------------------------------------------------


def test_the_same_paper_gets_the_same_answer_everywhere(model: Path) -> None:
    papers = records(64, seed=3)
    papers[5]["abstract"] = ""
    papers[6] |= {"title": "$\\alpha$ \\frac{1}{2}", "abstract": ""}
    papers[7] |= {"title": "素数 und галактика 🪐", "abstract": "primes " * 50_000}
    alone = [answers(run("-m", model, given=json.dumps(paper)))[0] for paper in papers[3:9]]
    for size in (7, 64):
        text = "\n".join(json.dumps(paper) for paper in papers[:size])
        assert answers(run("-m", model, given=text))[3:9] == alone[: size - 3]
    table = io.StringIO()
    writer = csv.DictWriter(table, papers[0].keys())
    writer.writeheader()
    writer.writerows(papers)
    assert answers(run("-m", model, "-f", "jsonl", given=table.getvalue()))[3:9] == alone


def test_texts_of_any_kind_and_length_have_answers() -> None:
    """By the built-in model: a bag of words has no longest text, and no words it does not take."""
    texts = [
        "galaxies and dark matter halos " * 10_000,
        "素数の分布について 🪐🔭",
        "$$\\int_0^\\infty e^{-x^2} dx = \\frac{\\sqrt{\\pi}}{2}$$",
        "?! \u2026 \u202e",
        "x" * 1_000_000,
        "🪐" * 100_000,
    ]
    lines = [{"title": text} for text in texts] + [{"title": "Notes", "abstract": text} for text in texts]
    found = answers(run("-", given="\n".join(map(json.dumps, lines))))
    assert len(found) == len(lines)
    assert all(answer["top_category"] and len(answer["predictions"]) == 3 for answer in found)
    assert all(0 < answer["predictions"][0]["confidence"] <= 1 for answer in found)
    assert found[0]["top_category"].startswith("astro-ph")


def test_processes_change_nothing(model: Path, many: Path) -> None:
    one, two = (run(many, "-m", model, "-q", "--workers", number) for number in (1, 2))
    assert one.returncode == two.returncode == 0
    assert one.stdout == two.stdout
    assert one.stdout.count(b"\n") == MANY


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_lines_that_are_no_papers_keep_their_place(model: Path) -> None:
    lines = [
        b'{"title": "Galaxies"}',
        b"plain text",
        b"\xff\xfe",
        b'{"title": "a\\u0000b primes"}',
        b'{"title": "\\ud800"}',
        b"[1, 2]",
        b"[" * 100_000,
        b'{"title": " "}',
        b'{"title": "x' + b"y" * (17 << 20) + b'"}',
        b'{"title": "Primes"}',
    ]
    done = run("-m", model, "--from", "jsonl", given=b"\n".join(lines))
    found = answers(done, 3)
    assert len(found) == len(lines)
    assert [answer["top_category"] for answer in found if "error" not in answer] == [
        "astro-ph.GA",
        "math.NT",
        "math.NT",
    ]
    assert found[1]["error"] == "not JSON"
    assert found[2]["error"] == "not UTF-8"
    assert found[7]["error"] == "no title"
    assert found[8]["error"] == "line too long"
    assert [answer["id"] for answer in found] == [str(number) for number in range(1, len(lines) + 1)]
    assert said(done).startswith("error: 7 of 10 papers have no answer: not JSON (")
    assert "first at <stdin>:2" in said(done)
    kept = run("-m", model, "--from", "jsonl", "--keep-going", given=b"\n".join(lines))
    assert kept.returncode == 0
    assert kept.stdout == done.stdout


@pytest.mark.parametrize("source", [["--from", "jsonl"], ["--from", "txt"], ["--from", "csv"]])
def test_every_line_has_its_answer_also_an_empty_one(model: Path, source: list[str]) -> None:
    """So that `paste titles.txt answers` lines up; the empty lines of the end are no reason to fail."""
    one, two = ('{"title": "Galaxies"}', '{"title": "Primes"}') if "jsonl" in source else ("Galaxies", "Primes")
    header = "title\n" if "csv" in source else ""
    done = run(*source, "-m", model, "-f", "jsonl", given=f"{header}{one}\n\n{two}\n\n")
    found = answers(done, 3)
    assert [answer["top_category"] for answer in found] == ["astro-ph.GA", None, "math.NT", None]
    assert [answer.get("error") for answer in found] == [None, "empty line", None, "empty line"]
    assert "1 of 3 papers have no answer: empty line (1, first at <stdin>" in said(done)
    done = run(*source, "-m", model, "-f", "jsonl", given=f"{header}{one}\n{two}\n\n\n")
    assert [answer.get("error") for answer in answers(done)] == [None, None, "empty line", "empty line"]
    done = run(*source, "-m", model, "-f", "jsonl", given=f"{header}\n\n")
    assert (len(answers(done, 3)), "no papers in the input" in said(done)) == (2, True)


def test_empty_ends_of_several_files(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Galaxies\n\n\n")
    (tmp_path / "b.txt").write_text("Primes\n\n")
    assert len(answers(run(tmp_path / "a.txt", tmp_path / "b.txt", "-m", model))) == 5
    (tmp_path / "b.txt").write_text("\nPrimes\n\n")
    done = run(tmp_path / "a.txt", tmp_path / "b.txt", "-m", model)
    assert (
        done.returncode,
        f"1 of 3 papers have no answer: empty line (1, first at {tmp_path}/b.txt:1)" in said(done),
    ) == (
        3,
        True,
    )


def test_plain_titles_on_a_pipe_are_titles(model: Path, tmp_path: Path) -> None:
    done = run("-", "-m", model, given="Primes in short intervals\n{x}, galaxies\n")
    assert [answer["top_category"] for answer in answers(done)] == ["math.NT", "astro-ph.GA"]
    assert said(done) == "note: taking each line of <stdin> as a title; --from names another format"
    (tmp_path / "titles").write_text("Primes in short intervals")
    assert len(answers(run(tmp_path / "titles", "-q", "-m", model))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Dark matter halos, revisited\n",
        "Dark matter halos, revisited\nPrimes\n",
        "Dark matter\thaloes\n",
        "Matter\nPrimes\n",
        '"Quoted" beginnings of primes\nOther\n',
        "\ufeffDark matter haloes\nPrimes\n",
        "[CII] emission in galaxies\nDark matter\n",
    ],
)
def test_titles_of_many_kinds_are_taken_as_such(model: Path, text: str) -> None:
    done = run("-", "-m", model, given=text.encode())
    assert (done.returncode, done.stdout.count(b"\n")) == (0, text.count("\n"))
    assert b"taking each line" in done.stderr


def test_what_is_typed_must_be_utf8(model: Path) -> None:
    done = run("--title", "m\udce9", "-m", model)
    assert done.returncode == 3
    assert b"not UTF-8" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "Paper, year\nGalaxies, 2001\n",
        "Paper name;year\nGalaxies;2001\n",
        "Name\nGalaxies and dust\n",
        "<?xml version='1.0'?>\n<feed>\n",
        "title: Galaxies and dust\n",
        '"title": "Galaxies"\n}\n',
        "id | paper\n1 | Galaxies\n",
        "Galaxies \x00 and dust\n",
        "caf\udce9 and galaxies\n",
    ],
)
def test_what_may_be_something_else_is_asked_about(model: Path, text: str) -> None:
    done = run("-", "-m", model, given=text.encode("utf-8", "surrogateescape"))
    assert (done.returncode, done.stdout) == (3, b"")
    assert "name the format with --from (txt: one title per line)" in said(done)


def test_failures_far_into_a_large_file_are_named_by_their_line(model: Path, many: Path) -> None:
    text = many.read_bytes().splitlines()
    text[30_000] = b"{"
    done = run("-m", model, "-q", given=b"\n".join(text))
    found = answers(done, 3)
    assert (found[30_000]["id"], found[30_000]["error"]) == ("30001", "not JSON")
    assert "1 of 40,000 papers have no answer: not JSON (1, first at <stdin>:30001)" in said(done)


@pytest.mark.parametrize(
    ("arguments", "text", "code", "says"),
    [
        (["nowhere.json"], "", 3, "cannot read nowhere.json"),
        ([], "", 3, "<stdin> is empty"),
        ([], "[]", 3, "there are no papers in the input"),
        ([], "title\n", 3, "there are no papers in the input"),
        (["--from", "csv"], "", 3, "<stdin> is empty"),
        (["--from", "csv"], "\n\n", 3, "<stdin> is empty"),
        ([], "\x00\x01", 3, "<stdin> is none of"),
        (["--title", "a", "b.json"], "", 2, "not for files"),
        (["--coverage", "0.2"], "", 2, "--coverage 0.2"),
        (["--id-column", "key"], "title\na\n", 2, "no such column"),
        (["--title-column", "key"], '{"title": "a"}\n', 2, "no such column"),
        (["--title", "a", "--from", "csv"], "", 2, "--from is for files"),
        (["--abstract", "a", "--title-column", "t"], "", 2, "--title-column is for files"),
        (["--title", "a", "--no-header"], "", 2, "--no-header is for files"),
        (["--title", "a", "--table", "t"], "", 2, "--table is for files"),
        (["--title", "a", "--resume", "-o", "x.json"], "", 2, "--resume is for files"),
        (["--from", "yaml"], "", 2, "yaml"),
        (["--top", "0"], "", 2, "--top"),
        (["-o", "x.jsonl.gz", "--title", "a"], "", 2, "not written as gz"),
        (["-o", "x.json", "-f", "table", "--title", "a"], "", 2, "for the eye"),
    ],
)
def test_errors_are_one_line_and_a_code(
    model: Path, tmp_path: Path, arguments: list[str], text: str, code: int, says: str
) -> None:
    done = prepared.run(
        [*PROGRAM, "-m", model, *arguments], input=text.encode(), capture_output=True, check=False, cwd=tmp_path
    )
    assert done.returncode == code, done.stderr
    assert says in said(done)
    assert done.stdout == b""
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_none(tmp_path: Path) -> None:
    assert run("-m", tmp_path, "--title", "a").returncode == 6
    assert run("-m", tmp_path / "none", "--title", "a").returncode == 2


def test_tables_of_different_columns_do_not_become_one(model: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("title\nGalaxies\n")
    second.write_text("title,id\nPrimes,1\n")
    done = run(first, second, "-m", model, "-o", tmp_path / "out.csv")
    assert (done.returncode, "other columns" in said(done)) == (3, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]


# -- light and quick ---------------------------------------------------------------------------------------------------


def test_classify_imports_nothing_it_does_not_need(model: Path) -> None:
    loaded = imported("classify", "-m", str(model), "--title", "Galaxies")
    assert not loaded & (HEAVY - {"numpy", "pyarrow", "orjson", "safetensors"} | {"rich"})


def test_a_cold_answer_costs_at_most_0_8_s_of_cpu(model: Path) -> None:
    assert cpu_seconds("classify", "-m", str(model), "--title", "Galaxies") <= 0.8
