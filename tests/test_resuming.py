"""classify --resume: whatever ends it, the same command goes on to the same bytes; another one is refused."""

from __future__ import annotations

import gzip
import json
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import prepared
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from classifying import MANY, PROGRAM, run, said
from handmade_pdf import document, page

from arxivcli.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUFFIXES = ("jsonl", "parquet")


@pytest.fixture(scope="module")
def undisturbed(many_papers: Path, handmade_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The whole answers in each form."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for suffix in SUFFIXES:
        assert run(many_papers, "-q", "-m", handmade_model, "-o", folder / f"out.{suffix}").returncode == 0
    return {suffix: (folder / f"out.{suffix}").read_bytes() for suffix in SUFFIXES}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_killed_at_any_point_it_ends_with_the_same_bytes(
    undisturbed: dict[str, bytes], many_papers: Path, handmade_model: Path, tmp_path: Path, suffix: str
) -> None:
    output, record = tmp_path / f"out.{suffix}", tmp_path / f"out.{suffix}.resume"
    command = [*PROGRAM, many_papers, "-q", "-m", handmade_model, "-o", output, "--resume"]
    chance = random.Random(suffix)
    kills = 0
    for _ in range(3):
        whole = record.stat().st_size if record.exists() else 0
        program = prepared.Popen([*command, "--workers", str(chance.choice((1, 2)))], stderr=subprocess.PIPE)
        enough = whole + chance.randrange(1, 1 << 20)
        while program.poll() is None and not (record.exists() and record.stat().st_size >= enough):
            time.sleep(0.002)
        program.kill()
        program.communicate()
        kills += program.returncode == -signal.SIGKILL
        assert not output.exists() or program.returncode == 0
    assert kills
    done = prepared.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert output.read_bytes() == undisturbed[suffix]
    assert record.stat().st_size < 10_000, "all that is left of the record is that nothing is left to do"
    before = output.stat().st_mtime_ns
    again = run(many_papers, "-m", handmade_model, "-o", output, "--resume")
    assert (again.returncode, said(again)) == (0, f"note: {output} has all {MANY:,} answers already: nothing to do")
    assert output.stat().st_mtime_ns == before


@pytest.fixture
def ask(tmp_path: Path, handmade_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Any:
    """Runs classify in this process on many lines, some of which are no papers, in pieces of some dozen lines."""
    monkeypatch.setattr("arxivcli.sources.blocks._FIRST_CHUNK", 500)
    monkeypatch.setattr("arxivcli.sources.pieces._SLOW_BLOCK", 1000)
    monkeypatch.setattr("arxivcli.models.shelf._MANY", 16)
    lines = [json.dumps({"title": f"Galaxies {n} of primes"}) if n % 7 else "no paper" for n in range(400)]
    papers = tmp_path / "papers.jsonl"
    papers.write_text("\n".join(lines))

    def asked(*options: object, name: object = papers) -> tuple[int, str]:
        """Exit code and what was said."""
        arguments = ["classify", str(name), "-m", str(handmade_model), "--workers", "1", *map(str, options)]
        code = app._run(arguments, debug=False)
        return code, capsys.readouterr().err

    return asked


def interrupted(ask: Callable[..., tuple[int, str]], output: Path, pieces: int, *options: object) -> None:
    """Run until some pieces are in the record, then stop as Ctrl-C does."""
    from arxivcli.steps import resuming

    kept, count = resuming.Record.kept, 0

    def some(self: resuming.Record, answers: Any) -> Any:
        nonlocal count
        for answered in kept(self, answers):
            count += 1
            if count > pieces:
                raise KeyboardInterrupt
            yield answered

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resuming.Record, "kept", some)
        assert ask("-o", output, "--resume", *options)[0] == 130
    assert not output.exists()


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_a_record_cut_anywhere_is_gone_on_with(ask: Any, tmp_path: Path, suffix: str) -> None:
    """As a power cut leaves it: of what is not whole nothing is believed."""
    whole, output = tmp_path / f"whole.{suffix}", tmp_path / f"out.{suffix}"
    code, complaint = ask("-o", whole)
    assert code == 3
    interrupted(ask, output, 9)
    record = tmp_path / f"out.{suffix}.resume"
    content = record.read_bytes()
    chance = random.Random(0)
    damaged = [content[: chance.randrange(len(content))] for _ in range(12)]
    spoilt = bytearray(content)
    spoilt[len(content) * 2 // 3] ^= 1
    for left in (b"", content[:20], *damaged, content + b"\xff" * 40, bytes(spoilt)):
        record.write_bytes(left)
        output.unlink(missing_ok=True)
        assert ask("-o", output, "--resume") == (code, complaint)
        assert output.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "papers.csv", "papers.jsonl.gz", "papers.parquet", "papers.json", "papers.txt", "papers.bib", "papers.ris",
        "papers.db",
    ],
)  # fmt: skip
def test_pieces_of_any_input_are_the_same_again(ask: Any, tmp_path: Path, name: str) -> None:
    titles = [f"Galaxies {number} of primes" for number in range(300)]
    papers = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.table({"title": titles}), papers)
    elif name.endswith("gz"):
        papers.write_bytes(gzip.compress("".join(json.dumps({"title": title}) + "\n" for title in titles).encode()))
    elif name.endswith("json"):
        papers.write_text(json.dumps([{"title": title} for title in titles]))
    elif name.endswith("bib"):
        papers.write_text("".join(f"@misc{{k{n},\n  title = {{{title}}}\n}}\n" for n, title in enumerate(titles)))
    elif name.endswith("ris"):
        papers.write_text("".join(f"TY  - JOUR\nTI  - {title}\nER  - \n" for title in titles))
    elif name.endswith("db"):
        database(papers, titles).close()
    else:
        papers.write_text("\n".join(["title", *titles] if name.endswith("csv") else titles))
    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert ask("-o", whole, "-f", "jsonl", name=papers)[0] == 0
    interrupted(partial(ask, name=papers), output, 7, "-f", "jsonl")
    assert ask("-o", output, "-f", "jsonl", "--resume", name=papers)[0] == 0
    assert output.read_bytes() == whole.read_bytes()


