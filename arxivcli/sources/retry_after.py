"""How long a server asks us to wait (Retry-After, RFC 9110, 10.2.3)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a number or a date; None when there is neither."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value) if len(value) < 16 else math.inf  # noqa: PLR2004
    then = _date(value)
    if then is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)  # the server's clock, when it shows it: ours may be wrong
    return max(0.0, (then - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
