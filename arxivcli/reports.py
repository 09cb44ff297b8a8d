"""A report's page and figures as files: what they are called, which command made them, and that nobody else's go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from arxivcli import storage
from arxivcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PAGE, FIGURES, CAPTIONS = "report.html", "figures", "captions.json"
KINDS: Final = ("svg", "png")
"""Of the files a figure is saved as."""

_OTHERS: Final = {"model.json": "a model folder", "manifest.json": "a corpus folder"}
_HINT: Final = "choose another --output"
_HEAD: Final = 2048  # bytes of a page among which its maker is named


def maker(command: str, version: str) -> str:
    """What a page names as its generator."""
    return f"{command} {version}"


def require_ours(folder: Path, command: str, files: Mapping[str, Callable[[Path], bool]]) -> None:
    """Raises UsageError when the folder is none, holds a model or a corpus, or what somebody else put there.

    Args:
        folder: where a report shall be written; it need not exist.
        command: the one whose earlier report may be replaced, as "arxivcli eval".
        files: names of the command's other files, and what tells whether one that is there is of an earlier report.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder", _HINT)
    for name, what in _OTHERS.items():
        if (folder / name).exists():
            raise UsageError(f"{folder} is {what}", _HINT)
    figures = folder / FIGURES
    if figures.exists() and not figures.is_dir():
        raise UsageError(f"{figures} is a file, not a folder", _HINT)
    foreign = _page(folder / PAGE, command) or _captions(figures / CAPTIONS) or _drawings(figures)
    if foreign is None:
        there = ((folder / name, ours) for name, ours in files.items() if (folder / name).exists())
        foreign = next((path for path, ours in there if not ours(path)), None)
    if foreign is not None:
        raise UsageError(f"{foreign} was not written by {command}", _HINT)


def _page(page: Path, command: str) -> Path | None:
    """The page, when it is there and another's."""
    if not page.exists():
        return None
    try:
        with page.open("rb") as file:
            ours = f'<meta name="generator" content="{maker(command, "")}'.encode() in file.read(_HEAD)
    except OSError:
        ours = False
    return None if ours else page


def _captions(captions: Path) -> Path | None:
    return captions if captions.exists() and known_figures(captions.parent) is None else None


def _drawings(figures: Path) -> Path | None:
    """An image in a folder of which no list tells that a report left it."""
    if known_figures(figures) is not None:
        return None
    return next((path for kind in KINDS for path in sorted(figures.glob(f"*.{kind}"))), None)


def known_figures(figures: Path) -> frozenset[str] | None:
    """Names of the figures a report left in its folder `figures`; None where its list is missing or is none."""
    known = json_object(figures / CAPTIONS)
    if known is None or not all(isinstance(said, dict) and "says" in said for said in known.values()):
        return None
    return frozenset(name for name in known if "/" not in name)


def json_object(path: Path) -> dict[str, Any] | None:
    """What a file of a JSON object says; None when it is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def outdate(folder: Path) -> None:
    """Remove the page: it tells of other figures than those that are about to be beside it. Raises StorageError."""
    with storage.storage_errors(folder / PAGE):
        (folder / PAGE).unlink(missing_ok=True)
