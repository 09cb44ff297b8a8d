"""CRC-32C and MD5 as Google's storage writes them in `X-Goog-Hash`."""

from __future__ import annotations

import base64
import hashlib
from array import array
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_POLYNOMIAL = 0x82F63B78


@cache
def _table() -> array[int]:
    """What sixteen bits do to the remainder."""
    table = array("I")
    for value in range(1 << 16):
        rest = value
        for _ in range(16):
            rest = rest >> 1 ^ (_POLYNOMIAL if rest & 1 else 0)
        table.append(rest)
    return table


def crc32c(pieces: Iterable[bytes]) -> int:
    """CRC-32C (Castagnoli) of bytes that come in pieces; all but the last of even length."""
    table, rest = _table(), 0xFFFFFFFF
    for piece in pieces:
        pairs = array("H", piece[: len(piece) & ~1])
        for pair in pairs:
            rest = table[(rest ^ pair) & 0xFFFF] ^ rest >> 16
        if len(piece) & 1:
            rest ^= piece[-1]
            for _ in range(8):
                rest = rest >> 1 ^ (_POLYNOMIAL if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF


def goog_hash(pieces: Iterable[bytes]) -> tuple[str, str]:
    """The header's value, and the MD5 in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)

    def seen() -> Iterator[bytes]:
        for piece in pieces:
            digest.update(piece)
            yield piece

    crc = base64.b64encode(crc32c(seen()).to_bytes(4, "big")).decode()
    return f"crc32c={crc},md5={base64.b64encode(digest.digest()).decode()}", digest.hexdigest()
