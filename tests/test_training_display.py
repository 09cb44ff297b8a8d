"""What people see while a model learns: the same facts on a terminal and in a log, nothing with --quiet."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import invented
import pexpect
import prepared
import pytest
from rich.console import Console

from arxivcli.cli import console, training_display
from arxivcli.cli.course import Course, columns, measured, span, told
from arxivcli.cli.options import State
from arxivcli.learning.gauges import Gauges, Reading
from arxivcli.learning.loop import Epoch
from arxivcli.steps.preprocessing import Recipe, preprocess

if TYPE_CHECKING:
    from pathlib import Path

H100 = Reading("GPU 0 NVIDIA H100", 98.0, 61_200_000_000, 80_000_000_000, 64.0, 312.4)
FIRST = Epoch(1, 1.5, {"title_only_top1": 0.5, "loss": 1.25, "macro_f1": 0.4, "top1": 0.6}, best=True)
SECOND = Epoch(2, 1.25, {"loss": 1.0, "top1": 0.7, "macro_f1": 0.5, "title_only_top1": 0.5}, best=True)
THIRD = Epoch(3, 1.0, {"loss": 1.1, "top1": 0.65, "macro_f1": 0.45, "title_only_top1": 0.5}, best=False)


def facts(**changes: object) -> dict[str, object]:
    return {"epochs": 4, "steps_per_epoch": 100, "papers_per_step": 16, "step": 0, "history": (), **changes}


class Clock:
    """Seconds as a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def course(clock: Clock | None = None, **changes: object) -> Course:
    found = Course(clock or Clock())
    found.began(facts(**changes))
    return found


def test_speed_and_time_left_are_those_of_the_last_seconds() -> None:
    clock = Clock()
    found = course(clock)
    assert (found.speed(), found.left()) == ("", "")
    for step in range(1, 81):
        clock.now += 2.0 if step <= 20 else 0.5  # it starts slowly
        found.stepped(step, 1.0, 0.1)
    assert found.speed() == "32 papers/s"
    assert found.left() == "2:40 left"  # 320 steps at two a second


def test_a_training_that_goes_on_is_as_fast_as_it_is_now() -> None:
    clock = Clock()
    found = course(clock, step=250, history=(FIRST, SECOND))
    assert (found.epoch, found.step_of_epoch, found.best) == (3, 50, 2)
    clock.now += 4
    found.stepped(251, 1.0, 0.1)
    assert found.speed() == "4 papers/s"


def test_the_time_of_validation_is_no_time_of_steps() -> None:
    clock = Clock()
    found = course(clock)
    for step in range(1, 101):
        clock.now += 0.1
        found.stepped(step, 1.0, 0.1)
    clock.now += 1000
    found.epoch_ended(FIRST)
    clock.now += 0.1
    found.stepped(101, 1.0, 0.1)
    assert found.speed() == "160 papers/s"
    assert (found.epoch, found.step_of_epoch) == (2, 1)


def test_a_loss_is_smoothed_and_a_step_without_one_changes_nothing() -> None:
    found = course()
    assert found.losses() == ""
    found.stepped(1, 2.0, 3e-5)
    found.stepped(2, math.nan, 3e-5)
    assert found.losses() == "loss 2.0000  rate 3e-05"
    found.stepped(3, 1.0, 3e-5)
    assert found.loss == pytest.approx(1.98)


def test_words() -> None:
    assert (span(5), span(65.9), span(3723)) == ("0:05", "1:05", "1:02:03")
    assert list(columns([FIRST]).values()) == ["validation loss", "top-1", "macro-F1", "title only"]
    assert list(columns([Epoch(1, 1, {"f_beta": 1, "top1": 1}, False)]).values()) == ["top-1", "f beta"]
    assert told(FIRST) == (
        "epoch 1: train loss 1.5000, validation loss 1.2500, top-1 0.6000, macro-F1 0.4000, title only 0.5000"
        " (best so far)"
    )
    assert measured(H100) == " 98 %  61.2 of 80.0 GB  64 °C  312 W"
    assert measured(Reading("x", None, 1_000_000_000)) == "1.0 GB"
    assert measured(Reading("x")) == ""


class Still(Gauges):
    """Gauges that stand still."""

    def latest(self) -> tuple[Reading, ...]:
        return (H100, Reading("GPU 1 AMD\x1b[31m", None, power=8.0))


def board(monkeypatch: pytest.MonkeyPatch, *, height: int = 40, width: int = 110) -> training_display.Board:
    """A board on a terminal of that size, drawn by hand."""
    monkeypatch.setattr(console, "stderr_console", lambda: Console(width=width, height=height, no_color=True))
    return training_display.Board(Still())


def drawn(board: training_display.Board) -> list[str]:
    screen = board._bar.console
    with screen.capture() as captured:
        screen.print(board._drawn())
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_board_shows_bars_gauges_and_the_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = board(monkeypatch)
    Course.began(shown, facts(step=230, history=(FIRST, SECOND)))
    shown.stepped(231, 0.5, 0.001)
    text = "\n".join(drawn(shown))
    assert re.search(r"epoch +train loss +validation loss +top-1 +macro-F1 +title only", text)
    assert re.search(r"\n +1 +1\.5000 +1\.2500 +0\.6000 +0\.4000 +0\.5000\n", text)
    assert re.search(r"\n +2 +1\.2500 .* best\n", text)
    assert re.search(r"epoch +━.*3 of 4 .* left", text)
    assert re.search(r"step +━.*31 of 100 .*papers/s  loss 0\.5000  rate 0\.001", text)
    assert re.search(r"GPU 0 NVIDIA H100 +━.* 98 % +61\.2 of 80\.0 GB  64 °C  312 W", text)
    assert re.search(r"GPU 1 AMD\\x1b\[31m +8 W", text)


