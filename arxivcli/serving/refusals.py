"""A request that is not answered, and why: the one shape of every error the service sends."""

from __future__ import annotations

import random

import orjson

WAITS = (1, 2, 3, 4, 5)
"""Seconds after which those who are refused together are told to come again: not all at once, or all but a few would be
refused once more, each after waiting for the others.
"""


class Refusal(Exception):  # noqa: N818  it is an answer, not a fault of ours
    """An error response: its status, one sentence that repeats nothing of what was sent, and headers besides."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @property
    def body(self) -> bytes:
        """`{"detail": "..."}`."""
        return orjson.dumps({"detail": self.detail})


def busy(detail: str) -> Refusal:
    """The refusal for what may be asked again in a second."""
    return Refusal(503, detail, retry_after="1")


def full() -> Refusal:
    """The refusal when no more may wait; it may be asked again after one of WAITS, by chance."""
    seconds = random.choice(WAITS)  # noqa: S311  nothing secret
    return Refusal(503, "too many requests are waiting; ask again in a few seconds", retry_after=str(seconds))
