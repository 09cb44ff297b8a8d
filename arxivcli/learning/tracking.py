"""Weights & Biases: a training's settings, curves, gauges, confusions and model, told from a thread of their own.

The training thread only puts things down; it never waits for a server, and a server that is not there costs it
nothing: what it would have been told is kept on disk, where `wandb sync` finds it.
"""

from __future__ import annotations

import os
import queue
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np

from arxivcli.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from arxivcli.learning.gauges import Gauges
    from arxivcli.learning.logins import Mode
    from arxivcli.learning.loop import Epoch

PROJECT = "arxivcli"
RUN = ".wandb-run"
"""File in the model folder with the id of the run, for a training that goes on."""

_CONNECT, _INIT, _FINISH, _LEAVE = 3.0, 30.0, 300.0, 15.0  # seconds
_SHORT = 3.0
"""Seconds of waiting for the end that nobody needs to be told of."""

_DRAIN = 0.5
"""Seconds between two looks at what was put down."""

_POINTS = 10
"""Steps told of one look at most: quick models make thousands a second, and a curve needs no more."""

_READ = 10.0
"""Seconds between two readings of the gauges that are told."""

_MOST_CELLS = 10_000
"""Of the confusion matrix, as many as W&B draws: those with most papers."""


class Tracker:
    """An observer of one training that tells W&B.

    Args:
        mode: online or offline.
        progress: Hears, from the training's thread, when the server cannot be reached.
        gauges: Readings to tell.
    """

    def __init__(self, mode: Mode, progress: Progress | None = None, gauges: Gauges | None = None) -> None:
        self._mode = mode
        self._progress = progress or Silent()
        self._gauges = gauges
        self._notes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._teller: _Teller | None = None
        self._answers: Callable[[], Any] | None = None
        self._labels: tuple[str, ...] = ()
        self._marker: Path | None = None
        self._read = 0.0

    def began(self, facts: dict[str, Any]) -> None:
        """Open the run, or the same run again where a training goes on."""
        self._answers, self._labels = facts.get("answers"), tuple(facts.get("labels", ()))
        self._marker = facts["folder"] / RUN
        identity = _identity(self._marker, goes_on=bool(facts["step"]))
        config: dict[str, Any] = {
            name: facts[name] for name in ("corpus", "device", "precision", "processes") if name in facts
        }
        config |= facts.get("settings", {})
        self._teller = _Teller(self._mode, facts["name"], identity, config, self._told, self._notes)
        self._teller.start()

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """Put a step down, and every few seconds what the gauges read."""
        self._told.put(("step", {"step": step, "train/loss": loss, "train/rate": rate}))
        if self._gauges is not None and time.monotonic() - self._read >= _READ:
            self._read = time.monotonic()
            readings = {
                f"device/{i}/{n}": x for i, r in enumerate(self._gauges.latest()) for n, x in r.figures().items()
            }
            if readings:
                self._told.put(("log", {"step": step, **readings}))
        self._pass_on()

    def epoch_ended(self, epoch: Epoch) -> None:
        """Put a line of the epoch table down."""
        figures = {f"validation/{name}": value for name, value in epoch.validation.items()}
        self._told.put(("log", {"epoch": epoch.number, "epoch/train_loss": epoch.train_loss, **figures}))
        if epoch.best:
            self._told.put(("summary", {"best_epoch": epoch.number, **{f"best/{n}": v for n, v in figures.items()}}))
        self._pass_on()

    def finished(self, folder: Path, card: Any) -> None:
        """Tell the end: calibration, confusions, the model folder; waits while it is sent, though not for ever."""
        self._told.put(("summary", {f"calibration/{n}": v for n, v in card.metrics.get("calibration", {}).items()}))
        if self._answers is not None:
            answers = self._answers()
            self._told.put(("confusion", confusions(answers[0], answers[1], self._labels)))
        self._told.put(
            ("model", (folder, sorted([*card.files, "model.json"]), {"kind": card.kind, "level": card.level}))
        )
        self._end(0, _FINISH)
        if self._marker is not None:
            self._marker.unlink(missing_ok=True)

    def stopped(self) -> None:
        """Close the run as one that did not come to its end."""
        self._end(1, _LEAVE)

    def _end(self, code: int, seconds: float) -> None:
        self._told.put(("end", code))
        if self._teller is None:
            return
        self._teller.join(min(_SHORT, seconds))
        if self._teller.is_alive():
            self._progress.note(f"sending the run to W&B, for {seconds:.0f} s at most")
            self._teller.join(seconds - _SHORT)
        self._pass_on()
        if self._teller.is_alive():
            self._progress.note("W&B has not got everything; `wandb sync` sends the rest")

    def _pass_on(self) -> None:
        while not self._notes.empty():
            self._progress.note(self._notes.get())


def confusions(truth: Any, predicted: Any, labels: tuple[str, ...]) -> list[tuple[str, str, int]]:
    """(primary, answer, papers) wherever there is a paper, the most papers first, from (n,) indices of labels."""
    pairs, papers = np.unique(np.stack([truth, predicted]), axis=1, return_counts=True)
    order = np.argsort(-papers, kind="stable")[:_MOST_CELLS]
    return [(labels[pairs[0, i]], labels[pairs[1, i]], int(papers[i])) for i in order]


