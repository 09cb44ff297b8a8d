"""matplotlib's SVG made fit for a page: small, in the page's colours and letters, with ids of its own and a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markupsafe import escape

from arxivcli.reporting.inks import PLACES

if TYPE_CHECKING:
    from collections.abc import Mapping

_BEFORE = re.compile(r"\A.*?(?=<svg)|<metadata>.*?</metadata>\s*|<!--.*?-->\s*|<style.*?</style>\s*", re.DOTALL)
_OPENING = re.compile(r"<svg [^>]*?viewBox=\"0 0 ([\d.]+) ([\d.]+)\"[^>]*>")
_GAP = re.compile(r"\s*\n\s*")
_FONT = re.compile(r"font-family: [^;\"]+;? ?")
_NO_TURN = re.compile(r" transform=\"rotate\(-?0 [^)]*\)\"")
_USED = re.compile(r"(?:href=\"#|url\(#)([\w.-]+)")
_ID = re.compile(r" id=\"([^\"]*)\"")
_PATH = re.compile(r" d=\"[^\"]*\"")
_FINER = re.compile(r"(\.\d\d)\d+")
_REFERENCE = re.compile(r"(href=\"#|url\(#)")


def themed(drawn: str, name: str, title: str, says: str, kind: str) -> str:
    """An SVG element for inlining, as wide as its place allows, in CSS custom properties for colours.

    Args:
        drawn: what matplotlib wrote, drawn with PLACES.
        name: begins every id in it.
        title: what people who do not see it are told it is.
        says: what they are told it shows.
        kind: its CSS class.
    """
    body = coloured(plain(drawn, name), {colour: f"var({colour})" for colour in PLACES.named()})
    found = _OPENING.search(body)
    if found is None:
        raise ValueError("matplotlib wrote an SVG of another form")
    width, height = found.groups()
    opening = (
        f'<svg class="{kind}" role="img" aria-labelledby="{name}-title {name}-says" viewBox="0 0 {width} {height}" '
        f'style="max-width:{float(width):.0f}px"><title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-says">{escape(says)}</desc>'
    )
    return opening + body[found.end() :]


def coloured(drawn: str, colours: Mapping[str, str]) -> str:
    """What was drawn with PLACES in these colours, by the names of their CSS custom properties."""
    for name, place in PLACES.named().items():
        drawn = drawn.replace(place, colours[name])
    return drawn


def plain(drawn: str, name: str) -> str:
    """The SVG without what nobody sees: prolog, metadata, comments, ids nobody refers to."""
    body = _FONT.sub("", _NO_TURN.sub("", _BEFORE.sub("", drawn)))
    used = set(_USED.findall(body))
    body = _ID.sub(lambda match: f' id="{name}-{match[1]}"' if match[1] in used else "", body)
    body = _REFERENCE.sub(rf"\g<1>{name}-", body).replace(' style=""', "").replace('; "', '"')
    body = _PATH.sub(lambda match: _FINER.sub(r"\1", match[0]), body)  # a hundredth of a pixel is enough
    return _GAP.sub(" ", body).replace("> <", "><").strip()
