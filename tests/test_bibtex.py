"""BibTeX and RIS as reference managers export them: every entry answered in its place, and given back as it was."""

from __future__ import annotations

import io
import itertools
import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from bibtexparser.model import Entry
from bibtexparser.splitter import Splitter
from classifying import answers, run, said
from hypothesis import example, given
from hypothesis import strategies as st
from test_classify_ends import end, terminal
from test_classify_pipes import conversation

from arxivcli.errors import InputError
from arxivcli.sources import bibtex, files, latex, lines, ris
from arxivcli.sources.bibtex_answers import marked
from arxivcli.sources.fields import Columns
from arxivcli.sources.streams import Stream

if TYPE_CHECKING:
    from pathlib import Path

    from arxivcli.sources.files import Reading

LIBRARY = r"""% Encoding: UTF-8

@string{jml = "Journal of Many Laws"}
@preamble{ "\newcommand{\noop}[1]{}" }

@article{hubble,
  author = {Hubble, Edwin and G{\"o}del, Kurt},
  title = {{Galaxies} \& dust in the {\'E}toile survey},
  abstract = {Stellar haloes --- a \textit{first} look},
  journal = jml,
  year = 1929
}
@comment{jabref-meta: databaseType:bibtex;}
% a remark of mine
@inproceedings{riemann,
  title    = "Primes and " # jml,
  keywords = {number theory; zeta},
  year     = {1859},
}
@misc{gell-mann, title={Quarks}, primaryClass={hep-ex}}
"""


@pytest.fixture(scope="module")
def model(handmade_model: Path) -> Path:
    return handmade_model


def read(content: str | bytes, columns: Columns = Columns(texts_only=True), size: int = 4096) -> list[Reading]:  # noqa: B008
    raw = content.encode() if isinstance(content, str) else content
    return list(files.read(io.BytesIO(raw), None, columns, size))


def papers(content: str | bytes, **more: object) -> list[tuple[str, str, str]]:
    found = [paper for reading in read(content, **more) for paper in reading.papers.to_pylist()]  # type: ignore[arg-type]
    return [(paper["id"], paper["title"], paper["abstract"]) for paper in found]


def failures(content: str | bytes) -> dict[int, str]:
    """Line and reason of what is no paper."""
    [reading] = read(content)
    both = zip(reading.lines.to_pylist(), reading.errors.to_pylist(), strict=True)
    return {line: error for line, error in both if error}


# -- what an entry says -----------------------------------------------------------------------------------------------


def test_a_library_with_all_its_habits() -> None:
    assert papers(LIBRARY) == [
        ("hubble", "Galaxies & dust in the Étoile survey", "Stellar haloes — a first look"),
        ("riemann", "Primes and Journal of Many Laws", "number theory, zeta"),
        ("gell-mann", "Quarks", ""),
    ]


@pytest.mark.parametrize(
    ("written", "is_read"),
    [
        (r"{DNA} and {R}{N}A", "DNA and RNA"),
        (
            r"Schr{\"o}dinger, Erd{\H o}s, {\'{E}}, \v{c}, {\c c}, \ss{} and {\o}",
            "Schrödinger, Erdős, É, č, ç, ß and ø",
        ),
        (r"5\% of \$3 \& a\_b \#1", "5% of $3 & a_b #1"),
        ("pages 1--2 --- ``so'' it~is", "pages 1–2 — “so” it is"),
        (r"\emph{E. coli} and \textbf{bold {\it both}} {\em too}", "E. coli and bold both too"),
        (r"$\alpha_{i}$-decay of {$^{12}$C} at 5~GeV", r"$\alpha_{i}$-decay of $^{12}$C at 5 GeV"),
        (r"\(x_{1} -- y\) -- \[\textit{z}\]", r"\(x_{1} -- y\) – \[\textit{z}\]"),
        (r"a\textsuperscript{2} {\textendash} b \textasciitilde{} \textbackslash{}x", r"a2 – b ~ \x"),
        ("many\n   lines\tof  text", "many lines of text"),
        (r"what \unknown{thing} stays", r"what \unknown thing stays"),
        ("an unclosed $5 or 100% pure", "an unclosed $5 or 100% pure"),
        (r"\textit{\"Uber} \LaTeX\ and \TeX{}", "Über LaTeX and TeX"),
    ],
)
def test_latex_is_read_as_people_read_it(written: str, is_read: str) -> None:
    assert latex.plain(written) == is_read


