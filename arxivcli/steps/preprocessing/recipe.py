"""What a corpus is asked to be: every choice that changes its bytes, and the check that the choices make sense."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from arxivcli import splits, taxonomy, text
from arxivcli.errors import UsageError, unknown
from arxivcli.sources.fields import Columns

if TYPE_CHECKING:
    from arxivcli.taxonomy import Level

SplitRule = Literal["random", "time"]


@dataclass(frozen=True)
class Recipe:
    """The choices behind a corpus. Raises UsageError for what cannot be."""

    split: SplitRule = "random"
    shares: tuple[float, ...] = splits.SHARES
    test_from: str | None = None
    max_per_category: int | None = None
    limit: int | None = None
    sample: float | None = None
    labels: tuple[str, ...] = ()
    level: Level = "category"
    seed: int = 0
    format: str | None = None
    columns: Columns = field(default_factory=Columns)

    def __post_init__(self) -> None:
        _check_split(self)
        if len(self.shares) != len(splits.SPLITS) or min(self.shares) < 0 or not math.isclose(sum(self.shares), 1):
            raise UsageError(
                f"--shares {','.join(map(str, self.shares))}: four numbers that sum to 1 are needed",
                f"for {', '.join(splits.SPLITS)}: 0.8,0.05,0.05,0.1",
            )
        if self.sample is not None and not 0 < self.sample <= 1:
            raise UsageError(f"--sample {self.sample}: must be above 0 and at most 1")
        for name, number in (("--limit", self.limit), ("--max-per-category", self.max_per_category)):
            if number is not None and number < 1:
                raise UsageError(f"{name} {number}: must be at least 1")
        object.__setattr__(self, "labels", _canonical(self.labels, self.level))

    @property
    def answers(self) -> tuple[str, ...]:
        """The labels a paper of the corpus may have."""
        return self.labels or taxonomy.labels(self.level)

    @property
    def test_month(self) -> int | None:
        """First month of the test split, in months since 1970; None for a random split."""
        return splits.month(self.test_from) if self.test_from else None

    def settings(self) -> dict[str, Any]:
        """The choices as JSON values, for the manifest and for telling two corpora apart."""
        chosen = asdict(self) | {"text": text.RECIPE}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}


def numbers(written: str, option: str) -> tuple[float, ...]:
    """`0.8,0.2` as numbers. Raises UsageError."""
    try:
        return tuple(float(part) for part in written.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {written}: not numbers with commas between") from error


def names(written: str, option: str) -> tuple[str, ...]:
    """`cs.LG,cs.CV` as names. Raises UsageError when there are none."""
    found = tuple(written.replace(",", " ").split())
    if not found:
        raise UsageError(f"{option} names nothing", f"leave it out, or write {option} cs.LG,cs.CV")
    return found


def _check_split(recipe: Recipe) -> None:
    if recipe.split == "time" and recipe.test_from is None:
        raise UsageError(
            "--split time needs --test-from", "name the first month of the test split: --test-from 2026-01"
        )
    if recipe.split == "random" and recipe.test_from is not None:
        raise UsageError("--test-from belongs to --split time", "add --split time")
    try:
        recipe.test_month  # noqa: B018 - raises for what is no month
    except ValueError as error:
        raise UsageError(f"--test-from {recipe.test_from}: not a month", "write YYYY-MM, like 2026-01") from error


def _canonical(labels: tuple[str, ...], level: Level) -> tuple[str, ...]:
    """Labels as the taxonomy spells them, sorted."""
    known = taxonomy.labels(level)
    found = {label if label in known else taxonomy.parent(label, level) for label in labels}
    for label in labels:
        if label not in known and taxonomy.parent(label, level) is None:
            raise unknown(level, label, known, "arxivcli models labels lists them")
    return tuple(sorted(label for label in found if label))
