"""What people name on a command line, sorted out: files, folders, patterns, arXiv ids and addresses."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from arxivcli import taxonomy
from arxivcli.errors import InputError
from arxivcli.sources import entries, folders
from arxivcli.sources.files import SUFFIXES
from arxivcli.storage import RESUME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Stdin = Literal["-"]
STDIN: Stdin = "-"

_FEW = 3


@dataclass(frozen=True)
class Reached:
    """A file that nobody named: it was found in a folder, or by a pattern."""

    path: Path


@dataclass(frozen=True)
class Identifier:
    """An arXiv id without version."""

    id: str


def sorted_out(
    names: Sequence[str], output: Path | None, note: Callable[[str], None]
) -> list[Path | Reached | Identifier | Stdin]:
    """What the names mean, in their order.

    What exists under a name goes before what it would mean otherwise. Folders and patterns are the files of papers in
    them, sorted, each once, and none that is named too or is the `output`; `note` hears which others there are.

    Raises:
        InputError: A folder or a pattern has no file of papers, an address is not arXiv's.
        StorageError: Another process is at work in a folder.
    """
    named = {path.resolve() for name in names if _exists(path := Path(name)) and path.is_file()}
    seen = {*named, *([output.resolve()] if output else [])}
    found: list[Path | Reached | Identifier | Stdin] = []
    for name in names:
        path = Path(name)
        if name == STDIN:
            found.append(STDIN)
        elif _exists(path):
            found += _fresh(_in_folder(path, note), seen) if path.is_dir() else [path]
        elif known := identifier(name):
            found.append(Identifier(known))
        elif "://" in name:
            raise InputError(
                f"{name} is no address of an arXiv paper", "give one like https://arxiv.org/abs/2401.01234"
            )
        elif glob.has_magic(name):
            found += _fresh(_matching(name, note), seen)
        else:
            found.append(path)
    return found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have, such as a long title
        return False


def _fresh(paths: Sequence[Path], seen: set[Path]) -> Iterator[Reached]:
    for path in paths:
        if path.resolve() not in seen:
            seen.add(path.resolve())
            yield Reached(path)


def _in_folder(folder: Path, note: Callable[[str], None]) -> list[Path]:
    papers, others = folders.parted(folder, SUFFIXES)
    if not papers:
        raise InputError(f"{folder} has no file of papers in it", f"{', '.join(sorted(SUFFIXES))} and .zip are papers")
    _say(others, note)
    return papers


def _matching(pattern: str, note: Callable[[str], None]) -> list[Path]:
    matched = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207  absolute ones too
    papers: list[Path] = []
    others: list[Path] = []
    for path in matched:
        if path.is_dir():
            inside, rest = folders.parted(path, SUFFIXES)
            papers += inside
            others += rest
        else:
            (papers if folders.is_papers(path, SUFFIXES) else others).append(path)
    if not papers:
        raise InputError(
            f"no file of papers matches {pattern}" if matched else f"nothing matches {pattern}", "check the pattern"
        )
    _say(others, note)
    return papers


def _say(others: list[Path], note: Callable[[str], None]) -> None:
    others = [path for path in others if path.suffix != RESUME]
    if others:
        more = f" and {len(others) - _FEW:,} more" if len(others) > _FEW else ""
        note(f"left out, as no files of papers by their names: {', '.join(map(str, others[:_FEW]))}{more}")


def identifier(name: str) -> str | None:
    """The arXiv id a name means; `papers/0000001` is none, for arXiv never had an archive of that name."""
    found = entries.identifier_in(name)
    if found is None:
        return None
    archive, slash, _ = found.partition("/")
    return found if not slash or taxonomy.is_archive(archive) else None
