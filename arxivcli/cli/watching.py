"""Who watches a training: the display, the gauges it shows, and Weights & Biases when it is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arxivcli.cli.training_display import display
from arxivcli.learning import logins
from arxivcli.learning.gauges import Gauges

if TYPE_CHECKING:
    from arxivcli.cli.options import State
    from arxivcli.learning.logins import Mode
    from arxivcli.learning.observers import Observer
    from arxivcli.progress import Progress


def watchers(state: State, wandb: Mode | None) -> tuple[Progress, tuple[Observer, ...]]:
    """Who sees any progress, and those that are told of the training. Raises UsageError when W&B needs a login."""
    mode, gauges = logins.mode(wandb), Gauges()
    shown = display(state, gauges)
    observers = shown.observers()
    if mode == "disabled":
        return shown, observers
    from arxivcli.learning.tracking import Tracker

    return shown, (*(observers or (gauges,)), Tracker(mode, shown, gauges))
