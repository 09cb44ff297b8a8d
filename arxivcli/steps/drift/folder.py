"""The report's folder: drift.json, and nothing of anybody else's touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from arxivcli import reports, storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from arxivcli.steps.drift.report import Drift

FILE: Final = "drift.json"
COMMAND: Final = "arxivcli drift"


def require_ours(folder: Path) -> None:
    """Raises UsageError when the folder is none, or holds what no earlier comparison left under our names."""
    reports.require_ours(folder, COMMAND, {FILE: _ours})


def _ours(path: Path) -> bool:
    return {"verdict", "findings"} <= (reports.json_object(path) or {}).keys()


def save(report: Drift, folder: Path, draw: Callable[[Drift, Path], None] | None = None) -> Path:
    """Write all of the report into a folder, which is made, and let `draw` add to it while it is ours.

    Raises:
        UsageError: the folder is somebody else's.
        StorageError: it cannot be written, or another process works in it.
    """
    require_ours(folder)
    with storage.owned(folder):
        reports.outdate(folder)
        storage.write_whole(folder / FILE, orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
        if draw is not None:
            draw(report, folder)
    return folder / FILE
