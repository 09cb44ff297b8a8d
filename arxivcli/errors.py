"""The exceptions people can meet, and the exit code each one ends the program with.

    ArxivcliError                 1
    ├── UsageError                2   an option, a name or a settings key that cannot be
    ├── InputError                3   what was given to read is no paper, no corpus, not that format
    ├── RemoteError               4   a server failed or refused; state is kept
    ├── StorageError              5   disk full, read-only, locked by another process
    ├── FolderError               6   a model or corpus folder is damaged or does not match
    ├── TrainingError             7   training cannot go on
    ├── QualityGateError          8   a number asked for with --require was missed
    └── StoppedError            130   interrupted by a signal, state kept (143 for SIGTERM, 129 for SIGHUP)

Every message is one sentence with what and where; `hint` says what to do.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ArxivcliError(Exception):
    """Anything this program can say in one line: what happened; where; what to do."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}; {self.hint}" if self.hint else self.what

    def __reduce__(self) -> tuple[type[ArxivcliError], tuple[str, str]]:
        """Crosses process borders whole (Exception alone would lose the hint)."""
        return type(self), (self.what, self.hint)


class UsageError(ArxivcliError):
    """An option, a name or a settings key that cannot be."""

    exit_code = 2


class InputError(ArxivcliError):
    """What was given to read is no paper, no corpus, or not of that format."""

    exit_code = 3


class RemoteError(ArxivcliError):
    """A server failed or refused; what was fetched so far is kept."""

    exit_code = 4


class StorageError(ArxivcliError):
    """The disk is full, read-only, or the folder belongs to another process."""

    exit_code = 5


class FolderError(ArxivcliError):
    """A model or corpus folder is damaged, incomplete, or made for something else."""

    exit_code = 6


class TrainingError(ArxivcliError):
    """Training cannot go on."""

    exit_code = 7


class QualityGateError(ArxivcliError):
    """A quality that was required is missed."""

    exit_code = 8


class StoppedError(ArxivcliError):
    """Interrupted by a signal after the state was kept; `signal_number` makes the exit code."""

    def __init__(self, what: str, hint: str = "", signal_number: int = 2) -> None:
        super().__init__(what, hint)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """128 + the number of the signal: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal_number

    def __reduce__(self) -> tuple[type[ArxivcliError], tuple[str, str, int]]:  # type: ignore[override]
        return type(self), (self.what, self.hint, self.signal_number)


def unknown(what: str, name: str, known: Iterable[str], hint: str = "") -> UsageError:
    """The error for a name nobody knows; it names the nearest known one, else `hint`, else those there are."""
    names = list(known)
    spellings = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), spellings, n=1)
    if near:
        hint = f"did you mean {spellings[near[0]]}?"
    return UsageError(f"there is no {what} {name}", hint or f"choose among {', '.join(names)}")
