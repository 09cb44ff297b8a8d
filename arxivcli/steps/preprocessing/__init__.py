"""Preprocessing: files of papers in, a corpus folder out, whatever is in the files and whenever the power goes.

Three passes, each resumable: units of input are cleaned into a staging folder (`cleaning`), one look over the keys of
all papers decides which stay (`verdicts`), and the staged parts become the final shards (`shelving`). The manifest is
written last; the staging folder goes when it is there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from arxivcli import shards, splits, storage
from arxivcli.errors import InputError
from arxivcli.progress import Progress, Silent
from arxivcli.shards import Manifest, Shards
from arxivcli.sources.readings import EMPTY_LINE
from arxivcli.steps.preprocessing import crew, shelving, units, verdicts
from arxivcli.steps.preprocessing.cleaning import Cleaning, Piece, load_keys
from arxivcli.steps.preprocessing.inputs import Inputs
from arxivcli.steps.preprocessing.recipe import Recipe, names, numbers
from arxivcli.steps.preprocessing.staging import Staging, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from arxivcli.shards import Shard, Split

__all__ = ["BadRecord", "Recipe", "Report", "finished", "names", "numbers", "preprocess"]

MAX_BAD = 0.001
_SHOWN = 5
_WORTH_A_WORKER = 4  # shards: for fewer, starting a process takes longer


@dataclass(frozen=True)
class BadRecord:
    """A record that is no paper: where it is and why."""

    source: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.reason}"


@dataclass(frozen=True)
class Report:
    """What came of it: the corpus, the first records that were no papers, and whether it was there already."""

    folder: Path
    manifest: Manifest
    bad: int
    first_bad: tuple[BadRecord, ...]
    already: bool

    def figures(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        manifest = self.manifest
        return {
            "folder": str(self.folder),
            "read": manifest.read,
            "kept": manifest.kept,
            "dropped": manifest.dropped,
            "splits": {name: split.rows for name, split in manifest.splits.items()},
            "first_bad": [str(bad) for bad in self.first_bad],
            "already": self.already,
        }


def preprocess(
    sources: Sequence[Path | BinaryIO],
    folder: Path,
    recipe: Recipe,
    workers: int = 2,
    max_bad: float = MAX_BAD,
    restart: bool = False,
    progress: Progress | None = None,
    spread: crew.Spread = crew.run,
) -> Report:
    """Make a corpus folder; the same call continues an interrupted one and makes the same bytes.

    Args:
        sources: Files of any known format; an open binary file (standard input) is read once and cannot be resumed.
        folder: The corpus folder, made when missing.
        recipe: The choices that change what the corpus is.
        workers: Processes that clean; the corpus is the same for any number.
        max_bad: Largest share of records that may be no papers.
        restart: Forget a finished corpus, or what an interrupted run left.
        progress: Who watches.
        spread: Who does the work; processes of this machine, or others that see the same files.

    Raises:
        InputError: A source is damaged, has too many records that are no papers, or no paper is left.
        UsageError: The folder was begun with other choices, or is somebody else's.
        FolderError: The folder was begun with other inputs, or an input changed meanwhile.
        StorageError: Disk full, no permission, or the folder belongs to another process.
    """
    progress = progress or Silent()
    inputs = Inputs(sources)
    with storage.storage_errors(folder):
        refuse_foreign(folder)
    with storage.owned(folder):
        staging = Staging(folder)
        if restart:
            staging.restart()
        finished = staging.finished(recipe, inputs)
        if finished is not None:
            return Report(folder, finished, 0, (), already=True)
        staging.begin(recipe, inputs, progress)
        with inputs.hashing():
            pieces = _cleaned(inputs, recipe, staging, workers, progress, spread)
            try:
                bad = _checked(pieces, inputs, max_bad)
                stays, dropped, tallies = _judged(pieces, recipe, staging)
            except InputError:
                staging.discard()  # rejected, not interrupted: next time the records are others
                raise
            made = _shelved(pieces, stays, staging, workers, progress, spread)
            manifest = _manifest(recipe, inputs, pieces, dropped, tallies, made)
        staging.finish(manifest)
    return Report(folder, manifest, sum(piece.bad for _, piece in pieces), bad, already=False)


def finished(folder: Path) -> Report:
    """What is in a finished corpus folder. Raises FolderError for one that is none, StorageError for one in work."""
    storage.require_free(folder)
    return Report(folder, Shards.open(folder).manifest, 0, (), already=True)


def _cleaned(
    inputs: Inputs, recipe: Recipe, staging: Staging, workers: int, progress: Progress, spread: crew.Spread
) -> list[tuple[int, Piece]]:
    """Index of the input and piece of every unit, in order; what an earlier run finished is not done again."""
    done: dict[int, Piece] = {}
    source_of: list[int] = []

    def missing(number: int) -> bool:
        piece = Piece.load(staging.folder, number)
        if piece is not None:
            done[number] = piece
        return piece is None

    def to_do() -> Iterator[units.Unit]:
        for unit in inputs.units(recipe, staging.folder, missing):
            source_of.append(unit.source)
            if unit.number not in done and missing(unit.number):
                yield unit

    megabytes = inputs.megabytes
    progress.begin("cleaning", megabytes, "MB" if megabytes else "papers")
    cleaning = Cleaning(recipe, staging.folder)
    kept = read = done_mb = 0
    for piece in spread(cleaning, to_do(), min(workers, inputs.most_units)):
        kept, read = kept + piece.kept, read + piece.read
        part = min(units.UNIT_BYTES // 1_000_000, megabytes - done_mb) if megabytes else piece.read
        done_mb += part
        progress.advance(part, read=f"{read:,}", kept=f"{kept:,}")
    progress.end()
    found = [(number, done.get(number) or Piece.load(staging.folder, number)) for number in range(len(source_of))]
    return [(source_of[number], piece) for number, piece in found if piece is not None]


def _checked(pieces: list[tuple[int, Piece]], inputs: Inputs, max_bad: float) -> tuple[BadRecord, ...]:
    """The first records that are no papers. Raises InputError when there are too many, or no record at all."""
    read = sum(piece.read - piece.dropped.get(EMPTY_LINE, 0) for _, piece in pieces)
    bad = sum(piece.bad for _, piece in pieces)
    shown: list[BadRecord] = []
    lines: Counter[int] = Counter()
    for source, piece in pieces:
        shown += [BadRecord(inputs.names[source], lines[source] + line, reason) for line, reason in piece.first_bad]
        lines[source] += piece.lines
    if not read:
        raise InputError(f"no record in {', '.join(inputs.names)}", "are these the right files?")
    if bad > max_bad * read:
        raise InputError(
            f"{bad:,} of {read:,} records are no papers: {'; '.join(map(str, shown[:_SHOWN]))}",
            f"mend the input, or allow them with --max-bad {min(1.0, bad / read * 1.01):.2g}",
        )
    return tuple(shown[:_SHOWN])


def _judged(
    pieces: list[tuple[int, Piece]], recipe: Recipe, staging: Staging
) -> tuple[NDArray[np.bool_], Counter[str], NDArray[np.int64]]:
    """Which papers stay (in the order of the keys), how many go by reason, and how many stay by split and label."""
    loaded = [load_keys(staging.folder, number) for number in range(len(pieces))]
    keys = np.concatenate(loaded)
    places = np.repeat(np.arange(len(loaded), dtype=np.uint64) << np.uint64(32), [len(some) for some in loaded])
    loaded.clear()
    places |= keys["order"]
    why = verdicts.judged(keys, places, recipe)
    dropped: Counter[str] = Counter()
    for _, piece in pieces:
        dropped.update(piece.dropped)
    numbers = np.bincount(why, minlength=len(verdicts.REASONS)).tolist()
    dropped.update({verdicts.REASONS[reason]: papers for reason, papers in enumerate(numbers) if reason and papers})
    stays = why == verdicts.KEPT
    labels = len(recipe.answers)
    cells = keys["split"][stays].astype(np.int64) * labels + keys["label"][stays]
    tallies = np.bincount(cells, minlength=len(splits.SPLITS) * labels).reshape(len(splits.SPLITS), labels)
    if not stays.any():
        reasons = ", ".join(f"{reason} {papers:,}" for reason, papers in dropped.most_common())
        raise InputError(
            f"no paper is left of {dropped.total():,} read: {reasons}", "are these the right files and options?"
        )
    return stays, dropped, tallies


def _shelved(
    pieces: list[tuple[int, Piece]],
    stays: NDArray[np.bool_],
    staging: Staging,
    workers: int,
    progress: Progress,
    spread: crew.Spread,
) -> list[Shard]:
    jobs = shelving.jobs([piece for _, piece in pieces], stays)
    progress.begin("writing", len(jobs), "shards")
    shelve = shelving.Shelving(staging.folder, staging.corpus)
    rewritten = [job for job in jobs if not job.whole]
    made = [shelve(job) for job in jobs if job.whole]
    progress.advance(len(made))
    for shard in spread(shelve, rewritten, min(workers, len(rewritten) // _WORTH_A_WORKER + 1)):
        made.append(shard)
        progress.advance(1)
    progress.end()
    return sorted(made, key=lambda shard: shard.file)


def _manifest(
    recipe: Recipe,
    inputs: Inputs,
    pieces: list[tuple[int, Piece]],
    dropped: Counter[str],
    tallies: NDArray[np.int64],
    made: list[Shard],
) -> Manifest:
    settings = recipe.settings()
    return Manifest(
        level=recipe.level,
        labels=recipe.answers,
        settings=settings,
        settings_sha256=shards.settings_sha256(settings),
        sources=inputs.entries(),
        read=sum(piece.read for _, piece in pieces),
        kept=int(tallies.sum()),
        dropped=dict(sorted(dropped.items())),
        splits={split: _split(split, recipe, tallies[index], made) for index, split in enumerate(splits.SPLITS)},
    )


def _split(split: str, recipe: Recipe, tally: NDArray[np.int64], made: list[Shard]) -> Split:
    labels = {label: papers for label, papers in zip(recipe.answers, tally.tolist(), strict=True) if papers}
    return shards.Split(int(tally.sum()), labels, tuple(s for s in made if s.file.startswith(f"{split}/")))
