"""A report as files: one page, and its figures for papers and slides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from arxivcli import storage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from arxivcli.reporting.drawing import Figure
    from arxivcli.reporting.page import Page

PAGE, FIGURES, CAPTIONS = "report.html", "figures", "captions.json"


def write_page(page: Page, file: Path) -> None:
    """Write the page, whole or not at all. Raises StorageError."""
    storage.write_whole(file, page.html())


def write_report(page: Page, folder: Path) -> None:
    """Write `report.html` and the folder `figures` beside it; the page comes last, so it is there when all is.

    Raises StorageError.
    """
    with storage.storage_errors(folder / PAGE):
        (folder / PAGE).unlink(missing_ok=True)  # it would tell of other figures than those beside it
    save_figures(page.figures(), folder / FIGURES)
    write_page(page, folder / PAGE)


def save_figures(figures: Iterable[Figure], folder: Path) -> None:
    """Write each figure as .svg and .png, and what they show as `captions.json`, each whole or not at all.

    Files that an earlier report left here and this one has no more are removed; a stranger's stay. Raises StorageError.
    """
    found = list(figures)
    captions = {figure.name: {"title": figure.title, "says": figure.says} for figure in found}
    with storage.storage_errors(folder):
        for name in _earlier(folder) - captions.keys():
            for kind in ("svg", "png"):
                (folder / f"{name}.{kind}").unlink(missing_ok=True)
    for figure in found:
        storage.write_whole(folder / f"{figure.name}.svg", figure.svg())
        storage.write_whole(folder / f"{figure.name}.png", figure.png())
    listed = json.dumps(captions, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
    storage.write_whole(folder / CAPTIONS, listed + b"\n")


def _earlier(folder: Path) -> set[str]:
    """Names of the figures an earlier report left; none where its list is missing or is none."""
    try:
        known = json.loads((folder / CAPTIONS).read_bytes())
    except (FileNotFoundError, ValueError):
        return set()
    return {name for name in known if "/" not in name} if isinstance(known, dict) else set()
