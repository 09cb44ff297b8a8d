"""Papers from PDF: title and abstract as the first two pages show them, or a word on what could not be found."""

from __future__ import annotations

import logging
import math
import re
import struct
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pypdf
from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

from arxivcli.sources.readings import PaperRows, Reading
from arxivcli.sources.streams import STDIN, Stream, spooled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arxivcli.sources.fields import Columns

# What is wrong with a file is said in its answer.
logging.getLogger(pypdf.__name__).setLevel(logging.CRITICAL)

_DAMAGE = (
    PyPdfError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, EOFError, OSError,
    NotImplementedError, RecursionError, zlib.error, struct.error,
)  # fmt: skip
"""What pypdf raises for damaged files; its errors.py says that others than its own come too."""

_PAGES = 2
_SAME_SIZE = 0.03
_LONGEST_TITLE, _LONGEST_ABSTRACT = 400, 6_000
_GAP, _LINES_BEFORE_GAP = 2.5, 2
"""An abstract ends where the next line is this many times as far away as the lines before, and not at its first."""

_HEADING = re.compile(r"\W*(?:abstract|a b s t r a c t|summary)(?:\s*[.:—–-]+\s*|\s*$|\s+(?=[A-Z]))", re.IGNORECASE)
_AFTER = re.compile(
    r"\W*(?:(?:\d{1,2}|[IVX]{1,4})[.:)]?\s+)?introduction\W*$"
    r"|\W*(?:additional )?(?:key ?words|index terms|ccs concepts|pacs|(?:\d{4} )?(?:mathematics|math\.?) subject|msc"
    r"|jel|categories and subject|general terms|acm reference|contents\W*$)",
    re.IGNORECASE,
)
_SECTION = re.compile(r"(?:1[.:]?|I[.:])\s+[A-Z].{,50}$")
_STAMP = re.compile(r"arXiv:\s*(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})")
_LIGATURES = str.maketrans(
    {"\uf001": "fi", "\uf002": "fl", "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
)
"""As one sign each, the first two in places that fonts keep for themselves."""


class _NotFoundError(Exception):
    """A PDF that is no paper to us; the message is the short, stable reason that is counted."""


@dataclass
class _Line:
    text: str
    size: float
    """Of most of its letters, in points."""
    height: float
    """Above the lower end of the page, in points."""


def read_pdf(stream: Stream, columns: Columns, batch_size: int) -> Iterator[Reading]:
    """The reading of one paper. Its id is arXiv's where the margin has it, else the name of the file."""
    del batch_size
    gathered = PaperRows(stream.name, "pdf", columns)
    name = "" if stream.name == STDIN else Path(stream.telling_name).stem
    with ExitStack() as stack:
        try:
            identifier, title, abstract = _paper(stream.searchable or spooled(stream, stack))
        except _NotFoundError as error:
            gathered.fail(str(error), 1, name)
        else:
            gathered.add({"title": title, "abstract": abstract, "id": identifier or name}, 1)
    yield gathered.take()


def _paper(file: Any) -> tuple[str, str, str]:
    """Id, title and abstract. Raises _NotFoundError."""
    try:
        document = pypdf.PdfReader(file)
        if document.is_encrypted and not document.decrypt(""):
            raise _NotFoundError("encrypted PDF")
        pages = [_lines(page) for page in document.pages[:_PAGES]]
        told = document.metadata.title if document.metadata else None
    except (DependencyError, FileNotDecryptedError) as error:
        raise _NotFoundError("encrypted PDF") from error
    except _DAMAGE as error:
        raise _NotFoundError("damaged PDF") from error
    stamp = next((found[1] for _, margin in pages if (found := _STAMP.search(margin))), "")
    lines = [line for page, _ in pages for line in page]
    if not lines:
        raise _NotFoundError("no text in the PDF, it may be a scan")
    heading = next((place for place, line in enumerate(lines) if _is_heading(line, lines)), None)
    title = _title(lines[:heading], lines, str(told or ""))
    if title is None:
        raise _NotFoundError("no title found in the PDF")
    if heading is None:
        raise _NotFoundError("no abstract found in the PDF")
    return stamp, title, _abstract(lines[heading:])


def _lines(page: pypdf.PageObject) -> tuple[list[_Line], str]:
    """The lines of a page in its own order, and what stands upright in the margin."""
    lines: list[_Line] = []
    margin: list[str] = []
    pieces: list[tuple[str, float, float]] = []

    def visit(text: str, outer: Sequence[float], inner: Sequence[float], _font: object, size: float) -> None:
        across, up = inner[0] * outer[0] + inner[1] * outer[2], inner[0] * outer[1] + inner[1] * outer[3]
        height = inner[4] * outer[1] + inner[5] * outer[3] + outer[5]
        if abs(up) > abs(across):
            margin.append(text)
            return
        scale = math.sqrt(
            abs((inner[0] * inner[3] - inner[1] * inner[2]) * (outer[0] * outer[3] - outer[1] * outer[2]))
        )
        for number, part in enumerate(text.translate(_LIGATURES).split("\n")):
            if number and pieces:
                lines.extend(_line(pieces))
                pieces.clear()
            if part:
                pieces.append((part, float(size) * scale, height))

    page.extract_text(visitor_text=visit)
    lines.extend(_line(pieces))
    return lines, "".join(margin)


def _line(pieces: list[tuple[str, float, float]]) -> Iterator[_Line]:
    """One line, or none where there is only space."""
    text = " ".join("".join(part for part, _, _ in pieces).split())
    if text:
        _, size, height = max(pieces, key=lambda piece: len(piece[0].strip()))
        yield _Line(text, size, height)


def _is_heading(line: _Line, lines: list[_Line]) -> bool:
    """Whether an abstract begins here; a title may begin with the word, but is larger."""
    found = _HEADING.match(line.text)
    if not found or (found.end() < len(line.text) and line.size > (1 + _SAME_SIZE) * _usual(lines)):
        return False
    return bool(found[0].strip(" \t")) and not line.text[found.end() :][:1].islower()


def _usual(lines: list[_Line]) -> float:
    """The size of most letters."""
    sizes: dict[float, int] = {}
    for line in lines:
        sizes[round(line.size, 1)] = sizes.get(round(line.size, 1), 0) + len(line.text)
    return max(sizes, key=lambda size: sizes[size])


def _title(before: list[_Line], lines: list[_Line], told: str) -> str | None:
    """What the document says of itself if the page shows it too, else the first lines in the largest letters."""
    if len(_letters(told)) > _SHORT and _letters(told) in _letters("".join(line.text for line in before)):
        return told
    usual = _usual(lines)
    for size in sorted({line.size for line in before}, reverse=True):
        if size <= (1 + _SAME_SIZE) * usual:
            break
        start = next(place for place, line in enumerate(before) if line.size == size)
        run = takewhile(lambda line: abs(line.size - size) <= _SAME_SIZE * size, before[start:])  # noqa: B023  used at once
        title = _flowing([line.text for line in run])
        if " " in title and _SHORT < len(title) <= _LONGEST_TITLE:
            return title
    return None


_SHORT = 5
"""Letters that are too few for a title."""


def _letters(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalnum())


def _abstract(lines: list[_Line]) -> str:
    """The text from its heading to what follows abstracts. Raises _NotFoundError when nothing does."""
    first = _HEADING.sub("", lines[0].text, count=1)
    found = [first] if first else []
    body = lines[1:]
    for place, line in enumerate(body):
        if _AFTER.match(line.text) or _SECTION.match(line.text) or (found and _is_apart(body, place)):
            break
        found.append(line.text)
        if sum(map(len, found)) > _LONGEST_ABSTRACT:
            raise _NotFoundError("no end of the abstract found in the PDF")
    text = _flowing(found)
    if not text:
        raise _NotFoundError("no abstract found in the PDF")
    return text


def _is_apart(lines: list[_Line], place: int) -> bool:
    """Whether there is more space above a line than between those before it."""
    if place < _LINES_BEFORE_GAP:
        return False
    above, before, line = (lines[place - back].height for back in (2, 1, 0))
    return above > before > line and before - line > _GAP * (above - before)


def _flowing(lines: list[str]) -> str:
    """Lines as one text, words that were parted at their ends whole again."""
    text = ""
    for line in lines:
        if text.endswith("-") and not text.endswith(" -") and line[:1].islower():
            text = text[:-1] + line
        else:
            text = f"{text} {line}" if text else line
    return text
