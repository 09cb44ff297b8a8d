"""Bodies made wrong: what has really come out of metadata servers, and what never should."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .exchange import Action, Answer, Request, Respond

_BOMB = (
    '<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">'
    + "".join(f'<!ENTITY {name} "{f"&{inner};" * 10}">' for inner, name in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)
_TOKEN = re.compile(rb"(<resumptionToken[^>]*>)([^<]+)(</resumptionToken>)")


def inserted(what: bytes, before: bytes = b"</abstract>") -> Callable[[bytes], bytes]:
    """Bytes put before the first occurrence of others."""

    def inserted(body: bytes) -> bytes:
        return body.replace(before, what + before, 1)

    return inserted


control_character = inserted(b" 2\x0b3 \x1f")
nul = inserted(b"\x00")
control_reference = inserted(b" &#11; &#x1F;")
bad_utf8 = inserted(b" \xff\xfe\xe9t\xe9 ")
surrogate = inserted(b"\xed\xa0\x80")


def truncated(body: bytes) -> bytes:
    """The first two thirds."""
    return body[: len(body) * 2 // 3]


def doctype_bomb(body: bytes) -> bytes:
    """A document type with entities that unfold to gigabytes; the first title asks for them."""
    head, _, rest = body.partition(b"?>")
    return head + b"?>" + _BOMB.encode() + rest.replace(b"<title>", b"<title>&i;", 1)


def utf16(body: bytes) -> bytes:
    """The same document in UTF-16, declared as such: well-formed."""
    return body.decode().replace("UTF-8", "UTF-16").encode("utf-16")


def doctype_bomb_utf16(body: bytes) -> bytes:
    """The bomb where a search for ASCII bytes does not see it."""
    return utf16(doctype_bomb(body))


def wrong_namespace(body: bytes) -> bytes:
    """Every namespace of arXiv's and of the protocol with another version."""
    return (
        body.replace(b"/OAI/2.0/", b"/OAI/1.1/")
        .replace(b"2005/Atom", b"2003/Atom")
        .replace(b"/OAI/arXiv", b"/OLD/arXiv")
    )


def no_categories(body: bytes) -> bytes:
    """The first record's categories as Python's None."""
    return re.sub(rb"<categories>[^<]*<", b"<categories>None<", body, count=1)


def no_abstract(body: bytes) -> bytes:
    """The first record's abstract is not there."""
    return re.sub(rb"\s*<(abstract|summary)>[^<]*</\1>", b"", body, count=1)


def duplicated(body: bytes) -> bytes:
    """The first record twice."""
    return re.sub(rb"(<(record|entry)>.*?</\2>)", rb"\1\n\1", body, count=1, flags=re.DOTALL)


def versions_reversed(body: bytes) -> bytes:
    """The versions of each record in falling order."""

    def turned(found: re.Match[bytes]) -> bytes:
        return b"".join(reversed(re.findall(rb"\s*<version .*?</version>", found[0], re.DOTALL)))

    return re.sub(rb"(\s*<version .*?</version>)+", turned, body, flags=re.DOTALL)


def empty_page(body: bytes) -> bytes:
    """A list without records or a feed without entries; the token, or the total, is still there."""
    return re.sub(rb"\s*<(record|header|entry)>.*?</\1>", b"", body, flags=re.DOTALL)


def flipped(place: int) -> Callable[[bytes], bytes]:
    """One bit of one byte is another."""

    def flipped(body: bytes) -> bytes:
        at = place % len(body)
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]

    return flipped


def total_results(change: int | Callable[[int], int]) -> Callable[[bytes], bytes]:
    """Another totalResults: a number, or a function of the true one."""

    def total_results(body: bytes) -> bytes:
        def other(found: re.Match[bytes]) -> bytes:
            return b"totalResults>%d<" % (change(int(found[1])) if callable(change) else change)

        return re.sub(rb"totalResults>(\d+)<", other, body)

    return total_results


def no_title(body: bytes) -> bytes:
    """The query API's old way with a paper that is called 0: no title at all."""
    return re.sub(rb"\s*<title>0</title>", b"", body)


def same_token() -> Action:
    """Each page says that the next one has the token that it was asked with: the same page for ever."""

    def same_token(request: Request, respond: Respond) -> Answer:
        asked = request.params.get("resumptionToken", "").encode()
        return respond(request).with_body(lambda body: _TOKEN.sub(rb"\g<1>" + (asked or rb"\2") + rb"\3", body))

    return same_token


def going_nowhere() -> Action:
    """Each page has a new token that leads to the same page again."""

    def going_nowhere(request: Request, respond: Respond) -> Answer:
        asked = request.params.get("resumptionToken", "").replace("skip%3D", "skip%3D0").encode()
        return respond(request).with_body(lambda body: _TOKEN.sub(rb"\g<1>" + (asked or rb"\2") + rb"\3", body))

    return going_nowhere


def bomb(answer: Answer, size: int) -> Answer:
    """A gzip body that unpacks to the true one's beginning and `size` spaces: one packed block again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body, spaces, blocks = answer.body[:-20], b" " * (1 << 20), size >> 20
    first = packer.compress(body) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(spaces) + packer.flush(zlib.Z_FULL_FLUSH)
    check = zlib.crc32(body)
    for _ in range(blocks):
        check = zlib.crc32(spaces, check)
    end = struct.pack("<II", check, (len(body) + blocks * len(spaces)) & 0xFFFFFFFF)
    packed = b"\x1f\x8b\x08" + bytes(6) + b"\xff" + first + block * blocks + packer.flush() + end
    return replace(answer.with_body(packed).with_headers(Content_Encoding="gzip"), compressible=False)