@given(st.text(alphabet="ab \n{}\\$%&~-\"'`[]()ö#_", max_size=40))
def test_no_text_stops_latex_from_being_read(written: str) -> None:
    found = latex.plain(written)
    assert found == " ".join(found.split())


def test_the_same_paper_is_the_same_text_in_json_and_bibtex(model: Path) -> None:
    bib = r"@article{1, title = {{Galaxies} of Schr{\"o}dinger}, abstract = {Primes \& quarks in $x_{1}$}}"
    jsonl = json.dumps({"id": "1", "title": "Galaxies of Schrödinger", "abstract": "Primes & quarks in $x_{1}$"})
    ris = "TY  - JOUR\nID  - 1\nTI  - Galaxies of Schrödinger\nAB  - Primes & quarks in $x_{1}$\nER  - \n"
    first, *others = (run("-", "-m", model, "-f", "jsonl", given=text).stdout for text in (jsonl, bib, ris))
    assert [first, first] == others


def test_a_string_means_what_it_was_before_the_entry() -> None:
    text = "@string{x = {Primes}}@misc{a, title = X}\n@String(x = {Quarks})\n@misc{b, title = x # { and } # y # 7}"
    assert [title for _, title, _ in papers(text)] == ["Primes", "Quarks and y7"]


def test_subtitles_belong_to_titles_and_summaries_are_abstracts() -> None:
    [paper] = papers("@book{a, title={Galaxies}, subtitle={A guide}, booktitle={Primes}, summary={Dust.}}")
    assert paper == ("a", "Galaxies: A guide", "Dust.")


def test_columns_named_by_hand() -> None:
    entry = "@book{a, title={No}, maintitle={Galaxies}, note={Dust}, doi={10.1/x}}"
    columns = Columns("maintitle", "note", "doi", texts_only=True)
    assert papers(entry, columns=columns) == [("10.1/x", "Galaxies", "Dust")]


@pytest.mark.parametrize("content", [LIBRARY, "TY  - GEN\nTI  - Galaxies\nER  -\n"], ids=["bib", "ris"])
def test_a_column_that_no_entry_has_is_refused(model: Path, content: str) -> None:
    for option in ("--title-column", "--abstract-column", "--id-column"):
        refused = run("-", "-m", model, option, "nope", given=content)
        assert (refused.returncode, refused.stdout) == (2, b"")
        assert f"{option} nope: no such column; there are: " in said(refused)


def test_keywords_stand_in_for_an_abstract_but_not_our_own_answers() -> None:
    words = "zeta, cs.LG; number theory, math, my-label"
    [(_, _, abstract)] = papers(f"@misc{{a, title={{T}}, keywords={{{words}}}, primaryclass={{my-label}}}}")
    assert abstract == "zeta, number theory"
    assert papers(f"@misc{{a, title={{T}}, abstract={{A}}, keywords={{{words}}}}}")[0][2] == "A"
    assert failures(f"@misc{{a, keywords={{{words}}}}}") == {1: "no title"}


# -- files that are not as they should be -----------------------------------------------------------------------------


