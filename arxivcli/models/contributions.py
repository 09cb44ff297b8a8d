"""Which words of a text speak for a label, and which against it.

What is explained is the lead of a label: its logit less the mean of all logits, which is the logarithm of how many
times likelier it is than the (geometric) average label, before calibration. A lead stays the same whatever is added to
all logits, and does not change its meaning from paper to paper, as the distance to a runner-up would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa

from arxivcli.errors import UsageError
from arxivcli.models.base import Explains

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from arxivcli.models.base import Classifier

Where = Literal["title", "abstract"]

MOST: Final = 10
"""How many words and pairs an answer names."""

EXPLANATION: Final = pa.list_(
    pa.struct(
        [
            pa.field("text", pa.string()),
            pa.field("contribution", pa.float32()),
            pa.field("where", pa.string()),
            pa.field("begins", pa.list_(pa.int32())),
            pa.field("ends", pa.list_(pa.int32())),
        ]
    )
)
"""Strongest first: a word or a pair of words, what it adds to the lead, whether in title or abstract, and where in the
cleaned title or abstract each occurrence begins and ends, counted in characters."""

_WORD = re.compile("(?:[0-9A-Za-z]|[^\x00-\x7f\u2000-\u203f])+")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A word or pair where it stands, and what it adds there to the lead of the label."""

    text: str
    start: int
    end: int
    value: float


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a word or pair adds in title or abstract; `spans` are all its places there, in characters of that field."""

    text: str
    value: float
    where: Where
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The lead of a label in a text; where contributions are exact, `base` and all of them add up to it
    but for rounding.

    `base` is what a text without any known word would get.
    """

    base: float
    contributions: tuple[Contribution, ...]

    @property
    def total(self) -> float:
        """All of it."""
        return self.base + sum(one.value for one in self.contributions)

    def strongest(self, most: int) -> list[Contribution]:
        """At most so many, those that change most first; none that change nothing."""
        ordered = sorted(self.contributions, key=lambda one: (-abs(one.value), one.text, one.where))
        return [one for one in ordered[:most] if one.value]


def explained(
    classifier: Classifier,
    texts: pa.StringArray,
    towards: NDArray[np.int64],
    named: NDArray[np.bool_],
    most: int = MOST,
) -> pa.ListArray:
    """EXPLANATION of n texts; an empty list for those that have no answer.

    Args:
        classifier: what answered.
        texts: results of `text.model_input`.
        towards: (m,) index of the label that is explained, of the m texts that have one.
        named: (n,) which those are.
        most: words and pairs of each.

    Raises:
        UsageError: the classifier cannot say what it looks at.
    """
    if not isinstance(classifier, Explains):
        raise UsageError("this kind of model cannot explain its answers", "leave out --explain, or name another model")
    found = iter(classifier.contributions(texts.filter(pa.array(named)), towards))
    rows = [[_entry(one) for one in next(found).strongest(most)] if answered else [] for answered in named]
    return pa.array(rows, EXPLANATION)


def _entry(one: Contribution) -> dict[str, object]:
    begins, ends = zip(*one.spans, strict=True)
    return {"text": one.text, "contribution": one.value, "where": one.where, "begins": begins, "ends": ends}


def words(text: str) -> list[tuple[int, int]]:
    """Where each word of a text begins and ends, in characters: the words that `features.tokenise` finds."""
    return [match.span() for match in _WORD.finditer(text)]


def gathered(text: str, occurrences: Iterable[Occurrence]) -> tuple[Contribution, ...]:
    """What equal words or pairs add in the title, and in the abstract, of a result of `text.model_input`."""
    border = text.find("\n")
    found: dict[tuple[str, Where], list[Occurrence]] = {}
    for one in occurrences:
        found.setdefault((one.text, "title" if one.start < border else "abstract"), []).append(one)
    return tuple(
        Contribution(name, sum(one.value for one in some), where, _spans(some, 0 if where == "title" else border + 1))
        for (name, where), some in found.items()
    )


def _spans(some: list[Occurrence], first: int) -> tuple[tuple[int, int], ...]:
    return tuple((one.start - first, one.end - first) for one in some)


def word_occurrences(text: str, tokens: Iterable[tuple[int, int, float]]) -> list[Occurrence]:
    """Tokens (begin, end, value) merged to the words they are pieces of, lower-cased; what belongs to no word is left.

    A token may begin with the space before its word.
    """
    places = words(text)
    begins = np.array([begin for begin, _ in places], np.int64)
    values = np.zeros(len(places))
    for begin, end, value in tokens:
        inside = begin + len(text[begin:end]) - len(text[begin:end].lstrip())
        at = int(np.searchsorted(begins, inside, side="right")) - 1
        if at >= 0 and inside < min(end, places[at][1]):
            values[at] += value
    return [
        Occurrence(text[begin:end].lower(), begin, end, value)
        for (begin, end), value in zip(places, values.tolist(), strict=True)
    ]


def towards(matrix: NDArray[np.floating], label: int) -> NDArray[np.floating]:
    """How the lead of a label changes with each number that a matrix (D, L) makes logits of, (D,)."""
    changes: NDArray[np.floating] = matrix[:, label] - matrix.mean(axis=1)
    return changes


def along_ray(
    vectors: NDArray[np.float64], label: int, head: NDArray[np.float32], bias: NDArray[np.float32]
) -> tuple[float, NDArray[np.float64]]:
    """The lead of a label for a sum of nothing, and what each of n summands adds to it, (n,); together the lead itself.

    Integrated gradients (Sundararajan, Taly and Yan 2017) along the ray from zero to the sum: of a linear head this is
    summand times weight.

    Args:
        vectors: (n, D) the summands of what the head reads.
        label: whose lead.
        head: (D, L), with `bias` (L,): the logits of a vector.
        bias: see there.
    """
    base = towards(bias.astype(np.float64)[None], label)[0]
    return float(base), vectors @ towards(head.astype(np.float64), label)
