"""`arxivcli preprocess` on a Ray cluster whose nodes see the same files under the same names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from arxivcli import cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Elsewhere:
    """How work is shared out among the nodes. Raises RemoteError."""

    address: str | None
    note: Callable[[str], None]

    def __call__(self, work: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
        """The results of all tasks."""
        with cluster.joined(self.address, workers, note=self.note) as there:
            yield from there.in_order(_There(work, Path.cwd()), tasks)


@dataclass(frozen=True)
class _There:
    """Work whose files are named as seen from a folder."""

    work: Any
    folder: Path

    def __call__(self) -> Callable[[list[Any]], Iterator[Any]]:
        os.chdir(self.folder)
        return partial(map, self.work)
