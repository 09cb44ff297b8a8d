"""A look at this machine and this installation: what is there, what does not fit, and the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from arxivcli import __version__, storage
from arxivcli.errors import ArxivcliError, FolderError, StorageError
from arxivcli.learning import gauges, hardware, logins
from arxivcli.models import card as cards
from arxivcli.models import shelf
from arxivcli.progress import Silent
from arxivcli.sources.trouble import TransientError
from arxivcli.sources.web import Manners, Web

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

State = Literal["ok", "note", "warning", "broken"]

HUB_SECONDS = 5.0
"""How long the hub may take to answer."""

_FULL, _TIGHT = 100 << 20, 2 << 30
"""Free bytes below which nothing can be done, and below which not much."""

_OK, _ERRORS = 200, 400


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Attributes:
        check: What was looked at.
        state: ok; note: nothing is wrong, but good to know; warning: something works less well than it could; broken.
        found: What was found.
        mend: What to do, a command where there is one.
        error: Why the program cannot do its work, when the state is broken.
    """

    check: str
    state: State
    found: str
    mend: str = ""
    error: ArxivcliError | None = None

    def figures(self) -> dict[str, str]:
        """What people and programs are shown of it."""
        return {"check": self.check, "state": self.state, "found": self.found, "mend": self.mend}


def judge(findings: Sequence[Finding]) -> None:
    """Raises the error of the first thing that is broken."""
    for finding in findings:
        if finding.error is not None:
            raise finding.error


def examine() -> Iterator[Finding]:
    """One finding after the other; nothing is changed, and the network is asked only whether the hub is there."""
    hub = _Hub()
    hub.start()
    yield Finding("arxivcli", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    yield Finding("python", "ok", f"{platform.python_version()} in {sys.prefix}")
    yield _machine()
    yield from _pytorch()
    yield _builtin()
    yield Finding("wandb", *logins.login())
    yield hub.finding()
    yield from _disks({"disk here": Path.cwd(), "disk of caches": storage.cache_folder()})
    yield from _caches()


def _machine() -> Finding:
    memory = gauges.host()()[0].memory_total
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding(
        "machine", "ok", f"{platform.system()} {platform.machine()}, {cores} cores, {_size(memory or 0)} RAM"
    )


def _pytorch() -> Iterator[Finding]:
    """The build, and whether it fits the GPUs."""
    try:
        build = hardware.build()
    except (ImportError, OSError) as error:
        why = " ".join(str(error).split())
        mend = hardware.install_line("auto")
        broken = FolderError(f"PyTorch cannot be loaded: {why}", f"install it again: {mend}")
        yield Finding("torch", "broken", why, mend, broken)
        return
    yield Finding("torch", "ok", f"{build.version}, {build.kind} build{f' ({build.runtime})' if build.runtime else ''}")
    verdict = hardware.verdict(hardware.hardware(), build)
    driver = gauges.nvidia_driver()
    says = verdict.says + (f" (NVIDIA driver {driver})" if driver else "")
    yield Finding("gpu", "ok" if verdict.fits else "warning", says, verdict.mend)


def _builtin() -> Finding:
    """The model of the package, every file against its hash."""
    place = shelf.folder(shelf.BUILTIN)
    try:
        card = cards.read(place)
    except FolderError as error:
        mend = "install arxivcli again"
        return Finding("built-in model", "broken", error.what, mend, FolderError(error.what, mend))
    size = sum((place / name).stat().st_size for name in card.files)
    return Finding("built-in model", "ok", f"{len(card.labels)} labels, {_size(size)}, {len(card.files)} hashes right")


class _Hub(threading.Thread):
    """Asks the Hugging Face hub for a sign of life while other things are looked at."""

    def __init__(self) -> None:
        super().__init__(name="hub", daemon=True)
        from huggingface_hub import constants  # noqa: PLC0415  its settings come from the environment, at import

        self._address, self._offline = constants.ENDPOINT, constants.is_offline_mode()
        self._deadline = time.monotonic() + HUB_SECONDS
        self._said: Finding | None = None

    def run(self) -> None:
        if not self._offline:
            self._said = self._asked()

    def _asked(self) -> Finding:
        began = time.monotonic()
        try:
            manners = Manners(pace=0.0, timeout=HUB_SECONDS)
            with (
                Web(f"{self._address}/api/models", manners, Silent()) as web,
                web.opened(str(web.base), {"limit": "1"}) as response,
            ):
                status = response.status_code
        except (TransientError, ArxivcliError) as error:
            return self._unreachable(getattr(error, "what", str(error)))
        if status >= _ERRORS:
            return self._unreachable(f"{self._address} answers with status {status}")
        return Finding("hub", "ok", f"{self._address} answers in {time.monotonic() - began:.1f} s")

    def _unreachable(self, why: str) -> Finding:
        mend = "check the network, HF_ENDPOINT and the proxy; a folder with an encoder does as well: --encoder FOLDER"
        return Finding("hub", "warning", why, mend)

    def finding(self) -> Finding:
        """What came of it, waited for no longer than it may take."""
        if self._offline:
            return Finding("hub", "note", "not asked: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE")
        self.join(max(0.0, self._deadline - time.monotonic()))
        return self._said or self._unreachable(f"{self._address} does not answer within {HUB_SECONDS:g} s")


def _disks(places: dict[str, Path]) -> Iterator[Finding]:
    for check, place in places.items():
        there = next(path for path in (place, *place.parents) if os.path.exists(path))  # noqa: PTH110  Path.exists raises where it may not look
        free = shutil.disk_usage(there).free
        found = f"{place}: {_size(free)} free"
        mend = "free some space" if check == "disk here" else "free some space, or set XDG_CACHE_HOME to another disk"
        if free < _FULL:
            yield Finding(check, "broken", found, mend, StorageError(f"the disk of {place} is full", mend))
        elif not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            yield Finding(
                check, "warning", f"{place}: cannot be written", mend.replace("free some space", "go elsewhere")
            )
        else:
            yield Finding(check, "warning" if free < _TIGHT else "ok", found, mend if free < _TIGHT else "")


def _caches() -> Iterator[Finding]:
    """Folders that may be deleted at any time, and what they hold."""
    from huggingface_hub import constants  # noqa: PLC0415

    folders = {
        "cache of arxivcli": storage.cache_folder(),
        "cache of the hub": Path(constants.HF_HUB_CACHE),
        "cache of wandb": logins.cache_folder(),
    }
    for check, folder in folders.items():
        there = os.path.isdir(folder)  # noqa: PTH112  see above
        yield Finding(check, "ok", f"{folder}: {_size(_bytes(folder)) if there else 'empty'}")


def _bytes(folder: Path) -> int:
    """Bytes below a folder, links not followed; what goes away meanwhile, or may not be read, does not count."""
    return sum(_length(Path(place, name)) for place, _, names in os.walk(folder) for name in names)


def _length(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"  # noqa: PLR2004
