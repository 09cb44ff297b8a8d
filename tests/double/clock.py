"""The time of the servers."""

from __future__ import annotations

import datetime as dt


class Clock:
    """What time the servers think it is: the machine's, or any other once `set`."""

    def __init__(self) -> None:
        self._ahead = dt.timedelta(0)
        self._fixed: dt.datetime | None = None

    def now(self) -> dt.datetime:
        """UTC, whole seconds."""
        return ((self._fixed or dt.datetime.now(dt.UTC)) + self._ahead).replace(microsecond=0)

    def set(self, now: dt.datetime | None) -> None:
        """Stand still at a moment (UTC); None goes back to the machine's time."""
        self._fixed, self._ahead = now and now.replace(tzinfo=now.tzinfo or dt.UTC), dt.timedelta(0)

    def advance(self, **span: float) -> None:
        """Move on: `advance(hours=13)`."""
        self._ahead += dt.timedelta(**span)
