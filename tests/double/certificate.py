"""A certificate that nobody has signed but itself: what a client must refuse unless it is told to trust it."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import random
import ssl
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_EXPONENT = 65_537
_RSA, _SHA256_WITH_RSA, _SHA256 = "2a864886f70d010101", "2a864886f70d01010b", "608648016503040201"
_COMMON_NAME = "550403"
_BASIC_CONSTRAINTS, _KEY_USAGE, _SUBJECT_KEY, _OTHER_NAMES = "551d13", "551d0f", "551d0e", "551d11"


def context(folder: Path, *, expired: bool = False) -> tuple[ssl.SSLContext, Path]:
    """What serves TLS for `localhost` and 127.0.0.1, and the PEM file that a client may be told to trust."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made, private = _made(expired=expired)
    certificate.write_text(_pem("CERTIFICATE", made), "ascii")
    key.write_text(_pem("RSA PRIVATE KEY", private), "ascii")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    return serving, certificate


@cache
def _made(*, expired: bool) -> tuple[bytes, bytes]:
    """Certificate and private key in DER."""
    first, second = _primes()
    modulus, secret = first * second, pow(_EXPONENT, -1, (first - 1) * (second - 1))
    public = _sequence(_integer(modulus), _integer(_EXPONENT))
    algorithm = _sequence(_oid(_SHA256_WITH_RSA), _der(0x05, b""))
    name = _sequence(_der(0x31, _sequence(_oid(_COMMON_NAME), _der(0x0C, b"localhost"))))
    years = (2020, 2021) if expired else (2020, 2120)
    dates = [_der(0x18, f"{dt.datetime(year, 1, 1, tzinfo=dt.UTC):%Y%m%d%H%M%SZ}".encode()) for year in years]
    names = _sequence(_der(0x82, b"localhost"), _der(0x87, bytes((127, 0, 0, 1))))
    extensions = _sequence(
        _extension(_BASIC_CONSTRAINTS, _sequence(_der(0x01, b"\xff")), critical=True),
        _extension(_KEY_USAGE, _der(0x03, b"\x02\x84"), critical=True),
        _extension(_SUBJECT_KEY, _der(0x04, hashlib.sha256(public).digest()[:20])),
        _extension(_OTHER_NAMES, names),
    )
    body = _sequence(
        _der(0xA0, _integer(2)),
        _integer(1),
        algorithm,
        name,
        _sequence(*dates),
        name,
        _sequence(_sequence(_oid(_RSA), _der(0x05, b"")), _bits(public)),
        _der(0xA3, extensions),
    )
    signature = pow(int.from_bytes(_padded(body), "big"), secret, modulus).to_bytes(256, "big")
    parts = (0, modulus, _EXPONENT, secret, first, second, secret % (first - 1), secret % (second - 1))
    private = _sequence(*(_integer(part) for part in (*parts, pow(second, -1, first))))
    return _sequence(body, algorithm, _bits(signature)), private


def _padded(body: bytes) -> bytes:
    """What is signed: PKCS #1 version 1.5 around the SHA-256 of the body."""
    hashed = _der(0x04, hashlib.sha256(body).digest())
    digest = _sequence(_sequence(_oid(_SHA256), _der(0x05, b"")), hashed)
    return b"\x00\x01" + b"\xff" * (253 - len(digest)) + b"\x00" + digest


def _primes() -> tuple[int, int]:
    """Two primes of 1,024 bits, the same each time: this key protects nothing."""
    chance = random.Random(1991)
    found: list[int] = []
    while len(found) < 2:
        candidate = chance.getrandbits(1_024) | 3 << 1_022 | 1
        if all(candidate % small for small in range(3, 2_000, 2)) and pow(2, candidate - 1, candidate) == 1:
            found.append(candidate)
    return found[0], found[1]


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(encoded: str) -> bytes:
    return _der(0x06, bytes.fromhex(encoded))


def _bits(content: bytes) -> bytes:
    return _der(0x03, b"\x00" + content)


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return _sequence(_oid(oid), *([_der(0x01, b"\xff")] if critical else []), _der(0x04, value))


def _pem(label: str, content: bytes) -> str:
    text = base64.encodebytes(content).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"
