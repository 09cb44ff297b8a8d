"""Papers from BibTeX, whose text is kept so that it can be given back with answers in it."""

from __future__ import annotations

import codecs
import logging
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from bibtexparser.exceptions import BlockAbortedException
from bibtexparser.model import Entry, ParsingFailedBlock, String
from bibtexparser.splitter import Splitter

from arxivcli import taxonomy
from arxivcli.errors import InputError
from arxivcli.sources import fields, latex
from arxivcli.sources.lines import LINE_CAP
from arxivcli.sources.readings import PaperRows, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bibtexparser.model import Block

    from arxivcli.sources.fields import Columns
    from arxivcli.sources.streams import Stream

# What is wrong with an entry is said in its answer.
logging.getLogger(Splitter.__module__).setLevel(logging.CRITICAL)

KEYWORDS = ("keywords", "keyword")
PRIMARY = "primaryclass"

_CHUNK = 256 << 10
_BEGIN = re.compile(r"^[^\S\n]*@\w*[ \t]*(?=[{(])", re.MULTILINE)
"""Where a block begins whatever is open before it, as the parser has it: there, and only there, text can be cut."""

_FIELD = re.compile(r"\s*[A-Za-z][\w-]*\s*=")
_BARE = re.compile(rf'[^\s{{}}"#]+(?=\s{_FIELD.pattern})')
"""A number or a name of a string with another field behind it."""

_JOINTS = re.compile(r'(?<!\\)[{}"#]')
_WORD = re.compile(r"""[^\s{}"#%,=()\\]+""")
SEPARATOR = re.compile(r"\s*[,;]\s*")
_NO_PAPERS = re.compile(r"@(?:comment|string|preamble)", re.IGNORECASE)


@dataclass
class _Record:
    """An entry at its line, and the text from there to the next one; what is wrong with one that is none, and where."""

    texts: list[str]
    line: int
    paper: dict[str, str]
    fault: str = ""


def read_bib(stream: Stream, columns: Columns, batch_size: int) -> Iterator[Reading]:
    """Readings of a BibTeX file, one record an entry in its place; `Reading.blocks` are the entries as they stand.

    Ids are citation keys. A damaged entry has no answer; those behind it have. An entry that comes slowly is there as
    soon as it is whole; what then comes before the next one belongs to that, or is the `rest` of the last Reading.

    Raises:
        InputError: an entry has more than 16 MiB.
        UsageError: none of the first entries has a column named by hand.
    """
    library = _Library(stream.name, columns)
    for piece in _cut(stream):
        if piece is None:
            library.settle()
        else:
            library.add(*piece)
        if len(library.gathered) >= batch_size or (piece is None and len(library.gathered)):
            yield library.take()
    if rest := library.settle():
        library.gathered.keep_rest(rest)
    if len(library.gathered) or rest:
        yield library.take()


class _Library:
    """Entries as they come, the last one kept back as long as text that belongs to it may come."""

    def __init__(self, name: str, columns: Columns) -> None:
        self.gathered = PaperRows(name, "bib", columns)
        self._columns = columns
        self._before: list[str] = []
        self._held: _Record | None = None
        self._strings: dict[str, str] = {}
        self._keys: dict[str, None] | None = {}
        """Names of fields that were seen; None once the columns were found among them."""
        self._begun = False

    def add(self, text: str, line: int) -> None:
        """A piece of the text."""
        found = _records(text, line, self._columns, self._strings, self._keys)
        if found:
            found[0].texts, self._before = self._before + found[0].texts, []
        else:
            (self._held.texts if self._held else self._before).append(text)
        for record in found:
            self.settle()
            self._held = record

    def settle(self) -> bytes:
        """The entry that was kept back is all there is of it; what is left of the text when there is none."""
        if self._held is None:
            return _bytes(self._before) if self._begun else b""
        _add(self.gathered, self._held)
        self._held, self._begun = None, True
        return b""

    def take(self) -> Reading:
        """Everything since the last time. Raises UsageError when a column named by hand is not there."""
        if self._keys:
            fields.require_columns(self._keys, self._columns)
            self._keys = None
        return self.gathered.take()


