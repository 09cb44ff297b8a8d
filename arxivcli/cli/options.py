"""What several commands ask for in the same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERYWHERE = ("--debug", "--quiet", "-q")
"""Global flags that may stand anywhere on the command line, also after the command."""

Level = Literal["category", "archive", "group"]
"""The levels of `taxonomy.Level`, spelled again because the taxonomy needs pyarrow and `--help` does not."""

LevelOption = Annotated[Level, typer.Option("--level", help="How fine the answer is.")]
Device = Literal["auto", "cpu", "cuda", "mps", "xpu"]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute; auto takes a GPU if there is one.")]
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
