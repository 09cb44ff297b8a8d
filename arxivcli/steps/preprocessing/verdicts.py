"""Which papers of a whole corpus stay: one record of each, none in two splits, no more than was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from arxivcli import splits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from arxivcli.steps.preprocessing.recipe import Recipe

REASONS = (
    "",
    "older record of the same paper",
    "same abstract in an earlier split",
    "beyond the cap",
    "beyond the limit",
)
KEPT, OLDER, LEAK, CAP, LIMIT = range(len(REASONS))


def judged(keys: NDArray[np.void], places: NDArray[np.uint64], recipe: Recipe) -> NDArray[np.int8]:
    """For each of n papers (KEYS) the index in REASONS of why it goes, 0 when it stays.

    `places` says where each came in the input. That decides nothing but which of two records of one age is the newer.
    """
    verdict = np.zeros(len(keys), np.int8)
    verdict[_older(keys, places)] = OLDER
    if recipe.split == "time":
        verdict[_leaks(keys, np.flatnonzero(verdict == KEPT))] = LEAK
    if recipe.max_per_category is not None:
        verdict[_beyond_cap(keys, np.flatnonzero(verdict == KEPT), recipe)] = CAP
    if recipe.limit is not None:
        stays = np.flatnonzero(verdict == KEPT)
        lots = splits.mixed(keys["id"][stays], recipe.seed, "lot")
        verdict[stays[np.argsort(lots)[recipe.limit :]]] = LIMIT
    return verdict


def _older(keys: NDArray[np.void], places: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows for which a newer record of the same paper exists."""
    by_id = np.argsort(keys["id"], kind="stable")
    identifiers = keys["id"][by_id]
    again = identifiers[1:] == identifiers[:-1]
    if not again.any():
        return np.empty(0, np.int64)
    shared = np.zeros(len(keys), np.bool_)
    shared[1:] |= again
    shared[:-1] |= again
    rows = by_id[shared]
    rows = rows[np.lexsort((places[rows], keys["revised"][rows], keys["id"][rows]))]
    return np.asarray(rows[:-1][keys["id"][rows[:-1]] == keys["id"][rows[1:]]], np.int64)


def _leaks(keys: NDArray[np.void], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of these rows the test papers that say what a paper of another split says."""
    in_test = keys["split"][rows] == splits.TEST
    known = np.unique(keys["group"][rows[~in_test]])
    test = rows[in_test]
    return np.asarray(test[np.isin(keys["group"][test], known)], np.int64)


def _beyond_cap(keys: NDArray[np.void], rows: NDArray[np.int64], recipe: Recipe) -> NDArray[np.int64]:
    """Of these rows those beyond the most papers a label may have, drawn by lot."""
    lots = splits.mixed(keys["id"][rows], recipe.seed, "lot")
    rows = rows[np.lexsort((lots, keys["label"][rows]))]
    labels = keys["label"][rows]
    rank = np.arange(len(rows)) - np.searchsorted(labels, labels, side="left")
    return np.asarray(rows[rank >= (recipe.max_per_category or 0)], np.int64)