def test_an_entry_that_is_never_closed_costs_no_other(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "refs.bib"
    path.write_text(
        '@misc{a, title={Galaxies}}\n\n@misc{b,\n title={Primes {\n}\n@misc{c, title="Quarks"}\n@misc{d, title={X'
    )
    found = answers(run(path, "-m", model, "-f", "jsonl"), 3)
    assert [(one["id"], one["top_category"], one.get("error")) for one in found] == [
        ("a", "astro-ph.GA", None),
        ("3", None, "entry never closed"),
        ("c", "hep-ph", None),
        ("7", None, "entry never closed"),
    ]
    done = run(path, "-m", model)
    assert said(done).startswith(f"error: 2 of 4 papers have no answer: entry never closed (2, first at {path}:3)")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("@misc{a,\n title = {Galaxies}\n author = {Hubble, Edwin},\n year = 1929}", 2, "between two fields"),
        ('@misc{a,\n year = 1929,\n title = "Galaxies"\n note = "x"}', 3, "between two fields"),
        ("@misc{a,\n\n year = 1929\n title = {Galaxies}}", 3, "between two fields"),
        ("@misc{a\n title = {Galaxies}}", 1, "after the key"),
    ],
)
def test_a_comma_that_is_missing_is_said_to_be_and_where(
    model: Path, tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = tmp_path / "refs.bib"
    path.write_text(f"{text}\n@misc{{b, title = {{E = mc^2 {{a}} = b}}}}\n@misc{{c, title = {{A}} # { {'d'} } }}\n")
    done = run(path, "-m", model)
    assert done.stdout.startswith(f"{text}\n@misc{{b,".encode()), "it is given back as it was"
    assert said(done).startswith(
        f"error: 1 of 3 papers have no answer: a comma is missing {reason} (1, first at {path}:{line})"
    )


def test_a_field_without_its_sign_is_named_by_its_line() -> None:
    assert failures("@misc{a,\n year = 1929,\n title {Galaxies}}\n@misc{b, title={X}}") == {3: "a field has no ="}


@pytest.mark.parametrize(
    "content",
    [
        LIBRARY.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + LIBRARY.encode(),
        LIBRARY.encode("latin-1"),
        ("Automatically generated by Mendeley Desktop 1.19.8\nAny changes will be lost.\n\n" + LIBRARY).encode(),
        LIBRARY.replace(r"{\'E}", "É").encode("cp1252"),
    ],
    ids=["crlf", "bom", "latin-1", "mendeley", "windows"],
)
def test_libraries_of_other_programs_say_the_same(content: bytes) -> None:
    assert papers(content) == papers(LIBRARY)


def test_two_entries_with_one_key_both_have_answers() -> None:
    assert papers("@misc{a, title={One}}\n@misc{a, title={Two}} @misc{a, title={Three}, title={Four}}\n") == [
        ("a", "One", ""),
        ("a", "Two", ""),
        ("a", "Three", ""),
    ]


def test_entries_without_a_key_are_named_by_their_line(model: Path) -> None:
    found = answers(run("-", "-m", model, "-f", "jsonl", given="\n\n@misc{,\n title = {Galaxies}}\n"))
    assert found[0]["id"] == "3"


@pytest.mark.parametrize("text", ["", "% nothing here\n", "@string{a = {b}}\n@comment{Galaxies}\n"])
def test_a_library_without_entries_is_told(model: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "refs.bib").write_text(text)
    done = run(tmp_path / "refs.bib", "-m", model)
    assert (done.returncode, done.stdout) == (3, b"")
    assert "no papers" in said(done) or "is empty" in said(done)


def test_what_is_too_long_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bibtex, ris, lines):
        monkeypatch.setattr(module, "LINE_CAP", 3_000)
        monkeypatch.setattr(module, "_CHUNK", 1_000, raising=False)
    long = "@misc{a, title={Galaxies}}\n@misc{b,\n title = {" + "Primes " * 900
    with pytest.raises(InputError, match="<stdin>:2: an entry that does not end within 16 MiB"):
        read(long)
    record = "TY  - GEN\nTI  - %s\nER  -\n"
    many = "".join(record % title for title in ("Galaxies", "Primes " * 900, "Quarks\n" + "and more\n" * 600, "Stars"))
    found = [error for reading in read(many) for error in reading.errors.to_pylist()]
    assert found == [None, "record too long", "record too long", None]


