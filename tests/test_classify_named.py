"""What is named on classify's command line: arXiv ids, addresses, folders, patterns, and files before all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import prepared
import pytest
from classifying import PROGRAM, answers, run, said
from double import Catalogue, Double, faults
from loopback import free_port

from arxivcli.errors import InputError
from arxivcli.sources import arguments
from arxivcli.sources.arguments import Identifier, Reached
from arxivcli.steps.fetching import raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def model(handmade_model: Path) -> Path:
    return handmade_model


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(Catalogue(150)) as servers:
        yield servers


@pytest.fixture
def online(double: Double, tmp_path: Path) -> dict[str, str]:
    """An environment in which the double is arXiv."""
    return {"ARXIVCLI_API_URL": double.query_url, "ARXIVCLI_PACE": "0.01", "XDG_CACHE_HOME": str(tmp_path / "cache")}


def asked(double: Double) -> list[list[str]]:
    """The ids of each request."""
    return [entry.params["id_list"].split(",") for entry in double.log.of("query")]


# -- papers by id -----------------------------------------------------------------------------------------------------


def test_ids_and_addresses_are_asked_for_together_and_answered_in_their_order(
    model: Path, double: Double, online: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"title": "Galaxies"}\n')
    one, two, old = (
        double.catalogue.ids[10],
        double.catalogue.ids[-1],
        next(p for p in double.catalogue.ids if "/" in p),
    )
    names = [
        two, f"{one}v2", f"arXiv:{one}", f"https://arxiv.org/abs/{old}", tmp_path / "a.jsonl",
        f"https://arxiv.org/pdf/{two}v3.pdf", f"export.arxiv.org/abs/{old}v1",
    ]  # fmt: skip
    found = answers(run(*names, "-m", model, **online))
    assert [one["id"] for one in found] == [two, one, one, old, f"{tmp_path / 'a.jsonl'}:1", two, old]
    assert all(one["predictions"] for one in found)
    assert asked(double) == [[two, one, old]]


def test_a_paper_by_id_is_the_paper_in_a_file(
    model: Path, double: Double, online: dict[str, str], tmp_path: Path
) -> None:
    ids = double.catalogue.ids[:3]
    prepared.run([*PROGRAM[:-1], "fetch", *ids, "-q", "-o", tmp_path], check=True, env=os.environ | online)
    lines = b"\n".join(line for path in (tmp_path / raw.PAPERS).glob(f"*{raw.LINES}") for line in raw.read_lines(path))
    from_file = {one["id"]: one for one in answers(run("-", "-m", model, given=lines))}
    assert {one["id"]: one for one in answers(run(*ids, "-m", model, **online))} == from_file
    assert set(from_file) == set(ids)


def test_ids_that_arxiv_does_not_have(model: Path, double: Double, online: dict[str, str]) -> None:
    one = double.catalogue.ids[0]
    done = run("9912.99999", one, "math/9999999", "-m", model, **online)
    found = answers(done, 3)
    assert [(each["id"], each.get("error")) for each in found] == [
        ("9912.99999", "arXiv has no paper of this id"),
        (one, None),
        ("math/9999999", "arXiv has no paper of this id"),
    ]
    assert "2 of 3 papers have no answer: arXiv has no paper of this id (2, first at arXiv:9912.99999)" in said(done)


def test_an_id_the_server_does_not_take_costs_no_other(model: Path, double: Double, online: dict[str, str]) -> None:
    ids = double.catalogue.ids[:4]
    double.faults.add(
        faults.status(400),
        site="query",
        times=None,
        where=lambda request: ids[2] in request.params["id_list"].split(","),
    )
    found = answers(run(*ids, "-m", model, **online), 3)
    assert [each.get("error") for each in found] == [None, None, "arXiv cannot give this paper", None]


def test_many_ids_are_few_requests(model: Path, double: Double, online: dict[str, str]) -> None:
    ids = double.catalogue.ids[:130]
    assert [each["id"] for each in answers(run(*ids, "-m", model, **online))] == ids
    assert [len(some) for some in asked(double)] == [100, 30]


def test_trouble_that_passes_is_waited_for(model: Path, double: Double, online: dict[str, str]) -> None:
    double.faults.add(faults.status(503), site="query", times=2)
    assert answers(run(double.catalogue.ids[0], "-m", model, **online))
    assert len(asked(double)) == 3


@pytest.mark.parametrize("code", [403, None])
def test_a_server_that_refuses_is_code_4(model: Path, double: Double, online: dict[str, str], code: int | None) -> None:
    if code:
        double.faults.add(faults.status(code), site="query", times=None)
    else:
        online["ARXIVCLI_API_URL"] = f"http://127.0.0.1:{free_port()}/api/query"
    done = run("2401.01234", "-m", model, **online)
    assert (done.returncode, done.stdout) == (4, b"")
    assert "127.0.0.1" in done.stderr.decode().splitlines()[-1]


def test_a_file_goes_before_an_id_and_nothing_else_is_an_id(
    model: Path, double: Double, online: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2401.01234").write_text('{"title": "Galaxies"}\n{"title": "Primes"}\n')
    assert [one["top_category"] for one in answers(run("2401.01234", "-m", model, **online))] == [
        "astro-ph.GA",
        "math.NT",
    ]
    for name, says in (
        ("2401.012", "cannot read 2401.012: No such file"),
        ("papers/0000001", "cannot read papers/0000001: No such file"),
        ("https://example.org/abs/2401.01234", "is no address of an arXiv paper"),
    ):
        done = run(name, "-m", model, **online)
        assert (done.returncode, says in said(done)) == (3, True)
    assert not asked(double)


def test_files_need_no_network_library(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"title": "Galaxies"}\n')
    script = (
        "import sys\nfrom arxivcli.cli.app import main\ntry:\n    main()\nfinally:\n"
        "    print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    for arguments_ in (["classify", tmp_path, "-m", model], ["classify", "--help"]):
        done = subprocess.run([sys.executable, "-c", script, *arguments_], capture_output=True, text=True, check=True)
        assert not set(done.stderr.split()) & {"httpx", "bibtexparser", "pylatexenc", "rispy", "pypdf", "sqlite3"}


# -- folders and patterns ---------------------------------------------------------------------------------------------


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """A folder as people have them."""
    folder = tmp_path / "papers"
    for name, content in {
        "b.bib": "@misc{b, title={Galaxies}}",
        "deep/er/a.jsonl": '{"id": "a", "title": "Primes"}\n',
        "deep/c.csv": "id,title\nc,Quarks\n",
        "deep/settings.csv": "name,value\nx,1\n",
        "deep/settings.json": '{"name": "x",\n "list": [1]}',
        ".hidden/d.bib": "@misc{d, title={Galaxies}}",
        ".e.bib": "@misc{e, title={Galaxies}}",
        "letter.docx": "PK",
        "note.md": "# Galaxies",
        "half.jsonl.partial": '{"id": "h"',
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def ids(*names: object, model: Path) -> list[object]:
    return [one["id"] for one in answers(run(*names, "-m", model, "-f", "jsonl"))]


def test_a_folder_is_all_papers_in_it(model: Path, papers: Path) -> None:
    done = run(papers, "-m", model)
    assert [one["id"] for one in answers(done)] == ["b", "c", "a"]
    left_out, no_titles, no_papers = done.stderr.decode().splitlines()
    assert all(name in left_out for name in ("letter.docx", "note.md", "half.jsonl.partial"))
    assert "settings.csv" in no_titles
    assert "no column of titles" in no_titles
    assert f"left out: {papers}/deep/settings.json has no titles" in no_papers


def test_patterns_that_no_shell_has_replaced(model: Path, papers: Path) -> None:
    assert ids(papers / "*.bib", model=model) == ["b"]
    assert ids(f"{papers}/**/[ac].*", model=model) == ["c", "a"]
    assert ids(papers / "deep" / "e*", model=model) == ["a"]


def test_a_file_is_answered_as_often_as_it_is_named(papers: Path) -> None:
    def reached(*names: Path | str) -> list[object]:
        return [
            one.path.name if isinstance(one, Reached) else one
            for one in arguments.sorted_out([str(name) for name in names], None, lambda _: None)
        ]

    bib, deep = papers / "b.bib", ["c.csv", "a.jsonl", "settings.csv", "settings.json"]
    assert reached(bib, bib) == [bib, bib]
    assert sorted(map(str, reached(papers, papers / "*.bib", papers))) == sorted(["b.bib", *deep])
    assert reached(papers, bib)[-1:] == [bib]
    assert len(reached(papers, bib)) == 5
    (papers / "same.bib").symlink_to(bib)
    assert len(reached(papers)) == 5
    assert reached("-", "2401.01234v3") == ["-", Identifier("2401.01234")]


def test_the_output_is_no_input_of_its_folder(model: Path, papers: Path) -> None:
    for _ in range(2):
        assert run(papers, "-m", model, "-o", papers / "answers.jsonl").returncode == 0
    assert (papers / "answers.jsonl").read_text().count("\n") == 3


def test_earlier_answers_in_a_folder_are_no_papers(model: Path, papers: Path) -> None:
    """They have no titles, unless they are a table; lines of papers with a bad one among them are not."""
    for name in ("answers.jsonl", "answers.json", "answers.parquet"):
        assert run(papers / "b.bib", papers / "deep", "-m", model, "-o", papers / name).returncode == 0
    done = run(papers, "-m", model)
    assert [one["id"] for one in answers(done)] == ["b", "c", "a"]
    assert f"note: left out: {papers}/answers.jsonl has no titles" in done.stderr.decode().splitlines()
    (papers / "bad.jsonl").write_text('{"name": "x"}\n{"title": "Galaxies"}\n')
    assert [one.get("error") for one in answers(run(papers, "-m", model), 3)] == [None, "no title", None, None, None]


def test_titles_are_no_files(model: Path) -> None:
    done = run("Galaxies and primes? " * 40, "-m", model)
    assert (done.returncode, done.stdout) == (3, b"")
    assert "nothing matches" in said(done)
    done = run("Galaxies and primes " * 40, "-m", model)
    assert (done.returncode, "File name too long" in said(done)) == (3, True)


@pytest.mark.parametrize(
    ("name", "says"),
    [("empty", "has no file of papers in it"), ("none*.bib", "nothing matches"), ("[x].doc", "no file of papers")],
)
def test_nothing_found_is_said(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden.bib").write_text("@misc{a, title={Galaxies}}")
    (tmp_path / "x.doc").write_text("x")
    with pytest.raises(InputError, match=says):
        arguments.sorted_out([str(tmp_path / name)], None, lambda _: None)


def test_libraries_of_a_folder_come_back_one_after_another(model: Path, tmp_path: Path) -> None:
    for name, title in (("a.bib", "Galaxies"), ("b.bib", "Primes")):
        (tmp_path / name).write_text(f"@misc{{{title}, title={{{title}}}}}\n")
    assert run(tmp_path, "-m", model, "--top", 1).stdout.decode().splitlines() == [
        "@misc{Galaxies, title={Galaxies}, primaryclass = {astro-ph.GA}, keywords = {astro-ph.GA}}",
        "@misc{Primes, title={Primes}, primaryclass = {math.NT}, keywords = {math.NT}}",
    ]


def test_what_is_said_of_some_files_of_a_folder_stops_no_others(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,Galaxies\n2,Primes\n")
    (tmp_path / "b.bib").write_text("@misc{b, title={Quarks}}\n")
    (tmp_path / "c.ris").write_text("TY  - GEN\nTI  - Quarks\nER  -\n")
    (tmp_path / "d.csv").write_text("Galaxies\n")
    done = run(tmp_path, "-m", model, "--no-header", "--title-column", "2")
    assert [one["id"] for one in answers(done)] == [f"{tmp_path}/a.csv:1", f"{tmp_path}/a.csv:2", f"{tmp_path}/c.ris:1"]
    notes = done.stderr.decode()
    assert "b.bib is neither CSV nor TSV, and has no header anyway: read as it is" in notes
    assert "left out: --title-column 2: no such column" in notes
    done = run(tmp_path, "-m", model, "--no-header")
    assert [one["top_category"] for one in answers(done)] == ["hep-ph"] * 2 + ["astro-ph.GA"]
