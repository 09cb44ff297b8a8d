"""All that `arxivcli classify` was asked on the command line, from which the work is made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arxivcli import __version__, answer_fields
from arxivcli.cli import options
from arxivcli.cli.answering import Job, OnCluster
from arxivcli.errors import UsageError
from arxivcli.models import card as cards
from arxivcli.models import deferral, shelf, viewing
from arxivcli.models.packed import Packed
from arxivcli.steps import cascading, classification, outputs

if TYPE_CHECKING:
    from arxivcli.cli.options import Level, ScoringDevice, State
    from arxivcli.cli.sources import Online
    from arxivcli.models.shelf import Model
    from arxivcli.sources.fields import Columns


@dataclass(frozen=True)
class Asking:
    """The options, by their names; see the command."""

    model: str
    device: ScoringDevice
    top: int
    coverage: float | None
    prior: str | None
    labels: str | None
    level: Level | None
    min_confidence: float
    abstain: float
    multi: bool
    explain: bool
    fields: tuple[str, ...]
    append: bool
    raw: bool
    format: str
    columns: Columns
    output: Path | None
    workers: int
    state: State
    several: bool
    mixed: bool
    online: Online
    cascade: str | None = None
    cascade_below: float | None = None
    engine: str = "local"
    ray_address: str | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for options that do not go together."""
        if self.format == "table" and (self.fields or not self.append):
            option = "--fields" if self.fields else "--only"
            raise UsageError(f"{option} is for data, not for --format table", "choose another --format")
        if "set" in self.fields and self.coverage is None:
            raise UsageError("the field set needs a coverage", "give --coverage, say 0.9")
        if self.cascade is None and (self.cascade_below is not None or "model" in self.fields):
            what = "--cascade-below" if self.cascade_below is not None else "the field model"
            raise UsageError(f"{what} is for several models", "name the second one with --cascade")

    def job(self, loaded: Job | None = None) -> Job:
        """The work, with models that are loaded already or those that are named. Raises UsageError, FolderError."""
        model = loaded.model if loaded else shelf.load(self.model, self.device)
        question = self._question(model)
        second = None
        if self.cascade is not None:
            other = loaded.second.model if loaded and loaded.second else shelf.load(self.cascade, self.device)
            second = self._second(model, question, self.cascade, other)
        classification.check(model, question)
        return Job(
            model, question, self.columns, self.format, self.output, self._layout(), self.workers, self.state,
            self.several, self.mixed, second, self._cluster(model, second),
        )  # fmt: skip

    def _cluster(self, model: Model, second: cascading.Second | None) -> OnCluster | None:
        """Where the work goes, if not here. Raises UsageError without Ray."""
        if self.engine == "local":
            return None
        options.require_ray()
        packed = [Packed.of(name, self.device) for name in (self.model, self.cascade) if name is not None]
        slow = not all(one.forked for one in (model, second and second.model) if one)
        return OnCluster(self.ray_address, packed[0], packed[1] if second else None, slow, self.state)

    def _question(self, model: Model) -> classification.Question:
        view = viewing.view(model.card, self.prior, self.labels, self.level)
        return classification.Question(
            self.top, self.coverage, view, self.min_confidence, self.abstain, multi=self._multi, explain=self._explain
        )

    def _second(self, model: Model, question: classification.Question, name: str, other: Model) -> cascading.Second:
        """The second model and what it is asked. Raises UsageError where it is no second opinion on the same thing."""
        names = _apart(self.model, name)
        try:
            asked = self._question(other)
        except UsageError as error:
            raise UsageError(f"--cascade {name}: {error.what}", error.hint) from error
        cascading.require_comparable((model, other), (question, asked), names, self.level)
        classification.check(other, asked)
        below = deferral.below(model.card) if self.cascade_below is None else self.cascade_below
        return cascading.Second(other, asked, below, names)

    @property
    def _multi(self) -> bool:
        return self.multi or "cross_lists" in self.fields

    @property
    def _explain(self) -> bool:
        return self.explain or "explanation" in self.fields

    def _layout(self) -> outputs.Layout:
        asked = (self.coverage is not None, self._multi, self.abstain > 0, self._explain, self.cascade is not None)
        names = tuple(name for name, wanted in zip(answer_fields.ASKED_FOR, asked, strict=True) if wanted)
        return outputs.Layout(names, self.fields, self.append, self.raw)

    def identity(self) -> dict[str, Any]:
        """All that answers depend on but the papers and the form, by the names people know."""
        return {
            "version of arxivcli": __version__,
            "model": _card(self.model),
            "--cascade": self.cascade and _card(self.cascade),
            "--cascade-below": self.cascade_below,
            "--top": self.top,
            "--coverage": self.coverage,
            "--prior": self.prior,
            "file of --prior": _content(self.prior),
            "--labels": self.labels,
            "--level": self.level,
            "--min-confidence": self.min_confidence,
            "--abstain": self.abstain,
            "--multi": self._multi,
            "--explain": self._explain,
            "--fields": ",".join(self.fields),
            "--only": not self.append,
            "--raw": self.raw,
            "--device": self.device,
            "--title-column": self.columns.title,
            "--abstract-column": self.columns.abstract,
            "--id-column": self.columns.id,
            "--no-header": not self.columns.headed,
            "--table": self.columns.table,
        }


def _card(model: str) -> str:
    """A hash of what the model's folder says about it, which has the hashes of all else."""
    return hashlib.sha256((shelf.folder(model) / cards.CARD).read_bytes()).hexdigest()


def _apart(first: str, second: str) -> tuple[str, str]:
    """What two models are called in answers: short, but never the same. Raises UsageError when they are one."""
    if shelf.folder(first).resolve() == shelf.folder(second).resolve():
        raise UsageError(f"--cascade {second} is the same model as --model {first}", "name two models")
    short = Path(first).absolute().name, Path(second).absolute().name
    return short if short[0] != short[1] else (first, second)


def _content(prior: str | None) -> str | None:
    """A hash of the file that a mix was given in."""
    if prior is None or prior in viewing.PRIORS or not Path(prior).is_file():
        return None
    return hashlib.sha256(Path(prior).read_bytes()).hexdigest()