def test_bytes_that_are_no_text_cost_no_other_entry() -> None:
    """NUL, half a character, and controls of terminals."""
    text = (
        b"@misc{a, title={Gal\x00axies}}\n@misc{b\xff, title={\xc3}}\n\x1b[31m@misc{c, title={}}\n@misc{d, title={Qu}}"
    )
    assert papers(text) == [("a", "Gal\x00axies", ""), ("bÿ", "Ã", ""), ("c", "", ""), ("d", "Qu", "")]
    assert failures(text) == {3: "no title"}


def test_a_library_of_strings_is_read_in_time_that_grows_with_it() -> None:
    many = "".join(f"@string{{s{number} = {{Journal {number}}}}}\n" for number in range(20_000))
    assert papers(many + "@misc{a, title = s7 # {, x}}\n" + many)[0][1] == "Journal 7, x"


def test_a_library_far_longer_than_a_piece_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    many = "".join(f"@misc{{key{n},\n  title = {{Title {n}}},\n}}\n\n" for n in range(300))
    monkeypatch.setattr(bibtex, "_CHUNK", 37)
    found = read(many, size=64)
    assert [len(reading.papers) for reading in found] == [64, 64, 64, 64, 44]
    assert [line for reading in found for line in reading.lines.to_pylist()] == [1 + 4 * n for n in range(300)]
    assert b"".join(block for reading in found for block in reading.blocks or ()).decode() == many


pieces = st.sampled_from(
    ["@misc{a,", " title = {", "Galaxies", "}", "}\n", "\n", "@", '"', "{", ",", "=", "\n@string{x = ", " @article(b,",
     "@comment{", "  ", "%", "\\", "é", "# x", ")", "primaryclass = {cs.LG}", "keywords = x # {a; b}", "\r\n"]
)  # fmt: skip


def entry_lines(text: str) -> set[int]:
    """Where the entries stand that are whole for the parser; at a backslash before a line's end it miscounts lines."""
    found, at = set(), 0
    for block in Splitter(text).split().blocks:
        at = text.find(block.raw or "", at)
        entry = bibtex.understood(block)
        if isinstance(entry, Entry) and all(bibtex._unparted(field.value) is None for field in entry.fields):
            found.add(1 + text.count("\n", 0, at))
        at += len(block.raw or "")
    return found


@given(st.lists(pieces, max_size=25).map("".join), st.integers(1, 40), st.lists(st.booleans(), min_size=1, max_size=5))
@example("\\\n@misc{a,}", 1, [True])
@example("@misc{a,}\n% mine\n@misc{b,}\n% more\n", 10, [False])
def test_cutting_a_library_changes_nothing(text: str, step: int, moments: list[bool]) -> None:
    """In pieces, with pauses between them, it has the entries that its parser finds in the whole, and all its text."""
    pauses = itertools.cycle(moments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bibtex, "_CHUNK", step)
        patch.setattr(Stream, "soon", lambda _: next(pauses))
        found = list(files.read(io.BytesIO(text.encode()), "bib"))
    numbers = [line for reading in found for line in reading.lines.to_pylist()]
    assert entry_lines(text) <= set(numbers)
    assert all(first <= second for first, second in pairwise(numbers))
    whole = b"".join(part for reading in found for part in (*(reading.blocks or ()), reading.rest))
    assert whole.decode() == (text if numbers else "")