def database(path: Path, titles: list[str], *settings: str) -> sqlite3.Connection:
    """A database of papers, still open."""
    connection = sqlite3.connect(path)
    for setting in settings:
        connection.execute(setting)
    connection.execute("CREATE TABLE papers (title TEXT)")
    connection.executemany("INSERT INTO papers VALUES (?)", [(title,) for title in titles])
    connection.commit()
    return connection


def test_a_library_that_comes_back_is_gone_on_with(ask: Any, tmp_path: Path) -> None:
    entry = "@misc{{k{0},\n  title = {{Galaxies {0} of primes}}\n}}\n% remark {0}\n"
    papers = tmp_path / "papers.bib"
    papers.write_text("".join(map(entry.format, range(200))))
    whole, output = tmp_path / "whole.bib", tmp_path / "out.bib"
    assert ask("-o", whole, "--multi", name=papers)[0] == 0
    interrupted(partial(ask, name=papers), output, 5, "--multi")
    assert ask("-o", output, "--multi", "--resume", name=papers)[0] == 0
    assert output.read_bytes() == whole.read_bytes()
    assert whole.read_text().count("primaryclass = {") == whole.read_text().count("% remark") == 200


def test_folders_are_taken_up_again_file_by_file(ask: Any, tmp_path: Path) -> None:
    folder = tmp_path / "refs"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.txt").write_text("".join(f"Galaxies {n} of primes\n" for n in range(100)))
    (folder / "settings.json").write_text('{"colour": "red"}')
    (folder / "last.pdf").write_bytes(document(page([("Galaxies of primes", 20), ("", 12), ("Abstract", 12)])))
    whole, output = tmp_path / "whole.jsonl", folder / "out.jsonl"
    code, said = ask("-o", whole, name=folder)
    assert "left out: " in said
    assert code == 3, "the PDF has no abstract to tell its title by"
    interrupted(partial(ask, name=folder), output, 8)
    assert ask("-o", output, "--resume", name=folder) == (code, said), "neither the record nor the output is papers"
    assert output.read_bytes() == whole.read_bytes()
    assert "nothing to do" in ask("-o", output, "--resume", name=f"{folder}/*")[1]
    (folder / "c.txt").write_text("Galaxies\n")
    assert "(another input)" in ask("-o", output, "--resume", name=folder)[1]


