"""Embeddings that are made once: an encoder and a folder of what it gave before, shared by runs and by processes.

A folder holds blocks: files of rows of a 16-byte key and a float16 vector, each named by the hash of its bytes and
never changed. Any number of processes read and add at once; a block is whole or absent, and one that is not what its
name says is dropped.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from torch import distributed

from arxivcli import storage
from arxivcli.errors import StorageError, TrainingError
from arxivcli.models.encoder import by_length
from arxivcli.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from arxivcli.models.encoder import Encoder
    from arxivcli.surroundings import Surroundings

    Blocks = list[NDArray[np.void]]

BLOCK_SECONDS = 20.0
BLOCK_ROWS = 8192
"""A block is written after so long or with so many rows: what a kill can cost."""
_KEY_BYTES = 16
_SUFFIX = ".rows"
_ABANDONED_SECONDS = 24 * 3600


def key(text: str) -> bytes:
    """What a text's embedding is found by."""
    return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest()


class Store:
    """The blocks of one encoder. Vectors stay on disk and are read through memory maps."""

    def __init__(self, folder: Path, dimension: int, progress: Progress | None = None) -> None:
        self._folder = folder
        self._row = np.dtype([("key", f"V{_KEY_BYTES}"), ("vector", "<f2", (dimension,))])
        self._progress = progress or Silent()
        self._blocks: Blocks = []
        self._starts = np.zeros(1, np.int64)
        self._rows: dict[bytes, int] = {}
        self._names: set[str] = set()
        self._writes = True
        self.refresh()

    def __contains__(self, known: bytes) -> bool:
        return known in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def refresh(self) -> None:
        """Learn of blocks that others wrote; drop damaged ones and what writers left that are long dead."""
        try:
            paths = sorted(self._folder.iterdir())
        except OSError:  # not made yet, or not ours to look into: `add` tells when it cannot write there either
            return
        for path in paths:
            if path.name.endswith(storage.PARTIAL):
                self._sweep(path)
            elif path.suffix == _SUFFIX and path.name not in self._names:
                self._names.add(path.name)
                block = self._opened(path)
                if block is not None:
                    self._register(block)

    def add(self, keys: Sequence[bytes], vectors: NDArray[np.float16]) -> None:
        """Keep embeddings, on disk if the disk lets us, else for the life of this object."""
        block = np.empty(len(keys), self._row)
        block["key"] = np.frombuffer(b"".join(keys), f"V{_KEY_BYTES}")
        block["vector"] = vectors
        if self._writes:
            try:
                block = self._written(block)
            except StorageError as error:
                self._writes = False
                self._progress.note(f"embeddings are not kept for other runs: {error.what}")
        self._register(block)

    def take(self, keys: Sequence[bytes]) -> NDArray[np.float16]:
        """The embeddings of texts that are all known, (len(keys), dimension)."""
        rows = np.array([self._rows[key] for key in keys], np.int64)
        found = np.empty((len(rows), self._row["vector"].shape[0]), np.float16)
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(owner):
            here = owner == number
            found[here] = self._blocks[number]["vector"][rows[here] - self._starts[number]]
        return found

    def _written(self, block: NDArray[np.void]) -> NDArray[np.void]:
        """Write a block under the hash of its bytes; the same block as others will read it."""
        token = secrets.token_hex(8)  # two processes that make the same block at once must not share a partial file
        unnamed = self._folder / f"{token}{_SUFFIX}{storage.PARTIAL}"
        with storage.storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                unnamed.write_bytes(block.tobytes())
                storage.sync(unnamed)
                path = self._folder / f"{storage.sha256(unnamed)}-{token}{_SUFFIX}"
                unnamed.replace(path)
                storage.sync_folder(self._folder)
            except BaseException:
                unnamed.unlink(missing_ok=True)
                raise
            self._names.add(path.name)
            return np.memmap(path, self._row, "r")

    def _opened(self, path: Path) -> NDArray[np.void] | None:
        """A block of others, mapped; None, and no file any more, when it is damaged."""
        try:
            if storage.sha256(path) == path.name.partition("-")[0]:
                return np.memmap(path, self._row, "r")
        except FileNotFoundError:
            return None  # another process found it damaged
        except OSError as error:
            self._progress.note(f"{path} cannot be read: {error.strerror}")
            return None
        self._progress.note(f"{path} is damaged and dropped: its embeddings are made again")
        with suppress(OSError):  # a folder that cannot be written keeps it, and we do not use it
            path.unlink(missing_ok=True)
        return None

    def _sweep(self, path: Path) -> None:
        with suppress(OSError):  # gone by now, or not ours to remove
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()

    def _register(self, block: NDArray[np.void]) -> None:
        start = int(self._starts[-1])
        self._blocks.append(block)
        self._starts = np.append(self._starts, start + len(block))
        for row, known in enumerate(block["key"].tolist(), start):
            self._rows.setdefault(known, row)


