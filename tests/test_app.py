"""The front door: one line per error, the right exit code, and manners in pipes, without a terminal, under signals."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import prepared
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli import __version__, errors
from arxivcli.cli import console, options
from arxivcli.printable import escaped
from arxivcli.progress import Silent

FAILING = """
import os, sys, time
import typer
from arxivcli import errors
from arxivcli.cli import app as door, console, options

@door.app.command("fail")
def fail(kind: str) -> None:
    if kind == "bug":
        raise ValueError("two\\nlines \\x1b[31mred")
    if kind == "pipe":
        raise BrokenPipeError(32, "somebody else's pipe")
    if kind == "full":
        raise OSError(28, "No space left on device")
    raise getattr(errors, kind)("it went wrong\\nhere \\x1b[31m", "do this")

@door.app.command("wait")
def wait(context: typer.Context) -> None:
    progress = console.progress(options.state(context))
    progress.begin("waiting", 10)
    print("ready", flush=True)
    time.sleep(60)

@door.app.command("flood")
def flood() -> None:
    while True:
        print("a line")

@door.app.command("work")
def work(context: typer.Context) -> None:
    progress = console.progress(options.state(context))
    progress.begin("reading papers", 30, "papers")
    for step in range(30):
        progress.advance(1, loss=0.123456, device="cpu")
        if step == 10:
            progress.note("half \\x1b[31mway")
        time.sleep(float(os.environ.get("SLOW", "0")))
    progress.end()
    print("result")

