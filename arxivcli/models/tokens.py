"""Texts as token ids: made once by all cores, kept in the cache folder, read from there without filling memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from arxivcli import storage, text
from arxivcli.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from arxivcli.models.base import LabelledTexts
    from arxivcli.progress import Progress
    from arxivcli.surroundings import Surroundings

_FORMAT = "tokens/1"
_IDS, _OFFSETS = "ids.bin", "offsets.npy"
_AT_ONCE = 2048
_UNUSED_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, eq=False)
class Tokens:
    """Ids of all n texts in a row, and where each text begins (n + 1,)."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, (n,)."""
        return np.diff(self.offsets)

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        """Ids of one text."""
        return self.ids[self.offsets[row] : self.offsets[row + 1]]


def padded(texts: list[NDArray[np.int32]], padding: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids padded to the longest, and 1 where there is a token: (texts, longest) both."""
    longest = max(1, *(len(ids) for ids in texts)) if texts else 1
    ids = np.full((len(texts), longest), padding, np.int64)
    mask = np.zeros((len(texts), longest), np.int64)
    for row, some in enumerate(texts):
        ids[row, : len(some)] = some
        mask[row, : len(some)] = 1
    return ids, mask


def fitted(tokenizer: Tokenizer, max_length: int) -> Tokenizer:
    """A copy that cuts at `max_length` tokens and pads nothing: safe to use from several threads."""
    copy = type(tokenizer).from_str(tokenizer.to_str())
    copy.no_padding()
    copy.enable_truncation(max_length)
    return copy


def encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """Ids of each text, its special tokens among them."""
    return [np.array(found.ids, np.int32) for found in tokenizer.encode_batch_fast(list(texts))]


def of(
    tokenizer: Tokenizer,
    papers: LabelledTexts,
    cache: Path,
    progress: Progress,
    change: Callable[[pa.StringArray], pa.StringArray] | None = None,
    name: str = "texts",
) -> Tokens:
    """Tokens of all papers, from the cache when they were made before.

    Args:
        tokenizer: see `fitted`.
        papers: their texts, read only when they must be.
        cache: folder for them; when it cannot be written, they are kept in memory.
        progress: sees the papers go by.
        change: what is read of each text; all of it when None.
        name: what `change` leaves, in a word.
    """
    change = change or (lambda texts: texts)

    def parts() -> Iterator[list[NDArray[np.int32]]]:
        progress.begin(f"tokenising {name}", len(papers.truth))
        for batch in papers.texts():
            for start in range(0, len(batch), _AT_ONCE):
                found = encoded(tokenizer, change(batch.slice(start, _AT_ONCE)).to_pylist())
                yield found
                progress.advance(len(found))
        progress.end()

    if papers.key:
        key = hashlib.sha256("\n".join((_FORMAT, papers.key, name, tokenizer.to_str())).encode()).hexdigest()
        try:
            return _kept(cache / "tokens" / key[:32], parts)
        except StorageError as error:
            progress.note(f"{error.what}: tokens stay in memory")
    every = [ids for part in parts() for ids in part]
    return Tokens(np.concatenate([np.empty(0, np.int32), *every]), _offsets([len(ids) for ids in every]))


def _kept(folder: Path, parts: Callable[[], Iterator[list[NDArray[np.int32]]]]) -> Tokens:
    """The tokens of a cache folder, which is made when it is not there: whole or not at all. Raises StorageError.

    Of several processes that want the same, one makes them, with all cores, and the others wait.
    """
    found = _opened(folder)
    if found is None:
        with storage.in_turn(folder.parent):
            found = _opened(folder)
            if found is None:
                _make(folder, parts())
                _sweep(folder.parent)
                found = _opened(folder)
    if found is None:
        raise StorageError(f"{folder} cannot be read", "mend the cache folder, or choose another with XDG_CACHE_HOME")
    with suppress(OSError):  # a cache of others, which we may read but not mark as used
        os.utime(folder)
    return found


def _opened(folder: Path) -> Tokens | None:
    """What a cache folder holds, None when it is not there or came to harm."""
    try:
        ids = np.memmap(folder / _IDS, np.int32, "r")
        offsets = np.load(folder / _OFFSETS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return Tokens(ids, offsets) if offsets.ndim == 1 and offsets[-1:].tolist() == [len(ids)] else None


def _make(folder: Path, parts: Iterator[list[NDArray[np.int32]]]) -> None:
    partial = folder.with_name(f"{folder.name}{storage.PARTIAL}")
    for left in (partial, folder):  # of somebody who was killed, or came to harm: it is our turn
        shutil.rmtree(left, ignore_errors=True)
    with storage.storage_errors(folder):
        partial.mkdir()
    try:
        lengths: list[int] = []
        for part in _written(partial / _IDS, parts):
            lengths += map(len, part)
        with storage.storage_errors(folder):
            np.save(partial / _OFFSETS, _offsets(lengths), allow_pickle=False)
            storage.sync(partial / _OFFSETS)
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove tokens nobody has used for long: a corpus of millions has gigabytes of them, and they are soon made."""
    for kept in folder.iterdir():
        if kept.is_dir() and time.time() - kept.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(kept, ignore_errors=True)


def _written(path: Path, parts: Iterator[list[NDArray[np.int32]]]) -> Iterator[list[NDArray[np.int32]]]:
    """The parts as they go by, appended to a file."""
    with storage.whole_file(path) as file:
        for part in parts:
            with storage.storage_errors(path):
                np.concatenate(part).tofile(file)
            yield part


def _offsets(lengths: list[int]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


@dataclass(frozen=True, eq=False)
class Papers:
    """Tokens of whole papers and of their titles alone, the primary label (n,) and all labels (n, most) of each."""

    whole: Tokens
    titles: Tokens
    truth: NDArray[np.int64]
    listed: NDArray[np.int64]
    source: LabelledTexts

    @classmethod
    def of(cls, tokenizer: Any, papers: LabelledTexts, surroundings: Surroundings) -> Self:
        """Those of a split, read as the tokenizer reads."""
        cutter = fitted(tokenizer.backend_tokenizer, tokenizer.model_max_length)
        whole = of(cutter, papers, surroundings.cache, surroundings.progress)
        titles = of(cutter, papers, surroundings.cache, surroundings.progress, text.title_only, "titles")
        listed = papers.truth[:, None] if papers.listed is None else papers.listed
        return cls(whole, titles, papers.truth, listed, papers)

    def padded(
        self, rows: NDArray[np.int64], from_title: NDArray[np.bool_], padding: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and mask of some papers, by title alone where marked."""
        picked = zip(rows.tolist(), from_title.tolist(), strict=True)
        return padded([(self.titles if title else self.whole)[row] for row, title in picked], padding)

    def ids(self, rows: NDArray[np.int64]) -> Sequence[str]:
        """Ids of some papers, none when they are not known."""
        if self.source.ids is None:
            return []
        found: list[str] = pa.chunked_array(list(self.source.ids())).take(pa.array(rows)).to_pylist()
        return found