def test_what_a_database_has_not_written_into_its_file_yet_counts(ask: Any, tmp_path: Path) -> None:
    papers, output = tmp_path / "papers.db", tmp_path / "out.jsonl"
    with closing(database(papers, ["Galaxies"] * 100, "PRAGMA journal_mode=WAL")) as connection:
        interrupted(partial(ask, name=papers), output, 2)
        before = papers.stat().st_mtime_ns
        connection.execute("UPDATE papers SET title = 'Primes'")
        connection.commit()
        assert papers.stat().st_mtime_ns == before
        assert "(another input)" in ask("-o", output, "--resume", name=papers)[1]


def test_what_is_read_of_a_table_is_part_of_the_question(ask: Any, tmp_path: Path) -> None:
    papers, output = tmp_path / "papers.csv", tmp_path / "out.jsonl"
    papers.write_text("Title\n" + "Galaxies\n" * 100)
    interrupted(partial(ask, name=papers), output, 2)
    assert "(--no-header was not given, is given)" in ask("-o", output, "--resume", "--no-header", name=papers)[1]


def test_killed_between_the_output_and_its_record(ask: Any, tmp_path: Path) -> None:
    from arxivcli.steps import resuming

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    output, record = tmp_path / "out.jsonl", tmp_path / "out.jsonl.resume"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resuming.Record, "finish", die)
        code, message = ask("-o", output, "--resume")
    assert (code, message) == (130, "error: interrupted; what was answered is kept: the same command goes on\n")
    whole = output.read_bytes()
    assert whole.count(b"\n") == 400
    assert ask("-o", output, "--resume")[0] == 3
    assert output.read_bytes() == whole
    assert record.read_bytes().count(b"\n") == 1


def test_what_was_answered_is_not_answered_again(ask: Any, tmp_path: Path, monkeypatch: Any) -> None:
    output = tmp_path / "out.jsonl"
    interrupted(ask, output, 9)
    asked: list[int] = []
    from arxivcli.steps import classification

    real = classification.answer

    def counted(model: Any, papers: Any, *more: Any) -> Any:
        asked.append(papers.num_rows)
        return real(model, papers, *more)

    monkeypatch.setattr(classification, "answer", counted)
    assert ask("-o", output, "--resume")[0] == 3
    assert 0 < sum(asked) < 300
    assert output.read_bytes().count(b"\n") == 400
    asked.clear()
    assert ask("-o", output, "--resume")[0] == 0
    assert asked == [1], "only whether the question can be asked"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--top", "1"], "--top was 3, is 1"),
        (["--coverage", "0.9"], "--coverage was not given, is 0.9"),
        (["--multi"], "--multi was not given, is given"),
        (["--fields", "id,category"], "--fields was not given, is id,category"),
        (["-f", "csv"], "--format was jsonl, is csv"),
        (["-m", "builtin"], "another model"),
    ],
)
def test_another_question_is_refused(ask: Any, tmp_path: Path, options: list[str], says: str) -> None:
    output = tmp_path / "out.jsonl"
    interrupted(ask, output, 2)
    before = (tmp_path / "out.jsonl.resume").read_bytes()
    code, message = ask("-o", output, "--resume", *options)
    assert code == 2
    assert f"error: {output}.resume has the answers to another question ({says}" in message
    assert f"ask as before, or remove {output}.resume to begin anew" in message
    assert (tmp_path / "out.jsonl.resume").read_bytes() == before
    assert ask("-o", output, "--resume")[0] == 3


