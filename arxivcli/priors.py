"""Mixes of labels: how large a share of somebody's papers each label has."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from arxivcli import metrics, taxonomy
from arxivcli.errors import UsageError
from arxivcli.views import meant

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from arxivcli.taxonomy import Level

UNNAMED: Final = 0.01
"""What all labels that a file does not name have together, each as much of it as it has of the model's own mix."""

_HEADER: Final = ("category", "share")
_HINT: Final = 'write {"cs.LG": 60, "cs.CL": 40}, or lines of category,share'


def arxiv(labels: tuple[str, ...], level: Level) -> NDArray[np.float64]:
    """arXiv's own mix of the labels, (L,); one that it has no papers of counts as having one."""
    return metrics.label_mix(labels, taxonomy.papers_per_label(level))


def named(path: Path, labels: tuple[str, ...], level: Level, own: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mix that a file says, (L,): a JSON object of labels and numbers, or a CSV of `category,share`.

    Shares are any positive numbers, of papers or percent. Old names are folded, finer ones belong to their label, the
    share of an archive or a group is parted among its labels as in the model's `own` mix, and all that fall together
    are added. Labels that are not named have UNNAMED of the whole, parted in the same way.

    Raises UsageError when the file is no such thing, or names what the model cannot answer.
    """
    pairs = _read(path)
    shares = np.zeros(len(labels))
    largest = max((share for _, share in pairs), default=1.0)
    for name, share in pairs:
        parent = taxonomy.parent(name, level)
        places = [labels.index(label) for label in ((parent,) if parent in labels else meant(name, labels, level))]
        shares[places] += share / largest * own[places] / own[places].sum()
    if not pairs:
        raise UsageError(f"{path} names no label", _HINT)
    rest = np.where(shares > 0, 0, own)
    shares /= shares.sum()
    return shares if not rest.any() else (1 - UNNAMED) * shares + UNNAMED * rest / rest.sum()


def _read(path: Path) -> list[tuple[str, float]]:
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        pairs = _json(content) if content.lstrip().startswith((b"{", b"[")) else _csv(content.decode())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name a file of shares") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise UsageError(f"{path} is no mix of labels: {error}", _HINT) from error
    for name, share in pairs:
        if not 0 < share < math.inf:
            raise UsageError(
                f"{path}: the share of {name} is {share:g}, which is no positive number",
                "leave out what there is nothing of; --labels keeps labels out of the answers",
            )
    return pairs


def _json(content: bytes) -> list[tuple[str, float]]:
    values = orjson.loads(content)
    if not isinstance(values, dict):
        raise TypeError("it is a list, no object")
    return [(name, _number(value)) for name, value in values.items()]


def _csv(content: str) -> list[tuple[str, float]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(content.splitlines()) if any(map(str.strip, row))]
    if rows and tuple(map(str.lower, rows[0])) == _HEADER:
        del rows[0]
    for row in rows:
        if len(row) != len(_HEADER):
            raise ValueError(f"{','.join(row)} is not a category and a share")
    return [(name, _number(share)) for name, share in rows]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{value!r} is no number")
    return float(value)
