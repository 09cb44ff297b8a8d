"""PDF files written by hand: text of any size at any place, or none at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Line = tuple[str, float]
"""A text and its size in points."""

_TOP, _LEFT, _SPACING = 780.0, 72.0, 1.3


def page(lines: Sequence[Line], margin: str = "") -> bytes:
    """The drawing of a page: one line under the other, an empty one for space; `margin` stands upright at the left."""
    drawn = [f"BT /F 20 Tf 0 1 -1 0 30 200 Tm ({margin}) Tj ET"] if margin else []
    height = _TOP
    for text, size in lines:
        height -= _SPACING * size
        escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        drawn.append(f"BT /F {size} Tf {_LEFT} {height} Td ({escaped}) Tj ET" if text else "")
    return "\n".join(drawn).encode("cp1252")


def document(*pages: bytes, title: str = "") -> bytes:
    """A whole file; `title` is what it says of itself."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>"
        % (b" ".join(b"%d 0 R" % (5 + 2 * number) for number in range(len(pages))), len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title (%s) >>" % title.encode("cp1252"),
    ]
    for number, drawing in enumerate(pages):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F 3 0 R >> >> >>" % (6 + 2 * number)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing))
    written, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(written))
    return written + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + trailer
