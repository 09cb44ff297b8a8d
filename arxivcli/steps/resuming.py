"""Answers that outlive whoever was giving them: a record beside the output, from which the same command goes on.

The record begins with a line of JSON that says what was asked. Behind it stand the answers to one piece of the input
after another, each with its length and checksum, so that whatever a kill or a power cut left of the last one is known
for what it is. The output itself is made from the record and what is still to be answered by one road, and appears when
it is whole; then the record shrinks to a line that says so.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

import orjson

from arxivcli import storage
from arxivcli.errors import InputError, StorageError, UsageError
from arxivcli.steps.classification import Answered, Tally
from arxivcli.steps.outputs import Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FORM = "answers/1"
_HEAD = struct.Struct("<Q16s")
_MOST_LINE = 1 << 20


def inputs(paths: Sequence[Path]) -> list[list[Any]]:
    """What the files are called, their sizes and when they were changed: how it is known that they are the same.

    What SQLite keeps beside a file and has not yet written into it counts as a file of its own.

    Raises:
        UsageError: one can be read once only.
        InputError: one is missing.
    """
    found = []
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}", "check the path") from error
        if not path.is_file():
            raise UsageError(f"--resume reads files again, and {path} is none", "save it to a file first")
        found.append([str(path), state.st_size, state.st_mtime_ns])
        log = path.with_name(f"{path.name}-wal")
        if log.is_file() and (state := log.stat()).st_size:
            found.append([str(log), state.st_size, state.st_mtime_ns])
    return found


class Record:
    """What was answered before, and what is being answered now; see `opened`."""

    def __init__(self, path: Path, output: Path, asked: dict[str, Any], file: IO[bytes]) -> None:
        self._path = path
        self._output = output
        self._asked = asked
        self._file = file
        self._end = 0
        self.pieces = 0
        """How many pieces of the input are answered."""
        self.tally = Tally()
        """The papers in them."""
        self.finished = False
        """Whether the output is there, whole, and nothing is left to do."""
        self._begin()

    def _begin(self) -> None:
        self._file.seek(0)
        line = self._file.readline(_MOST_LINE)
        if not line.endswith(b"\n") and len(line) < _MOST_LINE:  # nothing, or the first line was not even written
            return self._anew()
        try:
            said = orjson.loads(line)
            before, form = said["asked"], said["form"]
            done = said.get("finished")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{self._path} is no record of answers", "remove it, or choose another --output"
            ) from error
        if form != _FORM or before != self._asked:
            raise UsageError(
                f"{self._path} has the answers to another question ({_difference(before, self._asked)})",
                f"ask as before, or remove {self._path} to begin anew",
            )
        if done is None:
            return self._look_through()
        if not self._output.exists():
            return self._anew()
        if self._output.stat().st_size != done["bytes"] or storage.sha256(self._output) != done["sha256"]:
            raise UsageError(
                f"{self._output} was changed since it was written", f"remove {self._path} to have it answered anew"
            )
        self.finished = True
        self.tally = Tally(**done["tally"])
        return None

    def _anew(self) -> None:
        with storage.storage_errors(self._path):
            self._file.truncate(0)
            self._file.seek(0)
            self._file.write(_line(self._asked))
            self._file.flush()
        self._end = self._file.tell()

    def _look_through(self) -> None:
        """Find out how much of it is whole; the rest is cut off."""
        self._end = self._file.tell()
        for answered in self.answered():
            self.pieces += 1
            self.tally += answered.tally
            self._end = self._file.tell()
        with storage.storage_errors(self._path):
            self._file.truncate(self._end)

    def answered(self) -> Iterator[Answered[Page]]:
        """The answers that were kept, in order, up to the first that is not whole."""
        self._file.seek(0)
        self._file.readline()
        while len(head := self._file.read(_HEAD.size)) == _HEAD.size:
            size, checksum = _HEAD.unpack(head)
            if size > os.fstat(self._file.fileno()).st_size:
                return
            content = self._file.read(size)
            if _checksum(content) != checksum:
                return
            yield _unpacked(content)

    def kept(self, answers: Iterator[Answered[Page]]) -> Iterator[Answered[Page]]:
        """The answers as they come, each kept before it is passed on."""
        for answered in answers:
            content = _packed(answered)
            with storage.storage_errors(self._path):
                self._file.seek(self._end)
                self._file.write(_HEAD.pack(len(content), _checksum(content)) + content)
                self._file.flush()
            self._end = self._file.tell()
            yield answered

    def finish(self, tally: Tally) -> None:
        """The output is there: keep no more than what says so."""
        size, checksum = self._output.stat().st_size, storage.sha256(self._output)
        finished = {"bytes": size, "sha256": checksum, "tally": asdict(tally)}
        storage.write_whole(self._path, _line(self._asked, finished=finished))


@contextmanager
def opened(output: Path, asked: dict[str, Any]) -> Iterator[Record]:
    """The record of an output, which nobody else may work on meanwhile.

    Args:
        output: where the answers will be; the record is beside it.
        asked: all that the answers depend on, as JSON; by the names people know.

    Raises:
        UsageError: the record is of another question, or the output was changed afterwards.
        StorageError: another process works on it, or it cannot be written.
    """
    path = output.with_name(output.name + storage.RESUME)
    asked = orjson.loads(orjson.dumps(asked))
    with storage.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("r+b" if path.exists() else "w+b")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(f"{path} is in use by another process", "wait for it to end") from error
        yield Record(path, output, asked, file)


def _line(asked: dict[str, Any], **more: Any) -> bytes:
    return orjson.dumps({"form": _FORM, "asked": asked, **more}) + b"\n"


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What was asked otherwise, in the words of the command line."""
    names = [name for name in (*now, *(set(before) - set(now))) if before.get(name) != now.get(name)]
    return ", ".join(
        f"{name} was {_shown(before.get(name))}, is {_shown(now.get(name))}"
        if name.startswith("--")
        else f"another {name}"
        for name in names
    )


def _shown(value: Any) -> str:
    return "not given" if value in (None, False, "", []) else "given" if value is True else str(value)


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _packed(answered: Answered[Page]) -> bytes:
    pages = [{**asdict(page), "content": len(page.content)} for page in answered.forms]
    head = orjson.dumps({"tally": asdict(answered.tally), "pages": pages})
    return b"".join((head, b"\n", *(page.content for page in answered.forms)))


def _unpacked(content: bytes) -> Answered[Page]:
    head, _, rest = content.partition(b"\n")
    said = orjson.loads(head)
    pages, start = [], 0
    for page in said["pages"]:
        end = start + page["content"]
        pages.append(Page(**{**page, "content": rest[start:end], "header": tuple(page["header"])}))
        start = end
    failures = {reason: (count, where) for reason, (count, where) in said["tally"]["failures"].items()}
    return Answered(pages, Tally(**{**said["tally"], "failures": failures}))