def _cut(stream: Stream) -> Iterator[tuple[str, int] | None]:
    """The text in pieces that begin where blocks do, each with the number of its first line; None where nothing more
    comes for the moment.

    What is no UTF-8 comes as lone surrogates.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    rest, line, searched = "", 1, 0
    while True:
        chunk = stream.read(_CHUNK)
        rest += decoder.decode(chunk, final=not chunk)
        start = 0
        for begin in _BEGIN.finditer(rest, searched):
            if begin.start() > start:
                piece = rest[start : begin.start()]
                yield piece, line
                line += piece.count("\n")
                start = begin.start()
        rest = rest[start:]
        if not chunk:
            break
        if len(rest) > LINE_CAP:
            raise InputError(f"{stream.name}:{line}: an entry that does not end within 16 MiB", "is this BibTeX?")
        if not stream.soon():
            if _is_whole(rest):
                yield rest, line
                line += rest.count("\n")
                rest = ""
            yield None
        # The last line may go on, and its beginning was looked at already.
        searched = max(rest.rfind("\n") + 1, 1)
    if rest:
        yield rest, line


def _is_whole(text: str) -> bool:
    """Whether blocks that are closed and the end of a line are all there is: what follows changes none of them."""
    if not text.endswith("\n") or text.count("{") != text.count("}"):
        return False
    blocks = Splitter(text).split().blocks
    return all(map(understood, blocks)) and text.rstrip().endswith(blocks[-1].raw or "") if blocks else True


def _records(
    text: str, line: int, columns: Columns, strings: dict[str, str], keys: dict[str, None] | None
) -> list[_Record]:
    """The entries in a piece, which together have all of its text; its strings and the names of its fields are kept."""
    found: list[_Record] = []
    starts: list[int] = []
    position = 0
    for block in Splitter(text).split().blocks:
        known = understood(block)
        if isinstance(known, String):
            strings[known.key.lower()] = joined(known.value, strings)
        raw = block.raw or ""
        position = text.find(raw, position)
        if isinstance(known, Entry) or (known is None and not _NO_PAPERS.match(raw)):
            paper = _paper(known, columns, strings) if isinstance(known, Entry) else {}
            if isinstance(known, Entry) and keys is not None:
                keys.update((one.key.lower(), None) for one in known.fields)
            fault, where = _fault(block, known, text, position)
            # Counted here: the parser overlooks a line's end behind a backslash.
            found.append(_Record([], line + text.count("\n", 0, where), paper, fault))
            starts.append(position)
        position += len(raw)
    for record, start, end in zip(found, [0, *starts[1:]], [*starts[1:], len(text)], strict=False):
        record.texts = [text[start:end]]
    return found


def _fault(block: Block, known: Block | None, text: str, position: int) -> tuple[str, int]:
    """What is wrong with the block that begins at that position of a text, if anything, and where; else its position.

    Of an entry without a comma between two fields the parser makes one field of both.
    """
    if isinstance(known, Entry):
        for field in known.fields:
            place = _unparted(field.value) if "=" in field.value else None
            if place is not None:
                return "a comma is missing between two fields", text.index(field.value, position) + place
        return "", position
    error = block.error if isinstance(block, ParsingFailedBlock) else None
    why = error.abort_reason if isinstance(error, BlockAbortedException) else ""
    if "found" in why and "@" not in why.rpartition("found")[2]:
        if why.startswith("Expected comma after entry key"):
            return "a comma is missing after the key", position
        if why.startswith("Expected a `=`"):
            return "a field has no =", position + len((block.raw or "").rstrip("}) \r\n\t"))
    return "entry never closed", position


def _unparted(value: str) -> int | None:
    """Where in a value, behind what is closed already, another field begins without a comma before it."""
    if bare := _BARE.match(value):
        return bare.end()
    for mark, closed in _joints(value):
        if closed and mark[0] in '}"' and _FIELD.match(value, mark.end()):
            return mark.end()
    return None


def understood(block: Block) -> Block | None:
    """The block, also one whose key is another one's; None when it is damaged."""
    return block.ignore_error_block if isinstance(block, ParsingFailedBlock) else block