def _identity(marker: Path, goes_on: bool) -> str:
    """The run's id: the one left by the training that goes on, or a new one, left for the next."""
    if goes_on and marker.is_file():
        return marker.read_text("ascii").strip()
    identity = secrets.token_hex(4)
    marker.write_text(identity, "ascii")
    return identity


class _Teller(threading.Thread):
    """Takes from the queue and tells wandb, the only one to import it."""

    def __init__(
        self,
        mode: Mode,
        name: str,
        identity: str,
        config: dict[str, Any],
        told: queue.SimpleQueue[tuple[str, Any]],
        notes: queue.SimpleQueue[str],
    ) -> None:
        super().__init__(name="wandb", daemon=True)
        self._mode, self._title, self._identity, self._config = mode, name, identity, config
        self._told, self._notes = told, notes
        self._run: Any = None

    def run(self) -> None:
        try:
            self._run = self._opened()
            self._run.define_metric("step")
            self._run.define_metric("epoch")
            for names, axis in (
                ("train/*", "step"),
                ("device/*", "step"),
                ("epoch/*", "epoch"),
                ("validation/*", "epoch"),
            ):
                self._run.define_metric(names, step_metric=axis)
            while self._tell():
                time.sleep(_DRAIN)
        except Exception as error:  # noqa: BLE001  a tracker's trouble, of whatever kind, is no trouble of the training
            self._notes.put(f"W&B hears no more of this training: {_first_line(error)}")

    def _opened(self) -> Any:
        """The run; kept on disk when the server is not to be had."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # its own troubles are told nobody unasked
        import wandb  # noqa: PLC0415  most of a second, for those who track

        server = wandb.setup(wandb.Settings(silent=True)).settings.base_url
        if self._mode == "offline":
            return self._on_disk(wandb, "W&B offline")
        try:
            _connect(server)
            return self._init(wandb, "online")
        except (wandb.errors.Error, OSError) as error:
            why = _first_line(error)
        wandb.teardown()  # its service would not take the run's id again
        wandb.setup(wandb.Settings(silent=True))
        return self._on_disk(wandb, f"W&B at {server}: {why}")

    def _on_disk(self, wandb: Any, why: str) -> Any:
        run = self._init(wandb, "offline")
        self._notes.put(f"{why}; kept on disk, `wandb sync {run.settings.sync_dir}` sends it")
        return run

    def _init(self, wandb: Any, mode: Mode) -> Any:
        settings = wandb.Settings(
            mode=mode,
            silent=True,
            console="off",
            init_timeout=_INIT,
            finish_timeout=_FINISH,
            disable_git=True,  # a remote's address may hold a password
            save_code=False,
            x_disable_stats=True,  # the gauges are told instead, the same that people see
        )
        project = os.environ.get("WANDB_PROJECT") or PROJECT
        return wandb.init(
            project=project, name=self._title, id=self._identity, resume="allow", config=self._config, settings=settings
        )

    def _tell(self) -> bool:
        """Tell all that was put down meanwhile; whether there will be more."""
        steps: list[dict[str, float]] = []
        while True:
            try:
                what, fact = self._told.get_nowait()
            except queue.Empty:
                self._tell_steps(steps)
                return True
            if what == "step":
                steps.append(fact)
                continue
            self._tell_steps(steps)
            steps = []
            if what == "end":
                self._run.finish(exit_code=fact)
                return False
            getattr(self, f"_tell_{what}")(fact)

    def _tell_steps(self, steps: list[dict[str, float]]) -> None:
        """All of few steps; of many the last of each stretch, with the stretch's mean loss."""
        for stretch in np.array_split(np.arange(len(steps)), min(len(steps), _POINTS)) if steps else ():
            loss = float(np.mean([steps[i]["train/loss"] for i in stretch]))
            self._run.log(steps[stretch[-1]] | {"train/loss": loss})

    def _tell_log(self, figures: dict[str, float]) -> None:
        self._run.log(figures)

    def _tell_summary(self, figures: dict[str, float]) -> None:
        self._run.summary.update(figures)

    def _tell_confusion(self, cells: list[tuple[str, str, int]]) -> None:
        import wandb  # noqa: PLC0415

        names = ("Actual", "Predicted", "nPredictions")
        table = wandb.Table(columns=list(names), data=[list(cell) for cell in cells])
        plot = wandb.plot_table(
            "wandb/confusion_matrix/v1", table, {name: name for name in names}, {"title": "Confusions"}
        )
        self._run.log({"confusions": plot})

    def _tell_model(self, model: tuple[Path, list[str], dict[str, str]]) -> None:
        import wandb  # noqa: PLC0415

        folder, names, facts = model
        artifact = wandb.Artifact(f"{self._title}-{self._identity}", type="model", metadata=facts)
        for name in names:
            artifact.add_file(str(folder / name), name=name)
        self._run.log_artifact(artifact)


def _connect(server: str) -> None:
    """Raises OSError at once when nobody is there; through a proxy that cannot be seen from here."""
    parts = urlsplit(server)
    if parts.scheme in getproxies():
        return
    port = parts.port or (80 if parts.scheme == "http" else 443)
    socket.create_connection((parts.hostname or "", port), _CONNECT).close()


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return next(iter(str(error).splitlines()), "") or type(error).__name__
