"""What several commands ask for in the same words, and the answer to a name nobody knows."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arxivcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EVERYWHERE = ("--debug", "--quiet", "-q")
"""Global flags that may stand anywhere on the command line, also after the command."""

SOME = 12
"""How many names a hint lists at most."""

Level = Literal["category", "archive", "group"]
"""The levels of `taxonomy.Level`, spelled again because the taxonomy needs pyarrow and `--help` does not."""

LevelOption = Annotated[Level, typer.Option("--level", help="How fine the answer is.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@dataclass(frozen=True)
class State:
    """What was said before the command: show tracebacks, show no progress."""

    debug: bool = False
    quiet: bool = False


def state(context: typer.Context) -> State:
    """The global options in force for this command."""
    return context.find_object(State) or State()


def hoisted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The global flags wherever they stand, and the other arguments; what follows `--` are names, not flags."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = [argument for argument in arguments[:end] if argument in EVERYWHERE]
    rest = [argument for argument in arguments[:end] if argument not in EVERYWHERE]
    return flags, [*rest, *arguments[end:]]


def one_of(name: str, known: Iterable[str], what: str) -> str:
    """`name` when it is known; else a UsageError that says what it should be and names the nearest known one."""
    names = list(known)
    if name in names:
        return name
    spellings = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), spellings, n=1, cutoff=0.5)
    listed = ", ".join(names[:SOME]) + (", ..." if len(names) > SOME else "")
    hint = f"did you mean {spellings[near[0]]}?" if near else f"choose one of {listed}"
    raise UsageError(f"no {what} is called {name!r}", hint)
