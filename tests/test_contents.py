"""What an answer contains: reasons, cross-lists, chosen fields, tables with and without their own columns, parquet."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from classifying import MANY, answers, run, said
from hypothesis import given
from hypothesis import strategies as st
from test_answers import batch
from test_answers import rows as some_answers
from test_classify_ends import end, plain, terminal

from arxivcli import answer_fields, calibration, views
from arxivcli.models import cross_lists, shelf
from arxivcli.models.card import Card
from arxivcli.papers import one_paper
from arxivcli.steps import classification
from arxivcli.steps.classification import Question

EXAMPLES = Path(__file__).parents[1] / "examples"
PAPERS = (
    '{"id": "a", "title": "Galaxies and primes", "abstract": "Dust of galaxies."}\n'
    '{"id": "b", "title": ""}\n'
    '{"id": "c", "title": "Quarks"}\n'
)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("papers") / "papers.jsonl"
    path.write_text(PAPERS)
    return path


def table(done: Any) -> list[dict[str, str]]:
    assert done.returncode == 3, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))


# -- reasons ----------------------------------------------------------------------------------------------------------


def test_words_for_and_against(papers: Path, handmade_model: Path) -> None:
    first, second, third = answers(run(papers, "-m", handmade_model, "--explain"), 3)
    found = {(one["text"], one["where"]): one["contribution"] for one in first["explanation"]}
    assert found["galaxies", "title"] > found["galaxies", "abstract"] > 0 > found["primes", "title"]
    sizes = [abs(one["contribution"]) for one in first["explanation"]]
    assert sizes == sorted(sizes, reverse=True)
    assert list(first["explanation"][0]) == ["text", "contribution", "where"]
    assert (second["explanation"], second["error"]) == ([], "no title")
    assert [one["text"] for one in third["explanation"]] == ["quarks"]
    assert "explanation" not in answers(run(papers, "-m", handmade_model), 3)[0]
    one, two, _ = table(run(papers, "-m", handmade_model, "--explain", "-f", "csv"))
    assert one["explanation"].startswith("galaxies ")
    assert "primes" not in one["explanation"]
    assert two["explanation"] == ""


def test_what_is_explained_is_the_likeliest_category_of_a_coarser_answer() -> None:
    model = shelf.load("builtin")
    paper = one_paper("Neural machine translation of primes", "We translate sentences with attention.")
    view = views.View.of(model.card.labels, views.above(model.card.labels, "category", "archive"))
    fine, coarse, plain_ = (
        classification.answer(model, paper, question)
        for question in (Question(explain=True), Question(explain=True, view=view), Question())
    )
    assert coarse["labels"][0].as_py()[0] == "cs"
    assert coarse["explanation"] == fine["explanation"]
    assert "explanation" not in plain_.schema.names
    among = views.View.of(model.card.labels, {"math.NT": "math.NT", "hep-ph": "hep-ph"})
    other = classification.answer(model, paper, Question(explain=True, view=among))
    assert "primes" in {one["text"] for one in other["explanation"][0].as_py() if one["contribution"] > 0}


def test_no_reasons_for_no_answer(papers: Path, handmade_model: Path) -> None:
    found = answers(run(papers, "-m", handmade_model, "--explain", "--multi", "--abstain", "1"), 3)
    assert [(answer["explanation"], answer.get("cross_lists")) for answer in found] == [([], []), ([], None), ([], [])]


def test_reasons_on_a_terminal_are_the_text_and_two_lists(tmp_path: Path, handmade_model: Path) -> None:
    paper = tmp_path / "paper.json"
    hostile = {"title": "Galaxies \x1b]0;own\x07 [red]and primes", "abstract": "\u202edust\x9b31m [/] galaxies\u2066"}
    paper.write_text(json.dumps(hostile))
    shown, code = end(terminal(handmade_model, str(paper), "--explain", "--multi"))
    assert code == 0
    assert "\x1b[1;7;32mGalaxies\x1b[0m" in shown, "the strongest word is marked"
    text = plain(shown)
    assert "Galaxies ]0;own [red]and primes" in text
    assert "dust31m [/] galaxies" in text.replace(" 31m", "31m")
    assert not {"\x07", "\x9b", "\u202e", "\u2066"} & set(text)
    assert "\x1b" not in text
    assert "for: galaxies " in text
    assert "against: primes " in text
    assert "also: " in text
    bare, _ = end(terminal(handmade_model, str(paper), "--explain", NO_COLOR="1"))
    assert "for: galaxies " in plain(bare)
    several = tmp_path / "several.txt"
    several.write_text("Galaxies\nPrimes of quarks\n")
    shown, _ = end(terminal(handmade_model, str(several), "--explain", "--multi", COLUMNS="160"))
    header, _, first, *_ = plain(shown).splitlines()
    assert header.split() == ["id", "title", "category", "name", "confidence", "also", "for"]
    assert first.rstrip().split()[-2] == "galaxies"


def test_markup_in_an_id_or_reason_of_a_table_is_text(tmp_path: Path, handmade_model: Path) -> None:
    papers = tmp_path / "papers.csv"
    papers.write_text("id,title,abstract\n[red]x[/red]\u202e,\u202bGalaxies\u202c,\n=1+1,Primes,\n")
    shown, _ = end(terminal(handmade_model, str(papers), "-f", "csv", "--explain"))
    assert "\\u202e,\\u202bGalaxies\\u202c," in shown
    assert "'=1+1,Primes," in shown
    assert not {"\u202e", "\u202b"} & set(shown)
    done = run(papers, "-m", handmade_model)
    assert "\u202bGalaxies\u202c" in done.stdout.decode(), "in a file a table stays as it is"
    [first, _] = answers(run(papers, "-m", handmade_model, "-f", "jsonl"))
    assert first["id"] == "[red]x[/red]\u202e"
    assert b"\\u202e" in run(papers, "-m", handmade_model, "-f", "jsonl").stdout


# -- cross-lists ------------------------------------------------------------------------------------------------------


def test_cross_lists_are_what_passes_the_threshold(papers: Path, handmade_model: Path) -> None:
    for answer in answers(run(papers, "-m", handmade_model, "--multi", "--top", "99"), 3):
        passing = [p["category"] for p in answer["predictions"] if p["confidence"] >= cross_lists.SUGGESTED]
        assert answer.get("cross_lists", []) == passing[1:]
    assert answers(run(papers, "-m", handmade_model, "--multi"), 3)[0]["cross_lists"] == ["math.NT"]
    assert table(run(papers, "-m", handmade_model, "--multi", "-f", "csv"))[0]["cross_lists"] == "math.NT"


def of_task(task: str) -> Card:
    labels = ("cs.CL", "cs.LG", "math.NT")
    return Card("fast", "", labels, "category", "", {"task": task}, {}, {}, calibration.Calibration())


def test_a_model_of_all_categories_says_yes_or_no_to_each() -> None:
    logits = np.array([[5.0, 0.1, -0.1], [-3.0, -2.0, -4.0]], np.float32)
    probs = calibration.probabilities(logits)
    assert cross_lists.suggested(of_task("all"), logits, probs, None).tolist() == [[False, True, False], [False] * 3]
    assert cross_lists.suggested(of_task("primary"), logits, probs, None).tolist() == [
        [False, False, False],
        [True, False, False],
    ]
    view = views.View.of(of_task("all").labels, {"cs.CL": "cs", "cs.LG": "cs", "math.NT": "math"})
    assert view is not None
    seen = view.probabilities(probs, logits, calibration.Calibration())
    assert cross_lists.suggested(of_task("all"), -logits, seen[:, ::-1], view).tolist() == [
        [False, False],
        [True, False],
    ]


# -- fields -----------------------------------------------------------------------------------------------------------


def test_fields_are_what_was_chosen_in_every_form(papers: Path, handmade_model: Path, tmp_path: Path) -> None:
    chosen = "category,id,title,name,confidence,alternatives,labels,scores,cross_lists,abstained,explanation,error"
    names = chosen.split(",")
    options = ("-m", handmade_model, "--top", "2", "--fields", chosen)
    lines = answers(run(papers, *options), 3)
    assert [list(line) for line in lines] == [names] * 3
    first, second, _ = lines
    assert (first["category"], first["id"], first["title"]) == ("astro-ph.GA", "a", "Galaxies and primes")
    assert first["labels"] == ["astro-ph.GA", first["alternatives"][0]["category"]]
    assert first["scores"] == [first["confidence"], first["alternatives"][0]["confidence"]]
    assert first["explanation"][0]["text"] == "galaxies"
    assert (second["category"], second["labels"], second["error"]) == (None, [], "no title")
    run(papers, *options, "-o", tmp_path / "out.parquet")
    stored = pq.read_table(tmp_path / "out.parquet")
    assert stored.schema == pa.schema([(name, answer_fields.FIELDS[name]) for name in names])
    assert [answer_rounded(row) for row in stored.to_pylist()] == lines
    cells = table(run(papers, *options, "-f", "csv"))
    assert list(cells[0]) == names
    assert cells[0]["alternatives"] == "{category} {confidence}".format(**first["alternatives"][0])
    assert [json.loads(run(papers, *options, "-f", "json").stdout)[row] for row in range(3)] == lines


def answer_rounded(value: Any) -> Any:
    from arxivcli.answers import rounded

    return rounded(value)


@given(st.lists(some_answers, max_size=5))
def test_every_field_of_any_answer_can_be_written(some: list[dict[str, object]]) -> None:
    fields = tuple(
        name for name in answer_fields.FIELDS if name not in {"title", "abstract", "explanation", "cross_lists"}
    )
    who = pa.array([None if row["error"] else "mine" for row in some], pa.string())
    found = batch(some).append_column("model", who)
    lines = answer_fields.json_lines(fields, found, found).decode().split("\n")
    assert lines.pop() == ""
    for row, line, cells in zip(some, lines, answer_fields.cells(fields, found), strict=True):
        read = json.loads(line)
        assert list(read) == list(fields)
        assert (read["id"], read["error"], read["labels"]) == (row["id"], row["error"], row["labels"])
        assert read["category"] == (row["labels"][0] if row["labels"] else None)
        assert read["model"] == (None if row["error"] else "mine")
        assert all(isinstance(cell, str) for cell in cells)


def test_a_table_keeps_its_columns_or_not(handmade_model: Path) -> None:
    given_ = "id,title,note\n7,Galaxies,mine\n,Primes,\n"
    done = run("-m", handmade_model, "--only", given=given_)
    assert done.stdout.decode().splitlines()[0] == "id,category,confidence,alternatives,error"
    assert [line.split(",")[:2] for line in done.stdout.decode().splitlines()[1:]] == [
        ["7", "astro-ph.GA"],
        ["3", "math.NT"],
    ]
    done = run("-m", handmade_model, "--fields", "category,name", given=given_)
    assert done.stdout.decode() == (
        "id,title,note,category,name\n7,Galaxies,mine,astro-ph.GA,Astrophysics of Galaxies\n"
        ",Primes,,math.NT,Number Theory\n"
    )
    done = run("-m", handmade_model, "--fields", "category,id", "--only", "-f", "tsv", given=given_)
    assert done.stdout.decode() == "category\tid\nastro-ph.GA\t7\nmath.NT\t3\n"
    done = run("-m", handmade_model, "--fields", "title,category", given="title\n=Galaxies\n")
    assert done.stdout.decode() == "title,predicted_title,predicted_category\n'=Galaxies,'=Galaxies,astro-ph.GA\n"


def test_fields_at_a_terminal_are_data(papers: Path, handmade_model: Path) -> None:
    shown, code = end(terminal(handmade_model, str(papers), "--fields", "id,category"))
    assert code == 3
    assert '{"id":"a","category":"astro-ph.GA"}' in shown
    shown, code = end(terminal(handmade_model, str(EXAMPLES / "titles.csv"), "--only", "-m", "builtin"))
    assert (code, shown.splitlines()[0]) == (0, "id,category,confidence,alternatives,error")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fields", "id,caregory"], "there is no field caregory; choose among id, title, abstract, category, name"),
        (["--fields", " , "], "--fields names no field"),
        (["--fields", "id,id"], "--fields names id twice"),
        (["--fields", "set"], "the field set needs a coverage"),
        (["--fields", "id", "-f", "table"], "--fields is for data"),
        (["--only", "-f", "table"], "--only is for data"),
        (["--only"], "--only is for tables, not for jsonl"),
        (["--only", "-f", "parquet"], "--only is for tables, not for parquet"),
    ],
)
def test_what_cannot_be_chosen(papers: Path, handmade_model: Path, options: list[str], says: str) -> None:
    done = run(papers, "-m", handmade_model, *options)
    assert (done.returncode, done.stdout) == (2, b"")
    assert says in said(done)


# -- parquet ----------------------------------------------------------------------------------------------------------


def test_parquet_comes_in_row_groups_and_is_the_same_from_a_pipe(
    many_papers: Path, handmade_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    options = (many_papers, "-q", "-m", handmade_model, "--coverage", "0.9")
    assert run(*options, "-o", out).returncode == 0
    piped = run(*options, "-f", "parquet", "--workers", "2")
    assert piped.stdout == out.read_bytes()
    stored = pq.ParquetFile(out)
    assert [stored.metadata.row_group(n).num_rows for n in range(stored.num_row_groups)] == [16384, 16384, MANY - 32768]
    assert stored.schema_arrow.names == ["id", "category", "confidence", "labels", "scores", "set", "error"]
    first = json.loads(run(*options, "-f", "jsonl").stdout.splitlines()[0])
    row = stored.read_row_group(0).slice(0, 1).to_pylist()[0]
    assert (row["category"], row["set"], row["error"]) == (first["top_category"], first["set"], None)
    assert row["labels"] == [entry["category"] for entry in first["predictions"]]
    assert row["scores"][0] == row["confidence"] == pytest.approx(first["predictions"][0]["confidence"], abs=1e-4)


def test_parquet_is_not_for_terminals(papers: Path, handmade_model: Path) -> None:
    shown, code = end(terminal(handmade_model, str(papers), "-f", "parquet"))
    assert (code, "parquet is not for a terminal" in shown) == (2, True)


def test_reasons_and_cross_lists_are_the_same_in_any_company(many_papers: Path, handmade_model: Path) -> None:
    lines = many_papers.read_text().splitlines()[:30]
    options = ("-m", handmade_model, "--explain", "--multi")
    together = answers(run(*options, given="\n".join(lines)))
    assert [answers(run(*options, given=line))[0] for line in lines[:3]] == together[:3]
    assert answers(run(*options, "--workers", "2", given="\n".join(lines))) == together
