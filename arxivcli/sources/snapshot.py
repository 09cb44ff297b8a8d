"""The snapshot of all arXiv metadata that Kaggle keeps: one large file, asked for until it is whole.

The final name appears only when size and checksum are those the server names; until then there is a partial file that
the same call goes on with. A hidden record says which version is there, so that nothing is fetched twice.
Nothing is unpacked: `streams` reads the one file out of the archive.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, NoReturn

from arxivcli.errors import InputError, RemoteError
from arxivcli.sources import credentials, streams
from arxivcli.sources.addresses import place
from arxivcli.sources.partial import Partial, Version, md5
from arxivcli.sources.trouble import TRIES, TransientError, told
from arxivcli.storage import PARTIAL, storage_errors, sync_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from arxivcli.progress import Progress
    from arxivcli.sources.web import Web

DEFAULT_URL = "https://www.kaggle.com/api/v1/datasets/download/Cornell-University/arxiv"

PAGE = "https://www.kaggle.com/datasets/Cornell-University/arxiv"

HOSTS = ("www.kaggle.com", "storage.googleapis.com")
"""Where Kaggle's files really lie."""

NAME = "arxiv-metadata-oai-snapshot"
RECORD = ".snapshot.json"
CORRUPT = ".corrupt"

_ENDINGS = {b"PK\x03\x04": ".zip", b"\x1f\x8b": ".json.gz", b"{": ".json"}
_HEAD = max(map(len, _ENDINGS))
_MIB = 20
_OK, _PART, _BEYOND, _UNKNOWN_USER = 200, 206, 416, 401
_RUN_OUT = {400, 403}
_MD5 = re.compile(r"\bmd5=([A-Za-z0-9+/]{22}==)")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True)
class Snapshot:
    """A finished download.

    Attributes:
        file: Where it is.
        size: Bytes.
        verified: Whether the server named a checksum, which is then right. Without one only the size is known to be,
            and that the file opens; the archive's own checksum is looked at when papers are read from it.
        etag: The server's name for this version.
        generation: The number of this version at Google's storage.
        already: Whether it was there before.
    """

    file: Path
    size: int
    verified: bool
    etag: str | None
    generation: str | None
    already: bool


