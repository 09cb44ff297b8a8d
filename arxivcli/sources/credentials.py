"""Kaggle's credentials, looked for where Kaggle's own tools look, and shown to Kaggle alone.

They are optional, as the snapshot is open to everybody. Only the server that KAGGLE_API_ENDPOINT names, by default
https://www.kaggle.com, ever gets them: no mirror, and nobody whom a redirect leads to.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from arxivcli.sources.addresses import checked_url, place

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

ENDPOINT = "https://www.kaggle.com"


class Secret(dict[str, str]):
    """Headers that never show what they hold."""

    def __repr__(self) -> str:
        return "Secret(...)"


def headers(server: httpx.URL) -> Secret:
    """The header that says who asks, when there are credentials and `server` is the one they are for; else none."""
    kaggle = checked_url(os.environ.get("KAGGLE_API_ENDPOINT") or ENDPOINT)
    if (server.scheme, place(server)) != (kaggle.scheme, place(kaggle)):
        return Secret()
    return Secret(Authorization=found) if (found := next(_found(), None)) else Secret()


def _found() -> Iterator[str]:
    """Values of the header in Kaggle's order; what cannot be one is passed over."""
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    token = os.environ.get("KAGGLE_API_TOKEN", "")
    for candidate in (_text(Path(token)) or token, _text(folder / "access_token"), _text(folder / "access_token.txt")):
        if _is_one_word(candidate.strip()):
            yield f"Bearer {candidate.strip()}"
    for user, key in (
        (os.environ.get("KAGGLE_USERNAME", ""), os.environ.get("KAGGLE_KEY", "")),
        _pair(_text(folder / "kaggle.json")),
    ):
        if user and key:
            yield "Basic " + base64.b64encode(f"{user.strip()}:{key.strip()}".encode()).decode()


def _text(path: Path) -> str:
    """What a small file holds; nothing when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(1 << 16).decode(errors="replace")
    except (OSError, ValueError):
        return ""


def _pair(content: str) -> tuple[str, str]:
    """User and key of a kaggle.json; nothing when it is none."""
    try:
        found = json.loads(content)
        return str(found["username"]), str(found["key"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", ""


def _is_one_word(token: str) -> bool:
    """Whether it can stand in a header: what cannot would be quoted in an error."""
    return token.isascii() and token.isprintable() and len(token.split()) == 1
