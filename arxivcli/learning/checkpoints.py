"""Checkpoints of a training: safetensors and json, whole or absent, the newest two kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from arxivcli import storage
from arxivcli.errors import FolderError, UsageError
from arxivcli.tensors import written

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]

KEPT = 2
_TENSORS = "tensors.safetensors"
_FACTS = "facts.json"
_RUN = "run.json"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints in one folder, all of one run."""

    folder: Path

    def claim(self, run: dict[str, Any]) -> None:
        """Make this the folder of `run` (settings, corpus hash, version).

        Raises:
            UsageError: there are checkpoints of another run; one that has not come so far has nothing to lose.
            FolderError: there are checkpoints, and nobody knows of which run.
        """
        path = self.folder / _RUN
        content = orjson.dumps(run, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
        if self._all() and (not path.is_file() or path.read_bytes() != content):
            try:
                earlier = orjson.loads(path.read_bytes())
            except (OSError, ValueError) as error:
                hint = "bring it back, or --restart to begin anew"
                raise FolderError(f"{path}, which says whose the checkpoints are, is damaged or gone", hint) from error
            changed = ", ".join(differences(earlier, run))
            raise UsageError(
                f"{self.folder.parent} holds an unfinished training that differs in: {changed}",
                "use its settings to go on, or --restart to begin anew",
            )
        if not path.is_file() or path.read_bytes() != content:
            storage.write_whole(path, content)

    def save(self, name: str, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Keep this state of the run as its newest; older ones beyond the last two go. Raises StorageError.

        `name` begins with `step-`; names sort as the run went.
        """
        final = self.folder / name
        if final.exists():
            return
        partial = final.with_name(final.name + storage.PARTIAL)
        with written(final):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            save_file(tensors, partial / _TENSORS)
            storage.sync(partial / _TENSORS)
            storage.write_whole(partial / _FACTS, orjson.dumps(facts))
            partial.replace(final)
            storage.sync_folder(self.folder)
            for old in self._all()[:-KEPT]:
                shutil.rmtree(old)

    def newest(self) -> tuple[Tensors, dict[str, Any]] | None:
        """Tensors and facts of the newest checkpoint that is not damaged, None when there is none; newer ones go.

        Raises FolderError when all that there are came to harm.
        """
        damaged: list[Path] = []
        for folder in reversed(self._all()):
            try:
                found = load_file(folder / _TENSORS), orjson.loads((folder / _FACTS).read_bytes())
            except (SafetensorError, FileNotFoundError, ValueError):
                damaged.append(folder)
                continue
            for each in damaged:  # in whose place the run will soon keep another
                shutil.rmtree(each, ignore_errors=True)
            return found
        if damaged:
            raise FolderError(f"all checkpoints in {self.folder} are damaged", "--restart to begin anew")
        return None

    def discard(self) -> None:
        """Remove all of them, and the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("step-*") if not p.name.endswith(storage.PARTIAL))


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """`key (was → is)` for every leaf that differs."""
    told = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            told += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            told.append(f"{prefix}{key} ({before} → {after})")
    return told
