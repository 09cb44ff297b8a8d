"""Drift: two sides of papers in, how they differ out, and whether a model is still good on the second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

import pyarrow.compute as pc

from arxivcli import splits, taxonomy, text
from arxivcli.errors import InputError, QualityGateError, UsageError
from arxivcli.models.features import Vocabulary
from arxivcli.steps.drift import answers, labels, texts, vectors, verdict
from arxivcli.steps.drift.folder import require_ours, save
from arxivcli.steps.drift.report import Drift, SideReport
from arxivcli.steps.drift.sides import Side, parted, source, two
from arxivcli.steps.drift.verdict import Thresholds

if TYPE_CHECKING:
    import pyarrow as pa

    from arxivcli.models.shelf import Model
    from arxivcli.progress import Progress
    from arxivcli.steps.drift.answers import Answers
    from arxivcli.taxonomy import Level

__all__ = ["Drift", "Question", "Thresholds", "compare", "drift", "require", "require_ours", "save"]

LOGGED: Final = "the logged predictions"
_BATCH = 4096


@dataclass(frozen=True)
class Question:
    """What is compared with what.

    Attributes:
        reference: a corpus folder, a file or folder of papers or of logged predictions, or an open binary file.
        current: likewise; None when `before` parts the reference.
        before: `YYYY-MM`, the first month of the second part.
        split: of corpus folders, the split that is read; None for all that the model has not learned from.
        sample: most papers of a side whose text is looked at.
        seed: of all sampling.
    """

    reference: Path | BinaryIO
    current: Path | BinaryIO | None = None
    before: str | None = None
    split: str | None = None
    sample: int = 20_000
    seed: int = 0


def drift(question: Question, model: Model, chosen: bool, thresholds: Thresholds, progress: Progress) -> Drift:
    """Read both sides and compare them; see `compare`.

    Raises:
        InputError: a side cannot be read or has no papers.
        FolderError: a corpus is damaged, or too coarse for the model.
        UsageError: there are not two sides, or there is no such split or month.
    """
    if (question.current is None) == (question.before is None):
        raise UsageError("there must be two sides", "name a second place, or a month with --before, and not both")
    if question.reference is question.current and not isinstance(question.reference, Path):
        raise UsageError("standard input is one side", "name a file for the other")
    places = [question.reference, *([question.current] if question.current is not None else [])]
    month = _month(question.before) if question.before is not None else None
    found = [source(place, question.split, model.card, progress.note) for place in places]
    if question.split is not None and not any(one.shards for one in found):
        raise UsageError("--split is for corpus folders", "leave it out")
    if month is None:
        sides = two(found[0], found[1], question.sample, question.seed, progress)
    else:
        sides = parted(found[0], month, question.sample, question.seed, progress)
    for side in sides:
        if side.left_out:
            reasons = ", ".join(f"{reason} ({count:,})" for reason, count in sorted(side.left_out.items()))
            progress.note(f"{side.name}: left out: {reasons}")
    return compare(*sides, model, chosen, thresholds, question.seed, progress)


def _month(text: str) -> int:
    try:
        return splits.month(text)
    except ValueError as error:
        raise UsageError(f"--before {text} is no month", "write it as 2026-01") from error


def require(report: Drift, gate: Literal["some", "drift"]) -> None:
    """Raises QualityGateError when the verdict is `gate`, or worse."""
    if report.verdict == "drift" or (gate == "some" and report.verdict != "no drift"):
        figures = ", ".join(finding.figure for finding in report.crossed)
        raise QualityGateError(f"the verdict is {report.verdict}: {figures}", "look at the papers, or train anew")


def compare(
    reference: Side, current: Side, model: Model, chosen: bool, thresholds: Thresholds, seed: int, progress: Progress
) -> Drift:
    """How the current side differs from the reference.

    Args:
        reference: what everything is measured against.
        current: the other side.
        model: whose vectors are looked at, and whose answers.
        chosen: whether somebody asked for this model; else answers that both sides have logged are taken.
        thresholds: what counts as drift.
        seed: of all sampling.
        progress: hears of it.

    Raises:
        FolderError: a corpus is too coarse for the model.
        InputError: a side has no words, and a model was to read them.
    """
    redacted = [side.name for side in (reference, current) if side.redacted]
    is_log = not chosen and reference.answered and current.answered
    if redacted and not is_log:
        raise InputError(
            f"{redacted[0]} has no words (--log-redact), so no model can read it",
            "compare it with another log of predictions, without --model",
        )
    if not chosen and reference.answered != current.answered:
        progress.note(f"only one side has logged predictions: {model.card.name} answers for both (--model chooses)")
    level = _level_of_answers(reference, current) if is_log else model.card.level
    first, second = reference.at(level), current.at(level)
    read, later = (_texts(side, redacted=bool(redacted)) for side in (first, second))
    if is_log:
        names = tuple(sorted({*taxonomy.labels(level), *_said(reference, current)}))
        said, says = (answers.logged(side.sample, names) for side in (first, second))
    else:
        progress.begin(f"scoring with {model.card.name}", first.sample.num_rows + second.sample.num_rows)
        said = answers.scored(model, first.sample, read, progress)
        says = answers.scored(model, second.sample, later, progress)
        progress.end()
    mix = labels.shift(first.labels, second.labels) if first.labels and second.labels else None
    words = texts.shift(read, later, seed, None if is_log else _vocabulary(model), progress)
    seen = None if redacted else vectors.shift(model, read, later, seed, progress)
    if redacted:
        words = replace(words, unknown_words=None, grown=(), shrunk=(), grown_pairs=(), shrunk_pairs=())
    predicted, reach = answers.shift(said, says), answers.reach(said, says)
    right, estimate = answers.accuracy(said, says), answers.estimate(said, says)
    findings = verdict.judged(thresholds, mix, words, seen, predicted, reach, right, estimate)
    return Drift(
        reference=_reported(first),
        current=_reported(second),
        model=LOGGED if is_log else model.card.name,
        level=level,
        seed=seed,
        labels=mix,
        text=words,
        vectors=seen,
        predictions=predicted,
        reach=reach,
        accuracy=right,
        estimate=estimate,
        findings=findings,
        significance=thresholds.significance,
        verdict=verdict.worst(findings),
        not_available=_missing((first, second), (said, says), words.unknown_words is None, seen is None, redacted),
    )


def _said(*sides: Side) -> set[str]:
    """All answers that are logged."""
    return {label for side in sides for label in pc.unique(side.sample["answer"]).drop_null().to_pylist()}


def _level_of_answers(*sides: Side) -> Level:
    """The finest level that has all the answers logged."""
    levels: tuple[Level, ...] = ("category", "archive", "group")
    return next((level for level in levels if _said(*sides) <= set(taxonomy.labels(level))), "category")


def _texts(side: Side, *, redacted: bool) -> list[pa.StringArray]:
    """What a model reads; where one side has an `x` for every word, so has the other: they are as long as they are."""
    found = [text.model_input(batch) for batch in side.sample.to_batches(_BATCH)]
    return [pc.replace_substring_regex(some, r"[^ \n]+", "x") for some in found] if redacted else found


def _vocabulary(model: Model) -> Vocabulary | None:
    """What words a model knows; None when they are not a list of words."""
    known = getattr(model.classifier, "vocabulary", None)
    return known if isinstance(known, Vocabulary) else None


def _reported(side: Side) -> SideReport:
    return SideReport(side.name, side.papers, side.sample.num_rows, side.labelled, side.months, side.left_out)


def _missing(
    sides: tuple[Side, Side], said: tuple[Answers, Answers], no_halves: bool, no_vectors: bool, redacted: list[str]
) -> dict[str, str]:
    """Why parts of a report are None."""
    why: dict[str, str] = {}
    bare = [side.name for side in sides if not side.labels]
    if bare:
        why["labels"] = f"the papers of {' and of '.join(bare)} have no categories"
    if no_halves:
        why["unknown words"] = "the reference has too few papers"
    if no_vectors:
        why["vectors"] = f"a side has fewer than {vectors.LEAST} papers"
    if redacted:
        told = f"{' and '.join(redacted)} {'has' if len(redacted) == 1 else 'have'} no words (--log-redact)"
        why |= {"unknown words": told, "vectors": told}
    if not all(answer.given.any() for answer in said):
        why["predictions"] = "a side has no answers"
    if not all(answer.judged.any() for answer in said):
        why["accuracy"] = why.get("labels", "a side has no paper whose category can be answered")
    return why