def test_changed_papers_or_answers_are_refused(ask: Any, tmp_path: Path) -> None:
    output, papers = tmp_path / "out.jsonl", tmp_path / "papers.jsonl"
    interrupted(ask, output, 2)
    content = papers.read_bytes()
    papers.write_bytes(content + b'\n{"title": "one more"}')
    assert "another input" in ask("-o", output, "--resume")[1]
    (tmp_path / "out.jsonl.resume").unlink()
    assert ask("-o", output, "--resume")[0] == 3
    output.write_bytes(b"mine now")
    code, message = ask("-o", output, "--resume")
    assert (code, "out.jsonl was changed since it was written" in message) == (2, True)
    assert output.read_bytes() == b"mine now"
    output.unlink()
    assert ask("-o", output, "--resume")[0] == 3, "what was removed is made again"
    assert output.read_bytes().count(b"\n") == 401


def test_a_mix_in_a_file_is_part_of_the_question(ask: Any, tmp_path: Path) -> None:
    output, pile = tmp_path / "out.jsonl", tmp_path / "pile.json"
    pile.write_text('{"math.NT": 2, "hep-ph": 1}')
    options = ["-m", "builtin", "--prior", pile]
    interrupted(ask, output, 2, *options)
    pile.write_text('{"math.NT": 1, "hep-ph": 2}')
    assert "(another file of --prior)" in ask("-o", output, "--resume", *options)[1]


@pytest.mark.parametrize(
    ("options", "given", "says"),
    [
        (["-o", "out.jsonl"], "{}", "--resume needs files it can read again, not standard input"),
        (["-o", "out.jsonl", "--title", "a"], "", "--resume is for files, not for one paper"),
        (["2401.00001", "-o", "out.jsonl"], "", "--resume needs papers that stay as they are, and arXiv's may change"),
        (["papers.jsonl", "hep-th/0409001", "-o", "out.jsonl"], "", "fetch them first: arxivcli fetch ID"),
        (["papers.jsonl"], "", "--resume needs a file to go on with; name it with --output"),
        (["papers.jsonl", "-o", "/dev/null"], "", "--resume needs a file to go on with"),
        (["papers.jsonl", "-o", "-"], "", "--resume needs a file to go on with"),
        (["/dev/stdin", "-o", "out.jsonl"], "{}", "--resume reads files again, and /dev/stdin is none"),
    ],
)
def test_what_cannot_be_taken_up_again(
    handmade_model: Path, tmp_path: Path, options: list[str], given: str, says: str
) -> None:
    (tmp_path / "papers.jsonl").write_text('{"title": "Galaxies"}\n')
    done = prepared.run(
        [*PROGRAM, "-m", handmade_model, "--resume", *options],
        input=given.encode(),
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, says in said(done)) == (2, True), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["papers.jsonl"]


def test_two_at_once_do_not_share_a_record(ask: Any, tmp_path: Path) -> None:
    import fcntl

    output, record = tmp_path / "out.jsonl", tmp_path / "out.jsonl.resume"
    interrupted(ask, output, 2)
    with record.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, message = ask("-o", output, "--resume")
    assert (code, "out.jsonl.resume is in use by another process" in message) == (5, True)
    record.write_bytes(b"something else\n")
    code, message = ask("-o", output, "--resume")
    assert (code, "is no record of answers; remove it" in message) == (2, True)
    assert record.read_bytes() == b"something else\n"


def test_several_files_and_a_paper_alone(ask: Any, handmade_model: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.txt"
    one.write_text('{"title": "Galaxies"}')
    two.write_text("Primes\nQuarks\n")
    done = run(one, two, "-m", handmade_model, "-o", tmp_path / "out.jsonl", "--resume")
    assert done.returncode == 0, done.stderr
    ids = [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert ids == [f"{one}:1", f"{two}:1", f"{two}:2"]
    for _ in range(2):
        assert ask("-o", tmp_path / "one.out.json", "--resume", name=one)[0] == 0
        assert json.loads((tmp_path / "one.out.json").read_text())["top_category"] == "astro-ph.GA"


def test_a_full_disk_keeps_what_was_answered(ask: Any, tmp_path: Path) -> None:
    import resource

    output = tmp_path / "out.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
        code, message = ask("-o", output, "--resume")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert (code, output.exists()) == (5, False)
    assert "cannot write" in message
    assert ask("-o", output, "--resume")[0] == 3
    assert output.read_bytes().count(b"\n") == 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.jsonl.resume", "papers.jsonl"]
