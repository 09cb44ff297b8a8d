"""What people see while a model learns: bars, gauges and the epoch table on a terminal, else a line now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from arxivcli.cli import console
from arxivcli.cli.course import Course, columns, measured, told
from arxivcli.printable import escaped
from arxivcli.progress import Progress, Silent

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Group, RenderableType
    from rich.live import Live
    from rich.table import Table

    from arxivcli.cli.options import State
    from arxivcli.learning.gauges import Gauges
    from arxivcli.learning.loop import Epoch
    from arxivcli.learning.observers import Observer

_BAR = 24
_GAP = 3
_BEST = "best"
_TRAIN_LOSS = "train_loss"
_ELSE = 8
"""Lines of a terminal that are not for epochs: bars, gauges, the table's head, the prompt."""


class Display(Progress, Protocol):
    """A watcher of long work that may also hear how a training goes."""

    def observers(self) -> tuple[Observer, ...]:
        """Those to be told of the training."""


def display(state: State, gauges: Gauges) -> Display:
    """Who watches a training: everything on a terminal, lines in a log, nobody with --quiet."""
    if state.quiet:
        return Unseen()
    return Board(gauges) if console.can_draw() else Log(gauges)


class Unseen(Silent):
    """Shows nothing."""

    def observers(self) -> tuple[Observer, ...]:
        """Nobody."""
        return ()


class _Watcher(Course):
    """Any work as `other` shows it, until a training begins; then it is shown here."""

    def __init__(self, gauges: Gauges, other: Progress) -> None:
        super().__init__()
        self._gauges = gauges
        self._other = other
        self._doing = ""

    def observers(self) -> tuple[Observer, ...]:
        """The gauges, and this."""
        return (self._gauges, self)

    def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:
        """An epoch of the training, or other work."""
        self._doing = what
        if not self.running:
            self._other.begin(what, total, unit)

    def advance(self, units: int = 1, **facts: str | float) -> None:
        """Steps of the training are heard of otherwise."""
        if not self.running:
            self._other.advance(units, **facts)

    def waiting(self, seconds: float, why: str) -> None:
        """A pause."""
        self._doing = why
        if not self.running:
            self._other.waiting(seconds, why)

    def note(self, text: str) -> None:
        """A line people should see."""
        self._other.note(text)

    def end(self) -> None:
        """After an epoch's steps it is validated, and then saved."""
        self._doing = "validating"
        if not self.running:
            self._other.end()

    def epoch_ended(self, epoch: Epoch) -> None:
        """A new line of the table."""
        super().epoch_ended(epoch)
        self._doing = "saving"


class Board(_Watcher):
    """The training on a terminal, drawn four times a second from a thread of its own."""

    def __init__(self, gauges: Gauges) -> None:
        self._bar = console.Bar()
        super().__init__(gauges, self._bar)
        self._live: Live | None = None

    def began(self, facts: dict[str, Any]) -> None:
        """Draw."""
        from rich.live import Live

        super().began(facts)
        self._bar.end()
        self._live = Live(
            get_renderable=self._drawn,
            console=self._bar.console,
            refresh_per_second=4,
            redirect_stdout=False,  # results keep going where they belong
        )
        self._live.start()
        console.stands(self.take_down)

    def finished(self, folder: Path, card: Any) -> None:
        """Leave the table."""
        super().finished(folder, card)
        self.take_down()

    def stopped(self) -> None:
        """Leave the table."""
        super().stopped()
        self.take_down()

    def take_down(self) -> None:
        """Leave the table on the terminal and nothing under it."""
        self.running = False
        if self._live is not None:
            live, self._live = self._live, None
            console.fell(self.take_down)
            live.vertical_overflow = "visible"  # all epochs, also those that the terminal was too low for
            live.stop()

    def _drawn(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        height = self._bar.console.height - _ELSE - len(self._gauges.latest())
        shown = self.history[-max(1, height) :] if self.running else self.history
        parts: list[RenderableType] = [self._epochs(shown), Text()] if shown else []
        return Group(*parts, *([self._bars()] if self.running else []))

    def _epochs(self, shown: list[Epoch]) -> Table:
        """The epoch table, the best epoch marked; figures that a narrow terminal has no room for are left out."""
        from rich import box
        from rich.table import Table

        titles = {_TRAIN_LOSS: "train loss", **columns(self.history)}
        room = fitting(titles, self._bar.console.width)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("epoch", justify="right", min_width=len("epoch"))
        for name in room:
            table.add_column(titles[name], justify="right", min_width=_least(titles[name]))
        table.add_column("", min_width=len(_BEST))
        for epoch in shown:
            figures = epoch.validation | {_TRAIN_LOSS: epoch.train_loss}
            row = (f"{figures[name]:.4f}" if name in figures else "" for name in room)
            best = epoch.number == self.best
            table.add_row(str(epoch.number), *row, _BEST if best else "", style="bold green" if best else "")
        return table

    def _bars(self) -> Table:
        """Epochs, steps and gauges, one under the other."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        grid = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(4):
            grid.add_column(no_wrap=True, overflow="ellipsis")
        epochs, steps = self.facts["epochs"], self.facts["steps_per_epoch"]
        at = self._doing if self._doing and not self._doing.startswith("epoch ") else ""
        grid.add_row(
            "epoch", ProgressBar(self.last_step, self.step, _BAR), f"{self.epoch} of {epochs}", at or self.left()
        )
        told = "  ".join(part for part in (self.speed(), self.losses()) if part)
        count = f"{self.step_of_epoch:,} of {steps:,}"
        grid.add_row("step", ProgressBar(steps, self.step_of_epoch, _BAR), count, told)
        for reading in self._gauges.latest():
            busy = "" if reading.busy is None else ProgressBar(100, reading.busy, _BAR, complete_style="cyan")
            cells = measured(reading).split("  ", 1)
            grid.add_row(escaped(reading.name), busy, cells[0].strip(), *cells[1:])
        return grid


def fitting(titles: dict[str, str], width: int) -> list[str]:
    """Names of the figures that fit beside each other in so many characters, the train loss the first to go."""
    left = width - len("epoch") - _GAP - len(_BEST)
    chosen = set()
    for name in sorted(titles, key=lambda name: name == _TRAIN_LOSS):  # the others in their order
        left -= _least(titles[name]) + _GAP
        if left < 0:
            break
        chosen.add(name)
    return [name for name in titles if name in chosen]


def _least(title: str) -> int:
    """Characters of a column, its title broken into words."""
    return max(len("0.0000"), *map(len, title.split()))


class Log(_Watcher):
    """The training in a log: a plain line every few seconds, and one for each epoch."""

    def __init__(self, gauges: Gauges) -> None:
        super().__init__(gauges, console.Lines())
        self._last = time.monotonic()

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """Speak when it is time."""
        super().stepped(step, loss, rate)
        if time.monotonic() - self._last >= console.LINE_SECONDS:
            self._last = time.monotonic()
            done = f"epoch {self.epoch} of {self.facts['epochs']}: step {self.step_of_epoch:,} of"
            done += f" {self.facts['steps_per_epoch']:,}"
            readings = (f"{reading.name} {measured(reading).strip()}" for reading in self._gauges.latest())
            parts = (done, self.speed(), self.losses(), self.left(), *readings)
            console.write_line("  ".join(part for part in parts if part))

    def epoch_ended(self, epoch: Epoch) -> None:
        """Say its line of the table."""
        super().epoch_ended(epoch)
        console.write_line(told(epoch))