def test_an_entry_that_comes_slowly_is_answered_when_it_is_whole(model: Path) -> None:
    with conversation(model, "-", "--top", 1) as program:
        program.say("% my library\n@misc{a,\n title = {Galaxies}\n")
        assert program.silent(0.3)
        for key, title, category in (("a", "Primes", "astro-ph.GA"), ("b", "Quarks", "math.NT")):
            program.say(f"}}\n\n@misc{{{chr(ord(key) + 1)},\n title = {{{title}}}\n")
            shown = [program.hear() for _ in range(6 + (key == "a"))]
            assert shown[-2:] == ["}", ""]
            assert f"  primaryclass = {{{category}}}," in [f" {line}" for line in shown]
        program.say("}\n")
        assert [program.hear() for _ in range(5)][-1] == "}"
        program.say("% the end\n")
        assert program.end() == 0
        assert program.hear() == "% the end"


# -- answers in the library -------------------------------------------------------------------------------------------


def test_a_library_comes_back_with_its_categories(model: Path) -> None:
    once = run("-", "-m", model, "--top", 1, given=LIBRARY)
    assert once.returncode == 0, once.stderr
    expected = (
        LIBRARY.replace(
            "  year = 1929\n", "  year = 1929,\n  primaryclass = {astro-ph.GA},\n  keywords = {astro-ph.GA}\n"
        )
        .replace("{number theory; zeta}", "{number theory; zeta; math.NT}")
        .replace("{1859},\n", "{1859},\n  primaryclass = {math.NT},\n")
        .replace("primaryClass={hep-ex}", "primaryClass={hep-ph}, keywords = {hep-ph}")
    )
    assert once.stdout.decode() == expected
    assert run("-", "-m", model, "--top", 1, given=once.stdout).stdout == once.stdout


def test_what_has_no_answer_stays_as_it_was(model: Path) -> None:
    text = "@misc{a,\n  note = {x}\n}\n@misc{b, title={Gal\n\n@misc{c, title={Of nothing known}}\nthe end"
    done = run("-", "-m", model, "--abstain", 0.9, given=text)
    assert (done.returncode, done.stdout.decode()) == (3, text)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_every_byte_of_other_fields_stays(ending: str, encoding: str) -> None:
    entry = f"@article(k,{ending}\tauthor = {{Gödel}},{ending}\ttitle = {{T}}{ending})\n trailing é".encode(encoding)
    done = marked(entry, ["cs.LG", "math.NT"])
    added = f",{ending}\tprimaryclass = {{cs.LG}},{ending}\tkeywords = {{cs.LG, math.NT}}".encode()
    assert done == entry.replace(b"{T}", b"{T}" + added)


@pytest.mark.parametrize(
    ("keywords", "after"),
    [
        ("{}", "{cs.LG, cs.AI}"),
        ("{cs.AI}", "{cs.AI, cs.LG}"),
        ('"a, b"', '"a, b, cs.LG, cs.AI"'),
        ('"a, {B} c"', '"a, {B} c, cs.LG, cs.AI"'),
        ("{a; b}", "{a; b; cs.LG; cs.AI}"),
        ("mine", "mine # {, cs.LG, cs.AI}"),
        ("{cs.LG, x, cs.AI}", "{cs.LG, x, cs.AI}"),
    ],
)
def test_keywords_are_extended_in_their_own_way(keywords: str, after: str) -> None:
    entry = b'@misc{k, title={T}, Keywords = %b, primaryclass = "cs.LG"}'
    assert marked(entry % keywords.encode(), ["cs.LG", "cs.AI"]) == entry % after.encode()


@given(st.lists(pieces, max_size=25).map("".join), st.sampled_from(["cs.LG", "hep-th"]))
@example("=\\", "cs.LG")
@example("keywords = x # {a; b}\\}", "cs.LG")
@example("keywords = x # {a; b}# x primaryclass = {cs.LG}", "cs.LG")
def test_marking_twice_is_marking_once(text: str, label: str) -> None:
    once = marked(f"@misc{{k, title={{T}},{text}\n}}".encode(), [label, "math.NT"])
    assert marked(once, [label, "math.NT"]) == once


words = st.text(alphabet="aé ,=#;\"'\r\n%", max_size=12).map(lambda text: f"{text} {{b}} ")


