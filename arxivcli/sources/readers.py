"""The shelf of readers and writers that need a library of their own, which most runs never meet."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from arxivcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from arxivcli.sources.fields import Columns
    from arxivcli.sources.readings import Reading
    from arxivcli.sources.streams import Stream

    Reader = Callable[[Stream, Columns, int], Iterator[Reading]]
    Marker = Callable[[bytes, Sequence[str]], bytes]

_SHELF = {
    "bib": "arxivcli.sources.bibtex:read_bib",
    "ris": "arxivcli.sources.ris:read_ris",
    "pdf": "arxivcli.sources.pdf:read_pdf",
    "sqlite": "arxivcli.sources.sqlite:read_sqlite",
}


def reader(format: str) -> Reader | None:  # noqa: A002
    """What reads that format; None for those that everybody reads.

    Raises UsageError when its library is an extra that is not installed.
    """
    if format not in _SHELF:
        return None
    try:
        return cast("Reader", _taken(_SHELF[format]))
    except ModuleNotFoundError as error:
        if error.name != "pypdf":
            raise
        raise UsageError("reading PDF needs pypdf, which is not installed", "pip install 'arxivcli[pdf]'") from error


def bib_marker() -> Marker:
    """What writes categories into BibTeX entries: `bibtex_answers.marked`."""
    return cast("Marker", _taken("arxivcli.sources.bibtex_answers:marked"))


def _taken(path: str) -> object:
    module, name = path.split(":")
    return getattr(import_module(module), name)
