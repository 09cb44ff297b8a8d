"""Fetching: arXiv's metadata into a folder, from whichever of its servers, politely, and resumable at any moment."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from arxivcli import storage
from arxivcli.errors import StoppedError
from arxivcli.progress import Progress, Silent
from arxivcli.sources.web import Manners
from arxivcli.steps.fetching.copying import by_snapshot
from arxivcli.steps.fetching.harvest import by_oai
from arxivcli.steps.fetching.naming import by_identifiers
from arxivcli.steps.fetching.orders import Report, Source, Wanted
from arxivcli.steps.fetching.searching import by_search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Way = Callable[[Wanted, Path, Manners, Progress, bool, bool], Report]

__all__ = ["Manners", "Report", "Wanted", "fetch"]

_GOES_ON = "what was fetched is kept: the same command goes on"

_WAYS: dict[Source, Way] = {"snapshot": by_snapshot, "oai": by_oai, "api": by_search}


def fetch(
    wanted: Wanted,
    folder: Path,
    manners: Manners | None = None,
    progress: Progress | None = None,
    *,
    restart: bool = False,
    check: bool = True,
) -> Report:
    """Fetch into a folder; the same call continues an interrupted one, and later brings in what is new.

    Args:
        wanted: What.
        folder: Where; see `raw`.
        manners: How to behave towards the server.
        progress: Who watches.
        restart: Forget how far an earlier run came; merged papers stay.
        check: Whether to compare with what the server says there is, and to fetch what was missed.

    Raises:
        UsageError: There is no such set, day, query, ...
        RemoteError: The server refuses, or failed for too long.
        StorageError: Disk full, or the folder belongs to another process.
        StoppedError: Interrupted.
    """
    way = by_identifiers if wanted.identifiers else _WAYS[wanted.source]
    with storage.owned(folder), _resumable():
        return way(wanted, folder, manners or Manners(), progress or Silent(), restart, check)


@contextmanager
def _resumable() -> Iterator[None]:
    """Interruptions say that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError("interrupted", _GOES_ON, signal.SIGINT) from None
    except StoppedError as error:
        raise StoppedError(error.what, _GOES_ON, error.signal_number) from None
