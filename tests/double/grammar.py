"""The query API's language: `cat:cs.CL AND (ti:"language model" OR au:zudo) ANDNOT submittedDate:[2024 TO 2025]`."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass

FIELDS = {"ti", "au", "abs", "co", "jr", "cat", "rn", "id", "doi", "all", "submittedDate", "lastUpdatedDate"}
OPERATORS = {"AND", "OR", "ANDNOT"}
_TOKEN = re.compile(r'\s*(?:([()])|((?:[A-Za-z]+:)?(?:"[^"]*"|\[[^]]*\]|[^\s()"\[\]]+)))')
_WORD = re.compile(r"\w+")


class QueryError(ValueError):
    """A query that cannot be read; HTTP 400 with this sentence."""


@dataclass(frozen=True)
class Term:
    """A field and what it must say."""

    field: str
    value: str


@dataclass(frozen=True)
class Both:
    """Two queries and the operator between them."""

    operator: str
    left: Query
    right: Query


Query = Term | Both


def parse(text: str) -> Query:
    """The query as a tree; operators have one rank and group to the left; two terms without one mean OR."""
    if text.count('"') % 2:
        raise QueryError(f"Quotation does not close: {text}")
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise QueryError(f"Cannot parse fragment: {text[place:]}")
        tokens.append(found[1] or found[2])
        place = found.end()
    query, rest = _group(tokens)
    if rest:
        raise QueryError(f"Cannot parse fragment: {' '.join(rest)}")
    return query


def _group(tokens: list[str]) -> tuple[Query, list[str]]:
    query: Query | None = None
    operator: str | None = None
    while tokens and tokens[0] != ")":
        fragment, *tokens = tokens
        if fragment in OPERATORS:
            if query is None or operator is not None:
                raise QueryError(f"Query contains 2 consecutive operators: {operator} {fragment}")
            operator = fragment
            continue
        if fragment == "(":
            part, tokens = _group(tokens)
            if not tokens:
                raise QueryError("Parenthesis does not close")
            tokens = tokens[1:]
        else:
            part = _term(fragment)
        query = part if query is None else Both(operator or "OR", query, part)
        operator = None
    if query is None or operator is not None:
        raise QueryError(f"Cannot parse fragment: {operator or ''}")
    return query, tokens


def _term(token: str) -> Term:
    field, colon, value = token.partition(":")
    if not colon:
        field, value = "all", token
    if field not in FIELDS:
        raise QueryError(f"Invalid field: {field}")
    if not value.strip('" '):
        raise QueryError(f"Cannot parse fragment: {token}")
    return Term(field, value)


def words(text: str) -> str:
    """Lower-case words with one space around each: what is searched, and what is searched for."""
    return f" {' '.join(_WORD.findall(text.replace('_', ' ').lower()))} "


def pattern(value: str) -> re.Pattern[str]:
    """Finds a value in `words(text)`: all its words in a row; `*` and `?` stand for letters."""
    parts = re.findall(r"[\w*?]+", value.strip('"').replace("_", " ").lower())
    return re.compile(" " + " ".join(part.replace("*", r"\w*").replace("?", r"\w") for part in parts) + " ")


def dates(value: str, *, through_minute: bool) -> tuple[int, int]:
    """First and last second of `[YYYYMMDDHHMM TO YYYYMMDDHHMM]`; years, months and days are padded outwards.

    Whether the last minute counts in full is for the caller to say: a client should not depend on it.
    """
    found = re.fullmatch(r"\[\s*(\d{4,14})\s+TO\s+(\d{4,14})\s*\]", value)
    if found is None:
        raise QueryError(f"Cannot parse date range: {value}")
    try:
        start = _moment(found[1], "0101000000")
        end = _moment(found[2], "1231235959")
    except ValueError:
        raise QueryError(f"Cannot parse date range: {value}") from None
    if len(found[2]) == len("YYYYMMDDHHMM") and not through_minute:
        end -= 59
    return start, end


def _moment(text: str, rest: str) -> int:
    if len(text) % 2:
        raise ValueError(text)
    padded = text + rest[len(text) - 4 :]
    if len(text) == len("YYYYMM") and rest.startswith("12"):
        padded = f"{text}{calendar.monthrange(int(text[:4]), int(text[4:]))[1]}{rest[4:]}"
    return int(dt.datetime.strptime(padded, "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC).timestamp())
