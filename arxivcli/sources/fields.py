"""What people call the parts of a paper, and what they put in them: ids, categories and dates in many spellings."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from arxivcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

TITLES = ("title", "paper_title", "titles")
ABSTRACTS = ("abstract", "summary", "description", "abstracts", "summaries")
IDENTIFIERS = ("id", "arxiv_id", "paper_id", "doi")
CATEGORIES = ("categories", "category", "tags", "terms")
PRIMARIES = ("primary_category",)
VERSIONS = ("versions",)
CREATED = ("created", "published", "date")
REVISED = ("updated", "update_date")

_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86_400
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class NotAPaperError(ValueError):
    """One record cannot be a paper; the message is the short, stable reason that is counted."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names given by hand (`--title-column` ...) for files whose own names are not understood.

    With `texts_only`, categories and dates are not looked at: quicker, and nothing in them can make a record fail.
    A table that is not `headed` has no names, its columns are numbers; `table` is the one of a database.
    """

    title: str | None = None
    abstract: str | None = None
    id: str | None = None
    texts_only: bool = False
    headed: bool = True
    table: str | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """The keys of one kind of record by meaning; None, a key no record has, where the kind lacks that part."""

    title: str | None
    abstract: str | None
    id: str | None
    categories: str | None
    primary: str | None
    versions: str | None
    created: str | None
    revised: str | None

    @property
    def names(self) -> list[str]:
        """The keys that mean something, each once."""
        keys = (getattr(self, slot) for slot in self.__slots__)
        return list(dict.fromkeys(key for key in keys if key is not None))


def resolve(keys: Iterable[str], columns: Columns) -> Fields:
    """Which key means what, upper and lower case, spaces and hyphens alike; what is given by hand goes first, a name or
    else a number counted from 1.
    """
    there = list(keys)
    spelled = {key: key for key in there}
    for key in there:
        spelled.setdefault(_folded(key), key)

    def find(names: tuple[str, ...], given: str | None = None) -> str | None:
        if given is not None:
            return spelled.get(given) or spelled.get(_folded(given)) or _numbered(there, given)
        return next((spelled[name] for name in names if name in spelled), None)

    def find_more(names: tuple[str, ...]) -> str | None:
        return None if columns.texts_only else find(names)

    return Fields(
        title=find(TITLES, columns.title),
        abstract=find(ABSTRACTS, columns.abstract),
        id=find(IDENTIFIERS, columns.id),
        categories=find_more(CATEGORIES),
        primary=find_more(PRIMARIES),
        versions=find_more(VERSIONS),
        created=find_more(CREATED),
        revised=find_more(REVISED),
    )


def _numbered(keys: list[str], given: str) -> str | None:
    """The key at a place counted from 1, for names that are such a number."""
    return keys[int(given) - 1] if re.fullmatch(r"[1-9][0-9]{0,3}", given) and int(given) <= len(keys) else None


def _folded(key: str) -> str:
    return key.strip().lower().replace(" ", "_").replace("-", "_")


def require_columns(keys: Iterable[str], columns: Columns) -> None:
    """Raises UsageError when a column named by hand is not there."""
    there = list(keys)
    fields = resolve(there, columns)
    for meaning in ("title", "abstract", "id"):
        given = getattr(columns, meaning)
        if given is not None and getattr(fields, meaning) is None:
            raise UsageError(f"--{meaning}-column {given}: no such column", f"there are: {', '.join(there)}")


# -- texts ------------------------------------------------------------------------------------------------------------


def text(value: object, meaning: str) -> str:
    """A title or an abstract as text; missing is empty, a list of texts is joined. Raises NotAPaperError."""
    if isinstance(value, str):
        return value
    if value is None or _is_nan(value):
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    raise NotAPaperError(f"{meaning} is not text")


def _is_nan(value: object) -> bool:
    """What tables write for a missing cell."""
    return isinstance(value, float) and math.isnan(value)


# -- identifiers ------------------------------------------------------------------------------------------------------

_PLAIN_ID = re.compile(r"\d{4}\.\d{4,5}")
_PREFIX = re.compile(
    r"(?:(?:https?://)?(?:[a-z]+\.)?arxiv\.org/(?:abs|pdf|html)/|oai:arxiv\.org:|arxiv:)\s*", re.IGNORECASE
)
_ARXIV_ID = re.compile(r"(\d{3,4}\.\d{4,5}|[a-z-]+(?:\.[A-Za-z-]+)?/\d{7})(?:v\d+)?(?:\.pdf)?")


def identifier(value: object) -> str:
    """An arXiv id without prefix and version (`arXiv:704.0001v2` -> `0704.0001`), or the caller's own key as text.

    Raises NotAPaperError for numbers with a fraction: as a number, 1605.08380 has lost its last digit.
    """
    if isinstance(value, str):
        return value if _PLAIN_ID.fullmatch(value) else _tidy_identifier(value)
    if value is None or _is_nan(value):
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    raise NotAPaperError("id is a number with a fraction" if isinstance(value, float) else "id is not text")


_EXACT = 1 << 53


def written_identifier(value: float, line: bytes, key: str) -> object:
    """The id of a JSON object that was read as a float: large whole numbers as they are written, for their last digits
    are lost in a float."""
    if abs(value) < _EXACT or not value.is_integer():
        return value
    try:
        return json.loads(line, parse_int=str, parse_float=str)[key]
    except RecursionError:
        raise NotAPaperError("id is too large a number") from None


def _tidy_identifier(value: str) -> str:
    stripped = value.strip()
    bare = _PREFIX.sub("", stripped, count=1) if _PREFIX.match(stripped) else stripped
    found = _ARXIV_ID.fullmatch(bare)
    if not found:
        return stripped
    return f"0{found[1]}" if found[1][3:4] == "." and found[1][0].isdigit() else found[1]


# -- categories -------------------------------------------------------------------------------------------------------

_SEPARATORS = str.maketrans(dict.fromkeys(",;|[]()'\"\t\r\n", " "))

_LONGEST_CATEGORIES = 1_000


def categories(value: object, primary: object) -> str:
    """Ids separated by spaces, the primary first. Lists, comma lists and printed lists (`['cs.LG', 'stat.ML']`) are
    understood. Raises NotAPaperError.
    """
    listed = _spaced(value) if isinstance(value, str) else _listed(value)
    first = _listed(primary)
    return f"{first} {listed}" if first else listed


@lru_cache(maxsize=1 << 16)
def _spaced(value: str) -> str:
    if len(value) > _LONGEST_CATEGORIES:
        raise NotAPaperError("categories are too long")
    return value.translate(_SEPARATORS)


def _listed(value: object) -> str:
    if value is None or _is_nan(value):
        return ""
    if isinstance(value, str):
        return _spaced(value)
    if isinstance(value, dict):  # feed parsers write {"term": "cs.LG", "scheme": ...}
        return _listed(value.get("term"))
    if isinstance(value, list):
        return _spaced(" ".join(_listed(part) for part in value))
    raise NotAPaperError("categories are not text")


# -- dates ------------------------------------------------------------------------------------------------------------


def dates(record: dict[Any, Any], fields: Fields) -> tuple[int | None, int]:
    """Day of the first version (days since 1970, None unknown) and moment of the newest change (seconds, 0 unknown)."""
    versions = record.get(fields.versions)
    if isinstance(versions, list) and versions:
        first = last = moment(_version_date(versions, 0))
        if len(versions) > 1:
            last = moment(_version_date(versions, -1))
    else:
        first = last = moment(record.get(fields.created))
    newest = max(last or 0, moment(record.get(fields.revised)) or 0)
    return (None if first is None else first // _DAY), newest


def _version_date(versions: list[Any], which: int) -> object:
    version = versions[which]
    return version.get("created") if isinstance(version, dict) else None


def moment(value: object) -> int | None:
    """Seconds since 1970 of an RFC 2822 or ISO 8601 date, a month, or a date of a table; None when it is none."""
    if isinstance(value, str):
        return _from_text(value) if len(value) > len("2007-04-02") else _from_day(value)
    if isinstance(value, datetime):
        return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp())
    if isinstance(value, date):
        return (value.toordinal() - _EPOCH) * _DAY
    return None


def _from_text(value: str) -> int | None:
    if value.endswith(" GMT"):
        day, clock = _rfc_day(value[:-13]), value[-12:-4]
    else:
        day, clock = _iso_day(value[:10]), value[11:19]
    return _any_rfc(value) if day is None else day * _DAY + _seconds(clock)


@lru_cache(maxsize=1 << 16)
def _from_day(value: str) -> int | None:
    day = _iso_day(value)
    return None if day is None else day * _DAY


@lru_cache(maxsize=1 << 17)
def _seconds(clock: str) -> int:
    """Seconds since midnight of `19:18:42`; 0 for what is no time."""
    hour, _, rest = clock.partition(":")
    minute, _, second = rest.partition(":")
    if hour.isdecimal() and minute.isdecimal() and second.isdecimal():
        return int(hour) * 3600 + int(minute) * 60 + int(second)
    return 0


@lru_cache(maxsize=1 << 16)
def _rfc_day(value: str) -> int | None:
    """Days since 1970 of `Mon, 2 Apr 2007`, whatever the locale."""
    try:
        _, day, month, year = value.split()
        return date(int(year), _MONTHS.index(month) + 1, int(day)).toordinal() - _EPOCH
    except ValueError:
        return None


@lru_cache(maxsize=1 << 16)
def _iso_day(value: str) -> int | None:
    """Days since 1970 of `2007-04-02`, or of the first of a month of `2007-04`."""
    try:
        return date.fromisoformat(value if len(value) != len("2007-04") else f"{value}-01").toordinal() - _EPOCH
    except ValueError:
        return None


@lru_cache(maxsize=1 << 12)
def _any_rfc(value: str) -> int | None:
    try:
        return int(parsedate_to_datetime(value).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
