"""`arxivcli serve`: a model behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from arxivcli.cli import console
from arxivcli.cli.options import BY_ID, ApiUrlOption, ContactOption, PaceOption, ScoringDeviceOption, State, state

ACCESS, LIMITS, BATCHES, WATCHING = "Who may ask", "What a request may cost", "Scoring together", "Watching it"


def serve(
    context: typer.Context,
    model: Annotated[str, typer.Option("--model", "-m", help="Name or folder of a model.")] = "builtin",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 or :: for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes, each with a model of its own.")] = 1,
    top: Annotated[
        int, typer.Option("--top", "-k", min=1, max=1000, help="Categories of an answer, unless asked.")
    ] = 3,
    device: ScoringDeviceOption = "auto",
    docs: Annotated[bool, typer.Option("--docs/--no-docs", help="Describe the service at /docs.")] = True,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Show people a page at /.")] = True,
    drain: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="When told to end, say not ready for so long first.")
    ] = 0.0,
    grace: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="When told to end, finish within this.")
    ] = 30.0,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File of tokens, one a line: only who has one may ask.", rich_help_panel=ACCESS),
    ] = None,
    guard_metrics: Annotated[
        bool, typer.Option("--guard-metrics", help="Ask for the token at /metrics too.", rich_help_panel=ACCESS)
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Answer to this Host; repeatable.",
            show_default="any, or this machine's where only it can ask",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let pages of this site ask; repeatable.", rich_help_panel=ACCESS),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="Believe its X-Forwarded-For; repeatable.", rich_help_panel=ACCESS),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(min=1, help="Requests a minute from one client.", show_default="any", rich_help_panel=LIMITS),
    ] = None,
    deadline: Annotated[
        float, typer.Option(min=0.01, metavar="SECONDS", help="From a request to its answer.", rich_help_panel=LIMITS)
    ] = 10.0,
    read_deadline: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="For a request to arrive.", rich_help_panel=LIMITS)
    ] = 10.0,
    max_body: Annotated[int, typer.Option(min=1, metavar="KIB", help="Of a body.", rich_help_panel=LIMITS)] = 1024,
    max_stream: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Of a body of lines.", rich_help_panel=LIMITS)
    ] = 64,
    max_items: Annotated[int, typer.Option(min=1, help="Papers of a list.", rich_help_panel=LIMITS)] = 1000,
    max_chars: Annotated[
        int, typer.Option(min=1, help="Characters of a title or an abstract.", rich_help_panel=LIMITS)
    ] = 50_000,
    batch: Annotated[int, typer.Option(min=1, help="Papers at most.", rich_help_panel=BATCHES)] = 64,
    batch_wait: Annotated[
        float, typer.Option(min=0, metavar="MS", help="Wait for company, where that pays.", rich_help_panel=BATCHES)
    ] = 2.0,
    queue: Annotated[int, typer.Option(min=1, help="Papers that may wait.", rich_help_panel=BATCHES)] = 2000,
    hang_timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Of one batch, then /livez fails.", rich_help_panel=BATCHES),
    ] = 60.0,
    log: Annotated[
        Literal["text", "json"], typer.Option(help="Form of the log lines on stderr.", rich_help_panel=WATCHING)
    ] = "text",
    access_log: Annotated[
        bool,
        typer.Option("--access-log/--no-access-log", help="Log every request.", rich_help_panel=WATCHING),
    ] = True,
    log_predictions: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep papers and answers, for `arxivcli drift`.", rich_help_panel=WATCHING),
    ] = None,
    log_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of the answers that are kept.", rich_help_panel=WATCHING)
    ] = 1.0,
    log_size: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Of all that is kept; the oldest goes.", rich_help_panel=WATCHING)
    ] = 1024,
    log_redact: Annotated[
        bool,
        typer.Option("--log-redact", help="Keep lengths and hashes instead of texts.", rich_help_panel=WATCHING),
    ] = False,
    drift_reference: Annotated[
        Path | None,
        typer.Option(
            metavar="LOG",
            help="Compare answers with these, that --log-predictions kept.",
            show_default="the first answers",
            rich_help_panel=WATCHING,
        ),
    ] = None,
    drift_window: Annotated[
        int, typer.Option(min=100, help="How many of the latest answers /drift compares.", rich_help_panel=WATCHING)
    ] = 1000,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch/--no-fetch", help="Ask arXiv for papers by id, at /papers and in the page.", rich_help_panel=BY_ID
        ),
    ] = False,
    pace: PaceOption = 3.0,
    contact: ContactOption = None,
    api_url: ApiUrlOption = None,
) -> None:
    """Answer over HTTP what `classify` answers: for one paper, for lists and for streams of them."""
    from arxivcli.serving import launch
    from arxivcli.serving.settings import (
        MIB,
        Access,
        Batches,
        Comparing,
        Fetching,
        Keeping,
        Limits,
        Service,
        networks,
        origins,
        tokens,
    )

    known = tokens(token_file) if token_file is not None else ()
    access = Access(
        known,
        guard_metrics,
        tuple(map(str.lower, allow_host or ())),
        origins(cors or ()),
        networks(trusted_proxy or ()),
    )
    limits = Limits(
        body=max_body << 10,
        stream=max_stream * MIB,
        items=max_items,
        characters=max_chars,
        read_seconds=read_deadline,
        deadline=deadline,
        rate=rate,
    )
    service = Service(
        model,
        device,
        host,
        port,
        workers,
        top,
        docs,
        page,
        log,
        access_log=access_log and not state(context).quiet,
        drain=drain,
        grace=grace,
        limits=limits,
        batches=Batches(batch, batch_wait / 1000, queue, hang_timeout),
        access=access,
        keeping=Keeping(log_predictions, log_share, log_size * MIB, log_redact),
        comparing=Comparing(drift_reference, drift_window),
        fetching=Fetching(api_url, pace, contact) if fetch else None,
    )
    _warn(service.local, known, state(context))
    raise typer.Exit(launch.serve(service, lambda where: console.note(state(context), f"serving on {where}")))


def _warn(local: bool, tokens: tuple[bytes, ...], state: State) -> None:
    if not local and not tokens:
        console.note(state, "everybody who can reach this machine may ask; --token-file lets in only who has a token")