@given(
    st.dictionaries(st.sampled_from(["year", "note", "keywords", "file", "author"]), words),
    st.sampled_from(["", " ", "\n\t", "\r\n  "]),
)
def test_no_other_field_changes(others: dict[str, str], between: str) -> None:
    written = {"title": "T", **others}
    entry = "@misc{k" + "".join(f",{between}{key} = {{{value}}}" for key, value in written.items()) + "}"
    [before], [after] = (Splitter(text).split().entries for text in (entry, marked(entry.encode(), ["x.Y"]).decode()))
    kept = {field.key: field.value for field in after.fields}
    assert kept.pop("primaryclass") == "{x.Y}"
    assert bibtex.joined(kept.pop("keywords"), {}).endswith("x.Y")
    assert kept == {field.key: field.value for field in before.fields if field.key != "keywords"}


def test_bib_is_for_bib(model: Path, tmp_path: Path) -> None:
    for arguments, given_ in (
        (["-f", "bib"], '{"title": "Galaxies"}'),
        (["-f", "bib", "--title", "Galaxies"], ""),
        (["-o", tmp_path / "out.bib"], "title\nGalaxies\n"),
    ):
        done = run(*arguments, "-m", model, given=given_)
        assert (done.returncode, done.stdout) == (2, b"")
        assert "is no BibTeX" in said(done)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["b.ris", "b.bib", "."])
def test_libraries_come_back_together_or_not_at_all(model: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.bib").write_text("@misc{a, title={Galaxies}}\n")
    (tmp_path / ("b.ris" if name == "." else name)).write_text("TY  - GEN\nTI  - Galaxies\nER  -\n")
    sources = [tmp_path] if name == "." else [tmp_path / "a.bib", tmp_path / name]
    done = run(*sources, "-m", model, *(["-f", "bib"] if name != "b.bib" else []))
    assert (done.returncode, done.stdout) == (2, b"")
    assert said(done).endswith("is no BibTeX, whose entries could come back; use --format jsonl")


TWO = "@misc{a, title = {Galaxies, haloes and primes}}\n@misc{b, title = {Galaxies}, primaryclass = {hep-th}}\n"


def test_cross_lists_that_are_suggested_become_keywords(model: Path) -> None:
    """And none of the further guesses that `--top` names."""
    said = json.loads(run("-", "-m", model, "--multi", "-f", "json", given=TWO).stdout)
    expected = [[one["top_category"], *one["cross_lists"]] for one in said]
    assert [len(one) for one in expected] == [2, 1]
    marked = run("-", "-m", model, "--multi", "-f", "bib", given=TWO)
    assert [line.partition("keywords = {")[2] for line in marked.stdout.decode().splitlines()] == [
        ", ".join(one) + "}}" for one in expected
    ]
    assert run("-", "-m", model, "--multi", "-f", "bib", given=marked.stdout).stdout == marked.stdout


@pytest.mark.parametrize("more", [[], ["--multi"]])
def test_where_no_category_is_sure_enough_nothing_is_added(model: Path, more: list[str]) -> None:
    done = run("-", "-m", model, "--abstain", "1", *more, given=TWO)
    assert (done.returncode, done.stdout.decode()) == (0, TWO)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--explain"], "explanation"),
        (["--coverage", "0.9"], "set"),
        (["--fields", "id,explanation"], "explanation"),
    ],
)
def test_what_entries_have_no_place_for_is_answered_as_json(model: Path, options: list[str], field: str) -> None:
    found = answers(run("-", "-m", model, *options, given=TWO))
    assert [(one["id"], field in one) for one in found] == [("a", True), ("b", True)]
    refused = run("-", "-m", model, *options, "-f", "bib", given=TWO)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert "BibTeX entries are given back with categories alone" in said(refused)


def test_a_library_becomes_a_table(model: Path) -> None:
    done = run("-", "-m", model, "-f", "csv", "--fields", "id,title,category", given=TWO)
    assert done.stdout.decode().splitlines()[1] == 'a,"Galaxies, haloes and primes",math.NT'


