"""The snapshot, as it lies on the server: one file that `preprocess` reads without unpacking it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arxivcli.sources import snapshot
from arxivcli.sources.web import Manners, Web
from arxivcli.steps.fetching import orders
from arxivcli.steps.fetching.orders import Report, Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from arxivcli.progress import Progress


def by_snapshot(
    wanted: Wanted, folder: Path, manners: Manners, progress: Progress, restart: bool, check: bool
) -> Report:
    """The whole file, as `fetch` says; size and checksum are always checked."""
    del check
    if restart:
        snapshot.forget(folder)
    with Web(wanted.url or snapshot.DEFAULT_URL, manners, progress, snapshot.HOSTS) as web:
        found = snapshot.download(web, folder, progress)
    return Report(folder, found.file.name, orders.papers(folder), megabytes=found.size / 1e6, already=found.already)