def test_only_the_best_epoch_of_all_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = board(monkeypatch)
    Course.began(shown, facts(step=200, history=(FIRST, SECOND)))
    shown.end()
    assert "validating" in "\n".join(drawn(shown))
    shown.epoch_ended(THIRD)
    marked = [line.split()[0] for line in drawn(shown) if line.endswith("best")]
    assert marked == ["2"]
    assert "saving" in "\n".join(drawn(shown))


def test_on_a_low_terminal_the_last_epochs_are_shown_and_at_the_end_all(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(Epoch(number, 1.0, {"loss": 1.0, "top1": 0.5}, number == 1) for number in range(1, 31))
    shown = board(monkeypatch, height=20)
    Course.began(shown, facts(epochs=40, step=3000, history=many))
    lines = drawn(shown)
    assert len(lines) <= 20
    assert [line.split()[0] for line in lines if re.match(r" +\d+ +1\.0000", line)][-1] == "30"
    shown.running = False
    lines = drawn(shown)
    assert len([line for line in lines if re.match(r" +\d+ +1\.0000", line)]) == 30
    assert not any("━" in line for line in lines)


@pytest.mark.parametrize("width", [20, 40, 60])
def test_on_a_narrow_terminal_no_bar_is_broken_into_two_lines(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    shown = board(monkeypatch, width=width)
    Course.began(shown, facts(step=10))
    shown.stepped(11, 0.5, 0.001)
    lines = drawn(shown)
    assert len(lines) == 4
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (30, ["validation", "loss"]),
        (40, ["validation", "loss", "top-1"]),
        (60, ["validation", "loss", "top-1", "macro-F1", "title", "only"]),
        (70, ["train", "loss", "validation", "loss", "top-1", "macro-F1", "title", "only"]),
    ],
)
def test_on_a_narrow_terminal_there_are_fewer_figures_and_all_can_be_read(
    monkeypatch: pytest.MonkeyPatch, width: int, titles: list[str]
) -> None:
    shown = board(monkeypatch, width=width)
    Course.began(shown, facts(step=200, history=(FIRST, SECOND)))
    shown.running = False
    lines = drawn(shown)
    head, table = " ".join(lines).split("─", 1)
    assert sorted(head.split()) == sorted(["epoch", *titles])
    assert "…" not in table
    assert max(map(len, lines)) <= width
    assert lines[-2].endswith("best")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "papers.jsonl").write_text("".join(json.dumps(paper) + "\n" for paper in invented.records(600)))
    preprocess([folder / "papers.jsonl"], folder / "corpus", Recipe(), workers=1)
    return folder / "corpus"


def command(corpus: Path, output: Path, *flags: str) -> list[str]:
    quick = [f"--set={change}" for change in ("dimension=16", "max_pairs=2000", "epochs=3", "batch_size=64", "lr=0.02")]
    return ["-m", "arxivcli", "train", "--data", str(corpus), "--output", str(output), *quick, *flags]


def test_a_log_has_a_line_for_each_epoch_and_quiet_has_none(corpus: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {"HOME": str(tmp_path), "WANDB_DIR": str(tmp_path), "WANDB_MODE": "offline"}
    said = {}
    for flags in ((), ("--quiet", "--wandb", "disabled")):
        ran = prepared.run(
            [sys.executable, *command(corpus, tmp_path / str(len(flags)), *flags)],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        said[flags] = ran.stderr
        assert ran.stdout.startswith("figure")
    assert re.findall(r"^epoch (\d): train loss [\d.]+, validation loss", said[()], re.MULTILINE) == ["1", "2", "3"]
    assert said["--quiet", "--wandb", "disabled"] == ""
    assert len(list(tmp_path.glob("wandb/offline-run-*/*.wandb"))) == 1  # by the first command alone


def test_a_terminal_keeps_the_table_and_no_bars(corpus: Path, tmp_path: Path) -> None:
    environment = os.environ | {"NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    child = pexpect.spawn(
        sys.executable, command(corpus, tmp_path / "model"), env=environment, timeout=120, dimensions=(40, 100)
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", child.before.decode()).replace("\r", "\n")
    last = text[text.rindex("train loss") :]
    assert [line.split()[0] for line in last.splitlines() if re.match(r" +\d +\d\.\d{4}", line)] == ["1", "2", "3"]
    assert len([line for line in last.splitlines() if line.rstrip().endswith("best")]) == 1
    assert "CPU and RAM" not in last
    assert "papers/s" not in last
    assert f"saved {tmp_path}" in last


def test_an_unknown_way_to_track_is_refused_before_any_work(corpus: Path, tmp_path: Path) -> None:
    ran = prepared.run(
        [sys.executable, *command(corpus, tmp_path / "model", "--wandb", "online")],
        capture_output=True,
        text=True,
        check=False,
        env={n: v for n, v in os.environ.items() if not n.startswith("WANDB_")} | {"HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: W&B has no key")
    assert not (tmp_path / "model").exists()


def test_nobody_looks_when_nobody_watches() -> None:
    assert training_display.display(State(quiet=True), Still()).observers() == ()
