"""What all worker processes share: who asked how often, and until when arXiv is left alone."""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from arxivcli.serving.rates import Rates


class Rest:
    """Until when a server that is in trouble is not asked again; in memory, made before there are other processes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 16)).cast("d")  # the end of the rest, failures in a row
        self._clock = clock

    @property
    def left(self) -> float:
        """Seconds of it; 0 when there is none."""
        return max(0.0, self._numbers[0] - self._clock())

    def begin(self, asked: float | None, unit: float, most: float) -> None:
        """After a failure: as long as the server `asked` for, else twice as long each time, from twice the unit on."""
        self._numbers[1] = failures = self._numbers[1] + 1
        wanted = unit * 2 ** min(failures, 16) if asked is None else max(asked, unit)
        self._numbers[0] = self._clock() + min(wanted, most)

    def end(self) -> None:
        """The server has answered."""
        self._numbers[1] = 0.0


@dataclass(frozen=True)
class Shared:
    """All of it; `limiter` is None where a client may ask as often as it likes."""

    limiter: Rates | None = None
    rest: Rest = field(default_factory=Rest)
