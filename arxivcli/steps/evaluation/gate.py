"""Quality gates: `top1>=0.6,ece<=0.03` either holds of every model, or says what is missing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from arxivcli.errors import QualityGateError, UsageError, unknown
from arxivcli.metrics.quality import Quality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arxivcli.steps.evaluation.report import Evaluation

_FIGURES: Final = tuple(field.name for field in fields(Quality) if field.name != "papers")
FIGURES: Final = (*_FIGURES, *(f"title_{name}" for name in _FIGURES))
"""Names of what can be required."""

_MOST: Final = {"brier": 2.0, "nll": math.inf, "set_size": math.inf}
"""The largest value of figures that are no shares."""

_TERM = re.compile(r"\s*([\w-]+)(?:\.(low|high))?\s*(>=|<=|>|<)\s*([^\s=<>]\S*?)\s*(%?)\s*")
_HOLDS: Final = {
    ">=": lambda found, limit: found >= limit,
    "<=": lambda found, limit: found <= limit,
    ">": lambda found, limit: found > limit,
    "<": lambda found, limit: found < limit,
}


@dataclass(frozen=True)
class Requirement:
    """A figure, or an end of its interval ("low", "high"), and the limit it must keep."""

    figure: str
    end: str
    sign: str
    limit: float

    def __str__(self) -> str:
        name = self.figure if self.end == "value" else f"{self.figure}.{self.end}"
        return f"{name}{self.sign}{self.limit:g}"


def requirements(written: Iterable[str]) -> tuple[Requirement, ...]:
    """`top1>=0.6,ece<=0.03`, `top1.low>=58%` as requirements. Raises UsageError, naming the nearest figure."""
    found = []
    for term in (term for text in written for term in text.split(",")):
        parts = _TERM.fullmatch(term)
        if parts is None:
            raise UsageError(f"--require {term.strip() or 'nothing'}: no figure, sign and number", "write top1>=0.6")
        name, end, sign, number, percent = parts.groups()
        if name not in FIGURES:
            raise unknown("figure", name, FIGURES)
        limit = _number(term, number) / (100 if percent else 1)
        most = _MOST.get(name.removeprefix("title_"), 1.0)
        if not 0 <= limit <= most:
            raise UsageError(f"--require {term.strip()}: {name} is between 0 and {most:g}", "write top1>=0.6 or 60%")
        found.append(Requirement(name, end or "value", sign, limit))
    return tuple(found)


def _number(term: str, written: str) -> float:
    try:
        number = float(written)
    except ValueError as error:
        raise UsageError(f"--require {term.strip()}: {written} is no number", "write top1>=0.6") from error
    if not math.isfinite(number):
        raise UsageError(f"--require {term.strip()}: {written} is no number to be reached", "write top1>=0.6")
    return number


def check(report: Evaluation, required: Iterable[Requirement]) -> None:
    """Raises QualityGateError naming every requirement that a model misses, and by how much."""
    missed = []
    for model in report.models:
        figures = model.figures()
        for each in required:
            if each.figure not in figures:
                missed.append(f"{model.name} has no {each.figure}, required {each}")
                continue
            found = getattr(figures[each.figure], each.end)
            if not _HOLDS[each.sign](found, each.limit):
                short = abs(found - each.limit)
                missed.append(f"{each.figure} of {model.name} is {found:.4f}, missing {each} by {short:.4f}")
    if missed:
        raise QualityGateError("; ".join(missed), "train a better model, or require less")
