"""The folder of what was fetched.

    data/raw/
        arxiv-metadata-oai-snapshot.zip       the snapshot, as it came
        papers/2401.jsonl.zst                 merged: one line a paper, by month of the id, sorted
        harvests/oai-cs.LG/                   a harvest that is not finished
            part-000001.jsonl.zst             pages as they came
            .state.json                       how far it is

Everything in it that has a visible name is for `preprocess`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import orjson
import pyarrow as pa

from arxivcli import storage
from arxivcli.errors import FolderError
from arxivcli.sources.entries import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from arxivcli.sources.entries import Entry

PAPERS, HARVESTS = "papers", "harvests"
LINES = ".jsonl.zst"
_STATE = ".state.json"
_LEVEL = 3
_CHUNK = 1 << 20
_ANEW = "remove it and fetch again with --restart"


@dataclass
class State:
    """How far a harvest is. What is saved is always true: parts are written before the state that counts them.

    Attributes:
        asked: What the harvest is of, as its source understands it.
        options: What to type after `arxivcli fetch` to go on.
        first: First day (or moment) of this pass over it.
        began: When this pass began, by the server's clock.
        reached: Last day that was brought in.
        token: What asks for the next page.
        token_at: When the token came, seconds since 1970.
        parts: How many parts of this pass are on disk.
        sums: Their SHA-256.
        pages: How many answers this pass took.
        papers: How many papers are in the parts, also those that came twice.
        dropped: How many records were no papers, by reason.
        mended: Ids of papers in which characters were mended.
        bad: Ids of papers the server cannot give, or places in a list where it fails.
        listed: Whether the list of this pass came to its end.
        left: What is still to be asked, for sources that plan ahead; they know how to read it.
        expected: How many papers the server said there are when this pass began, for sources whose servers say so.
        finished: When the last whole pass began; None before there was one.
    """

    asked: dict[str, str | None]
    options: str = ""
    first: str | None = None
    began: str = ""
    reached: str | None = None
    token: str | None = None
    token_at: float = 0.0
    parts: int = 0
    sums: list[str] = field(default_factory=list)
    pages: int = 0
    papers: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    mended: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    listed: bool = False
    left: list[Any] | None = None
    expected: int | None = None
    finished: str | None = None

    def passed(self) -> Self:
        """The state after this pass: only what it was of and when it began is remembered."""
        return type(self)(self.asked, self.options, finished=self.began)


def _require_sound(state: State) -> None:
    """Raises TypeError or ValueError for values of other kinds than are saved, and for days that are none."""
    fresh = State({})
    for slot in fields(State):
        value, usual = getattr(state, slot.name), getattr(fresh, slot.name)
        if usual is not None and not isinstance(value, (type(usual), int) if usual == 0 else type(usual)):
            raise TypeError(f"{slot.name} is {value!r}")
    for day in (state.first, state.reached, state.finished):
        if day is not None:
            datetime.fromisoformat(day)


class Harvest:
    """One harvest's folder. It is held by one process: see `storage.owned`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.folder = folder / HARVESTS / name

    def load(self) -> State | None:
        """The saved state. Raises FolderError when it is damaged."""
        path = self.folder / _STATE
        if not path.exists():
            return None
        try:
            values = orjson.loads(path.read_bytes())
            if not isinstance(values, dict):
                raise TypeError("no state of a harvest")
            known = {f.name for f in fields(State)}
            state = State(**{key: value for key, value in values.items() if key in known})
            _require_sound(state)
        except (OSError, ValueError, TypeError) as error:
            raise FolderError(f"{path} is damaged", "start this harvest over with --restart") from error
        return state

    def save(self, state: State) -> None:
        """Keep the state, whole. Raises StorageError."""
        storage.write_whole(self.folder / _STATE, orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2))

    def add(self, state: State, entries: Iterable[Entry], dropped: Counter[str], mended: Iterable[str]) -> None:
        """Write what an answer brought as a part and count it all in the state, which is not saved yet.

        Raises StorageError.
        """
        state.dropped = dict(Counter(state.dropped) + dropped)
        state.mended += mended
        lines = [entry.line for entry in entries]
        if lines:
            content = frame(lines)
            storage.write_whole(self._part(state.parts + 1), content)
            state.parts += 1
            state.sums.append(hashlib.sha256(content).hexdigest())
            state.papers += len(lines)

    def parts(self, state: State) -> list[Path]:
        """The parts of this pass, in their order."""
        return [self._part(number) for number in range(1, state.parts + 1)]

    def sweep(self, state: State) -> None:
        """Remove parts that no state counts: a pass was merged, or a crash came between part and state.

        Raises FolderError when one that counts is not as it was written: nothing is asked for that would not do.
        """
        counted = set(self.parts(state))
        for path in self.folder.glob(f"part-*{LINES}*"):
            if path not in counted:
                with storage.storage_errors(path):
                    path.unlink()
        for path, digest in zip(self.parts(state), state.sums, strict=False):
            if not path.exists() or storage.sha256(path) != digest:
                how = "damaged" if path.exists() else "missing"
                raise FolderError(f"{path} is {how}", "start this harvest over with --restart")

    def forget(self) -> None:
        """Remove everything: for `--restart`, and where nothing is to be remembered."""
        with storage.storage_errors(self.folder):
            if not (self.folder / _STATE).is_dir():
                (self.folder / _STATE).unlink(missing_ok=True)
            if self.folder.exists():
                shutil.rmtree(self.folder)

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}{LINES}"


def harvests(folder: Path) -> list[Harvest]:
    """All harvests in a folder, by name."""
    return [Harvest(folder, path.parent.name) for path in sorted((folder / HARVESTS).glob(f"*/{_STATE}"))]


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """A file of lines, whole or absent; the same lines make the same bytes. Raises StorageError."""
    storage.write_whole(path, frame(lines))


def frame(lines: Iterable[bytes]) -> bytes:
    """Lines as a Zstandard frame; frames one after another are a file of lines too."""
    content = b"".join(line + b"\n" for line in lines)
    packed: bytes = pa.Codec("zstd", _LEVEL).compress(content, asbytes=True)
    return packed


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file. Raises FolderError when it is damaged or missing."""
    try:
        with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
            rest = b""
            while chunk := stream.read(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
    except FileNotFoundError as error:
        raise FolderError(f"{path} is missing", _ANEW) from error
    except (OSError, pa.ArrowException) as error:
        raise FolderError(f"{path} is damaged: {error}", _ANEW) from error


def read_entries(path: Path) -> Iterator[Entry]:
    """The papers of a file. Raises FolderError when it is damaged or missing."""
    for line in read_lines(path):
        try:
            yield parsed(line)
        except ValueError as error:
            raise FolderError(f"{path} is damaged: {error}", _ANEW) from error
