"""Texts nobody wrote, in arXiv's raw form: every category has words of its own, every paper a name of its own."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

MASK = (1 << 64) - 1
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
_FRAMES = (
    "We study how the {0} of a {1} bends when {2} is held at rest, and show",
    "that every {0} with a {1} boundary has at least one {2} of order $n^2$.",
    "Using {0} and a variant of the {1} method, we bound the {2} from above",
    "for all $\\lambda < 3$; the {0} case needs {1} and a stronger {2} lemma.",
    "Measurements of {0} agree with {1} to within 2\\% once {2} is removed.",
    "A new {0} is built from {1} & {2}, and its cost grows as $O(n \\log n)$.",
    "This settles a question about {0} that the {1} of {2} had left open.",
    "Our {0} learns the {1} directly, without any {2} labels or pretraining,",
)
_PLAIN = (
    "The proof is short and uses nothing beyond a theorem of Erd\\H{o}s.",
    "Numerical results are given for three examples from practice, and the",
    "code that made them is small enough to be printed in the appendix. We",
    "also discuss what happens when one of the assumptions fails, which the",
    'literature has treated as a "folklore" fact since H\\"older\'s first note.',
    "Compared with earlier work, the error is halved and memory is constant;",
    "it isn't necessary to know the scale in advance, nor to tune a threshold.",
    "As a by-product we obtain the Poincar\\'e constant of the unit square,",
    "and an answer for a > b, a = b and a < b alike. Several open questions",
    "are listed at the end; some of them look easy and have resisted so far.",
    "Finally, the method carries over to noisy data with one small change.",
    "It is robust, simple and fast, which the experiments confirm throughout.",
)
_GIVEN = ("Andr\\'e", "Mira", "Jo", "S{\\o}ren", "Ana B.", "K. L.", 'Zo\\"e', "Tomas", "Ingrid", "Li")
_ENDINGS = ("ov", "sen", "\\'c", "mann", "ez", "i", '\\"u', "sson", "ic", "o")
_SUFFIXES = ("Jr", "III")


class Author(NamedTuple):
    """One author, in TeX as arXiv keeps it."""

    keyname: str
    forenames: str
    suffix: str = ""


def mix(number: int) -> int:
    """64 well-stirred bits of a number (splitmix64): chance without a state, the same on every machine."""
    number = (number + 0x9E3779B97F4A7C15) & MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
    return number ^ (number >> 31)


def spelled(number: int) -> str:
    """A pronounceable word that no other number has."""
    word = ""
    while True:
        number, rest = divmod(number, len(_SYLLABLES))
        word += _SYLLABLES[rest]
        if not number:
            return word


@cache
def vocabulary(category: str) -> tuple[str, ...]:
    """The twenty-four words that papers of a category use and others do not."""
    start = int.from_bytes(category.encode(), "big") & MASK
    return tuple(spelled(mix(start + place) % 20_000_000 + 400_000) for place in range(24))


@cache
def lines(category: str) -> tuple[str, ...]:
    """Sixty-four wrapped lines about a category."""
    own = vocabulary(category)
    return tuple(
        _FRAMES[place % 8].format(own[place % 24], own[(place * 5 + 7) % 24], own[(place * 11 + 3) % 24])
        for place in range(64)
    )


def title(number: int, chance: int, primary: str) -> str:
    """A title, wrapped as arXiv wraps them when it is long."""
    own = vocabulary(primary)
    first, second, third = own[chance % 24], own[(chance >> 8) % 24], own[(chance >> 16) % 24]
    name = spelled(number + 5_000).capitalize()
    if chance >> 24 & 1:
        return f'{name}: {first} {second} and the {third} of\n  $\\alpha$-regular {first} & {third} in H\\"older spaces'
    return f"{name}: on {first} {second} with {third}"


def abstract(number: int, chance: int, primary: str) -> str:
    """An abstract: two leading spaces, wrapped lines, a newline at the end."""
    own, name = lines(primary), spelled(number + 5_000).capitalize()
    bits = chance >> 8
    picked = [f"  We introduce {name}, a note on {vocabulary(primary)[chance % 24]} & what follows from it."]
    for place in range(4 + chance % 3):
        picked.append(own[bits & 63])
        bits >>= 6
        if place % 2:
            picked.append(_PLAIN[(bits & 63) % 12])
            bits >>= 6
    return "\n".join(picked) + "\n"


@cache
def _people() -> tuple[Author, ...]:
    """Four thousand authors."""
    found = []
    for number in range(4_096):
        bits = mix(number)
        suffix = _SUFFIXES[bits & 1] if bits >> 1 & 31 == 7 else ""
        keyname = spelled(70 + bits % 3_000).capitalize() + _ENDINGS[(bits >> 13) % 10]
        found.append(Author(keyname, _GIVEN[(bits >> 17) % 10], suffix))
    return tuple(found)


def authors(chance: int) -> tuple[Author, ...]:
    """One to four authors."""
    known = _people()
    return tuple([known[chance >> (12 + place * 12) & 4_095] for place in range(1 + chance % 4)])


def listed(people: tuple[Author, ...]) -> str:
    """Authors as arXiv's free-form field has them: commas, the last two joined by `and`."""
    names = [f"{person.forenames} {person.keyname}{' ' if person.suffix else ''}{person.suffix}" for person in people]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_ACCENTS = {"'": 0x301, "`": 0x300, '"': 0x308, "^": 0x302, "~": 0x303, "H": 0x30B, "c": 0x327, "v": 0x30C, "=": 0x304}
_LETTERS = {"o": "ø", "O": "Ø", "ss": "ß", "l": "ł", "aa": "å", "AA": "Å", "ae": "æ"}
_ACCENT = re.compile(r"""\\(['`"^~=])\{?([A-Za-z])\}?|\\([Hcv])\{([A-Za-z])\}""")
_LETTER = re.compile(r"\{\\(o|O|ss|l|aa|AA|ae)\}")


def utf8(text: str) -> str:
    """TeX accents as letters, as the `arXiv` and `oai_dc` formats and the query API's author names have them."""
    if "\\" not in text:
        return text
    text = _LETTER.sub(lambda found: _LETTERS[found[1]], text)
    return _ACCENT.sub(
        lambda found: unicodedata.normalize("NFC", (found[2] or found[4]) + chr(_ACCENTS[found[1] or found[3]])),
        text,
    )
