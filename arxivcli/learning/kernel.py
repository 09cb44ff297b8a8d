"""What Linux says of devices in files; nothing where it says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def entries(folder: Path) -> list[Path]:
    """What a folder of the kernel's holds, sorted; nothing when it is not there or goes away."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def line(path: Path) -> str:
    """What a file of the kernel's says; nothing when it is not there, or its driver does not answer."""
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