class CachedEncoder:
    """An encoder that asks its store first, and shows how it goes on."""

    def __init__(self, encoder: Encoder, surroundings: Surroundings) -> None:
        folder = surroundings.cache / "embeddings" / encoder.identity
        self.encoder = encoder
        self._progress = surroundings.progress
        self._place = surroundings.place
        self._store = Store(folder, encoder.dimension, surroundings.progress)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """(len(texts), dimension), in their order."""
        keys = [key(text) for text in texts]
        self._make(self._unknown(keys, texts), self._progress.advance)
        return self._store.take(keys)

    def embed_all(self, batches: Iterable[pa.StringArray], total: int, what: str) -> NDArray[np.float16]:
        """The embeddings of all texts, `total` of them, (total, dimension), shown as a stretch of work.

        Processes that train together all call this with the same texts, and each makes its share of them.
        """
        self._progress.begin(what, total)
        found = np.empty((total, self.encoder.dimension), np.float16)
        done = 0
        for batch in batches:
            texts = batch.to_pylist()
            keys = [key(text) for text in texts]
            shown = _Shown(self._progress, len(texts))
            unknown = self._unknown(keys, texts)
            shown.advance(len(texts) - len(unknown))
            if self._place.processes > 1:
                self._make_share(unknown, shown)
                unknown = self._unknown(keys, texts)
            self._make(unknown, shown.advance)
            shown.advance(len(texts))
            found[done : done + len(texts)] = self._store.take(keys)
            done += len(texts)
        self._progress.end()
        return found

    def _unknown(self, keys: Sequence[bytes], texts: Sequence[str]) -> dict[bytes, str]:
        """What nobody has encoded yet, each text once."""
        self._store.refresh()
        return {known: text for known, text in zip(keys, texts, strict=True) if known not in self._store}

    def _make_share(self, unknown: dict[bytes, str], shown: _Shown) -> None:
        """Encode this process's share of new texts, and wait until the others have done theirs.

        Whoever cannot see what another wrote (on another machine, or the cache cannot be written) makes it afterwards.
        """
        count, rank = self._place.processes, self._place.rank
        # By key, so that processes that know different blocks of other writers still share in the same way.
        mine = {known: text for known, text in unknown.items() if known[0] % count == rank}
        self._make(mine, lambda made: shown.advance(made * count))
        distributed.barrier()

    def _make(self, unknown: dict[bytes, str], advance: Callable[[int], None]) -> None:
        """Encode new texts, the longest first, and keep each block as it is full, whatever ends us."""
        keys, texts = list(unknown), list(unknown.values())
        order = by_length(texts)
        keys = [keys[i] for i in order]
        waiting: list[NDArray[np.float16]] = []
        kept = made = 0
        since = time.monotonic()
        try:
            for rows in self.encoder.stream([texts[i] for i in order]):
                if not np.isfinite(rows).all():
                    raise TrainingError(
                        "the encoder gives embeddings that are no numbers", "train with --precision fp32"
                    )
                waiting.append(rows)
                made += len(rows)
                advance(len(rows))
                if made - kept >= BLOCK_ROWS or time.monotonic() - since >= BLOCK_SECONDS:
                    self._store.add(keys[kept:made], np.concatenate(waiting))
                    kept, since = made, time.monotonic()
                    waiting.clear()
        finally:
            if waiting:
                rows = np.concatenate(waiting)
                self._store.add(keys[kept : kept + len(rows)], rows)


class _Shown:
    """Shows how far a batch is, never more than all of it."""

    def __init__(self, progress: Progress, left: int) -> None:
        self._progress = progress
        self._left = left

    def advance(self, units: int) -> None:
        units = min(units, self._left)
        self._left -= units
        self._progress.advance(units)
