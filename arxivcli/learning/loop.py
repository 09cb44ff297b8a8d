"""The training loop: read it top to bottom. What is trained is a `Trainee`; everything around it is here."""

from __future__ import annotations

import math
import signal
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from arxivcli.errors import StoppedError, TrainingError
from arxivcli.learning import devices
from arxivcli.learning.observers import Audience
from arxivcli.learning.observers import Observer as Observer  # noqa: PLC0414  people look for it here
from arxivcli.surroundings import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from arxivcli.learning.checkpoints import Checkpoints, Tensors
    from arxivcli.progress import Progress

CHECKPOINT_SECONDS = 300.0
SKIPPED = 5
"""So many steps in a row may come to nothing because the loss or a gradient was no number."""

_NAMED = 5
_SMOOTHING = 0.98


class Trainee(Protocol):
    """A model being trained. `step(i)` depends on the state and on i alone, so a run can be cut and continued."""

    steps_per_epoch: int
    epochs: int
    papers_per_step: int
    rate: float
    """The learning rate of the last step."""
    patience: int
    """Epochs without a better one after which there is nothing more to hope for."""
    provisional: bool
    """Whether what there is so far lacks a part that is still to come: anything with it is better."""

    def step(self, number: int) -> float:
        """Learn from the batch of global step `number`; its loss.

        A loss that is no number says that the batch taught nothing: the state is what it was before.
        """

    def batch(self, number: int) -> Sequence[str]:
        """Ids of the papers of a step, as far as they are known."""

    def validate(self) -> dict[str, float]:
        """Figures on the validation split, among them `loss` and `top1`."""

    def state(self) -> Tensors:
        """Everything the next step depends on."""

    def restore(self, state: Tensors) -> None:
        """Go back to a state."""

    def weights(self) -> Tensors:
        """What the finished model would be made of."""

    def facts(self) -> dict[str, Any]:
        """What no setting says of how it was trained, for the model's card."""


@dataclass(frozen=True)
class Epoch:
    """One line of the epoch table."""

    number: int
    train_loss: float
    validation: dict[str, float]
    best: bool
    provisional: bool = False


@dataclass(frozen=True)
class Fitted:
    """The weights of the best epoch, and how it went.

    The best has the highest top-1 on validation, and of equals the least loss: calibration, which comes later, mends a
    loss that grew because the model became too sure, but not a wrong answer.
    """

    weights: Tensors
    epochs: tuple[Epoch, ...]


def fit(
    trainee: Trainee,
    checkpoints: Checkpoints,
    progress: Progress,
    observers: Sequence[Observer] = (),
    place: Place = Place(),  # noqa: B008  frozen
    facts: Mapping[str, Any] | None = None,
) -> Fitted:
    """Train until the epochs are done or validation has not improved for as many as its patience.

    Continues from the newest checkpoint, to the same weights an undisturbed run ends with. Of several processes all
    call this; only the first writes, and only its observers hear anything: `facts` first, with how long it will be.

    Raises:
        StoppedError: interrupted, after a checkpoint.
        TrainingError: the loss is no number any more.
        StorageError: a checkpoint cannot be kept.
    """
    audience = Audience(observers if place.rank == 0 else (), progress)
    run = _Run(trainee, checkpoints, place)
    run.resume(progress)
    audience.began({**(facts or {}), **run.facts()})
    try:
        _train(run, progress, audience)
    except BaseException:
        audience.stopped()
        raise
    return Fitted(run.best, tuple(run.history))


def _train(run: _Run, progress: Progress, audience: Audience) -> None:
    trainee = run.trainee
    last = trainee.epochs * trainee.steps_per_epoch
    with _stop_flag() as stop:
        while len(run.history) < trainee.epochs and run.epochs_since_best() < trainee.patience:
            epoch = len(run.history) + 1
            progress.begin(f"epoch {epoch} of {trainee.epochs}", trainee.steps_per_epoch * trainee.papers_per_step)
            progress.advance((run.step - (epoch - 1) * trainee.steps_per_epoch) * trainee.papers_per_step)
            while run.step < epoch * trainee.steps_per_epoch:
                loss = run.one_step()
                progress.advance(trainee.papers_per_step, loss=run.smooth_loss)
                audience.stepped(run.step, loss, trainee.rate)
                _stop_if_asked(run, stop, last)
                if run.save_is_due():
                    run.save()
            progress.end()
            run.close_epoch(epoch)
            audience.epoch_ended(run.history[-1])
            run.save()
            _stop_if_asked(run, stop, last)


def _stop_if_asked(run: _Run, stop: _Stop, last: int) -> None:
    """Raises StoppedError, after a checkpoint, when a signal came; processes that train together agree on it."""
    if number := devices.agreed(stop.number, run.place):
        run.save()
        raise StoppedError(f"stopped at step {run.step} of {last}", "run the same command to go on", number)


