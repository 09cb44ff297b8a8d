"""Folders of papers: the files in them that are papers by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arxivcli.errors import InputError
from arxivcli.storage import LOCK, PARTIAL, require_free

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

_PAPERS = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"}
_PACKED = {".gz", ".zst"}
_MADE = ("manifest.json", "model.json", ".staging")
"""What folders hold that were made from papers."""


def spread(sources: Iterable[Path]) -> list[Path]:
    """The paths, folders replaced by the files of papers in and below them, sorted.

    Hidden files and folders, corpora and models, and what is still being written, are left out. A zip counts as papers
    when its name says nothing else, as the snapshot's does.

    Raises:
        InputError: A folder has no file of papers.
        StorageError: Another process is at work in a folder, a fetch perhaps, or in one below it.
    """
    found: list[Path] = []
    for source in sources:
        found += _inside(source) if source.is_dir() else [source]
    return found


def _inside(folder: Path) -> list[Path]:
    some, _ = parted(folder, _PAPERS)
    if not some:
        raise InputError(
            f"{folder} has no file of papers in it", f"{', '.join(sorted(_PAPERS))} and .zip are looked for"
        )
    return some


def parted(folder: Path, suffixes: Collection[str]) -> tuple[list[Path], list[Path]]:
    """The files in and below a folder that are papers by their suffixes, and the others, both sorted; see `spread`.

    Raises StorageError when another process is at work there.
    """
    found = sorted(folder.rglob("*"))
    for path in found:
        if path.name == LOCK:
            require_free(path.parent)
    made = {path.parent for path in found if path.name in _MADE}
    seen = [path for path in found if path.is_file() and made.isdisjoint(path.parents)]
    seen = [path for path in seen if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    papers = [path for path in seen if is_papers(path, suffixes)]
    there = set(papers)
    return papers, [path for path in seen if path not in there]


def is_papers(path: Path, suffixes: Collection[str]) -> bool:
    """Whether a file is papers by its suffixes, packed or not, and not still being written."""
    own = [suffix.lower() for suffix in path.suffixes]
    if PARTIAL in own:
        return False
    if own[-1:] == [".zip"]:
        return True
    if own and own[-1] in _PACKED:
        own.pop()
    return own[-1:] != [] and own[-1] in suffixes
