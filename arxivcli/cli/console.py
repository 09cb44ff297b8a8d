"""What people see: tables on stdout, progress and notes on stderr. rich is loaded only when something is drawn."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from arxivcli.errors import StorageError
from arxivcli.printable import escaped
from arxivcli.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import rich.progress
    from rich.console import Console, RenderableType

    from arxivcli.cli.options import State

LINE_SECONDS = 5.0
"""How often a log file or a pipe hears about progress."""

DRAW_SECONDS = 0.1
"""How often a bar is moved at most: `advance` may be called a million times."""

Field = str | int | float | bool | None
Row = dict[str, Field]

GAP = 3
"""Columns between two cells of a table."""

_ENDLESS = 10_000
_SLOW = 10  # per second: below, a rate needs its decimals
_standing: list[Callable[[], None]] = []


def write_line(text: str) -> None:
    """One line to stderr, whatever the text holds."""
    sys.stderr.write(escaped(text) + "\n")
    sys.stderr.flush()


def note(state: State, text: str) -> None:
    """One line to stderr that is no error; none with --quiet."""
    if not state.quiet:
        write_line(f"note: {text}")


def stdout_is_closed() -> bool:
    """Whether nothing can be written to stdout, as after `>&-`."""
    return fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def closed_stdout() -> StorageError:
    """The error for a stdout that nobody can write to."""
    return StorageError("the standard output is closed", "open it, or name a file with --output")


def require_stdout() -> None:
    """Raises StorageError before any work when nothing can be written to stdout."""
    if stdout_is_closed():
        raise closed_stdout()


def sane_size() -> None:
    """Forget a COLUMNS or LINES that no terminal can have, so that nobody draws into a width of 0."""
    for variable, least in (("COLUMNS", 20), ("LINES", 2)):
        size = os.environ.get(variable)
        if size is not None and not (size.isdecimal() and int(size) >= least):
            del os.environ[variable]


def stdout_console() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def stderr_console() -> Console:
    """The console for people: progress, notes, questions."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def width() -> int:
    """Columns of the terminal; into a pipe or a file as many as anybody wants."""
    console = stdout_console()
    return console.width if console.is_terminal else _ENDLESS


def show(renderable: RenderableType) -> None:
    """Print to stdout; into a pipe or a file as wide as it needs, so that `grep` finds whole lines."""
    console = stdout_console()
    if not console.is_terminal:
        widest = console.measure(renderable, options=console.options.update(width=_ENDLESS)).maximum
        console.width = max(console.width, widest)
    console.print(renderable)


def show_line(text: str) -> None:
    """Print one line to stdout that no terminal's width breaks, to be copied."""
    sys.stdout.write(escaped(text) + "\n")


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Collection[str] = (),
    title: str | None = None,
    widths: Sequence[int | None] = (),
    header: bool = True,
) -> None:
    """Print a table to stdout; the columns named in `numbers` are right-aligned. None is an empty cell.

    Cells are shown as they are, control characters escaped; a rich Text keeps its style. A table that comes in parts
    has `widths` given beforehand, and its header only above the first part.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, show_edge=False, show_header=header
    )
    for column, width in zip_longest(columns, widths):
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold", width=width)
    for row in rows:
        table.add_row(*(c if isinstance(c, Text) else Text(escaped(str(c if c is not None else ""))) for c in row))
    show(table)


def show_rows(rows: Sequence[Mapping[str, Field]], as_json: bool) -> None:
    """Rows of the same columns as JSON, or as a table with numbers to the right; nothing to show for no rows."""
    if as_json:
        return show_json(rows)
    if not rows:
        return None
    columns = {name: name.replace("_", " ") for name in rows[0]}
    numbers = {
        columns[name]
        for row in rows
        for name, field in row.items()
        if isinstance(field, int | float) and not isinstance(field, bool)
    }
    return show_table(list(columns.values()), [[_cell(row[name]) for name in columns] for row in rows], numbers=numbers)


def _cell(field: Field) -> str | None:
    if isinstance(field, bool):
        return "yes" if field else "no"
    return f"{field:,}" if isinstance(field, int | float) else field


def show_json(value: object) -> None:
    """Print one indented JSON value to stdout. A NaN in it is our bug and raises ValueError."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def progress(state: State) -> Progress:
    """Who watches long work: a bar on a terminal, else a line every five seconds, nobody with --quiet."""
    if state.quiet:
        return Silent()
    return Bar() if can_draw() else Lines()


