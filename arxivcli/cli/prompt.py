"""What somebody types at a terminal, line by line, with arrow keys and a history that outlives the session."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from arxivcli import storage

if TYPE_CHECKING:
    from types import ModuleType

HISTORY = "ARXIVCLI_HISTORY"
"""Environment variable that names the file of the history; empty, no history is kept."""

_MOST_KEPT = 1_000


def ask(question: str) -> str | None:
    """One line without its end, or several where they were pasted as one; None at the end of input.

    The question goes to stderr when stdout is no terminal.
    """
    if not sys.stdout.isatty():
        say(question)
        line = sys.stdin.readline()
        return line.removesuffix("\n") if line else None
    try:
        return input(question)
    except EOFError:
        return None


def paragraph(question: str, more: str) -> str:
    """Lines up to an empty one or the end of input."""
    lines: list[str] = []
    while line := (ask(more if lines else question) or "").strip():
        lines.append(line)
    return "\n".join(lines)


def pasted(question: str) -> str:
    """Lines up to a single dot or the end of input, empty ones among them."""
    lines: list[str] = []
    while (line := ask(question)) is not None and line.strip() != ".":
        lines.append(line)
    return "\n".join(lines)


def say(text: str) -> None:
    """To stderr, at once."""
    sys.stderr.write(text)
    sys.stderr.flush()


class Lines:
    """The line editor, where Python has one: arrow keys, a history, lines longer than a terminal's 4,096 bytes."""

    def __init__(self) -> None:
        self._editor = _editor()
        self._file = _history_file() if self._editor else None
        for line in self._kept():
            if self._editor:
                self._editor.add_history(line)

    def began(self) -> bool:
        """Whether something stood on the line that Ctrl-C has just cancelled."""
        return bool(self._editor and self._editor.get_line_buffer().strip())

    def keep(self, line: str) -> None:
        """Remember a line for the next session. Without a folder that can be written there is no next one to tell."""
        if self._file is None or not line.strip():
            return
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            number = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(number, "w", encoding="utf-8", errors="replace") as file:
                os.fchmod(number, 0o600)
                file.write(" ".join(line.split()) + "\n")

    def _kept(self) -> list[str]:
        """What earlier sessions remember; a file that has grown to twice what is kept is cut back."""
        if self._file is None:
            return []
        try:
            lines = self._file.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return []
        if len(lines) > 2 * _MOST_KEPT:
            with suppress(OSError):  # then it is cut back another time
                shorter = self._file.with_name(f"{self._file.name}{storage.PARTIAL}")
                shorter.touch(0o600)
                shorter.write_text("\n".join(lines[-_MOST_KEPT:]) + "\n", "utf-8")
                shorter.replace(self._file)
        return lines[-_MOST_KEPT:]


def _editor() -> ModuleType | None:
    if not sys.stdout.isatty():
        return None
    try:
        import readline
    except ImportError:
        return None
    return readline


def _history_file() -> Path | None:
    named = os.environ.get(HISTORY)
    if named is None:
        return storage.state_folder() / "history"
    return Path(named).expanduser() if named else None
