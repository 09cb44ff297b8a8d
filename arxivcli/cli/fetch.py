"""`arxivcli fetch`: arXiv's metadata into a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arxivcli.cli import console
from arxivcli.cli.options import JsonOption, state
from arxivcli.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arxivcli.steps.fetching import Report

Source = Literal["snapshot", "oai", "api"]

WHAT, SERVER, LOOK = "What is fetched", "How the server is asked", "Without fetching"


def fetch(
    context: typer.Context,
    papers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="arXiv ids or addresses of papers; - reads them from stdin."),
    ] = None,
    source: Annotated[
        Source | None,
        typer.Option(
            help="snapshot: everything in one file. oai: by day of change. api: by search or id.",
            show_default="what the other options are for",
            rich_help_panel=WHAT,
        ),
    ] = None,
    of_set: Annotated[
        str | None,
        typer.Option("--set", metavar="NAME", help="oai: cs.LG, math, grp_physics", rich_help_panel=WHAT),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="YYYY-MM-DD",
            help="First day: of change, or for a search of submission.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Last day.", rich_help_panel=WHAT)] = None,
    query: Annotated[
        str | None, typer.Option(help='api: cat:cs.CL AND ti:"language model"', rich_help_panel=WHAT)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="api: only the newest so many.", rich_help_panel=WHAT)
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PATH", help="Folder for all that is fetched.")
    ] = "data/raw",
    restart: Annotated[bool, typer.Option("--restart", help="Forget how far an earlier run came.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 4 when the server cannot give some papers.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare with what the server says there is.")
    ] = True,
    pace: Annotated[
        float,
        typer.Option(
            min=0, envvar="ARXIVCLI_PACE", help="Seconds between requests; arXiv asks for 3.", rich_help_panel=SERVER
        ),
    ] = 3.0,
    max_wait: Annotated[
        float, typer.Option(min=0, help="Seconds of trouble after which to give up.", rich_help_panel=SERVER)
    ] = 3600.0,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds a server may be silent.", rich_help_panel=SERVER)
    ] = 120.0,
    contact: Annotated[
        str | None,
        typer.Option(envvar="ARXIVCLI_CONTACT", help="Your mail address, told to the server.", rich_help_panel=SERVER),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(envvar="ARXIVCLI_ALLOW_HOST", help="Host that redirects may lead to.", rich_help_panel=SERVER),
    ] = None,
    oai_url: Annotated[
        str | None, typer.Option(envvar="ARXIVCLI_OAI_URL", help="Another OAI-PMH server.", rich_help_panel=SERVER)
    ] = None,
    api_url: Annotated[
        str | None, typer.Option(envvar="ARXIVCLI_API_URL", help="Another query API.", rich_help_panel=SERVER)
    ] = None,
    snapshot_url: Annotated[
        str | None, typer.Option(envvar="ARXIVCLI_SNAPSHOT_URL", help="Another snapshot.", rich_help_panel=SERVER)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked and how long it takes.", rich_help_panel=LOOK)
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Say what is there and how to go on.", rich_help_panel=LOOK)
    ] = False,
    json: JsonOption = False,
) -> None:
    """Fetch arXiv's metadata: all of it, a slice, or papers by id. The same command goes on, and later tops up."""
    from arxivcli.steps import fetching
    from arxivcli.steps.fetching import outlook

    folder = _folder(output)
    if status:
        return _show_status(context, folder, json)
    wanted = fetching.Wanted.guessed(
        source,
        {"oai": oai_url, "api": api_url, "snapshot": snapshot_url},
        identifiers=_identifiers(papers or ()),
        set=of_set,
        first=first,
        until=until,
        query=query,
        limit=limit,
    )
    manners = fetching.Manners(pace, max_wait, timeout, contact, tuple(allow_host or ()))
    if dry_run:
        figures = outlook.forecast(wanted, folder, manners).figures()
        return console.show_json(figures) if json else console.show_table(("what", "value"), figures.items())
    progress = console.progress(state(context))
    report = fetching.fetch(wanted, folder, manners, progress, restart=restart, check=check)
    for note in report.notes():
        progress.note(note)
    console.show_json(report.figures()) if json else _show(report)
    return report.judge(strict)


def _folder(name: str) -> Path:
    """The folder of that name. Raises UsageError for an empty one, which would be the folder we stand in."""
    if not name:
        raise UsageError("--output is empty", "name a folder, or leave it out")
    return Path(name)


def _identifiers(names: Sequence[str]) -> tuple[str, ...]:
    """The ids given, and for `-` those on standard input, parted by white space; commas part them too.

    Raises InputError when nothing is in it: without ids something else would be fetched.
    """
    given = (one for name in names for one in (sys.stdin.read().split() if name == "-" else [name]))
    found = tuple(one for name in given for one in (list(filter(None, name.split(","))) or [name]))
    if names and not found:
        raise InputError("no ids on the standard input", "give at least one")
    return found


def _show_status(context: typer.Context, folder: Path, as_json: bool) -> None:
    """What is there, and under it the commands that go on with it, each on one line to be copied."""
    from arxivcli.steps.fetching import outlook

    rows = outlook.status(folder)
    if not rows:
        console.note(state(context), f"nothing is fetched into {folder} yet")
    if as_json:
        return console.show_json(rows)
    console.show_rows([{name: row[name] for name in row if name != "command"} for row in rows], as_json=False)
    for row in rows:
        if row["command"]:
            console.show_line(str(row["command"]))
    return None


def _show(report: Report) -> None:
    numbers = {
        "fetched": report.fetched,
        "new or newer": report.newer,
        "the server has": report.expected,
        "in all": report.papers,
    }
    rows = [(name, f"{number:,}") for name, number in numbers.items() if number is not None]
    if report.megabytes is not None:
        rows = [(report.name, f"{report.megabytes:,.1f} MB")]
    console.show_table(("papers", "number"), rows, numbers={"number"})
