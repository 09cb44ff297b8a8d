"""Why an answer is what it is, for the eye: the paper's text with the words that counted, and these words in a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arxivcli.printable import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

FOR, AGAINST = "for: ", "against: "
_STYLES = {True: ("green", "bold green", "bold reverse green"), False: ("red", "bold red", "bold reverse red")}
"""Of words for and against an answer, the weakest first."""


_LEAST = 0.05
"""What adds less is no reason."""


def highlighted(text: str, entries: list[dict[str, Any]], where: str, style: str = "") -> Text:
    """A cleaned title or abstract; the more a word counted, the stronger its style."""
    from rich.text import Text

    shown = Text(style=style)
    strengths = _strengths(len(text), entries, where)
    strongest = max((abs(one["contribution"]) for one in entries), default=1.0)
    for begin, end, strength in _runs(strengths):
        shown.append(escaped(text[begin:end]), _style(strength / strongest) if strength else None)
    return shown


def words(entries: list[dict[str, Any]], for_it: bool) -> str:
    """The words and pairs for or against an answer, the strongest first: `primes 2.1, short intervals 0.9`."""
    some = (one for one in entries if (one["contribution"] > 0) == for_it)
    named: dict[str, float] = {}
    for one in some:
        named[one["text"]] = named.get(one["text"], 0) + abs(one["contribution"])
    ordered = sorted(named.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{escaped(word)} {value:.1f}" for word, value in ordered if value >= _LEAST)


def _strengths(length: int, entries: list[dict[str, Any]], where: str) -> list[float]:
    """What the words at each character of a field add together."""
    strengths = [0.0] * length
    for one in entries:
        if one["where"] == where:
            for begin, end in zip(one["begins"], one["ends"], strict=True):
                for at in range(begin, end):
                    strengths[at] += one["contribution"]
    return strengths


def _runs(strengths: list[float]) -> Iterator[tuple[int, int, float]]:
    """Stretches of characters with the same strength."""
    begin = 0
    for at in range(1, len(strengths) + 1):
        if at == len(strengths) or strengths[at] != strengths[begin]:
            yield begin, at, strengths[begin]
            begin = at


def _style(strength: float) -> str:
    styles = _STYLES[strength > 0]
    return styles[min(int(abs(strength) * len(styles)), len(styles) - 1)]
