r"""Text as LaTeX writes it (`{DNA}`, `\&`, `\emph{..}`, `--`) made plain; formulas stay as they are."""

from __future__ import annotations

import re

from arxivcli import text

_MATH = re.compile(
    r"(?<!\\)(\$\$(?:[^$\\]|\\.)+\$\$|\$(?:[^$\\]|\\.)+\$|\\\((?:[^\\]|\\(?!\)).)*\\\)|\\\[(?:[^\\]|\\(?!\]).)*\\\])",
    re.DOTALL,
)
_SPACED_ACCENT = re.compile(r"\\([uvHcdbrk])\s+([A-Za-z])(?![A-Za-z])")
"""`\\c c`, which `text.clean` knows as `\\c{c}` alone: outside BibTeX it may be anything."""

_WRAPPER = re.compile(
    r"\\(?:emph|text(?:it|bf|sc|tt|rm|sf|sl|up|md|normal|superscript|subscript)|mbox|hbox|url|enquote|underline|ensuremath"
    r"|uppercase|lowercase|MakeUppercase|MakeLowercase|protect)\s*(?=\{)"
)
_SWITCH = re.compile(
    r"\\(?:em|it|bf|rm|sc|tt|sf|sl|(?:it|sc|sl|up)shape|(?:bf|md)series|(?:rm|sf|tt)family|relax|protect|normalfont"
    r"|(?:foot|normal)?(?:small|large)(?:size)?)(?![A-Za-z])\s*"
)
_SIGNS = {
    "textendash": "–", "textemdash": "—", "textquoteright": "’", "textquoteleft": "‘", "textquotedblleft": "“",
    "textquotedblright": "”", "textquotesingle": "'", "textquotedbl": '"', "textbackslash": "\\",
    "textasciitilde": "~", "textasciicircum": "^", "textless": "<", "textgreater": ">", "textbar": "|",
    "textunderscore": "_", "textdollar": "$", "textpercent": "%", "textbraceleft": "{", "textbraceright": "}",
    "textdegree": "°", "textmu": "µ", "texttimes": "×", "textregistered": "®", "texttrademark": "™",
    "textellipsis": "…", "ldots": "…", "dots": "…", "guillemotleft": "«", "guillemotright": "»", "slash": "/",
    "LaTeX": "LaTeX", "TeX": "TeX", "copyright": "©", "S": "§", "P": "¶", "pounds": "£", "space": " ", "quad": " ",
    "par": " ", "newline": " ", "dh": "ð", "DH": "Ð", "th": "þ", "TH": "Þ", "dj": "đ", "DJ": "Đ", "ng": "ŋ", "NG": "Ŋ",
}  # fmt: skip
_TOKEN = re.compile(
    rf"\\(?P<sign>{'|'.join(sorted(_SIGNS, key=len, reverse=True))})(?![A-Za-z])(?:\{{\}}|[ \t]+)?"
    r"|(?P<unknown>\\[A-Za-z]+)\{"
    r"|\\(?P<escaped>[&%#_$ ,;:/\\{}-])|---?|``|''|[{}~]"
)
_TYPED = {"---": "—", "--": "–", "``": "“", "''": "”", "~": " ", "{": "", "}": ""}
_ESCAPED = {"\\": " ", ",": " ", ";": " ", ":": " ", "-": "", "/": ""}


def plain(written: str) -> str:
    """The text as it is read, on one line; what is between dollars, and commands nobody knows, stay as written."""
    parts = _MATH.split(written)
    parts[::2] = [_outside_math(part) for part in parts[::2]]
    return " ".join("".join(parts).split())


def _outside_math(part: str) -> str:
    if "\\" in part:
        part = _SWITCH.sub("", _WRAPPER.sub("", _SPACED_ACCENT.sub(r"\\\1{\2}", part)))
        # The spaces at the ends are those between this part and a formula.
        before, after = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
        part = f"{before}{text.clean_one(part)}{after}" if part.strip() else part
    return _TOKEN.sub(_read, part)


def _read(match: re.Match[str]) -> str:
    if match["sign"]:
        return _SIGNS[match["sign"]]
    if match["unknown"]:
        return f"{match['unknown']} "
    return _ESCAPED.get(match["escaped"], match["escaped"]) if match["escaped"] else _TYPED[match[0]]
