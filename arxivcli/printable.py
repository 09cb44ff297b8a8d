"""Text of strangers made safe to show: nothing in it moves a cursor, turns the line around, or breaks it."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    r"""The text with control characters, ANSI escapes and bidirectional tricks made visible (`\x1b`), on one line."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def shortened(text: str, most: int) -> str:
    """At most `most` characters of the text, `…` where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"
