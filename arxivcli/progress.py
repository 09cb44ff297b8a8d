"""What long work tells whoever is watching; the console draws it, a test counts it, silence is `Silent`."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A watcher of long work. Calls are cheap and may come from one thread only."""

    def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:
        """A new stretch of work starts; `total` units are expected, None when nobody knows."""

    def advance(self, units: int = 1, **facts: str | float) -> None:
        """`units` more are done; `facts` are shown beside the bar (loss, rate, ...)."""

    def waiting(self, seconds: float, why: str) -> None:
        """Nothing will be done for so long; said again while the time passes."""

    def note(self, text: str) -> None:
        """A line people should see, once."""

    def end(self) -> None:
        """The stretch is over."""


class Silent:
    """A watcher that shows nothing."""

    def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:
        """Show nothing."""

    def advance(self, units: int = 1, **facts: str | float) -> None:
        """Show nothing."""

    def waiting(self, seconds: float, why: str) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""