def test_nothing_in_an_entry_drives_a_terminal(model: Path, tmp_path: Path) -> None:
    """Into a pipe or a file it goes as it came."""
    library = b"@misc{a\x1b[31m,\r\n\ttitle = {Galaxies \x1b]0;owned\x07 \xe2\x80\xae of caf\xe9\rs}\r\n}\r\n"
    (tmp_path / "a.bib").write_bytes(library)
    shown, code = end(terminal(model, str(tmp_path / "a.bib"), "-f", "bib"))
    assert code == 0
    assert r"@misc{a\x1b[31m," in shown
    assert r"title = {Galaxies \x1b]0;owned\x07 \u202e of caf�\rs}," in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert run(tmp_path / "a.bib", "-m", model).stdout.startswith(library.removesuffix(b"\r\n}\r\n"))


def test_only_is_for_tables(model: Path) -> None:
    refused = run("-", "-m", model, "--only", given=TWO)
    assert (refused.returncode, "--only is for tables, not for " in said(refused)) == (2, True)


def test_the_name_of_the_output_asks_for_its_form(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in.bib").write_text("@misc{a, title={Galaxies}}\n")
    for name, begins in (
        ("out.bib", b"@misc{a, title={Galaxies}, prim"),
        ("out.jsonl", b'{"id":"a"'),
        ("o.csv", b"id,title,"),
    ):
        assert run(tmp_path / "in.bib", "-m", model, "-o", tmp_path / name).returncode == 0
        assert (tmp_path / name).read_bytes().startswith(begins)


# -- RIS --------------------------------------------------------------------------------------------------------------

RIS = """Provider: a publisher
Content:text/plain; charset="UTF-8"

TY  - JOUR
ID  - hubble1929
AU  - Hubble, Edwin
TI  - Galaxies & dust
T2  - A journal
AB  - Stellar haloes,
a first look
KW  - sky
ER  -

TY  - CHAP
T1  - Primes
N2  - Zeta
DO  - 10.1000/1
ER  -
TY  - GEN
TI  - Quarks
KW  - colour
KW  - charm
TY  - GEN
AU  - Nobody
ER  -
"""


@pytest.mark.parametrize(
    "content",
    [
        RIS.encode(),
        RIS.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + RIS.encode(),
        RIS.removesuffix("ER  -\n").encode(),
    ],
    ids=["unix", "windows", "bom", "cut"],
)
def test_ris_is_read(content: bytes) -> None:
    [reading] = read(content)
    assert reading.format == "ris"
    assert [tuple(paper.values())[:3] for paper in reading.papers.to_pylist()] == [
        ("hubble1929", "Galaxies & dust", "Stellar haloes, a first look"),
        ("10.1000/1", "Primes", "Zeta"),
        ("", "Quarks", "colour, charm"),
        ("", "", ""),
    ]
    assert reading.errors.to_pylist() == [None, None, None, "no title"]


def test_ris_through_a_pipe_is_answered_as_json(model: Path) -> None:
    found = answers(run("-", "-m", model, given=RIS.encode("latin-1")), 3)
    assert [(one["id"], one["top_category"]) for one in found] == [
        ("hubble1929", "astro-ph.GA"),
        ("10.1000/1", "math.NT"),
        ("3", "hep-ph"),
        ("4", None),
    ]


@given(st.lists(st.text(alphabet="ATYKWIDUR019- \té", max_size=12), max_size=12))
def test_no_line_stops_ris_from_being_read(between: list[str]) -> None:
    text = "\n".join(["TY  - JOUR", "TI  - Galaxies", *between, "TY  - JOUR", "TI  - Primes", "ER  - "])
    found = [title for _, title, _ in papers(text)]
    assert found[0].startswith("Galaxies")
    assert found[-1].startswith("Primes")
