"""Corpus folders: parquet shards by split and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from arxivcli import storage
from arxivcli.errors import FolderError, unknown
from arxivcli.papers import PAPERS
from arxivcli.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from arxivcli.taxonomy import Level

MANIFEST = "manifest.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A file the corpus was made from."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Shard:
    """One parquet file of a split; `file` is its path inside the folder."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Split:
    """The papers of one split: how many, how many of each label, and where they are."""

    rows: int
    labels: dict[str, int]
    shards: tuple[Shard, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a corpus is and where it comes from. read = kept + the sum of dropped."""

    level: Level
    labels: tuple[str, ...]
    settings: dict[str, Any]
    settings_sha256: str
    sources: tuple[Source, ...]
    read: int
    kept: int
    dropped: dict[str, int]
    splits: dict[str, Split]
    version: int = VERSION

    def to_bytes(self) -> bytes:
        """The same bytes for the same corpus, wherever and whenever it was made."""
        return (json.dumps(asdict(self), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, where: Path) -> Manifest:
        """Raises FolderError for what is no manifest of this version."""
        try:
            fields = json.loads(content)
            if fields["version"] != VERSION:
                raise FolderError(
                    f"{where} has corpus format {fields['version']}, this is format {VERSION}",
                    "make the corpus anew with arxivcli preprocess",
                )
            fields["labels"] = tuple(fields["labels"])
            fields["sources"] = tuple(Source(**source) for source in fields["sources"])
            found = fields["splits"]
            order = [*(name for name in SPLITS if name in found), *(name for name in found if name not in SPLITS)]
            fields["splits"] = {name: _split(found[name]) for name in order}
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FolderError(
                f"{where} is no corpus manifest", "make the corpus anew with arxivcli preprocess"
            ) from error


def _split(fields: dict[str, Any]) -> Split:
    return Split(fields["rows"], fields["labels"], tuple(Shard(**shard) for shard in fields["shards"]))


def settings_sha256(settings: dict[str, Any]) -> str:
    """Hex digest of settings, whatever their order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def write_shard(folder: Path, file: str, papers: pa.Table) -> Shard:
    """Write papers as `folder/file`, whole or not at all. The same papers make the same bytes. Raises StorageError."""
    with storage.whole_file(folder / file) as sink:
        pq.write_table(
            papers.cast(PAPERS),
            sink,
            compression="zstd",
            compression_level=1,
            use_dictionary=["categories.list.element"],
            write_statistics=False,
            store_schema=True,
        )
    return shard_of(folder, file, papers.num_rows)


def shard_of(folder: Path, file: str, rows: int) -> Shard:
    """The entry for a file that is there."""
    path = folder / file
    return Shard(file, rows, path.stat().st_size, storage.sha256(path))


class Shards:
    """A finished corpus folder, for reading. `categories` of its papers are labels of its level, primary first."""

    def __init__(self, folder: Path, manifest: Manifest, manifest_sha256: str) -> None:
        self._folder = folder
        self.manifest = manifest
        self.manifest_sha256 = manifest_sha256
        self._verified: set[str] = set()

    @classmethod
    def open(cls, folder: Path) -> Shards:
        """Open a corpus folder; the bytes of a shard are verified when it is read first.

        Raises:
            FolderError: There is no manifest, or a shard is missing or is not what the manifest says.
        """
        path = folder / MANIFEST
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FolderError(
                f"{folder} is no finished corpus: no {MANIFEST}", "make one with arxivcli preprocess PAPERS -o FOLDER"
            ) from error
        except OSError as error:
            raise FolderError(f"cannot read {path}: {error.strerror}", "mend that, or name another corpus") from error
        manifest = Manifest.from_bytes(content, path)
        for split in manifest.splits.values():
            for shard in split.shards:
                _check(folder / shard.file, shard)
        return cls(folder, manifest, hashlib.sha256(content).hexdigest())

    @property
    def level(self) -> Level:
        """What its labels are: categories, archives or groups."""
        return self.manifest.level

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels a paper of it may have, sorted; not every one needs to occur."""
        return self.manifest.labels

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of its splits."""
        return tuple(name for name in SPLITS if name in self.manifest.splits)

    def rows(self, split: str) -> int:
        """Number of papers in a split."""
        return self._split(split).rows

    def batches(
        self, split: str, batch_size: int = 20_000, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The papers of a split, at most `batch_size` at once, always in the same order.

        Raises FolderError for a shard whose bytes are not those the manifest names; each is looked at once.
        """
        for shard in self._split(split).shards:
            path = self._folder / shard.file
            if shard.file not in self._verified:
                _check(path, shard, verify=True)
                self._verified.add(shard.file)
            try:
                yield from pq.ParquetFile(path).iter_batches(batch_size, columns=columns, use_threads=False)
            except (pa.ArrowException, OSError) as error:
                raise FolderError(f"{path} is damaged: {error}", "make the corpus anew") from error

    def table(self, split: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The papers of a split at once."""
        wanted = PAPERS if columns is None else pa.schema([PAPERS.field(name) for name in columns])
        return pa.Table.from_batches(list(self.batches(split, columns=columns)), wanted)

    def _split(self, name: str) -> Split:
        if name not in self.manifest.splits:
            raise unknown("split", name, SPLITS)
        return self.manifest.splits[name]


def _check(path: Path, shard: Shard, verify: bool = False) -> None:
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        raise FolderError(f"{path} is missing", "make the corpus anew with arxivcli preprocess --restart")
    if size != shard.bytes or (verify and storage.sha256(path) != shard.sha256):
        raise FolderError(
            f"{path} is not what the manifest says ({size} bytes, expected {shard.bytes}, sha256 {shard.sha256[:12]}…)",
            "make the corpus anew with arxivcli preprocess --restart",
        )