def download(web: Web, folder: Path, progress: Progress) -> Snapshot:
    """The newest snapshot in `folder`, which nobody else works in; goes on where an earlier call stopped.

    Raises:
        RemoteError: The server refuses, sends something else, or there was trouble for too long.
        StorageError: The disk is full or cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        coming = _Download(web, folder, progress)
        progress.begin(f"asking {place(web.base)}", None, "MiB")
        try:
            return web.patiently(coming.attempt)
        finally:
            progress.end()


def standing(folder: Path) -> Snapshot | None:
    """The finished snapshot in a folder; None when there is none, or it was changed."""
    found = _recorded(folder)
    return _snapshot(*found, already=True) if found else None


def coming(folder: Path) -> tuple[int, int] | None:
    """How many bytes of how many a download that was interrupted has; None when there is none to go on with."""
    held = Partial(folder, NAME).held()
    return (held[1], held[0].size) if held else None


def forget(folder: Path) -> None:
    """Let the next download begin from nothing; a finished snapshot stays until there is another."""
    with storage_errors(folder):
        for path in (folder / RECORD, *folder.glob(f"{NAME}*{PARTIAL}*")):
            path.unlink(missing_ok=True)


class _Download:
    """A conversation with the server about one folder."""

    def __init__(self, web: Web, folder: Path, progress: Progress) -> None:
        self._web = web
        self._folder = folder
        self._progress = progress
        self._url = str(web.base.copy_with(query=None, fragment=None))
        self._secret = credentials.headers(web.base)
        self._partial = Partial(folder, NAME)
        self._furthest = 0
        self._shown = -1

    def attempt(self) -> Snapshot:
        """The snapshot, when one more answer is enough. Raises TransientError, which says whether bytes came."""
        before = self._furthest
        try:
            held = self._held()
            if held and held[1] == held[0].size:
                return self._finished(held[0])
            with self._answer(held) as response:
                version, offset = self._agreed(response, held)
                there = None if held else _recorded(self._folder)
                if there and there[1].same(version) and self._sound(there[0], there[1]):
                    return _snapshot(*there, already=True)
                self._receive(response, version, offset, held[0] if held else None)
            return self._finished(version)
        except TransientError as error:
            error.moved = self._furthest > before
            raise

    def _held(self) -> tuple[Version, int] | None:
        """What to go on with."""
        held = self._partial.held()
        if held and held[0].url != self._url:
            self._progress.note("the part that is there came from another address; starting anew")
            self._partial.drop()
            return None
        self._furthest = max(self._furthest, held[1] if held else 0)
        return held

    @contextmanager
    def _answer(self, held: tuple[Version, int] | None) -> Iterator[httpx.Response]:
        """The response to a question for what is missing; while a long body comes, others may ask."""
        headers = {"Accept-Encoding": "identity"}
        if held:
            headers["Range"] = f"bytes={held[1]}-"
            if held[0].strong:
                headers["If-Range"] = held[0].strong
        with ExitStack() as turn:
            turn.enter_context(self._web.turn())
            with self._web.opened(str(self._web.base), headers=headers, secret=self._secret) as response:
                turn.close()
                yield response

    def _agreed(self, response: httpx.Response, held: tuple[Version, int] | None) -> tuple[Version, int]:
        """Which version comes and the byte it goes on from. Raises for an answer that is no part of a file."""
        status = response.status_code
        if status == _OK:
            return self._version(response, response.headers.get("content-length", "")), 0
        if status == _PART and held:
            start, total = _range(response)
            if start == str(held[1]) and held[0].same(self._version(response, total)):
                return held
            self._anew("the server sends a part of something else")
        if status == _BEYOND and held:
            self._anew("the server has no more bytes, though some are missing")
        raise self._refusal(response)

    def _anew(self, why: str) -> NoReturn:
        """Forget what came, and try again from the first byte."""
        self._partial.drop()
        self._progress.note(f"{why}; starting anew")
        raise TransientError(why)

    def _refusal(self, response: httpx.Response) -> Exception:
        """What an answer means that is no file."""
        status, server = response.status_code, place(response.url)
        if status == _UNKNOWN_USER and self._secret:
            self._secret = credentials.Secret()
            self._progress.note(f"{server} does not know your Kaggle credentials; going on without them")
            return TransientError(f"{server} does not know your Kaggle credentials")
        if status in _RUN_OUT and server != place(self._web.base):
            return TransientError(f"{server} says {status}: the link to the file may have run out", tries=TRIES)
        error = told(response)
        if isinstance(error, RemoteError):
            error.hint = f"get the file with a browser from {PAGE} and give it to arxivcli preprocess"
        return error

    def _version(self, response: httpx.Response, size: str) -> Version:
        headers, server = response.headers, place(response.url)
        if headers.get("content-encoding", "identity") not in {"", "identity"}:
            raise TransientError(f"{server} answers in an encoding that nobody asked for", tries=TRIES)
        if not size.isdecimal():
            raise RemoteError(f"{server} does not say how large the file is", "take another address")
        md5 = _MD5.search(headers.get("x-goog-hash", ""))
        return Version(
            self._url, int(size), md5[1] if md5 else None, headers.get("etag"), headers.get("x-goog-generation")
        )

    def _receive(self, response: httpx.Response, version: Version, offset: int, before: Version | None) -> None:
        """Write the body behind the first `offset` bytes. What was there stays until the new bytes look right."""
        server = place(response.url)
        chunks = self._web.steady(response.iter_raw(), server)
        head = b""
        while len(head) < _HEAD and (more := next(chunks, b"")):
            head += more
        if not offset and not _ending(head):
            kind = response.headers.get("content-type", "of no type")
            raise TransientError(f"{server} sends no snapshot but something else ({kind})", tries=TRIES)
        if before and not offset:
            same = before.same(version)
            why = "the server does not send parts" if same else "there is another snapshot at the server now"
            self._progress.note(f"{why}; starting anew")
        if offset != self._shown:
            begins = f"downloading from {offset >> _MIB} MiB on" if offset else "downloading"
            self._progress.begin(begins, (version.size - offset) >> _MIB, "MiB")
        with self._partial.opened(version, offset) as append:
            for chunk in chain((head,), chunks):
                mib, offset = offset >> _MIB, append(chunk)
                self._shown, self._furthest = offset, max(self._furthest, offset)
                self._progress.advance((offset >> _MIB) - mib)
                if offset > version.size:
                    break
        if offset < version.size:
            raise TransientError(f"the answer of {server} broke off")

    def _finished(self, version: Version) -> Snapshot:
        """The snapshot under its final name, once it is known to be whole. Raises TransientError when it is not."""
        wrong = self._wrong(version)
        if wrong:
            self._shown = -1
            corrupt = self._folder / (NAME + CORRUPT)
            self._partial.become(corrupt)
            raise TransientError(f"{wrong}; what came is kept as {corrupt}", tries=TRIES)
        with self._partial.path.open("rb") as file:
            path = self._folder / (NAME + _ending(file.read(_HEAD)))
        older = _recorded(self._folder)
        # Before the rename: while there is a partial file nobody looks at the record.
        write_whole(self._folder / RECORD, json.dumps({"file": path.name, **asdict(version)}).encode())
        self._partial.become(path)
        if older and older[0] != path:
            older[0].unlink()
        (self._folder / (NAME + CORRUPT)).unlink(missing_ok=True)
        sync_folder(self._folder)
        return _snapshot(path, version, already=False)

    def _sound(self, file: Path, version: Version) -> bool:
        """Whether a file has the checksum of the version, where it has one; if not it is fetched anew, and said so."""
        if not version.md5:
            return True
        self._progress.begin("verifying", version.size >> _MIB, "MiB")
        sound = md5(file, lambda count: self._progress.advance(count >> _MIB)) == version.md5
        if not sound and file != self._partial.path:
            self._progress.note(f"{file} is damaged; starting anew")
        return sound

    def _wrong(self, version: Version) -> str:
        """Why the bytes are not those of the version; nothing when they are."""
        size = self._partial.path.stat().st_size
        if size != version.size:
            return f"the file has {size} bytes instead of {version.size}"
        if not self._sound(self._partial.path, version):
            return "the file does not have the checksum that the server names"
        try:
            with streams.opened(self._partial.path) as stream:
                fine = stream.head.startswith(b"{")
        except InputError:
            fine = False
        return "" if fine else "the file is no snapshot"


def _ending(head: bytes) -> str:
    """The ending of a file that begins so; nothing for one that is no snapshot."""
    return next((ending for magic, ending in _ENDINGS.items() if head.startswith(magic)), "")


def _range(response: httpx.Response) -> tuple[str, str]:
    """First byte and whole size that a part names; empty when it does not."""
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    return (found[1], found[2]) if found else ("", "")


def _recorded(folder: Path) -> tuple[Path, Version] | None:
    """The finished file and its version, when it has the size it had."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
        file, version = folder / record.pop("file"), Version(**record)
        return (file, version) if file.stat().st_size == version.size else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _snapshot(file: Path, version: Version, already: bool) -> Snapshot:
    return Snapshot(file, version.size, bool(version.md5), version.etag, version.generation, already)
