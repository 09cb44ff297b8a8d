"""classify as people use it: files, pipes, a terminal; every paper keeps its place, and every end has its exit code."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import handmade
import pexpect
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invented import records
from test_startup import HEAVY, cpu_seconds, imported

PROGRAM = [sys.executable, "-m", "arxivcli", "classify"]
MANY = 40_000


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade.save(tmp_path_factory.mktemp("models") / "handmade")


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough papers that several processes are used."""
    path = tmp_path_factory.mktemp("papers") / "many.jsonl"
    lines = [json.dumps(paper) for paper in records(2_000)]
    path.write_text("".join(f"{lines[number % len(lines)]}\n" for number in range(MANY)))
    return path


def run(*arguments: object, given: str | bytes | None = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The real program; without `given` its standard input is empty."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        input=given.encode() if isinstance(given, str) else given,
        capture_output=True,
        check=False,
        env=os.environ | environment,
        timeout=120,
    )


def answers(done: subprocess.CompletedProcess[bytes], code: int = 0) -> list[dict[str, object]]:
    """The JSON lines of a run that ended as expected."""
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(done: subprocess.CompletedProcess[bytes], delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(done.stdout.decode(), newline=""), delimiter=delimiter))


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The one line on stderr."""
    [line] = done.stderr.decode().splitlines()
    return line


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


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
        (["--from", "jsonl"], "\n\n", 3, "no papers in the input"),
        ([], "\x00\x01", 3, "<stdin> is none of"),
        (["--title", "a", "b.json"], "", 2, "not for files"),
        (["--coverage", "0.2"], "", 2, "--coverage 0.2"),
        (["--id-column", "key"], "title\na\n", 2, "no such column"),
        (["--from", "yaml"], "", 2, "yaml"),
        (["--top", "0"], "", 2, "--top"),
        (["-o", "x.jsonl.gz", "--title", "a"], "", 2, "not written as gz"),
        (["-o", "x.json", "-f", "table", "--title", "a"], "", 2, "for the eye"),
    ],
)
def test_errors_are_one_line_and_a_code(
    model: Path, tmp_path: Path, arguments: list[str], text: str, code: int, says: str
) -> None:
    done = subprocess.run(
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


# -- files, pipes, signals ---------------------------------------------------------------------------------------------


def test_output_files_are_whole_and_follow_their_names(model: Path, tmp_path: Path) -> None:
    papers = tmp_path / "papers.jsonl"
    papers.write_text('{"title": "Galaxies"}\n{"title": ""}\n')
    for name, begins in (
        ("a.json", b"[\n{"),
        ("a.jsonl", b'{"id"'),
        ("a.csv", b"id,title,category"),
        ("a.out", b'{"id"'),
    ):
        done = run(papers, "-m", model, "-o", tmp_path / name)
        assert (done.returncode, done.stdout) == (3, b""), (
            "rows without an answer are in the file, and the code says so"
        )
        assert (tmp_path / name).read_bytes().startswith(begins)
    assert not list(tmp_path.glob("*.partial"))
    before = papers.read_bytes()
    assert run(papers, "-m", model, "-o", papers).returncode == 2
    assert papers.read_bytes() == before


def test_devices_stay_devices(model: Path) -> None:
    assert run("-m", model, "--title", "a", "-o", os.devnull).returncode == 0
    assert Path(os.devnull).is_char_device()
    full = run("-m", model, "--title", "a", "-o", "/dev/full")
    assert (full.returncode, "the disk is full" in said(full)) == (5, True)


def shell(script: str, model: Path, many: Path) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"RUN": " ".join(PROGRAM), "MODEL": str(model), "MANY": str(many)}
    return subprocess.run(["bash", "-c", script], capture_output=True, check=False, env=environment, timeout=120)


def test_a_reader_who_leaves_is_not_spoken_of(model: Path, many: Path) -> None:
    done = shell('$RUN -q -m "$MODEL" "$MANY" | head -1; exit ${PIPESTATUS[0]}', model, many)
    assert (done.returncode, done.stderr, done.stdout.count(b"\n")) == (141, b"", 1)


def test_closed_streams(model: Path, many: Path) -> None:
    done = shell('$RUN -m "$MODEL" <&-', model, many)
    assert (done.returncode, said(done).startswith("error: <stdin> is empty")) == (3, True)
    done = shell('$RUN -m "$MODEL" --title Galaxies >&-', model, many)
    assert b"Traceback" not in done.stderr
    done = shell('$RUN -m "$MODEL" --title Galaxies 2>&-', model, many)
    assert (done.returncode, done.stdout[:11]) == (0, b'{"id":null,')
    done = shell('$RUN -q -m "$MODEL" "$MANY" >/dev/full', model, many)
    assert (done.returncode, "the disk is full" in said(done)) == (5, True)


def test_a_slow_reader_holds_the_reading_back(model: Path, many: Path) -> None:
    """With nobody reading, only the window of two workers is taken from the pipe, not all of the 60 MB."""
    content = many.read_bytes() * 3
    with subprocess.Popen([*PROGRAM, "-q", "-m", model, "--workers", "2"], stdin=-1, stdout=-1, stderr=-1) as program:
        assert program.stdin
        os.set_blocking(program.stdin.fileno(), False)
        sent, still = 0, 0
        while still < 30 and sent < len(content):
            try:
                sent += os.write(program.stdin.fileno(), content[sent : sent + (1 << 20)])
                still = 0
            except BlockingIOError:
                still += 1
                time.sleep(0.1)
        program.kill()
    assert 1 << 20 < sent < 40 << 20 < len(content)


@pytest.fixture
def running(model: Path) -> subprocess.Popen[bytes]:
    """The program in the middle of an endless input, its answers flowing."""
    line = b'{"title": "Galaxies and primes"}\n' * 20_000
    endless = ["bash", "-c", 'IFS= read -r -d "" block; while printf %s "$block"; do :; done']
    feeder = subprocess.Popen(endless, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL)
    program = subprocess.Popen(
        [*PROGRAM, "-q", "-m", model, "--workers", "2"], stdin=feeder.stdout, stdout=-1, stderr=-1
    )
    assert feeder.stdin
    assert feeder.stdout
    assert program.stdout
    feeder.stdin.write(line)
    feeder.stdin.close()
    feeder.stdout.close()
    for _ in range(20_000):
        program.stdout.readline()
    yield program
    program.kill()
    program.stdout.close()
    program.stderr.close()
    program.wait()
    feeder.kill()
    feeder.wait()


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def all_gone(processes: list[int], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(Path(f"/proc/{process}").exists() for process in processes):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_all_processes_with_a_line(running: subprocess.Popen[bytes], number: int, code: int) -> None:
    workers = children(running.pid)
    assert len(workers) >= 2
    running.send_signal(number)
    _, stderr = running.communicate(timeout=20)
    assert running.returncode == code
    assert stderr.count(b"\n") == 1
    assert stderr.startswith(b"error: ")
    assert all_gone(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_worker_outlives_a_killed_parent(running: subprocess.Popen[bytes]) -> None:
    workers = children(running.pid)
    running.kill()
    running.wait()
    assert all_gone(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_worker_is_said(running: subprocess.Popen[bytes]) -> None:
    os.kill(children(running.pid)[-1], signal.SIGKILL)
    _, stderr = running.communicate(timeout=20)
    assert running.returncode == 1
    assert b"error: a worker process was killed" in stderr


# -- at a terminal -----------------------------------------------------------------------------------------------------


def terminal(model: Path, *arguments: str, **environment: str) -> pexpect.spawn:
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LANG": "C.UTF-8"} | environment
    return pexpect.spawn(
        sys.executable, ["-m", "arxivcli", "classify", "-m", str(model), *arguments],
        encoding="utf-8", env=environment, dimensions=(40, 100), timeout=30,
    )  # fmt: skip


def end(session: pexpect.spawn) -> tuple[str, int | None]:
    session.expect(pexpect.EOF)
    session.close()
    return session.before, session.exitstatus


def plain(shown: str) -> str:
    """Without the styles the program itself uses."""
    return re.sub("\x1b\\[[0-9;]*m", "", shown)


def test_a_conversation(model: Path) -> None:
    session = terminal(model, "--coverage", "0.9", NO_COLOR="1")
    session.expect("Ctrl-D leaves")
    session.expect("Title: ")
    session.send("Studies of something\r")
    session.expect("Abstract: ")
    session.send("primes and\r")
    session.expect(r"\.\.\. ")
    session.send("zeta divisors\r\r")
    session.expect(r"math\.NT.* Number Theory .*━.* 9\d\.\d%")
    session.expect("90% sure to be one of: math.NT")
    session.expect("Title: ")
    session.send("\r")
    session.expect("Abstract: ")
    session.send("\r")
    session.expect("Title: ")
    session.send("Galaxies " + "and dust " * 600 + "\r")
    session.expect("Abstract: ")
    session.send("\r")
    session.expect("Astrophysics of Galaxies")
    session.expect("Title: ")
    session.sendeof()
    assert end(session)[1] == 0


def test_an_interrupted_conversation(model: Path) -> None:
    session = terminal(model)
    session.expect("Title: ")
    session.sendintr()
    shown, code = end(session)
    assert code == 130
    assert "Traceback" not in shown


def test_what_a_terminal_shows(model: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.json"
    one.write_text(json.dumps({"title": "Galaxies \x1b[31m and\x9b31m \u202e dust", "abstract": "halo"}))
    shown, code = end(terminal(model, str(one), NO_COLOR="1"))
    assert code == 0
    assert "astro-ph.GA  Astrophysics of Galaxies  ━" in plain(shown)
    assert "\x1b[31m" not in shown
    assert "\x9b" not in shown
    several = tmp_path / "several.csv"
    several.write_text("id,title\n1,Galaxies \x1b[31m red\n2,Primes\n3,\n")
    shown, code = end(terminal(model, str(several)))
    assert code == 3
    assert "Number Theory" in shown
    assert "no answer: no title" in shown
    assert "\x1b[31m" not in shown
    shown, code = end(terminal(model, str(several), "--format", "csv"))
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "dumb"}, {"COLUMNS": "0"}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_poor_terminals(model: Path, environment: dict[str, str]) -> None:
    shown, code = end(terminal(model, "--title", "Galaxies and dust", **environment))
    assert code == 0
    assert "Astrophysics of Galaxies" in shown


# -- light and quick ---------------------------------------------------------------------------------------------------


def test_classify_imports_nothing_it_does_not_need(model: Path) -> None:
    loaded = imported("classify", "-m", str(model), "--title", "Galaxies")
    assert not loaded & (HEAVY - {"numpy", "pyarrow", "orjson", "safetensors"} | {"rich"})


def test_a_cold_answer_costs_at_most_0_8_s_of_cpu(model: Path) -> None:
    assert cpu_seconds("classify", "-m", str(model), "--title", "Galaxies") <= 0.8
