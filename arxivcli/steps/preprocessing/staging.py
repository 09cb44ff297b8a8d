"""The state of a corpus folder: begun, interrupted, finished, and whether what is there is what is asked for."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from arxivcli import shards, splits, storage
from arxivcli.errors import FolderError, UsageError
from arxivcli.shards import MANIFEST, Manifest, Shards

if TYPE_CHECKING:
    from pathlib import Path

    from arxivcli.progress import Progress
    from arxivcli.steps.preprocessing.inputs import Inputs
    from arxivcli.steps.preprocessing.recipe import Recipe

_START_OVER = "run the same command as before, choose another folder, or start over with --restart"
_STAGING = ".staging"
_OUR_FILE = re.compile(r"\d{5}\.parquet(\.partial)?")


def refuse_foreign(corpus: Path) -> None:
    """Raises UsageError for a folder of somebody else's files: no corpus is made among them."""
    if not corpus.is_dir() or (corpus / MANIFEST).is_file() or (corpus / _STAGING).is_dir():
        return
    ours = [path for split in splits.SPLITS for path in (corpus / split).glob("*") if _OUR_FILE.fullmatch(path.name)]
    begun = {corpus / storage.LOCK, *ours, *(path.parent for path in ours)}
    strangers = sorted(path for path in corpus.iterdir() if path not in begun)
    if strangers:
        raise UsageError(
            f"{corpus} is no corpus and holds {strangers[0].name}", "choose a new or an empty folder with --output"
        )


class Staging:
    """What lies in a corpus folder that this process owns."""

    def __init__(self, corpus: Path) -> None:
        self.corpus = corpus
        self.folder = corpus / _STAGING
        self._plan = self.folder / "plan.json"

    def restart(self) -> None:
        """Remove what an earlier run made, its manifest first, and nothing else."""
        with storage.storage_errors(self.corpus):
            (self.corpus / MANIFEST).unlink(missing_ok=True)
            self.discard()
            for split in splits.SPLITS:
                for file in (self.corpus / split).glob("*"):
                    if _OUR_FILE.fullmatch(file.name):
                        file.unlink()

    def discard(self) -> None:
        """Remove what is not finished."""
        if self.folder.exists():
            self._plan.unlink(missing_ok=True)
            shutil.rmtree(self.folder)

    def finished(self, recipe: Recipe, inputs: Inputs) -> Manifest | None:
        """The manifest when the folder already is what is asked for, None when there is none.

        Raises UsageError or FolderError when it is the corpus of other choices or other inputs.
        """
        if not (self.corpus / MANIFEST).exists():
            return None
        manifest = Shards.open(self.corpus).manifest
        _same_settings(manifest.settings, recipe, self.corpus)
        if inputs.streams:
            raise UsageError(
                f"{self.corpus} is a finished corpus", "choose another folder, or start over with --restart"
            )
        if sorted(s.bytes for s in manifest.sources) != sorted(s.bytes for s in inputs.states):
            raise FolderError(f"{self.corpus} was made from other inputs", _START_OVER)
        for before, now in zip(manifest.sources, inputs.entries(), strict=True):
            if before != now:
                raise FolderError(
                    f"{self.corpus} was made from {before.name} as it was then, {now.name} differs", _START_OVER
                )
        self.discard()
        return manifest

    def begin(self, recipe: Recipe, inputs: Inputs, progress: Progress) -> None:
        """Make the staging folder, or take up the one an interrupted run left. Raises as `finished` does."""
        plan = {"settings": recipe.settings(), "inputs": [asdict(state) for state in inputs.states]}
        if self._plan.exists():
            self._compare(json.loads(self._plan.read_bytes()), recipe, inputs)
            if not inputs.streams:
                progress.note(f"taking up the interrupted run in {self.corpus}")
                return
            progress.note("standard input cannot be resumed: starting over")
            self.restart()
        elif any(_OUR_FILE.fullmatch(file.name) for split in splits.SPLITS for file in (self.corpus / split).glob("*")):
            raise UsageError(
                f"{self.corpus} holds shards without a manifest", "choose another folder, or start over with --restart"
            )
        with storage.storage_errors(self.folder):
            self.discard()
            self.folder.mkdir()
        storage.write_whole(self._plan, json.dumps(plan).encode())

    def _compare(self, before: dict[str, Any], recipe: Recipe, inputs: Inputs) -> None:
        _same_settings(before["settings"], recipe, self.corpus)
        now = [asdict(state) for state in inputs.states]
        if len(before["inputs"]) != len(now):
            raise FolderError(
                f"{self.corpus} was begun with {len(before['inputs'])} inputs, now there are {len(now)}", _START_OVER
            )
        for old, new in zip(before["inputs"], now, strict=True):
            changed = [f"{what} was {old[what]}, is {new[what]}" for what in old if old[what] != new[what]]
            if changed:
                raise FolderError(
                    f"{new['name']} is not the input {self.corpus} was begun with: {', '.join(changed)}", _START_OVER
                )

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, then remove the scaffolding. Raises StorageError."""
        storage.write_whole(self.corpus / MANIFEST, manifest.to_bytes())
        with storage.storage_errors(self.folder):
            self.discard()


def _same_settings(before: dict[str, Any], recipe: Recipe, corpus: Path) -> None:
    now = json.loads(json.dumps(recipe.settings()))
    if shards.settings_sha256(before) == shards.settings_sha256(now):
        return
    changed = ", ".join(
        f"--{name.replace('_', '-')} was {before.get(name)}, is {now.get(name)}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    )
    raise UsageError(f"{corpus} was begun with other options: {changed}", _START_OVER)
