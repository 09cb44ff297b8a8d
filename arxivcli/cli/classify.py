"""`arxivcli classify`: anything with titles in, categories out."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import typer

from arxivcli.cli import console
from arxivcli.cli.options import (
    ApiUrlOption,
    ContactOption,
    EngineOption,
    Level,
    PaceOption,
    RayAddressOption,
    ScoringDeviceOption,
    State,
    state,
)
from arxivcli.errors import InputError, UsageError

if TYPE_CHECKING:
    from arxivcli.sources.arguments import Reached
    from arxivcli.sources.pieces import Named
    from arxivcli.steps.classification import Tally

_WHAT = (
    "JSON, JSON lines, CSV, TSV, parquet, BibTeX, RIS, SQLite, PDF, or titles line by line (.txt); also packed as .gz, "
    ".zst, .zip; folders and patterns of them; - is stdin. arXiv ids and addresses are asked for."
)

ASKING = "What is asked of the probabilities"
CONTENT = "What an answer contains"


def classify(
    context: typer.Context,
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE|ID|-", help=_WHAT, show_default=False)] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Name or folder of a model.")] = "builtin",
    cascade: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A second model, for papers the first is unsure of.", show_default=False),
    ] = None,
    cascade_below: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0,
            max=1,
            help="Unsure is an answer of less confidence.",
            show_default="chosen on the calibration papers",
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", "-k", min=1, help="How many categories an answer names.")] = 3,
    coverage: Annotated[
        float | None,
        typer.Option(
            help="Also answer with a set that holds the truth this often, say 0.9; not with --prior, --labels."
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="uniform|arxiv|corpus|FILE",
            help="The mix of categories your papers have; FILE is JSON or CSV of category and share.",
            show_default="the model's",
            rich_help_panel=ASKING,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Choose among these only: cs.LG,cs.CL; or all of an archive, a group: stat,grp_physics.",
            show_default="all",
            rich_help_panel=ASKING,
        ),
    ] = None,
    level: Annotated[
        Level | None,
        typer.Option(help="Answer coarser than the model, probabilities summed.", rich_help_panel=ASKING),
    ] = None,
    min_confidence: Annotated[
        float,
        typer.Option(
            metavar="P",
            min=0,
            max=1,
            help="Categories after the first need this confidence; the first is always named.",
            show_default=False,
            rich_help_panel=ASKING,
        ),
    ] = 0.0,
    abstain: Annotated[
        float,
        typer.Option(
            metavar="P",
            min=0,
            max=1,
            help="Name no category at all when the first has less than this; that is no error.",
            show_default=False,
            rich_help_panel=ASKING,
        ),
    ] = 0.0,
    multi: Annotated[bool, typer.Option("--multi", help="Suggest cross-lists, too.", rich_help_panel=CONTENT)] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Name the words for and against the first answer.", rich_help_panel=CONTENT),
    ] = False,
    fields: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="These alone, in this order: id, title, abstract, category, name, confidence, alternatives, labels, "
            "scores, set, cross_lists, abstained, explanation, model, error.",
            show_default="what was asked for",
            rich_help_panel=CONTENT,
        ),
    ] = None,
    append: Annotated[
        bool,
        typer.Option(
            "--append/--only", help="Keep a table's own columns, or id and answer alone.", rich_help_panel=CONTENT
        ),
    ] = True,
    format: Annotated[  # noqa: A002
        Literal["auto", "table", "json", "jsonl", "csv", "tsv", "parquet", "bib"],
        typer.Option(
            "--format",
            "-f",
            help="auto: a table at a terminal, else what fits the input. bib: its own entries, categories added.",
        ),
    ] = "auto",
    source_format: Annotated[
        Literal["json", "jsonl", "csv", "tsv", "parquet", "txt", "bib", "ris", "pdf", "sqlite"] | None,
        typer.Option("--from", help="Format of the input, when it is not to be detected."),
    ] = None,
    title_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column or key of the titles; a column also by its number.")
    ] = None,
    abstract_column: Annotated[str | None, typer.Option(metavar="NAME", help="Column or key of the abstracts.")] = None,
    id_column: Annotated[str | None, typer.Option(metavar="NAME", help="Column or key of the ids.")] = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The first row of a CSV or TSV file is a paper too.")
    ] = False,
    table: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Table or view of a SQLite file.", show_default="the one with titles"),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The title of one paper, instead of a file.")] = None,
    abstract: Annotated[str | None, typer.Option(help="The abstract of one paper, instead of a file.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", readable=False, help="Write to this file, folders made; it is whole or not there."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on where the same command was stopped; keeps a record beside --output."),
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Exit with 0 although papers have no answer.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Table cells as they are, even if they act as formulas.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes for large inputs.", show_default="all cores")
    ] = None,
    device: ScoringDeviceOption = "auto",
    pace: PaceOption = 3.0,
    contact: ContactOption = None,
    api_url: ApiUrlOption = None,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
) -> None:
    """Name the arXiv categories of papers: one or millions, from files, a pipe, arXiv itself, or typed in."""
    from arxivcli import answer_fields, parallel
    from arxivcli.cli import sources
    from arxivcli.cli.asking import Asking
    from arxivcli.sources import pieces
    from arxivcli.sources.fields import Columns
    from arxivcli.steps import outputs

    if output is not None and outputs.descriptor(output) == 1:
        output = None
    if output is None:
        console.require_stdout()
    typed = title is not None or abstract is not None
    _refuse_contradictions(files or [], typed, output, format)
    if typed or (not files and sys.stdin.isatty()):
        _refuse_idle(
            {
                "--from": source_format,
                "--title-column": title_column,
                "--abstract-column": abstract_column,
                "--id-column": id_column,
                "--no-header": no_header,
                "--table": table,
                "--resume": resume,
            }
        )
    online = sources.Online(api_url, pace, contact)
    found = [] if typed else sources.found(files or ["-"], output, online, state(context))
    asking = Asking(
        model=model,
        device=device,
        top=top,
        coverage=coverage,
        prior=prior,
        labels=labels,
        level=level,
        min_confidence=min_confidence,
        abstain=abstain,
        multi=multi,
        explain=explain,
        fields=() if fields is None else answer_fields.chosen(fields),
        append=append,
        raw=raw,
        format=format,
        columns=Columns(title_column, abstract_column, id_column, texts_only=True, headed=not no_header, table=table),
        output=output,
        workers=workers or parallel.cores(),
        state=state(context),
        several=len(found) > 1,
        mixed=sources.mixed(found),
        online=online,
        cascade=cascade,
        cascade_below=cascade_below,
        engine=engine,
        ray_address=ray_address,
    )
    record = _resumable(found, output) if resume else None
    job = asking.job()
    if len(found) > 1 and job.gives_entries_back([*map(sources.kind, found)]):
        sources.require_libraries(found, source_format)
    if typed:
        tally = job.run([pieces.typed(title or "", abstract or "")])
    elif not files and sys.stdin.isatty():
        from arxivcli.cli import conversation

        if engine != "local":
            raise UsageError(f"--engine {engine} is not for a conversation", "name a file of papers, or pipe them in")
        return conversation.converse(asking, job)
    else:
        everything = pieces.Pieces(
            found,
            source_format,
            asking.columns,
            partial(console.note, state(context)),
            job.most_at_once,
        )
        if record is None:
            tally = job.run(everything, everything.ready)
        else:
            output, read = record
            tally = job.resume(everything, output, asking.identity() | {"--from": source_format} | read)
    return _account(tally, keep_going, state(context))


def _refuse_contradictions(files: list[str], typed: bool, output: Path | None, format: str) -> None:  # noqa: A002
    if files and typed:
        raise UsageError("--title and --abstract are for one paper, not for files", "leave out one or the other")
    if output is None:
        return
    if format == "table":
        raise UsageError("--format table is for the eye", "choose json, jsonl, csv, tsv or parquet for --output")
    if not files and not typed and sys.stdin.isatty():
        raise UsageError("there is nothing to write to --output", "name a file of papers, or give --title")
    if output.exists() and any(Path(name).exists() and output.samefile(name) for name in files):
        raise UsageError(f"{output} is the input", "choose another --output")


def _refuse_idle(given: dict[str, object]) -> None:
    """Raises UsageError for what is said of files when there are none."""
    for option, value in given.items():
        if value:
            raise UsageError(
                f"{option} is for files, not for one paper that is typed in", "leave it out, or name a file"
            )


def _resumable(found: list[Path | BinaryIO | Reached | Named], output: Path | None) -> tuple[Path, dict[str, Any]]:
    """Where the answers go, and which files are read. Raises UsageError for what cannot be taken up again."""
    from arxivcli.cli import sources
    from arxivcli.steps import outputs, resuming

    if output is None or outputs.descriptor(output) is not None or (output.exists() and not output.is_file()):
        raise UsageError("--resume needs a file to go on with", "name it with --output")
    return output, {"input": resuming.inputs(sources.files(found))}


def _account(tally: Tally, keep_going: bool, state: State) -> None:
    """Say which papers have no answer. Raises InputError for them unless told to keep going."""
    if tally.failed and not keep_going:
        raise InputError(str(tally), "the answers say which; --keep-going exits with 0")
    if tally.failed:
        console.note(state, str(tally))
