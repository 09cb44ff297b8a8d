"""PDF files as papers: what the first pages show, and a plain word where they show too little."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pypdf
import pytest
from classifying import answers, run, said
from handmade_pdf import document, page

from arxivcli.sources import files

if TYPE_CHECKING:
    from pathlib import Path

    from handmade_pdf import Line

TITLE: list[Line] = [("Galaxies and their dust:", 17), ("a survey (part \\ two)", 17)]
AUTHORS: list[Line] = [("Ada Example and Bob Sample", 12), ("University of Examples", 10)]
ABSTRACT: list[Line] = [
    ("I look at stellar haloes and at what they are effi-", 10),
    ("ciently made of. Their metallicity is as expected.", 10),
]
BODY: list[Line] = [("Primes and zeta are the subject of other papers, and this one", 10)] * 30
READ = (
    "Galaxies and their dust: a survey (part \\ two)",
    "I look at stellar haloes and at what they are efficiently made of. Their metallicity is as expected.",
)


@pytest.fixture(scope="module")
def model(handmade_model: Path) -> Path:
    return handmade_model


def paper(content: bytes) -> tuple[str, str] | str:
    """Title and abstract, or why there are none."""
    [reading] = files.read(io.BytesIO(content))
    assert reading.format == "pdf"
    [found], [error] = reading.papers.to_pylist(), reading.errors.to_pylist()
    return error or (found["title"], found["abstract"])


@pytest.mark.parametrize(
    "lines",
    [
        [*TITLE, *AUTHORS, ("Abstract", 11), *ABSTRACT, ("1 Introduction", 12), *BODY],
        [
            ("Journal of Examples, vol. 3", 9),
            *TITLE,
            *AUTHORS,
            ("ABSTRACT", 9),
            *ABSTRACT,
            ("Keywords: dust", 9),
            *BODY,
        ],
        [*TITLE, *AUTHORS, (f"Abstract. {ABSTRACT[0][0]}", 10), ABSTRACT[1], ("I. INTRODUCTION", 10), *BODY],
        [*TITLE, (f"Abstract\u2014{ABSTRACT[0][0]}", 10), ABSTRACT[1], ("Index Terms\u2014dust", 10), *BODY],
        [*TITLE, ("A B S T R A C T", 8), *ABSTRACT, ("", 40), *BODY],
        [*TITLE, ("Summary", 10), *ABSTRACT, ("1 Why dust matters", 12), *BODY],
        [("N", 60), *TITLE, *AUTHORS, ("Abstract", 10), *ABSTRACT, ("CCS Concepts: none", 9), *BODY],
    ],
    ids=["article", "journal", "run in", "dash", "gap", "sections", "ornament"],
)
def test_title_and_abstract_are_found(lines: list[Line]) -> None:
    assert paper(document(page(lines))) == READ


def test_the_abstract_may_be_behind_a_cover() -> None:
    cover = page([*TITLE, ("Technical report 7", 10)])
    inside = page([*AUTHORS, ("Abstract", 10), *ABSTRACT, ("Introduction", 12), *BODY])
    assert paper(document(cover, inside)) == READ
    assert paper(document(cover, page(BODY), inside)) == "no abstract found in the PDF"


def test_titles_that_begin_as_abstracts_do() -> None:
    lines = [("Abstract Interpretation of Galaxies", 17), ("Abstract", 10), *ABSTRACT, ("1 Introduction", 12), *BODY]
    assert paper(document(page(lines))) == ("Abstract Interpretation of Galaxies", READ[1])


def test_what_a_document_says_of_itself_counts_when_the_page_shows_it() -> None:
    plain: list[Line] = [
        ("Galaxies and dust", 10),
        ("Ada Example", 10),
        ("Abstract", 10),
        *ABSTRACT,
        ("1 Introduction", 10),
    ]
    drawn = page([*plain, *BODY])
    assert paper(document(drawn, title="Galaxies and Dust")) == ("Galaxies and Dust", READ[1])
    for title in ("Microsoft Word - paper-final2.doc", "", "gal"):
        assert paper(document(drawn, title=title)) == "no title found in the PDF"


def test_an_abstract_without_an_end_is_none() -> None:
    lines = [
        *TITLE,
        ("Abstract", 6),
        *[("all the same text without any end or heading, on and on it goes " * 2, 6)] * 60,
    ]
    assert paper(document(page(lines))) == "no end of the abstract found in the PDF"
    lines = [*TITLE, ("Abstract", 10), ("1 Introduction", 10), *BODY]
    assert paper(document(page(lines))) == "no abstract found in the PDF"


def test_fonts_that_are_inside_the_file(tmp_path: Path) -> None:
    """As matplotlib embeds them, ligatures and all."""
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    with mpl.rc_context({"pdf.fonttype": 42}):
        figure = Figure(figsize=(8.27, 11.69))
        lines = [*TITLE, ("Abstract", 11), *ABSTRACT, ("Introduction", 12), *BODY[:3]]
        for number, (text, size) in enumerate(lines):
            figure.text(0.1, 0.9 - 0.02 * number, text, size=size)
        FigureCanvasPdf(figure).print_pdf(tmp_path / "a.pdf")
    assert paper((tmp_path / "a.pdf").read_bytes()) == READ


# -- what is no paper -------------------------------------------------------------------------------------------------

GOOD = document(page([*TITLE, ("Abstract", 10), *ABSTRACT, ("1 Introduction", 12), *BODY]))


def encrypted(content: bytes, password: str, algorithm: str = "RC4-128") -> bytes:
    writer, written = pypdf.PdfWriter(clone_from=io.BytesIO(content)), io.BytesIO()
    writer.encrypt(password, "owner", algorithm=algorithm)
    writer.write(written)
    return written.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (encrypted(GOOD, "secret"), "encrypted PDF"),
        (document(page([])), "no text in the PDF, it may be a scan"),
        (GOOD[:60], "damaged PDF"),
        (b"%PDF-1.7\n", "damaged PDF"),
        (document(page(BODY)), "no title found in the PDF"),
        (document(page([*TITLE, *AUTHORS, *BODY])), "no abstract found in the PDF"),
    ],
    ids=["encrypted", "scan", "cut", "empty", "letter", "slides"],
)
def test_why_a_file_is_no_paper(content: bytes, says: str) -> None:
    assert paper(content) == says


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_a_file_that_asks_nobody_for_a_password_is_read(algorithm: str) -> None:
    """Publishers lock what may be done with a PDF, not its reading."""
    assert paper(encrypted(GOOD, "", algorithm)) == READ


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_is_a_bug(seed: int) -> None:
    chance = random.Random(seed)
    spoilt = bytearray(GOOD)
    for _ in range(chance.randrange(1, 40)):
        place = chance.randrange(8, len(spoilt))
        spoilt[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    found = paper(bytes(spoilt))
    assert isinstance(found, tuple) or "PDF" in found


# -- on the command line ----------------------------------------------------------------------------------------------


def test_a_folder_of_files_is_answered_by_their_names(model: Path, tmp_path: Path) -> None:
    stamped = [*TITLE, ("Abstract", 10), *ABSTRACT, ("1 Introduction", 12), *BODY]
    (tmp_path / "a.pdf").write_bytes(document(page(stamped, margin="arXiv:2401.01234v2 [astro-ph.GA] 3 Jan 2024")))
    (tmp_path / "my paper.pdf").write_bytes(GOOD)
    (tmp_path / "scan.pdf").write_bytes(document(page([])))
    done = run(tmp_path, "-m", model)
    found = answers(done, 3)
    assert [(one["id"], one["top_category"]) for one in found] == [
        ("2401.01234", "astro-ph.GA"), ("my paper", "astro-ph.GA"), ("scan", None),
    ]  # fmt: skip
    assert f"no text in the PDF, it may be a scan (1, first at {tmp_path}/scan.pdf:1)" in said(done)
    assert run(tmp_path, "-m", model, "--workers", 2).stdout == run(tmp_path, "-m", model, "--workers", 1).stdout


def test_through_a_pipe(model: Path) -> None:
    [found] = answers(run("-", "-m", model, given=GOOD))
    assert (found["id"], found["top_category"]) == ("1", "astro-ph.GA")


def test_without_the_library_one_line_says_how_to_get_it(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(GOOD)
    (tmp_path / "sitecustomize.py").write_text('import sys\nsys.modules["pypdf"] = None\n')
    command = [sys.executable, "-m", "arxivcli", "classify", tmp_path / "a.pdf", "-m", model]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: reading PDF needs pypdf, which is not installed; pip install 'arxivcli[pdf]'\n"
