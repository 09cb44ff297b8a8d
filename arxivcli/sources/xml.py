"""XML from a server: parsed whole, mended where its makers let control characters through, without DTDs.

arXiv's database holds characters that XML does not allow (control characters in about one abstract of 7,000), and its
servers pass them on: such a page is not well-formed and is mended here.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from arxivcli.sources.trouble import TransientError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MENDED = "\ufffd"
"""Stands where a character was that XML does not allow."""

_TRIES = 3
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,8})|([0-9]{1,10}));")
_DECLARES = re.compile(r"<!(?:DOCTYPE|ENTITY)")


def tree(body: bytes, root: str) -> Element:
    """The root element of an answer.

    Args:
        body: The whole answer.
        root: Name of the root, as `{namespace}name`.

    Raises:
        TransientError: It is cut off, or another kind of page: an outage, a login, one with a DTD.
    """
    text = _decoded(body)
    if _DECLARES.search(text):
        # Refused before any parser sees it: no answer of arXiv's has one, outage pages and entity bombs do.
        raise TransientError(f"the answer is no {_plain(root)} but {_kind(text)}")
    try:
        found = ET.fromstring(text)  # noqa: S314  has no DTD, so nothing in it can grow
    except ET.ParseError:
        found = _mended(text, root)
    if found.tag != root:
        raise TransientError(f"the answer is no {_plain(root)} but {_kind(text)}")
    return found


def _decoded(body: bytes) -> str:
    """As text, whatever encoding is claimed: arXiv's pages are UTF-8, bytes that are not become MENDED."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace")
    return body.decode("utf-8-sig", "replace")


def _mended(text: str, root: str) -> Element:
    legal = _REFERENCE.sub(_legal_reference, _ILLEGAL.sub(MENDED, text))
    try:
        return ET.fromstring(legal)  # noqa: S314  as above
    except ET.ParseError as error:
        if f"<{_plain(root)}" not in text[:2000]:
            raise TransientError(f"the answer is no {_plain(root)} but {_kind(text)}") from error
        raise TransientError(f"the answer is cut off or damaged XML: {error}", tries=_TRIES) from error


def _legal_reference(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    legal = code in {9, 10, 13} or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000  # noqa: PLR2004
    return match[0] if legal else MENDED


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


def _kind(text: str) -> str:
    """What the answer looks like, in few words."""
    head = text.lstrip()[:300]
    if not head:
        return "empty"
    if "<html" in head.lower():
        return "a web page"
    return f"{' '.join(head.split())[:60]!r}"
