"""Reads pages strictly, with the standard library: every tag closed, every table as rows of text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

VOID = {"meta", "br", "hr", "img", "input", "link"}


@dataclass
class Read(HTMLParser):
    """What a page holds: elements with their attributes, tables by their caption's heading, all text."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"th", "td"}:
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, text: str) -> None:
        if self._open and self._open[-1] not in {"style", "title"}:
            self.texts.append(text)
        if self._open and self._open[-1] in {"th", "td"}:
            self.tables[-1][-1][-1] += text

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def read(page: bytes) -> Read:
    """The page, read to its end; fails where it is not well-formed."""
    found = Read()
    found.feed(page.decode())
    found.close()
    assert found._open == []
    return found


def drawn_in(svg: bytes | str) -> ET.Element:
    """The root of an SVG of ours; fails where it is not well-formed."""
    return ET.fromstring(svg)  # noqa: S314


def table(page: Read, *head: str) -> list[list[str]]:
    """The rows of the one table that begins with these columns."""
    [rows] = [rows for rows in page.tables if rows[0][: len(head)] == list(head)]
    return rows[1:]