def can_draw() -> bool:
    """Whether stderr is a terminal where lines can be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


def close() -> None:
    """Take down bars that still stand because their work stopped early."""
    while _standing:
        _standing[-1]()


def stands(take_down: Callable[[], None]) -> None:
    """Something is being drawn, which `take_down` ends; it calls `fell` with itself."""
    _standing.append(take_down)


def fell(take_down: Callable[[], None]) -> None:
    """It is drawn no more."""
    _standing.remove(take_down)


def _facts(facts: dict[str, str | float]) -> str:
    return "  ".join(f"{name} {fact if isinstance(fact, str) else format(fact, '.4g')}" for name, fact in facts.items())


def _pause(seconds: float, why: str) -> str:
    return f"waiting {seconds:.0f} s: {escaped(why)}"


class Bar:
    """Progress on a terminal: what, bar, done of total, rate, time left, facts."""

    def __init__(self) -> None:
        self.console = stderr_console()
        self._bar: rich.progress.Progress | None = None
        self._task: Any = None

    def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:
        """Draw a new bar."""
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        self.end()
        self._bar = Progress(
            SpinnerColumn("line", finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[facts]}", markup=False),
            console=self.console,
            refresh_per_second=4,
            redirect_stdout=False,  # results keep going where they belong
        )
        self._meter = _Meter(total, unit)
        self._known: dict[str, str | float] = {}
        self._task = self._bar.add_task(escaped(what), total=total, count="", facts="")
        self._drawn = 0.0
        self._bar.start()
        stands(self.end)

    def advance(self, units: int = 1, **facts: str | float) -> None:
        """Move the bar, though not more often than eyes can follow."""
        if self._bar is None:
            return
        self._meter.add(units)
        self._known = facts or self._known
        if time.monotonic() - self._drawn >= DRAW_SECONDS:
            self._draw(self._bar)

    def waiting(self, seconds: float, why: str) -> None:
        """Say so beside what is known."""
        if self._bar is not None and time.monotonic() - self._drawn >= DRAW_SECONDS:
            self._draw(self._bar, _pause(seconds, why))

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(escaped(text), soft_wrap=True)

    def end(self) -> None:
        """Leave the bar as it is and let the next line follow."""
        if self._bar is not None:
            bar, self._bar = self._bar, None
            self._draw(bar)
            bar.stop()
            fell(self.end)

    def _draw(self, bar: rich.progress.Progress, pause: str = "") -> None:
        self._drawn = time.monotonic()
        facts = f"{_facts(self._known)}  {pause}".strip()
        bar.update(self._task, completed=self._meter.done, count=self._meter.count(), facts=facts)


class Lines:
    """Progress in a log: at most one plain line every five seconds."""

    def __init__(self) -> None:
        self._meter: _Meter | None = None

    def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:
        """Start counting."""
        self.end()
        self._what = what
        self._meter = _Meter(total, unit)
        self._last = time.monotonic()
        self._spoken = False
        self._known: dict[str, str | float] = {}

    def advance(self, units: int = 1, **facts: str | float) -> None:
        """Count, and speak when it is time."""
        if self._meter is None:
            return
        self._meter.add(units)
        self._known = facts or self._known
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._speak(self._meter)

    def waiting(self, seconds: float, why: str) -> None:
        """Speak of it when it is time."""
        if self._meter is not None and time.monotonic() - self._last >= LINE_SECONDS:
            self._speak(self._meter, _pause(seconds, why))

    def note(self, text: str) -> None:
        """Write the line."""
        write_line(text)

    def end(self) -> None:
        """Say how it ended when it was long enough to be spoken of."""
        if self._meter is not None and self._spoken:
            self._speak(self._meter)
        self._meter = None

    def _speak(self, meter: _Meter, pause: str = "") -> None:
        self._last = time.monotonic()
        self._spoken = True
        write_line(f"{self._what}: {meter.count()}  {f'{_facts(self._known)}  {pause}'.strip()}".rstrip())


class _Meter:
    """Units done since the start, and how fast."""

    def __init__(self, total: int | None, unit: str) -> None:
        self.done = 0
        self._total = total
        self._unit = unit
        self._started = time.monotonic()

    def add(self, units: int) -> None:
        self.done += units

    def count(self) -> str:
        """`1,200 of 3,000 papers, 450/s`."""
        of = "" if self._total is None else f" of {self._total:,}"
        rate = self.done / max(time.monotonic() - self._started, 1e-3)
        return f"{self.done:,}{of} {self._unit}, {format(rate, ',.0f' if rate >= _SLOW else '.2g')}/s"
