"""Who hears how a training goes: trackers and gauges, which cannot disturb it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from arxivcli.learning.loop import Epoch
    from arxivcli.progress import Progress


class Observer(Protocol):
    """One who hears. Calls come from the first process only and from the training thread: be quick."""

    def began(self, facts: dict[str, Any]) -> None:
        """Training begins or goes on.

        `facts`: epochs, steps_per_epoch, papers_per_step, step (0, or where it goes on), history (the epochs
        that are done), and from the step: name, folder, settings, labels, device, precision, processes, corpus, and
        answers, which gives truth and answers (both (n,) indices of labels) for the calibration papers once it is
        finished.
        """

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """So many steps are done; loss (NaN when it was skipped) and learning rate of the last."""

    def epoch_ended(self, epoch: Epoch) -> None:
        """A line of the epoch table."""

    def finished(self, folder: Path, card: Any) -> None:
        """The model is saved."""

    def stopped(self) -> None:
        """Training ends before its time: an interrupt or an error."""


class Audience:
    """All observers as one; whoever raises hears nothing more, and people hear why."""

    def __init__(self, observers: Sequence[Observer], progress: Progress) -> None:
        self._observers = list(observers)
        self._progress = progress

    def began(self, facts: dict[str, Any]) -> None:
        """Tell all."""
        self._tell("began", facts)

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """Tell all."""
        self._tell("stepped", step, loss, rate)

    def epoch_ended(self, epoch: Epoch) -> None:
        """Tell all."""
        self._tell("epoch_ended", epoch)

    def finished(self, folder: Path, card: Any) -> None:
        """Tell all."""
        self._tell("finished", folder, card)

    def stopped(self) -> None:
        """Tell all."""
        self._tell("stopped")

    def _tell(self, what: str, *facts: Any) -> None:
        for observer in tuple(self._observers):
            try:
                getattr(observer, what)(*facts)
            except Exception as error:  # noqa: BLE001  training must go on, whatever goes wrong in a tracker
                self._observers.remove(observer)
                said = " ".join(str(error).split()) or type(error).__name__
                self._progress.note(f"{type(observer).__name__} follows the training no more: {said}")
