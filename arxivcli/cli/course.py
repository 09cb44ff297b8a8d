"""How far a training is, as one hears of it: speed, time left, the epochs so far, and all of it in words."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from arxivcli.learning.gauges import Reading
    from arxivcli.learning.loop import Epoch

_WINDOW = 20.0
"""Seconds the speed is measured over."""

_MARKS = 200
"""Steps remembered for it at most."""

_SMOOTHING = 0.98
_MINUTE, _HOUR = 60, 3600
_NAMES = {"loss": "validation loss", "top1": "top-1", "macro_f1": "macro-F1", "title_only_top1": "title only"}
"""Figures of the validation as people call them, in the order they are shown; others follow."""


class Course:
    """An observer that knows how far the training is. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.facts: dict[str, Any] = {}
        self.step = 0
        self.loss = math.nan
        self.rate = math.nan
        self.history: list[Epoch] = []
        self.running = False
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)

    def began(self, facts: dict[str, Any]) -> None:
        """Start, or go on, from where the facts say."""
        self.facts, self.step, self.history, self.running = facts, facts["step"], list(facts["history"]), True
        self._mark()

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """Count a step; a loss that is no number leaves the smoothed one as it is."""
        self.step, self.rate = step, rate
        if math.isfinite(loss):
            self.loss = loss if math.isnan(self.loss) else _SMOOTHING * self.loss + (1 - _SMOOTHING) * loss
        if self._clock() - self._marks[-1][0] >= _WINDOW / _MARKS:
            self._mark()

    def epoch_ended(self, epoch: Epoch) -> None:
        """Keep the epoch."""
        self.history.append(epoch)
        self._marks.clear()  # the time that validation took is no time of steps
        self._mark()

    def finished(self, folder: Path, card: Any) -> None:  # noqa: ARG002  an observer's
        """The training is over."""
        self.running = False

    def stopped(self) -> None:
        """The training is over."""
        self.running = False

    def _mark(self) -> None:
        self._marks.append((self._clock(), self.step))

    @property
    def steps_per_second(self) -> float:
        """Over the last seconds; 0 before anything is known."""
        now = self._clock()
        then, step = next((mark for mark in self._marks if now - mark[0] <= _WINDOW), (now, self.step))
        return float((self.step - step) / max(now - then, 1e-3))

    @property
    def last_step(self) -> int:
        """The step that ends the last epoch, should no epoch be spared."""
        return int(self.facts["epochs"]) * int(self.facts["steps_per_epoch"])

    @property
    def epoch(self) -> int:
        """Number of the epoch that runs, or of the last."""
        return min(len(self.history) + 1, int(self.facts["epochs"]))

    @property
    def step_of_epoch(self) -> int:
        """Steps done of the epoch that runs."""
        steps = int(self.facts["steps_per_epoch"])
        return max(0, min(self.step - (self.epoch - 1) * steps, steps))

    @property
    def best(self) -> int:
        """Number of the best epoch so far; 0 before there is one."""
        return next((epoch.number for epoch in reversed(self.history) if epoch.best), 0)

    def speed(self) -> str:
        """`1,234 papers/s`; empty when nobody knows yet."""
        papers = self.steps_per_second * self.facts["papers_per_step"]
        return f"{papers:,.0f} papers/s" if papers >= 10 else f"{papers:.2g} papers/s" if papers else ""  # noqa: PLR2004

    def losses(self) -> str:
        """`loss 1.234  rate 3e-05`; without what is not known."""
        told = {"loss": f"{self.loss:.4f}", "rate": f"{self.rate:.3g}"}
        return "  ".join(f"{name} {value}" for name, value in told.items() if value != "nan")

    def left(self) -> str:
        """`3:20 left`; empty when nobody knows yet."""
        speed = self.steps_per_second
        return f"{span((self.last_step - self.step) / speed)} left" if speed else ""


def span(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    whole = int(seconds)
    hours, rest = divmod(whole, _HOUR)
    return f"{hours}:{rest // _MINUTE:02}:{rest % _MINUTE:02}" if hours else f"{rest // _MINUTE}:{rest % _MINUTE:02}"


def columns(history: Iterable[Epoch]) -> dict[str, str]:
    """The figures some epoch has, and what people call them, in the order they are shown."""
    there = {name: None for epoch in history for name in epoch.validation}
    order = [*(name for name in _NAMES if name in there), *(name for name in there if name not in _NAMES)]
    return {name: _NAMES.get(name, name.replace("_", " ")) for name in order}


def told(epoch: Epoch) -> str:
    """A line of the epoch table as a sentence."""
    figures = {"train loss": epoch.train_loss}
    figures |= {title: epoch.validation[name] for name, title in columns([epoch]).items()}
    said = ", ".join(f"{title} {value:.4f}" for title, value in figures.items())
    return f"epoch {epoch.number}: {said}{' (best so far)' if epoch.best else ''}"


def measured(reading: Reading) -> str:
    """`98 %  61.2 of 80.0 GB  64 °C  312 W`; without what is not known."""
    gigabytes = [f"{size / 1e9:.1f}" for size in (reading.memory_used, reading.memory_total) if size is not None]
    memory = f"{' of '.join(gigabytes)} GB" if gigabytes else ""
    parts = (
        "" if reading.busy is None else f"{reading.busy:3.0f} %",
        memory,
        "" if reading.temperature is None else f"{reading.temperature:.0f} °C",
        "" if reading.power is None else f"{reading.power:.0f} W",
    )
    return "  ".join(part for part in parts if part)
