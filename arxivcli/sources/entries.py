"""What servers send, as lines of arXiv's own snapshot form: one shape, wherever a paper came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from arxivcli.sources import fields

PLAIN = ("submitter", "authors", "comments", "journal-ref", "doi", "report-no", "license")
"""Keys of a snapshot record that are copied as they are."""

_VERSION = re.compile(r"v?(\d{1,4})")
_OLD_OR_NEW = re.compile(r"\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Za-z-]{2,})?/\d{7}", re.ASCII)
_UNDATED = "0000"
_AROUND = re.compile(
    r"^\ufeff|^(?:https?://(?:dx\.)?doi\.org/|doi:)?10\.48550/arxiv\.|(?:/|[?#].*|\s+\[[\w.-]+\])+$", re.IGNORECASE
)
"""What people copy with an id: a byte order mark, the DOI of arXiv's, the end of an address, the category."""

_OLD_STYLE = re.compile(r"[A-Za-z-]+/\d{7}(?:v\d+)?")
_SUBJECT_CLASS = re.compile(r"([a-z-]+)\.[A-Za-z-]+(/\d{7})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One paper as one line of JSON.

    Attributes:
        id: arXiv id without version.
        version: Number of its newest version.
        stamp: Day of its last change, YYYY-MM-DD.
        line: The snapshot record, without a newline.
    """

    id: str
    version: int
    stamp: str
    line: bytes

    @property
    def rank(self) -> tuple[int, str, int, bytes]:
        """Of two entries of one paper the larger rank is the newer, else the fuller one (OAI-PMH tells more than the
        API); the same entries always have the same winner.
        """
        return self.version, self.stamp, len(self.line), self.line

    @property
    def month(self) -> str:
        """YYMM of the id: `2401.00001` and `hep-th/2401001` are both of `2401`."""
        number = self.id.rpartition("/")[2][:4]
        return number if number.isdecimal() else _UNDATED


def is_identifier(text: str) -> bool:
    """Whether it looks like an arXiv id without version."""
    return _OLD_OR_NEW.fullmatch(text) is not None


def identifier_in(name: str) -> str | None:
    """The arXiv id that a name means (`arXiv:2401.01234v2`, the address of a page or a PDF, arXiv's DOI), without
    prefix, subject class and version; None for what is no id.
    """
    bare = _AROUND.sub("", name.strip())
    if _OLD_STYLE.fullmatch(bare):
        bare = bare.lower()
    found = _SUBJECT_CLASS.sub(r"\1\2", fields.identifier(bare))
    return found if is_identifier(found) else None


def entry(
    identifier: str,
    title: str,
    abstract: str,
    categories: str,
    versions: list[tuple[str, str]],
    stamp: str,
    others: dict[str, str | None],
) -> Entry:
    """The entry of a paper.

    Args:
        identifier: arXiv id without version.
        title: As it came.
        abstract: As it came.
        categories: Space-separated ids, the primary first.
        versions: Name (`v2`) and date of each version, in any order.
        stamp: Day of the last change.
        others: Whatever there is of PLAIN.
    """
    ordered = sorted(versions, key=lambda version: version_number(version[0]))
    record = {
        "id": identifier,
        "submitter": others.get("submitter"),
        "authors": others.get("authors"),
        "title": title,
        **{key: others.get(key) for key in PLAIN[2:6]},
        "categories": categories,
        "license": others.get("license"),
        "abstract": abstract,
        "versions": [{"version": name, "created": created} for name, created in ordered],
        "update_date": stamp,
    }
    newest = version_number(ordered[-1][0]) if ordered else 1
    return Entry(identifier, newest, stamp, orjson.dumps(record))


def version_number(name: str) -> int:
    """`v12` -> 12; 0 for what is no version."""
    found = _VERSION.fullmatch(name)
    return int(found[1]) if found else 0


def parsed(line: bytes) -> Entry:
    """The entry that a line was written from. Raises ValueError for a damaged line."""
    record: dict[str, Any] = orjson.loads(line)
    try:
        versions = record["versions"]
        newest = version_number(versions[-1]["version"]) if versions else 1
        return Entry(record["id"], newest, record["update_date"], line)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"no snapshot record: {error}") from error
