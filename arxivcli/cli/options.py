"""What several commands ask for in the same words."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arxivcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERYWHERE = ("--debug", "--quiet", "-q")
"""Global flags that may stand anywhere on the command line, also after the command."""

Level = Literal["category", "archive", "group"]
"""The levels of `taxonomy.Level`, spelled again because the taxonomy needs pyarrow and `--help` does not."""

LevelOption = Annotated[Level, typer.Option("--level", help="How fine the answer is.")]
Device = Literal["auto", "cpu", "cuda", "mps", "xpu"]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute; auto takes a GPU if there is one.")]
ScoringDevice = Literal["auto", "cpu", "cpu-int8", "cuda", "mps", "xpu"]
ScoringDeviceOption = Annotated[
    ScoringDevice,
    typer.Option(
        "--device",
        help="Where to compute; auto takes a GPU if there is one, cpu-int8 rounds a transformer for the CPU to 8 bits.",
    ),
]
_CLUSTER = "Where the work is done"
EngineOption = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="Processes of this machine, or a Ray cluster.", rich_help_panel=_CLUSTER),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        envvar="RAY_ADDRESS",
        show_envvar=True,
        help="Head of the cluster: auto, or HOST:PORT.",
        show_default="a new one, of this machine",
        rich_help_panel=_CLUSTER,
    ),
]
BY_ID = "Papers by arXiv id"
PaceOption = Annotated[
    float,
    typer.Option(
        "--pace",
        min=0,
        envvar="ARXIVCLI_PACE",
        help="Seconds between requests; arXiv asks for 3.",
        rich_help_panel=BY_ID,
    ),
]
ContactOption = Annotated[
    str | None,
    typer.Option(
        "--contact", envvar="ARXIVCLI_CONTACT", help="Your mail address, told to arXiv.", rich_help_panel=BY_ID
    ),
]
ApiUrlOption = Annotated[
    str | None,
    typer.Option("--api-url", envvar="ARXIVCLI_API_URL", help="Another query API.", rich_help_panel=BY_ID),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@dataclass(frozen=True)
class State:
    """What was said before the command: show tracebacks, show no progress."""

    debug: bool = False
    quiet: bool = False


def state(context: typer.Context) -> State:
    """The global options in force for this command."""
    return context.find_object(State) or State()


def require_ray() -> None:
    """Raises UsageError where the extra `cluster` is not installed."""
    if find_spec("ray") is None:
        raise UsageError("--engine ray needs Ray, which is not installed", "pip install 'arxivcli[cluster]'")


def hoisted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The global flags wherever they stand, and the other arguments; what follows `--` are names, not flags."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = [argument for argument in arguments[:end] if argument in EVERYWHERE]
    rest = [argument for argument in arguments[:end] if argument not in EVERYWHERE]
    return flags, [*rest, *arguments[end:]]