def _paper(entry: Entry, columns: Columns, strings: dict[str, str]) -> dict[str, str]:
    """Title, abstract and id by the names that `columns` know them by."""
    values = {one.key.lower(): one.value for one in reversed(entry.fields)}
    names = fields.resolve(values, columns)

    def read(name: str | None) -> str:
        return latex.plain(readable(joined(values[name], strings))) if name in values else ""

    title, subtitle, abstract = read(names.title), read("subtitle"), read(names.abstract)
    if title and not abstract:
        abstract = _topics(read(_first(KEYWORDS, values)), read(PRIMARY))
    return {
        names.title or "title": f"{title}: {subtitle}" if title and subtitle else title,
        names.abstract or "abstract": abstract,
        columns.id or "id": read(names.id) if columns.id else readable(entry.key),
    }


def _add(gathered: PaperRows, record: _Record) -> None:
    *texts, identifier = record.paper.values() or ("",)
    if record.fault or not any(texts):
        gathered.fail(record.fault or "no title", record.line, identifier)
    else:
        gathered.add(record.paper, record.line)
    gathered.keep_block(_bytes(record.texts))


def _bytes(texts: list[str]) -> bytes:
    return "".join(texts).encode("utf-8", "surrogateescape")


def _first(names: tuple[str, ...], values: dict[str, str]) -> str | None:
    return next((name for name in names if name in values), None)


def _topics(keywords: str, primary: str) -> str:
    """Keywords, which stand in for an abstract, without arXiv's categories: those may be answers of an earlier time."""
    return ", ".join(word for word in SEPARATOR.split(keywords) if word != primary and word not in _labels())


@cache
def _labels() -> frozenset[str]:
    return frozenset([*taxonomy.categories(), *taxonomy.labels("archive"), *taxonomy.labels("group")])


def joined(value: str, strings: dict[str, str]) -> str:
    """What a value means: `{..}` and `".."` without their ends, names of strings replaced, `#` between them gone."""
    return "".join(_meant(part, strings) for part in _parts(value)[0])


def well_formed(value: str) -> bool:
    """Whether the value is one by the rules: words, `{..}` and `".."`, with `#` between them."""
    parts, closed = _parts(value)
    return closed and all(
        _WORD.fullmatch(part) or (part[:1] + part[-1:] in {"{}", '""'} and _whole(part)) for part in parts
    )


def _joints(value: str) -> Iterator[tuple[re.Match[str], bool]]:
    """What opens, closes or joins parts of a value, each with whether all is closed behind it."""
    depth, quoted = 0, False
    for mark in _JOINTS.finditer(value):
        if mark[0] == '"':
            quoted ^= depth == 0
        elif mark[0] != "#":
            depth += 1 if mark[0] == "{" else -1
        yield mark, depth == 0 and not quoted


def _parts(value: str) -> tuple[list[str], bool]:
    """What `#` stands between, and whether all that is opened is closed."""
    parts: list[str] = []
    start, closed = 0, True
    for mark, closed in _joints(value):
        if mark[0] == "#" and closed:
            parts.append(value[start : mark.start()].strip())
            start = mark.end()
    parts.append(value[start:].strip())
    return parts, closed


def _whole(part: str) -> bool:
    """Whether what begins a part ends with it, not before."""
    ends = (mark.end() for mark, closed in _joints(part) if closed and mark[0] != "#")
    return next(ends, None) == len(part)


def _meant(part: str, strings: dict[str, str]) -> str:
    if part[:1] + part[-1:] in {"{}", '""'} and len(part) > 1:
        return part[1:-1]
    return strings.get(part.lower(), part)


def readable(text: str) -> str:
    """The text, by Windows' Latin-1 where it is no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape")
        return raw.decode("cp1252", "replace") if raw else text
    return text
