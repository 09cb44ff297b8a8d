"""The front door: the command line as a whole, and the only place where exit codes are made."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import typer
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from arxivcli import __version__
from arxivcli.cli import classify, console, doctor, drift, evaluate, fetch, models, preprocess, serve, train
from arxivcli.cli.options import State, hoisted
from arxivcli.errors import ArxivcliError, StoppedError, StorageError, UsageError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

GET, LEARN, USE, LOOK_AFTER = "Get papers", "Learn", "Use", "Look after"

HELP = ["--help", "-h"]

INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE

# Work is spread over processes and threads of our own; those of NumPy's BLAS would only spin beside them, which makes
# classifying five times slower. It reads this when it is loaded, which is later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

app = typer.Typer(
    help="Put scientific papers into arXiv categories from title and abstract.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": HELP},
)
app.command("fetch", rich_help_panel=GET, short_help="Get arXiv's metadata: all of it, or a slice.")(fetch.fetch)
app.command("preprocess", rich_help_panel=GET, short_help="Make a corpus folder from files of papers.")(
    preprocess.preprocess
)
app.command("train", rich_help_panel=LEARN, short_help="Train a model on a corpus folder.")(train.train)
app.command("eval", rich_help_panel=LEARN, short_help="Measure a model on papers it has not seen.")(evaluate.evaluate)
app.command("classify", rich_help_panel=USE, short_help="Name the arXiv categories of papers.")(classify.classify)
app.command("serve", rich_help_panel=USE, short_help="Answer over HTTP.")(serve.serve)
app.command("drift", rich_help_panel=LOOK_AFTER, short_help="Tell whether later papers are still the same.")(
    drift.drift
)
app.command("doctor", rich_help_panel=LOOK_AFTER, short_help="Check this machine and this installation.")(doctor.doctor)
app.add_typer(models.app, name="models", rich_help_panel=LOOK_AFTER)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"arxivcli {__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback answers before anything else runs
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback when something fails.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr, only errors.")] = False,
) -> None:
    context.obj = State(debug=debug, quiet=quiet)


def main() -> NoReturn:
    """Run the command line and leave with one of the house's exit codes."""
    flags, rest = hoisted(sys.argv[1:])
    debug = "--debug" in flags
    _prepare(debug)
    try:
        code = _run([*flags, *rest], debug)
    finally:
        console.close()
    sys.exit(_flushed(code))


def _prepare(debug: bool) -> None:
    """Make the process fit for people: signals and bugs end in one line, streams exist, widths are possible."""
    _open_streams()
    console.sane_size()
    sys.excepthook = _debug_hook if debug else _bug_hook
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # under nohup SIGHUP stays ignored
            signal.signal(number, _stop)
    os.register_at_fork(after_in_child=_let_children_die)
    if not debug and not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries talk to their developers, not to people at a terminal


def _run(arguments: list[str], debug: bool) -> int:
    """The exit code of the command line; bugs come out as the exceptions they are."""
    try:
        code = _program().main(arguments, prog_name="arxivcli", standalone_mode=False) or 0
    except typer.TyperException as error:
        # An empty message: typer has shown the help of a command that needs a subcommand.
        return _fail(_usage(error), debug) if error.message or error.format_message() else UsageError.exit_code
    except ArxivcliError as error:
        return _fail(error, debug)
    except typer.Abort as error:
        if error.__cause__ is not None:  # typer takes any EOFError for Ctrl-D at a prompt; one from inside is a bug
            raise error.__cause__ from None
        code = INTERRUPTED
    except SystemExit as leaving:  # typer's way out after a broken pipe, and after shell completion
        if isinstance(leaving.__context__, BrokenPipeError):
            return _broken_pipe(leaving.__context__)
        code = leaving.code if isinstance(leaving.code, int) else 0
    except OSError as error:
        return _fail(_storage_error(error), debug)
    if code == INTERRUPTED:
        _say("error: interrupted")
    return code


def _program() -> TyperGroup:
    """The command line as typer builds it, without the `<bool>` it writes beside every flag."""
    program = cast("TyperGroup", get_command(app))
    commands = [program]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        for parameter in command.get_params(typer.Context(command, help_option_names=HELP)):
            if isinstance(parameter, TyperOption) and parameter.is_flag:
                parameter.metavar = ""
    return program


def _storage_error(error: OSError) -> StorageError:
    """What is wrong with where we print; any other fault of the system is a bug and is raised again."""
    if error.errno == errno.EBADF and console.stdout_is_closed():
        return console.closed_stdout()
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError("cannot write: the disk is full", "free some space and run the same command again")
    raise error


def _usage(error: typer.TyperException) -> UsageError:
    """What typer found wrong with the command line, said in one line."""
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().replace("Value error, ", "").split()).removesuffix(".")
    return UsageError(message, f"see {context.command_path if context else 'arxivcli'} --help")


def _fail(error: ArxivcliError, debug: bool) -> int:
    """Say the error in one line and return its exit code."""
    if debug:
        traceback.print_exc()
    _say(f"error: {error}")
    return error.exit_code


def _say(line: str) -> None:
    """The last line on stderr, under whatever bars there were, if anybody still reads it."""
    console.close()
    with contextlib.suppress(BrokenPipeError):
        console.write_line(line)


def _broken_pipe(error: BrokenPipeError) -> int:
    """Quietly 141 when it is our reader who left; any other broken pipe is a bug."""
    poll = select.poll()
    for stream in (1, 2):
        poll.register(stream, 0)
    left = any(event & select.POLLERR for _, event in poll.poll(0))
    # rich, which draws tables and help, has already put /dev/null in the place of a broken stdout.
    if not left and not os.path.samestat(os.fstat(1), Path(os.devnull).stat()):
        raise error
    return BROKEN_PIPE


def _flushed(code: int) -> int:
    """The exit code once everything printed is out; what cannot be written is dropped, not tried again at exit."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except BrokenPipeError:
            code = BROKEN_PIPE if number == 1 else code
        except OSError as error:
            if code != StorageError.exit_code:
                _say(f"error: cannot write the standard output: {error.strerror}; the answer is incomplete")
            code = StorageError.exit_code
        else:
            continue
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return code


def _open_streams() -> None:
    """Give closed standard streams an end, so that no file of ours gets their number; print anything printable."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            # Nothing can be written to a closed stdout: an answer that nobody gets is an error, not a success.
            descriptor = os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """An orderly end; the same signal again ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise StoppedError(f"stopped by {signal.Signals(number).name}", signal_number=number)


def _let_children_die() -> None:
    """Worker processes end at once when told to; only the parent has something to say."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _bug_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A bug in one line; Python itself makes the exit code 1."""
    if issubclass(kind, ArxivcliError | KeyboardInterrupt):  # a signal while we were already leaving
        _say(f"error: {error or 'interrupted'}")
        return
    where = "".join(f"{Path(f.filename).name}:{f.lineno}; " for f in traceback.extract_tb(trace)[-1:])
    says = " ".join(str(error).split())
    _say(f"error: a bug in arxivcli: {kind.__name__}: {says}; {where}run it again with --debug for the traceback")
    _flushed(1)


def _debug_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    console.close()
    traceback.print_exception(kind, error, trace)
    _bug_hook(kind, error, trace)
