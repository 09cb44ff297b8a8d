"""Text of strangers made safe to show: nothing in it moves a cursor, turns the line around, or breaks it."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ACTS = re.compile(rf"\r(?!\n)|(?![\r\n\t]){_UNSAFE.pattern}")


def escaped(text: str) -> str:
    r"""The text with control characters, ANSI escapes and bidirectional tricks made visible (`\x1b`), on one line."""
    return _UNSAFE.sub(_visible, text)


def tamed(text: str) -> str:
    r"""The text, of any number of lines, with all but line ends and tabs that acts on a terminal made visible."""
    return _ACTS.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def shortened(text: str, most: int) -> str:
    """At most `most` characters of the text, `…` where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"
