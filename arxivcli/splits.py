"""Which split a paper belongs to: decided by a hash of what it says, so the same in every corpus it is part of."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

SPLITS = ("train", "validation", "calibration", "test")
SHARES = (0.80, 0.05, 0.05, 0.10)
TEST = SPLITS.index("test")

NO_MONTH = -(1 << 31)
"""Month of a paper whose date nobody knows."""

_SHORT = 40
_BEGINNING = 300
_LOWER = bytes(range(256)).lower()
_NO_LETTERS = bytes(byte for byte in range(128) if not chr(byte).isalnum())
_NEW_ID = re.compile(r"(\d\d)(\d\d)\.\d{4,5}")
_OLD_ID = re.compile(r"[a-z-]+(?:\.[A-Za-z-]+)?/(\d\d)(\d\d)\d{3}")
_FIRST_YEAR = 91  # arXiv began in August 1991


def id_keys(identifiers: pa.StringArray) -> NDArray[np.uint64]:
    """A 64-bit hash of each of n ids."""
    return _joined([_digest(identifier) for identifier in _raw(identifiers)])


def group_keys(titles: pa.StringArray, abstracts: pa.StringArray) -> NDArray[np.uint64]:
    """A 64-bit hash of what each of n papers says: letters and digits of the abstract's first 300 bytes, case aside.

    Papers whose abstracts begin alike share a group, under whatever id: reworked versions, translations, parts of a
    series. (Of 545,000 real papers 394 go with an earlier one; by whole abstracts it would be 159.) An abstract too
    short to tell papers apart is taken together with the title.
    """
    digests = []
    for title, abstract in zip(_raw(titles), _raw(abstracts), strict=True):
        said = abstract[:_BEGINNING].translate(_LOWER, _NO_LETTERS)
        if len(said) < _SHORT:
            said = title.translate(_LOWER, _NO_LETTERS) + b"\n" + said
        digests.append(_digest(said))
    return _joined(digests)


def _raw(texts: pa.StringArray) -> list[bytes]:
    """The UTF-8 bytes of n texts without nulls."""
    _, offsets, values = texts.buffers()
    if not len(texts):
        return []
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].tolist()
    every = values.to_pybytes() if values is not None else b""
    return [every[start:end] for start, end in pairwise(ends)]


def _digest(said: bytes) -> bytes:
    return hashlib.blake2b(said, digest_size=8).digest()


def _joined(digests: list[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def mixed(keys: NDArray[np.uint64], seed: int, purpose: str) -> NDArray[np.uint64]:
    """The keys in an order of their own for each seed and purpose; distinct keys stay distinct (splitmix64)."""
    salt = np.frombuffer(_digest(f"{purpose}/{seed}".encode()), "<u8")[0]
    with np.errstate(over="ignore"):
        z = (keys ^ salt) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), np.uint64)


def fractions(keys: NDArray[np.uint64], seed: int, purpose: str) -> NDArray[np.float64]:
    """A number in [0, 1) for each key, evenly spread."""
    return (mixed(keys, seed, purpose) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def random_split(groups: NDArray[np.uint64], seed: int, shares: Sequence[float] = SHARES) -> NDArray[np.int8]:
    """For each of n groups the index in SPLITS, in the given shares."""
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, fractions(groups, seed, "split"), side="right").astype(np.int8)


def time_split(
    groups: NDArray[np.uint64],
    months: NDArray[np.int32],
    test_from: int,
    seed: int,
    shares: Sequence[float] = SHARES,
) -> NDArray[np.int8]:
    """`test` from the month `test_from` on; before, the other splits in their shares of each other."""
    before = random_split(groups, seed, [share / sum(shares[:TEST]) for share in shares[:TEST]])
    return np.where(months >= test_from, np.int8(TEST), before)


def month(text: str) -> int:
    """Months since January 1970 of `2026-01`. Raises ValueError."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise ValueError(text)
    return (int(text[:4]) - 1970) * 12 + int(text[5:]) - 1


def month_name(number: int) -> str:
    """`2026-01` of months since January 1970."""
    year, of_year = divmod(number, 12)
    return f"{1970 + year:04d}-{of_year + 1:02d}"


def months(papers: pa.RecordBatch) -> NDArray[np.int32]:
    """Months since January 1970 of the first version of each of n papers, by its id where no date is known."""
    days = papers["created"].cast("int32").fill_null(0).to_numpy().astype("datetime64[D]")
    found = days.astype("datetime64[M]").astype(np.int32)
    unknown = papers["created"].is_null().to_numpy(zero_copy_only=False).nonzero()[0]
    found[unknown] = [_month_of_id(papers["id"][int(row)].as_py()) for row in unknown]
    return np.asarray(found, np.int32)


def _month_of_id(identifier: str) -> int:
    match = _NEW_ID.fullmatch(identifier) or _OLD_ID.fullmatch(identifier)
    if not match or not 1 <= int(match[2]) <= 12:  # noqa: PLR2004
        return NO_MONTH
    year = int(match[1])
    return ((1900 if "/" in identifier and year >= _FIRST_YEAR else 2000) + year - 1970) * 12 + int(match[2]) - 1
