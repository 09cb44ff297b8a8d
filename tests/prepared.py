"""The real program without the second that importing it takes: forked from a process that has done nothing else.

`run` and `Popen` are those of `subprocess`. Commands that begin with `PROGRAM`, and scripts of `python -c`, are forked;
any other command, and one whose environment has what Python or a library reads when it starts, is started as always.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

PROGRAM = [sys.executable, "-m", "arxivcli"]
_SCRIPT = [sys.executable, "-c"]

_IMPORTED = (
    "arxivcli.cli.app",  # first: it says how many threads a BLAS may have
    "typer._adapters",
    *(f"arxivcli.cli.{name}" for name in ("answering", "asking", "course", "drift_tables", "evaluation_tables")),
    *(f"arxivcli.cli.{name}" for name in ("explaining", "sources", "training_display", "watching")),
    *(f"arxivcli.steps.{name}" for name in ("cascading", "drift", "evaluation", "fetching", "preprocessing")),
    *(f"arxivcli.steps.{name}" for name in ("carrying", "resuming", "training")),
    *(f"arxivcli.models.{name}" for name in ("fast_training", "finetuned_training", "frozen_training", "shelf")),
    "fastapi",  # not `arxivcli.serving`: how it counts is decided when it is imported
    "uvicorn",
)
_READ_EARLY = (
    *("PYTHON", "PY_", "LC_", "LANG", "TZ", "TERM", "TTY_", "COLUMNS", "NO_COLOR", "FORCE_"),
    *("OMP_", "OPENBLAS", "MPL", "HF_", "TRANSFORMERS_", "WANDB_"),
)
"""How names of variables begin that Python or a library reads when it is imported."""
_MOST = 1 << 20
_ONE_AT_A_TIME = threading.Lock()


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """A program that was forked instead of started. It is no child of ours: who forked it tells how it ended."""

    _told: int | None = None

    def _execute_child(self, args: Any, *rest: Any) -> None:
        _, prepare, _, passed, cwd, environment, _, _, shell, *pipes = rest
        handed, new_session = pipes[:6], bool(pipes[11])
        environment = dict(os.environ if environment is None else environment)
        known = list(args[:3]) == PROGRAM or list(args[:2]) == _SCRIPT
        if not known or shell or prepare or passed or _early(environment) != _early(dict(os.environ)):
            super()._execute_child(args, *rest)  # type: ignore[misc]
            return
        self._told, theirs = os.pipe()
        asked = json.dumps(
            [[os.fspath(one) for one in args[1:]], os.fspath(cwd or Path.cwd()), environment, new_session]
        )
        streams = [own if given == -1 else given for own, given in enumerate((handed[0], handed[3], handed[5]))]
        with _ONE_AT_A_TIME:
            socket.send_fds(_door(), [asked.encode()], [*streams, theirs])
        os.close(theirs)
        self.pid = _number(self._told)
        self._child_created = True
        self._close_pipe_fds(*handed)  # type: ignore[attr-defined]

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._told is None:
            return super()._try_wait(wait_flags)  # type: ignore[misc,no-any-return]
        if wait_flags & os.WNOHANG and not select.select([self._told], [], [], 0)[0]:
            return 0, 0
        status = _number(self._told)
        os.close(self._told)
        return self.pid, status

    def _internal_poll(self, *args: Any, **options: Any) -> int | None:
        if self._told is None:
            return super()._internal_poll(*args, **options)  # type: ignore[misc,no-any-return]
        with self._waitpid_lock:  # type: ignore[attr-defined]
            if self.returncode is None:
                pid, status = self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode


def run(
    args: Any,
    *,
    input: Any = None,  # noqa: A002  as there
    check: bool = False,
    capture_output: bool = False,
    timeout: float | None = None,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """As `subprocess.run`."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        options["stdin"] = subprocess.PIPE
    with Popen(args, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def _early(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_EARLY)}


def _number(told: int) -> int:
    """The next line of a pipe, which is a number."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(told, 1)
        assert piece, "the program's parent was killed"
        line += piece
    return int(line)


@cache
def _door() -> socket.socket:
    """Where the process that has imported everything is asked to fork; it ends with us."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _fork_when_asked(door: socket.socket) -> list[str]:
    """Returns in the programs alone, each in its surroundings; their arguments."""
    while True:
        asked, streams, _, _ = socket.recv_fds(door, _MOST, 4)
        if not asked:
            os._exit(0)
        if os.fork() == 0:
            break
        for stream in streams:
            os.close(stream)
        while any(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) or ()):
            pass
    door.close()
    *streams, told = streams
    if program := os.fork():
        for stream in streams:
            os.close(stream)
        os.write(told, b"%d\n" % program)
        os.write(told, b"%d\n" % os.waitpid(program, 0)[1])
        os._exit(0)
    os.close(told)
    arguments, folder, environment, new_session = json.loads(asked)
    if new_session:
        os.setsid()
    _turn_to(streams)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0], tempfile.tempdir = folder, None
    return arguments


def _turn_to(streams: list[int]) -> None:
    """Make these the standard streams, opened as Python opens them when it starts."""
    for number, (stream, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(stream, number)
        os.close(stream)
        before = getattr(sys, name)
        ends = {"encoding": before.encoding, "errors": before.errors, "newline": "\n" if number else None}
        opened = open(number, "w" if number else "r", 1 if number == 2 else -1, closefd=False, **ends)  # noqa: SIM115
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)


def _end(code: object) -> None:
    """As Python ends a program, but for taking down all that was imported, which takes longer than most of them."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code or 0))


if __name__ == "__main__":
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    option, what, *arguments = _fork_when_asked(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = [option, *arguments]
    try:
        if option == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), main.__dict__)  # noqa: S102
        sys.exit()
    except SystemExit as ended:
        _end(ended.code)
