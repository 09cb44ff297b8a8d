"""A conversation at a terminal: a title and an abstract in, an answer out, until Ctrl-D."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WELCOME = "Title, then abstract (paste as many lines as you like; an empty line ends it). Ctrl-D leaves."
_TITLE, _ABSTRACT, _MORE = "Title: ", "Abstract: ", "... "


def converse(answer: Callable[[str, str], object], *, quiet: bool) -> None:
    """Ask for papers and answer them until the end of input.

    A title of spaces is asked for again; a title that is left out altogether is a paper of an abstract alone.
    """
    _edit_lines()
    if not quiet:
        _say(f"{WELCOME}\n")
    while (title := _ask(_TITLE)) is not None:
        if title.isspace():
            continue
        abstract = _paragraph()
        if title.strip() or abstract.strip():
            answer(title, abstract)
        _say("\n")
    _say("\n")


def _paragraph() -> str:
    """Lines up to an empty one or the end of input."""
    lines: list[str] = []
    while line := (_ask(_MORE if lines else _ABSTRACT) or "").strip():
        lines.append(line)
    return "\n".join(lines)


def _ask(question: str) -> str | None:
    """One line without its end; None at the end of input. The question goes to stderr when stdout is no terminal."""
    if not sys.stdout.isatty():
        _say(question)
        line = sys.stdin.readline()
        return line.removesuffix("\n") if line else None
    try:
        return input(question)
    except EOFError:
        return None


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _edit_lines() -> None:
    """Arrow keys, history of this session, and lines longer than a terminal's 4,096 bytes, where Python has them."""
    try:
        import readline  # noqa: F401  importing it is what switches it on
    except ImportError:
        return
