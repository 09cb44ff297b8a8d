"""From what somebody names on the command line to what papers are read from."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from arxivcli.cli import console
from arxivcli.errors import InputError, UsageError
from arxivcli.sources import arguments
from arxivcli.sources.arguments import STDIN, Identifier, Reached
from arxivcli.sources.files import SUFFIXES, detect, opened, telling_suffix
from arxivcli.sources.pieces import Named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arxivcli.cli.options import State
    from arxivcli.sources.named import Papers
    from arxivcli.sources.readings import Reading

PATIENCE = 60.0
"""Seconds of trouble after which papers named by id are given up: somebody waits for the answers."""


@dataclass(frozen=True)
class Online:
    """How papers named by id are asked for."""

    url: str | None
    pace: float
    contact: str | None


def found(
    names: Sequence[str], output: Path | None, online: Online, state: State
) -> list[Path | BinaryIO | Reached | Named]:
    """The sources that the names mean, in their order. Raises as `arguments.sorted_out`."""
    meant = arguments.sorted_out(names, output, partial(console.note, state))
    identifiers = [one.id for one in meant if isinstance(one, Identifier)]
    papers = _asked(identifiers, online, state) if identifiers else None
    sources: list[Path | BinaryIO | Reached | Named] = []
    for by_id, some in groupby(meant, lambda one: isinstance(one, Identifier)):
        if by_id and papers:
            sources.append(papers.some([one.id for one in some if isinstance(one, Identifier)]))
        else:
            files = (one for one in some if not isinstance(one, Identifier))
            sources += [sys.stdin.buffer if one == STDIN else one for one in files]
    return sources


def asked(name: str, online: Online, state: State) -> Reading:
    """One paper by its id or address.

    Raises:
        InputError: that is no id, or no paper has it.
        RemoteError: arXiv cannot be asked.
    """
    identifier = arguments.identifier(name)
    if identifier is None:
        raise InputError(f"{name} is no arXiv id", "give one like 2401.01234 or hep-th/0409001")
    [reading] = _asked([identifier], online, state).readings([identifier])
    if reading.errors.null_count == 0:
        raise InputError(f"{identifier}: {reading.errors[0]}", "check its number")
    return reading


def files(sources: Sequence[Path | BinaryIO | Reached | Named]) -> list[Path]:
    """The sources when all are files, which can be read again. Raises UsageError for others."""
    found = []
    for source in sources:
        path = source.path if isinstance(source, Reached) else source
        if path is sys.stdin.buffer:
            raise UsageError(
                "--resume needs files it can read again, not standard input", "save the papers to a file first"
            )
        if not isinstance(path, Path):
            raise UsageError(
                "--resume needs papers that stay as they are, and arXiv's may change",
                "fetch them first: arxivcli fetch ID ...",
            )
        found.append(path)
    return found


def require_libraries(sources: Sequence[Path | BinaryIO | Reached | Named], format: str | None) -> None:  # noqa: A002
    """Raises UsageError when one of them is no BibTeX, before any is answered; pipes show that when they are read."""
    for source in sources:
        path = source.path if isinstance(source, Reached) else source
        if isinstance(path, Path) and path.is_file():
            with (
                suppress(InputError),
                opened(path) as stream,
            ):  # what cannot be read is said, or passed over, in its turn
                if (format or detect(stream)) != "bib":
                    raise UsageError(f"{path} is no BibTeX, whose entries could come back", "use --format jsonl")
        elif isinstance(path, Named):
            raise UsageError("papers named by id are no BibTeX, whose entries could come back", "use --format jsonl")


def mixed(sources: Sequence[Path | BinaryIO | Reached | Named]) -> bool:
    """Whether they are of several kinds, by their names, so that no single one says how the answers should look."""
    return len({kind(source) for source in sources}) > 1


def kind(source: Path | BinaryIO | Reached | Named) -> str:
    """What it is by its name."""
    path = source.path if isinstance(source, Reached) else source
    return SUFFIXES.get(telling_suffix(path.name), "") if isinstance(path, Path) else type(source).__name__


def _asked(identifiers: Sequence[str], online: Online, state: State) -> Papers:
    from arxivcli.sources.named import Papers
    from arxivcli.sources.web import Manners

    manners = Manners(online.pace, PATIENCE, PATIENCE / 2, online.contact)
    return Papers(identifiers, online.url, manners, console.progress(state))
