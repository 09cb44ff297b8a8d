"""arXiv's categories: names, archives, groups, aliases, successors, and how many papers each one has.

Source: arxiv-base, `arxiv/taxonomy/definitions.py` (see `source` in taxonomy.json). 185 ids, 155 of them active,
149 after folding the six alias pairs: those 149 are what a model may answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

Level = Literal["category", "archive", "group"]

_OUTSIDE = frozenset({"grp_test", "grp_bad"})


@dataclass(frozen=True, slots=True)
class Category:
    """One arXiv category as arXiv defines it; `papers` estimates how many have it as their primary."""

    id: str
    name: str
    archive: str
    group: str
    active: bool
    alias_of: str | None
    successor: str | None
    oai_set: str
    papers: int

    @property
    def canonical(self) -> str:
        """The id that stands for this one today: itself, its alias target, or its successor."""
        return self.alias_of or self.successor or self.id

    @property
    def is_label(self) -> bool:
        """Whether a model may answer with it."""
        return self.active and self.canonical == self.id and self.group not in _OUTSIDE


@cache
def _definitions() -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads(files("arxivcli").joinpath("taxonomy.json").read_text("utf-8"))
    return definitions


@cache
def categories() -> dict[str, Category]:
    """All 185 ids, arXiv's own order."""
    return {name: Category(id=name, **fields) for name, fields in _definitions()["categories"].items()}


@cache
def labels(level: Level = "category") -> tuple[str, ...]:
    """What can be answered at a level, sorted: 149 categories, 20 archives or 8 groups."""
    parents = {parent(c.id, level) for c in categories().values() if c.is_label}
    return tuple(sorted(p for p in parents if p))


def canonical(identifier: str) -> str | None:
    """The canonical id for any id arXiv ever used (`cmp-lg` -> `cs.CL`); None for what arXiv never had."""
    found = categories().get(identifier) or categories().get(_spelling().get(identifier.lower(), ""))
    return found.canonical if found else None


@cache
def _spelling() -> dict[str, str]:
    """Lower-case spelling -> id: `CS.lg` is what somebody typed, not another category."""
    return {name.lower(): name for name in categories()}


def parent(identifier: str, level: Level) -> str | None:
    """The label of `level` that a known id belongs to, after folding; None for test ids and unknown ones."""
    found = categories().get(canonical(identifier) or "")
    if found is None or found.group in _OUTSIDE:
        return None
    if level == "category":
        return found.id if found.is_label else None
    return found.archive if level == "archive" else found.group.removeprefix("grp_")


@dataclass(frozen=True, eq=False)
class Parents:
    """The distinct parents of some labels, sorted, and which one each label has, (L,)."""

    names: tuple[str, ...]
    number: NDArray[np.int64]


def parents(some: tuple[str, ...], level: Literal["archive", "group"]) -> Parents:
    """Archive or group of each label, be it a category or an archive; what has no parent stands for itself."""
    above = {parent(c, "archive"): parent(c, "group") for c in labels()} if level == "group" else {}
    found = [above.get(label) or parent(label, level) or label for label in some]
    names, number = np.unique(found, return_inverse=True)
    return Parents(tuple(names.tolist()), number)


def archives() -> tuple[str, ...]:
    """Ids of all archives that arXiv has or had, those that ids of papers begin with."""
    return tuple(_definitions()["archives"])


def is_archive(identifier: str) -> bool:
    """Whether arXiv has or had an archive of that id."""
    return identifier in _definitions()["archives"]


def name(label: str) -> str:
    """The human name of a category, an archive or a group; the label itself when it is none of these."""
    definitions = _definitions()
    for kind, key in (("categories", label), ("archives", label), ("groups", f"grp_{label}")):
        if key in definitions[kind]:
            return str(definitions[kind][key]["name"])
    return label


@cache
def papers_per_label(level: Level = "category") -> dict[str, int]:
    """Estimated number of papers on arXiv by primary label: arXiv's own mix, for weights and priors."""
    counts = dict.fromkeys(labels(level), 0)
    for category in categories().values():
        label = parent(category.id, level)
        if label is not None:
            counts[label] += category.papers
    return counts


@lru_cache(maxsize=1 << 18)
def fold_ids(identifiers: str, level: Level = "category") -> tuple[str, ...]:
    """Space-separated ids as arXiv writes them -> canonical labels of `level`, first stays first, none twice.

    Ids arXiv never had and test ids are left out. At category level `astro-ph`, `cond-mat` and `q-bio` keep their
    names though no model answers them: what a paper has is not for us to guess.
    """
    found = []
    for identifier in identifiers.split():
        category = categories().get(canonical(identifier) or "")
        if category is not None and category.group not in _OUTSIDE:
            found.append(category.id if level == "category" else parent(identifier, level))
    return tuple(dict.fromkeys(label for label in found if label))


def fold(lists: pa.ListArray, level: Level = "category") -> pa.ListArray:
    """`fold_ids` for list<string> of n papers; each distinct list is folded once. Null lists become empty."""
    joined = pc.binary_join(lists, " ").fill_null("").dictionary_encode()
    folded = pa.array([fold_ids(ids, level) for ids in joined.dictionary.to_pylist()], pa.list_(pa.string()))
    return folded.take(joined.indices)
