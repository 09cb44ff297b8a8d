"""Papers as they came in requests, scored in one go: what is sent back for each, and what is remembered of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from arxivcli import taxonomy
from arxivcli.answers import PLACES
from arxivcli.papers import PAPERS
from arxivcli.serving import explaining
from arxivcli.steps import classification
from arxivcli.steps.classification import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arxivcli.models.shelf import Model
    from arxivcli.serving.journal import Journal


NO_WORDS = "title and abstract have no words"
_USUAL = Question()
_NO_MORE: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Asked:
    """A paper of a request, and what is asked of it; `identifier` is the caller's own, empty without one.

    `explain` also asks which words spoke for the best category.
    """

    title: str
    abstract: str
    identifier: str = ""
    question: Question = _USUAL
    request: str = ""
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent for a paper, as JSON; its best category with its archive and confidence; why there is none."""

    json: bytes
    category: str = ""
    archive: str = ""
    confidence: float = 0.0
    error: str | None = None


def answers(model: Model, asked: Sequence[Asked], journal: Journal | None = None) -> list[Answer]:
    """The answers, in order: a paper's answer is the same whatever else is asked at the same time."""
    numbers: dict[tuple[Question, bool], list[int]] = {}
    for number, one in enumerate(asked):
        numbers.setdefault((one.question, one.explain), []).append(number)
    found: list[Answer | None] = [None] * len(asked)
    for (question, explain), places in numbers.items():
        some = [asked[place] for place in places]
        papers = _papers(some)
        predictions = classification.answer(model, papers, question)
        if journal is not None:
            journal.add(papers, predictions, datetime.now(UTC))
        rows = predictions.to_pylist()
        more = explaining.explained(model, papers, predictions) if explain else [_NO_MORE] * len(rows)
        for place, one, row, added in zip(places, some, rows, more, strict=True):
            found[place] = _answer(one, row, model.card.level, added)
    return [answer for answer in found if answer is not None]


def _papers(asked: Sequence[Asked]) -> pa.RecordBatch:
    columns = [
        pa.array([one.identifier or one.request for one in asked], pa.string()),
        pa.array([one.title for one in asked], pa.string()),
        pa.array([one.abstract for one in asked], pa.string()),
        pa.array([[]] * len(asked), PAPERS.field("categories").type),
        pa.nulls(len(asked), PAPERS.field("created").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=PAPERS)


def _answer(asked: Asked, row: dict[str, Any], level: taxonomy.Level, added: dict[str, Any]) -> Answer:
    if row["error"] is not None:
        return Answer(b"", error=row["error"])
    pairs = list(zip(row["labels"], row["scores"], strict=True))
    best, confidence = pairs[0]
    sent: dict[str, Any] = {"id": asked.identifier} if asked.identifier else {}
    sent["top_category"] = best
    sent["predictions"] = [{"category": label, "confidence": round(score, PLACES)} for label, score in pairs]
    if row["set"] is not None:
        sent["set"] = row["set"]
    sent |= added
    archive = best if level != "category" else taxonomy.parent(best, "archive") or best
    return Answer(orjson.dumps(sent), best, archive, confidence)