class _Run:
    """Where a training stands."""

    def __init__(self, trainee: Trainee, checkpoints: Checkpoints, place: Place) -> None:
        self.trainee = trainee
        self.checkpoints = checkpoints
        self.place = place
        self.step = 0
        self.counted = 0
        self.skipped = 0
        self.loss_sum = 0.0
        self.smooth_loss = math.nan
        self.history: list[Epoch] = []
        self.best: Tensors = {}
        self._saved_at = time.monotonic()

    def resume(self, progress: Progress) -> None:
        kept = self.checkpoints.newest()
        if kept is None:
            return
        tensors, facts = kept
        self.best = {name.removeprefix("best."): t for name, t in tensors.items() if name.startswith("best.")}
        self.trainee.restore({name.removeprefix("now."): t for name, t in tensors.items() if name.startswith("now.")})
        self.step, self.loss_sum, self.counted = facts["step"], facts["loss_sum"], facts["counted"]
        self.history = [Epoch(**epoch) for epoch in facts["history"]]
        progress.note(f"going on from step {self.step}")

    def facts(self) -> dict[str, Any]:
        """How long it will be, and where it begins."""
        names = ("epochs", "steps_per_epoch", "papers_per_step")
        return {name: getattr(self.trainee, name) for name in names} | {"step": self.step, "history": (*self.history,)}

    def one_step(self) -> float:
        loss = self.trainee.step(self.step)
        self.step += 1
        if not math.isfinite(loss):
            self._skip(loss)
            return loss
        self.skipped = 0
        self.counted += 1
        self.loss_sum += loss
        self.smooth_loss = loss if math.isnan(self.smooth_loss) else _mixed(self.smooth_loss, loss)
        return loss

    def _skip(self, loss: float) -> None:
        self.skipped += 1
        if self.skipped <= SKIPPED:
            return
        steps = range(self.step - self.skipped, self.step)
        batches = []
        for step in steps:
            papers = self.trainee.batch(step)
            batches.append(", ".join(papers[:_NAMED]) + (", …" if len(papers) > _NAMED else ""))
        told = "; ".join(f"step {step + 1}: {ids}" for step, ids in zip(steps, batches, strict=True) if ids)
        raise TrainingError(
            f"the loss became {loss} in {self.skipped} steps one after the other{f' ({told})' if told else ''}",
            "lower the learning rate with --set lr=…, and --restart",
        )

    def close_epoch(self, number: int) -> None:
        validation = self.trainee.validate()
        if not math.isfinite(validation["loss"]):
            raise TrainingError(
                f"the validation loss became {validation['loss']} in epoch {number}",
                "lower the learning rate with --set lr=…, and --restart",
            )
        provisional = self.trainee.provisional
        epoch = Epoch(number, self.loss_sum / max(1, self.counted), validation, best=True, provisional=provisional)
        best = all(_rank(epoch) > _rank(earlier) for earlier in self.history)
        epoch = replace(epoch, best=best)
        self.history.append(epoch)
        self.loss_sum, self.counted = 0.0, 0
        if best:
            self.best = {name: tensor.copy() for name, tensor in self.trainee.weights().items()}

    def epochs_since_best(self) -> int:
        """Epochs since the best one, or since the least loss: on few validation papers top-1 wavers while it falls."""
        losses = [epoch.validation["loss"] for epoch in self.history]
        good = [epoch.best or loss == min(losses) for epoch, loss in zip(self.history, losses, strict=True)]
        return good[::-1].index(True) if good else 0

    def save_is_due(self) -> bool:
        return self.skipped == 0 and time.monotonic() - self._saved_at > CHECKPOINT_SECONDS

    def save(self) -> None:
        if self.place.rank != 0:
            return
        tensors = {f"now.{name}": tensor for name, tensor in self.trainee.state().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        history = [asdict(epoch) for epoch in self.history]
        name = f"step-{self.step:09d}-epochs-{len(history):03d}"
        facts = {"step": self.step, "loss_sum": self.loss_sum, "counted": self.counted, "history": history}
        self.checkpoints.save(name, tensors, facts)
        self._saved_at = time.monotonic()


def _rank(epoch: Epoch) -> tuple[bool, float, float]:
    return not epoch.provisional, epoch.validation["top1"], -epoch.validation["loss"]


def _mixed(old: float, new: float) -> float:
    return _SMOOTHING * old + (1 - _SMOOTHING) * new


class _Stop:
    """The number of the signal that asked to stop, 0 when none did."""

    number = 0


@contextmanager
def _stop_flag() -> Iterator[_Stop]:
    """Inside, the first SIGINT, SIGTERM or SIGHUP only raises a flag; the second acts as it always does."""
    stop = _Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] is signal.SIG_IGN:  # under nohup it stays ignored
        del before[signal.SIGHUP]

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.number = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