door.main()
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real program."""
    return prepared.run(
        [*prepared.PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=60,
    )


def fail(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real program with commands that misbehave."""
    return prepared.run(
        [sys.executable, "-c", FAILING, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=60,
    )


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell line in which $FAIL is the program with commands that misbehave, $RUN the real one."""
    names = {"PYTHON": sys.executable, "FAILING": FAILING}
    script = script.replace("$RUN", '"$PYTHON" -m arxivcli').replace("$FAIL", '"$PYTHON" -c "$FAILING"')
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | names | environment,
        timeout=60,
    )


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"arxivcli {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["models", "--help"], ["models", "labels", "-h"]])
def test_help_goes_to_stdout(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: arxivcli" in done.stdout
    assert "<bool>" not in done.stdout


def test_commands_stand_in_panels_with_one_line_each() -> None:
    shown = run("--help", COLUMNS="80").stdout
    assert "Look after" in shown
    panels = re.split("╭", shown)[2:]
    for panel in panels:
        rows = [line for line in panel.splitlines() if line.startswith("│")]
        assert rows
        for row in rows:
            assert re.match(r"│ [a-z]+ +\S.*│$", row), row


def test_nothing_asked_is_answered_with_help() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (2, "")
    assert "Usage: arxivcli" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["model"], "No such command 'model'. Did you mean 'models'?; see arxivcli --help"),
        (["models", "labels", "--leve", "group"], "No such option: --leve (Possible options: --level)"),
        (["models", "labels", "--level", "x"], "'x' is not one of 'category', 'archive', 'group'"),
        (["models", "labels", "\x1b[31m"], "\\x1b[31m"),
    ],
)
def test_usage_errors_are_one_line_and_name_the_nearest(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n\x1b]+\n", done.stderr)
    assert says in done.stderr


CODES = {
    "UsageError": 2,
    "InputError": 3,
    "RemoteError": 4,
    "StorageError": 5,
    "FolderError": 6,
    "TrainingError": 7,
    "QualityGateError": 8,
    "StoppedError": 130,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_each_error_has_its_code_and_its_one_line(kind: str, code: int) -> None:
    done = fail("fail", kind)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == "error: it went wrong\\nhere \\x1b[31m; do this\n"


def test_no_error_class_is_without_a_code() -> None:
    assert {c.__name__ for c in errors.ArxivcliError.__subclasses__()} == set(CODES)


def test_a_bug_is_one_line() -> None:
    done = fail("fail", "bug")
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: a bug in arxivcli: ValueError: two lines \\x1b\[31mred; .*; run it again with --debug [a-z ]*\n",
        done.stderr,
    )


@pytest.mark.parametrize(
    "arguments", [["--debug", "fail", "bug"], ["fail", "--debug", "bug"], ["fail", "bug", "--debug"]]
)
def test_debug_shows_the_traceback_wherever_it_stands(arguments: list[str]) -> None:
    done = fail(*arguments)
    assert done.returncode == 1
    assert "Traceback (most recent call last):" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: a bug in arxivcli: ValueError")


def test_debug_shows_where_a_known_error_came_from() -> None:
    done = fail("fail", "InputError", "--debug")
    assert done.returncode == 3
    assert "Traceback" in done.stderr


def test_after_two_dashes_a_flag_is_a_name() -> None:
    assert options.hoisted(["classify", "-q", "--", "--debug"]) == (["-q"], ["classify", "--", "--debug"])


def test_a_pipe_of_somebody_else_is_a_bug() -> None:
    done = fail("fail", "pipe")
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr


def test_a_full_disk_is_storage() -> None:
    done = fail("fail", "full")
    assert done.returncode == 5
    assert done.stderr.startswith("error: cannot write: the disk is full;")


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (signal.SIGINT, 130, "error: interrupted\n"),
        (signal.SIGTERM, 143, "error: stopped by SIGTERM\n"),
        (signal.SIGHUP, 129, "error: stopped by SIGHUP\n"),
    ],
)
def test_signals_end_in_order(number: int, code: int, says: str) -> None:
    with prepared.Popen(
        [sys.executable, "-c", FAILING, "wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (code, says)


@pytest.mark.parametrize("command", ["$FAIL flood", "$RUN --help", "$RUN models labels", "$RUN models labels --json"])
def test_a_reader_who_leaves_is_no_error(command: str) -> None:
    done = shell(f"{command} | true; echo ${{PIPESTATUS[0]}}")
    assert done.stdout == "141\n"
    assert done.stderr == ""


def test_head_gets_its_line() -> None:
    done = shell("$FAIL flood | head -1; echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("a line\n141\n", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_error_nobody_reads_keeps_its_code(unbuffered: str) -> None:
    done = shell("$FAIL fail InputError 2>&1 >/dev/null | true; echo ${PIPESTATUS[0]}", PYTHONUNBUFFERED=unbuffered)
    assert done.stdout == "3\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", ["$FAIL flood", "$RUN models labels", "$RUN --version"])
def test_a_full_stdout_is_storage(command: str) -> None:
    done = shell(f"{command} > /dev/full")
    assert done.returncode == 5
    assert re.fullmatch(r"error: cannot write[^\n]*\n", done.stderr)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_trouble(closed: str) -> None:
    done = shell(f"$RUN models labels --level group {closed}; echo code $?")
    lost = ">&-" in closed.replace("2>&-", "")  # answers nobody can get are no success
    assert done.stdout.endswith(f"code {5 if lost else 0}\n")
    assert done.stderr.count("\n") == (closed == ">&-")


@pytest.mark.parametrize(
    "environment",
    [
        {"COLUMNS": "0"},
        {"COLUMNS": "-5", "LINES": "0"},
        {"COLUMNS": "wide"},
        {"TERM": "dumb"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
)
def test_odd_surroundings(environment: dict[str, str]) -> None:
    shown = run("models", "labels", "--level", "group", **environment)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.search(r"stat[ |]+Statistics[ |]+85,252", shown.stdout)
    assert run("--help", **environment).returncode == 0


def test_no_color_on_a_terminal() -> None:
    script = 'script -qec "$PYTHON -m arxivcli --help" /dev/null'
    coloured = shell(script, TERM="xterm-256color", COLUMNS="100")
    plain = shell(script, TERM="xterm-256color", COLUMNS="100", NO_COLOR="1")
    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", coloured.stdout)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain.stdout)


def test_completion_for_the_shell() -> None:
    done = run(_ARXIVCLI_COMPLETE="complete_bash", COMP_WORDS="arxivcli mod", COMP_CWORD="1")
    assert (done.returncode, done.stdout.split()) == (0, ["models"])


def test_progress_is_silent_when_short_or_quiet_and_a_line_when_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(console.progress(options.State(quiet=True)), Silent)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watcher = console.progress(options.State())
    watcher.begin("reading papers", 3000)
    for _ in range(12):
        clock[0] += 1.0
        watcher.advance(250, loss=0.12345)
    watcher.note("a \x1b[31mnote")
    watcher.end()
    assert sys.stderr.getvalue().splitlines() == [
        "reading papers: 1,250 of 3,000 papers, 250/s  loss 0.1235",
        "reading papers: 2,500 of 3,000 papers, 250/s  loss 0.1235",
        "a \\x1b[31mnote",
        "reading papers: 3,000 of 3,000 papers, 250/s  loss 0.1235",
    ]


def test_short_work_leaves_a_log_alone() -> None:
    done = fail("work")
    assert (done.returncode, done.stdout, done.stderr) == (0, "result\n", "half \\x1b[31mway\n")
    assert fail("work", "-q").stderr == ""


def test_a_terminal_gets_a_bar_and_results_stay_on_stdout(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FAILING)
    script = 'script -qec "$PYTHON $PROGRAM work > $RESULT" /dev/null'
    names = {"PROGRAM": str(program), "RESULT": str(tmp_path / "result"), "TERM": "xterm", "COLUMNS": "120"}
    shown = shell(script, SLOW="0.02", **names)
    assert (tmp_path / "result").read_text() == "result\n"
    assert re.search(r"reading papers .*30 of 30 papers, [\d,]+/s.* loss 0.1235  device cpu", shown.stdout)
    assert "half \\x1b[31mway" in shown.stdout
    dumb = shell(script, **names | {"TERM": "dumb"})
    assert dumb.stdout == "half \\x1b[31mway\n"


def test_a_bar_comes_down_before_the_error(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FAILING)
    shown = shell(
        'script -qec "timeout --foreground -s TERM 2 $PYTHON $PROGRAM wait" /dev/null',
        PROGRAM=str(program),
        TERM="xterm",
        COLUMNS="120",
    )
    assert re.search(r"\x1b\[\?25h[^\n]*error: stopped by SIGTERM\n$", shown.stdout)


def test_labels_as_json_and_as_table_are_the_same() -> None:
    rows = json.loads(run("models", "labels", "--json").stdout)
    assert len(rows) == 149
    [learning] = [row for row in rows if row["id"] == "cs.LG"]
    assert learning | {"papers": 0} == {
        "id": "cs.LG",
        "name": "Machine Learning",
        "archive": "cs",
        "group": "cs",
        "papers": 0,
    }
    table = run("models", "labels").stdout.splitlines()
    assert [line.split()[0] for line in table[2:]] == [row["id"] for row in rows]


def test_all_ids_arxiv_ever_used() -> None:
    rows = {row["id"]: row for row in json.loads(run("models", "labels", "--all", "--json").stdout)}
    assert len(rows) == 185
    assert (rows["math.MP"]["alias_of"], rows["cmp-lg"]["successor"], rows["cs.LG"]["active"]) == (
        "math-ph",
        "cs.CL",
        True,
    )
    assert run("models", "labels", "--all", "--level", "group").returncode == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("CS.lg", "there is no category CS.lg; did you mean cs.LG?"),
        ("math.NY", "there is no category math.NY; did you mean math.NT?"),
        ("zzzzzz", "there is no category zzzzzz; choose among cs.LG, cs.CL, math.NT"),
    ],
)
def test_unknown_names_hint_at_the_nearest(name: str, says: str) -> None:
    assert str(errors.unknown("category", name, ["cs.LG", "cs.CL", "math.NT"])) == says


@given(st.text())
def test_escaped_text_is_harmless_and_stays_readable(text: str) -> None:
    shown = escaped(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert escaped(shown) == shown
    assert shown.encode() or not text


def test_lone_surrogates_can_be_shown() -> None:
    assert escaped("a\ud800b\u2028c") == "a\\ud800b\\u2028c"


def test_a_missing_argument_is_named() -> None:
    done = shell("$RUN preprocess")
    assert done.returncode == 2
    assert done.stderr == "error: Missing argument 'INPUT...'; see arxivcli preprocess --help\n"
