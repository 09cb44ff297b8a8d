"""What a paper's words become before anything reads them: one recipe for train, eval, classify, serve and export."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

RECIPE = "title-newline-abstract/1"
"""Name of what `model_input` does; stored with every model, and a model made with another recipe is refused."""

_ACCENT_MARKS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "d": "\u0323", "b": "\u0331", "r": "\u030a",
    "k": "\u0328",
}  # fmt: skip
_LIGATURES = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "o": "ø", "O": "Ø",
    "l": "ł", "L": "Ł", "i": "ı", "j": "ȷ",
}  # fmt: skip

_ACCENT = re.compile(
    r"""\\(?:(['"`^~=.])\s*(?:\{(\\[ij]|[A-Za-z])\}|(\\[ij](?![A-Za-z])|[A-Za-z]))|([uvHcdbrk])\{(\\[ij]|[A-Za-z])\})"""
)
_BRACED_ACCENT = re.compile(r"""\{(\\['"`^~=.]\s*(?:\\[ij]|[A-Za-z]))\}""")
_LIGATURE = re.compile(
    r"\{\\(ss|ae|AE|oe|OE|aa|AA|o|O|l|L|i|j)\s*\}|\\(ss|ae|AE|oe|OE|aa|AA|o|O|l|L)(?![A-Za-z])(?:\{\})?"
)
_INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_CONTROL = re.compile("[\u0000-\u001f\u007f-\u009f\u2028\u2029]")

# The same conditions as RE2 sees them: which rows the slow road above could change at all.
_TEX_ROWS = r"""\\(['"`^~=.]\s*[{\\A-Za-z]|[uvHcdbrk]\{|(ss|ae|AE|oe|OE|aa|AA|o|O|l|L|i|j)([^A-Za-z]|$))"""
_DELETE = 0x7F
_SPACES = bytes(ord(" ") if chr(byte) in "\t\n\v\f\r" else byte for byte in range(256))
_CONTROL_ROWS = r"[\x00-\x08\x0e-\x1f\x7f]"
_ODD_ROWS = r"[\x{80}-\x{a0}\x{ad}\x{61c}\x{1680}\x{2000}-\x{200f}\x{2028}-\x{202f}\x{205f}-\x{2069}\x{3000}\x{feff}]"


def clean(texts: pa.StringArray) -> pa.StringArray:
    """The texts without what no reader sees: one space between words, no control or invisible characters, TeX accents
    as Unicode (`Schr\\"odinger` -> `Schrödinger`), NFC. Applying it twice changes nothing. Null becomes empty.
    """
    texts = _squeezed(texts.fill_null("") if texts.null_count else texts)
    odd = pc.match_substring_regex(texts, _TEX_ROWS)
    raw = _bytes(texts)
    if (raw < ord(" ")).any() or (raw == _DELETE).any():
        odd = pc.or_(odd, pc.match_substring_regex(texts, _CONTROL_ROWS))
    foreign = pc.invert(pc.string_is_ascii(texts))
    if pc.any(foreign).as_py():
        some = texts.filter(foreign)
        changed = pc.or_(pc.match_substring_regex(some, _ODD_ROWS), pc.not_equal(pc.utf8_normalize(some, "NFC"), some))
        odd = pc.or_(odd, pc.replace_with_mask(foreign, foreign, changed))
    return _replaced(texts, odd, clean_one)


def clean_one(text: str) -> str:
    """`clean` for one string: the definition that the vectorised road agrees with."""
    while True:
        once = text if text.isprintable() else _CONTROL.sub(" ", _INVISIBLE.sub("", text))
        once = _composed(once)
        if "\\" in once:
            once = _ACCENT.sub(_accented, _BRACED_ACCENT.sub(r"\1", once))
            once = _composed(_LIGATURE.sub(lambda m: _LIGATURES[m[1] or m[2]], once))
        if not once.isprintable() or "  " in once or once.startswith(" ") or once.endswith(" "):
            once = " ".join(once.split())
        if once == text or ("\\" not in once and once.isprintable()):
            return once
        text = once


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _accented(match: re.Match[str]) -> str:
    mark, braced, bare, letter_mark, letter = match.groups()
    # Composed here: composing the whole text for one letter takes longer than all the rest.
    return unicodedata.normalize("NFC", (braced or bare or letter)[-1] + _ACCENT_MARKS[mark or letter_mark])


def _squeezed(texts: pa.StringArray) -> pa.StringArray:
    """ASCII white space made single spaces, none at the ends."""
    raw = _bytes(texts)
    if ((raw >= ord("\t")) & (raw <= ord("\r"))).any():
        first = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
        spaced = pa.py_buffer(bytearray(raw).translate(_SPACES))  # twice as quick as of bytes
        texts = pa.StringArray.from_buffers(len(texts), pa.py_buffer(first - first[0]), spaced)
    texts = pc.ascii_trim(texts, " ")
    raw = _bytes(texts)
    if not ((raw[:-1] == ord(" ")) & (raw[1:] == ord(" "))).any():
        return texts
    return _replaced(texts, pc.match_substring(texts, "  "), lambda text: re.sub(" +", " ", text))


def _bytes(texts: pa.StringArray) -> NDArray[np.uint8]:
    """The UTF-8 bytes of all texts in a row, without a copy."""
    _, offsets, values = texts.buffers()
    if len(texts) == 0 or values is None:
        return np.empty(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)
    return np.frombuffer(values, np.uint8)[bounds[texts.offset] : bounds[texts.offset + len(texts)]]


def _replaced(texts: pa.StringArray, rows: pa.BooleanArray, change: Callable[[str], str]) -> pa.StringArray:
    """The texts with `change` applied to the marked rows."""
    if not pc.any(rows).as_py():
        return texts
    changed = pa.array([change(text) for text in texts.filter(rows).to_pylist()], pa.string())
    return pc.replace_with_mask(texts, rows, changed)


def model_input(papers: pa.RecordBatch) -> pa.StringArray:
    """What a model reads of each paper: cleaned title, a newline, cleaned abstract; either may be empty.

    The newline is the only one in the text, so a model can tell title from abstract.
    """
    return pc.binary_join_element_wise(clean(papers["title"]), clean(papers["abstract"]), "\n")


def title_only(texts: pa.StringArray) -> pa.StringArray:
    """Results of `model_input` without their abstracts."""
    titles = pc.list_element(pc.split_pattern(texts, "\n", max_splits=1), 0) if len(texts) else texts
    return pc.binary_join_element_wise(titles, "", "\n")


def has_title_only(texts: pa.StringArray) -> NDArray[np.bool_]:
    """Which results of `model_input` have no abstract, (n,)."""
    alone: NDArray[np.bool_] = pc.ends_with(texts, "\n").to_numpy(zero_copy_only=False)
    return alone
