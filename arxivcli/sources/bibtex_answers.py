"""BibTeX entries given back with their categories in them, and not a sign of what else they say changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from bibtexparser.model import Entry
from bibtexparser.splitter import Splitter

from arxivcli.sources.bibtex import KEYWORDS, PRIMARY, SEPARATOR, joined, understood, well_formed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class _Place(NamedTuple):
    """Where a field stands: where the space before its name begins, its name, and its value."""

    space: int
    name: int
    value: int
    end: int


def marked(block: bytes, labels: Sequence[str]) -> bytes:
    """The block with the first label as `primaryclass` of its entry and all of them among its keywords.

    Doing it twice changes nothing more. Without labels, or with an entry that is none, it stays as it is.
    """
    text = block.decode("utf-8", "surrogateescape")
    entry = next((one for one in map(understood, Splitter(text).split().blocks) if isinstance(one, Entry)), None)
    if not labels or entry is None or not entry.fields:
        return block
    places = list(_places(text, entry))
    keys = [field.key.lower() for field in entry.fields]
    last = places[-1]
    space = text[last.space : last.name] or " "
    changes: list[tuple[int, int, str]] = []
    added = ""
    if PRIMARY in keys:
        place = places[keys.index(PRIMARY)]
        if joined(text[place.value : place.end], {}) != labels[0]:
            changes.append((place.value, place.end, f"{{{labels[0]}}}"))
    else:
        added += f",{space}{PRIMARY} = {{{labels[0]}}}"
    name = next((name for name in KEYWORDS if name in keys), None)
    if name:
        place = places[keys.index(name)]
        changes.append((place.value, place.end, _extended(text[place.value : place.end], labels)))
    else:
        added += f",{space}{KEYWORDS[0]} = {{{', '.join(labels)}}}"
    if added and text[last.end - 1] == "\\":
        added = f" {added}"  # a comma behind a backslash ends no value
    changes.append((last.end, last.end, added))
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text.encode("utf-8", "surrogateescape")


def _places(text: str, entry: Entry) -> Iterator[_Place]:
    """Where each field of the entry stands in the text."""
    position = text.index(",", text.index(entry.raw or "")) + 1
    for field in entry.fields:
        found = re.compile(rf"\s*({re.escape(field.key)})\s*=\s*({re.escape(field.value)})\s*").match(text, position)
        if found is None:
            raise ValueError(f"the entry {entry.key} is not where its parser says")
        yield _Place(position, found.start(1), *found.span(2))
        position = found.end() + 1


def _extended(value: str, labels: Sequence[str]) -> str:
    """A value of keywords with those of the labels that it lacks; one that breaks the rules stays as it is."""
    if value and not well_formed(value):
        return value
    there = joined(value, {})
    new = [label for label in labels if label not in SEPARATOR.split(there.strip())]
    if not new:
        return value
    between = "; " if ";" in there and "," not in there else ", "
    more = between.join(new)
    before = between if there.strip() else ""
    if value[-1:] in {"}", '"'}:
        return f"{value[:-1].rstrip()}{before}{more}{value[-1]}"
    return f"{value} # {{{before}{more}}}" if value else f"{{{more}}}"
