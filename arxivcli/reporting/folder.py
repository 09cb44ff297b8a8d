"""A report as files: one page, and its figures for papers and slides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from arxivcli import reports, storage
from arxivcli.progress import Progress, Silent
from arxivcli.reports import CAPTIONS, FIGURES, KINDS, PAGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from arxivcli.reporting.drawing import Figure
    from arxivcli.reporting.page import Page


def write_page(page: Page, file: Path) -> None:
    """Write the page, whole or not at all. Raises StorageError."""
    storage.write_whole(file, page.html())


def write_report(page: Page, folder: Path, progress: Progress | None = None) -> None:
    """Write `report.html` and the folder `figures` beside it; the page comes last, so it is there when all is.

    Raises StorageError.
    """
    progress = progress or Silent()
    figures = list(page.figures())
    reports.outdate(folder)
    progress.begin("drawing figures", len(figures), "figures")
    inlined = {}
    announce(figures, folder / FIGURES)
    for figure in figures:
        save_figure(figure, folder / FIGURES)
        inlined[figure.name] = figure.inline()
        progress.advance()
    storage.write_whole(folder / PAGE, page.html(inlined))
    progress.end()


def save_figures(figures: Sequence[Figure], folder: Path) -> None:
    """Write each figure as .svg and .png, and what they show as `captions.json`, each whole or not at all.

    Files that an earlier report left here and this one has no more are removed; a stranger's stay. Raises StorageError.
    """
    announce(figures, folder)
    for figure in figures:
        save_figure(figure, folder)


def announce(figures: Sequence[Figure], folder: Path) -> None:
    """Remove what an earlier report left that is none of these figures, and list them as `captions.json`.

    Before any is drawn: so a report that was cut short still knows its own. Raises StorageError.
    """
    captions = {figure.name: {"title": figure.title, "says": figure.says} for figure in figures}
    with storage.storage_errors(folder):
        for name in (reports.known_figures(folder) or frozenset()) - captions.keys():
            for kind in KINDS:
                (folder / f"{name}.{kind}").unlink(missing_ok=True)
    listed = json.dumps(captions, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
    storage.write_whole(folder / CAPTIONS, listed + b"\n")


def save_figure(figure: Figure, folder: Path) -> None:
    """Write a figure as .svg and .png, each whole or not at all. Raises StorageError."""
    storage.write_whole(folder / f"{figure.name}.svg", figure.svg())
    storage.write_whole(folder / f"{figure.name}.png", figure.png())
