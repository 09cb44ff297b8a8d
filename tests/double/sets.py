"""arXiv's categories as its OAI-PMH server sees them: set names, alias twins, who is in which set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Scope:
    """What a set takes in: whole archives, and single categories of others."""

    archives: frozenset[str]
    categories: frozenset[str]

    def has(self, categories: str) -> bool:
        """Whether a paper of these space-separated categories is in the set, as primary or as cross-list."""
        return any(name in self.categories or name.split(".")[0] in self.archives for name in categories.split())


class UnknownSetError(ValueError):
    """A set that does not exist, with the server's words."""


@cache
def taxonomy() -> dict[str, Any]:
    """The definitions that the package ships, read without importing any of its code."""
    found: dict[str, Any] = json.loads(files("arxivcli").joinpath("taxonomy.json").read_text("utf-8"))
    return found


@cache
def labels() -> tuple[str, ...]:
    """Active categories that stand for themselves."""
    return tuple(
        name
        for name, fields in taxonomy()["categories"].items()
        if fields["active"] and not fields["alias_of"] and fields["group"] not in {"grp_test", "grp_bad"}
    )


@cache
def twins() -> dict[str, tuple[str, ...]]:
    """Other names of a category, both ways: its alias and the retired archive that became it."""
    found: dict[str, tuple[str, ...]] = {}
    for name, fields in taxonomy()["categories"].items():
        other = fields["alias_of"] or fields["successor"]
        if other:
            found[name] = (*found.get(name, ()), other)
            found[other] = (*found.get(other, ()), name)
    return found


def retired(category: str) -> bool:
    """Whether a name is that of an archive that another category has replaced."""
    return bool(taxonomy()["categories"][category]["successor"])


@cache
def of(categories: str) -> tuple[str, ...]:
    """The setSpecs of a record's header in ListRecords and GetRecord: alias twins are added, retired names are not."""
    found: dict[str, None] = {}
    for name in categories.split():
        fields = taxonomy()["categories"][name]
        if fields["active"] or name not in twins():
            found[fields["oai_set"]] = None
        for twin in twins().get(name, ()):
            if not retired(twin):
                found[taxonomy()["categories"][twin]["oai_set"]] = None
    return tuple(found)


@cache
def plain(categories: str) -> tuple[str, ...]:
    """The setSpecs of a header in ListIdentifiers: the paper's own categories, nothing added."""
    return tuple(taxonomy()["categories"][name]["oai_set"] for name in categories.split())


@cache
def scope(spec: str) -> Scope:
    """What `group[:archive[:SUB]]` takes in; raises UnknownSetError."""
    parts = spec.split(":")
    known = taxonomy()
    if len(parts) > 3:
        raise UnknownSetError("Set has too many levels")
    group = known["groups"].get(f"grp_{parts[0]}")
    if group is None:
        raise UnknownSetError("Set does not exist")
    if len(parts) == 1:
        chosen = [name for name, archive in known["archives"].items() if _live(archive, parts[0])]
    elif len(parts) == 2:
        archive = known["archives"].get(parts[1])
        if archive is None or not _live(archive, parts[0]):
            raise UnknownSetError("Set does not exist")
        chosen = [parts[1]]
    else:
        name = f"{parts[1]}.{parts[2]}"
        category = known["categories"].get(name)
        if category is None or not category["active"] or category["oai_set"] != spec:
            raise UnknownSetError("Set does not exist")
        return _scope([], [name])
    if group["test"]:
        raise UnknownSetError("Invalid set request")
    return _scope(chosen, [name for name, fields in known["categories"].items() if fields["archive"] in chosen])


def _live(archive: dict[str, Any], group: str) -> bool:
    return bool(archive["active"]) and archive["group"] == f"grp_{group}"


def _scope(archives: list[str], categories: list[str]) -> Scope:
    named = [*categories, *(twin for name in categories for twin in twins().get(name, ()))]
    whole = {*archives, *(name for name in named if "." not in name and name in taxonomy()["archives"])}
    return Scope(frozenset(whole), frozenset(name for name in named if name.split(".")[0] not in whole))


def listed() -> list[tuple[str, str]]:
    """Every (setSpec, setName) of ListSets: groups, archives, categories."""
    known = taxonomy()
    groups = [(key[4:], fields["name"]) for key, fields in known["groups"].items() if not fields["test"]]
    archives = [
        (f"{fields['group'][4:]}:{name}", fields["name"])
        for name, fields in known["archives"].items()
        if fields["active"] and fields["group"] not in {"grp_test", "grp_bad"}
    ]
    categories = [(fields["oai_set"], fields["name"]) for fields in known["categories"].values() if fields["active"]]
    return [*groups, *archives, *categories]
