"""What the service says on stderr: one line an event, as text or JSON, never waited for."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson

from arxivcli.printable import escaped, shortened
from arxivcli.serving.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LINES = 10_000
_SECONDS = 0.05
_LONGEST = 300
_STDERR = 2


class Logbook:
    """Writes lines to stderr; a reader who is slow or gone costs lines, which are counted, and no answers."""

    def __init__(
        self,
        form: Literal["text", "json"] = "text",
        lost: Callable[[int], None] = lambda count: None,  # noqa: ARG005
        descriptor: int = _STDERR,
    ) -> None:
        self._form = form
        self._descriptor = descriptor
        self._writing = Writing[str](self._write, _SECONDS, _LINES, lost)

    def say(self, event: str, level: str = "info", **facts: Any) -> None:
        """One event with its facts; texts of strangers are made harmless and short."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._form == "json":
            record = {"time": time, "level": level, "event": event, **facts}
            self._writing.add(orjson.dumps(record, default=str).decode())
            return
        told = " ".join(f"{name}={_quoted(shortened(escaped(str(fact)), _LONGEST))}" for name, fact in facts.items())
        mark = "" if level == "info" else f"{level}: "
        self._writing.add(f"{time} {mark}{event} {told}".rstrip())

    def close(self) -> None:
        """Write what is left."""
        self._writing.close()

    def _write(self, lines: Sequence[str]) -> int:
        rest = memoryview(("\n".join(lines) + "\n").encode(errors="backslashreplace"))
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            return len(lines)
        return 0


def _quoted(value: str) -> str:
    """In quotes where it could be taken for several facts."""
    return orjson.dumps(value).decode() if " " in value or '"' in value else value


class Passing(logging.Handler):
    """Passes on what the libraries underneath have to say."""

    def __init__(self, logbook: Logbook) -> None:
        super().__init__(logging.ERROR)
        self._logbook = logbook

    def emit(self, record: logging.LogRecord) -> None:
        """A record as one event, with the exception it is about."""
        error = record.exc_info[1] if record.exc_info else None
        about = {"error": f"{type(error).__name__}: {error}"} if error else {}
        self._logbook.say(record.getMessage().strip(), "error", logger=record.name, **about)
