"""A conversation at a terminal: a title and an abstract in, an answer out, commands between, until Ctrl-D."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from arxivcli import taxonomy
from arxivcli.cli import console, prompt, sources
from arxivcli.errors import ArxivcliError, UsageError, unknown
from arxivcli.papers import one_paper
from arxivcli.printable import escaped
from arxivcli.sources import pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from arxivcli.cli.answering import Job
    from arxivcli.cli.asking import Asking

WELCOME = (
    "Title, then abstract (paste as many lines as you like; an empty line ends it). :help tells more, Ctrl-D leaves."
)
HELP = """\
Type a title, then an abstract; an empty line or Ctrl-D ends it. Ctrl-C cancels what you are typing.
:paste           read a title and an abstract with empty lines in it, up to a line with a single dot
:id 2401.01234   ask arXiv for the paper of that id
:top 5           name that many categories
:explain         show the words that spoke for and against the first answer, or no more
:model NAME      go on with another model, a name or a folder
:labels [TEXT]   what the model may answer; with a text, what has it in its name
:quit            leave, as Ctrl-D does
"""
_TITLE, _ABSTRACT, _MORE = "Title: ", "Abstract: ", "... "
_COMMAND = re.compile(r":([a-z]+)(?:\s+(.*))?")


def converse(asking: Asking, job: Job) -> None:
    """Ask for papers and answer them until the end of input, or until Ctrl-C where nothing is typed.

    A title of spaces is asked for again; a title that is left out altogether is a paper of an abstract alone. What
    cannot be answered is said, and the conversation goes on.
    """
    lines, talk = prompt.Lines(), Conversation(asking, job)
    if not asking.state.quiet:
        prompt.say(f"{WELCOME}\n")
    while not talk.over:
        try:
            entry = prompt.ask(_TITLE)
        except KeyboardInterrupt:
            prompt.say("\n")
            if lines.began():
                continue
            return
        if entry is None:
            break
        lines.keep(entry)
        try:
            talk.hear(entry)
        except KeyboardInterrupt:
            prompt.say("\n")
        except ArxivcliError as error:
            console.write_line(f"error: {error}")
    prompt.say("\n")


class Conversation:
    """What was said so far: how papers are to be answered, and the last one."""

    def __init__(self, asking: Asking, job: Job) -> None:
        self.over = False
        self._asking = asking
        self._job = job
        self._last: pa.RecordBatch | None = None
        self._commands: dict[str, Callable[[str], object]] = {
            "top": self._top,
            "model": self._model,
            "explain": self._explain,
            "paste": self._paste,
            "id": self._fetch,
            "labels": self._labels,
            "help": self._help,
            "quit": self._quit,
        }

    def hear(self, entry: str) -> None:
        """Do what a line at the title's prompt says. Raises UsageError, ... for what cannot be done."""
        command = _COMMAND.fullmatch(entry.strip())
        if command:
            if command[1] not in self._commands:
                raise unknown("command", f":{command[1]}", [f":{name}" for name in self._commands])
            self._commands[command[1]]((command[2] or "").strip())
            return
        if entry and not entry.strip():
            return
        title, _, rest = entry.partition("\n")
        self._typed(title, rest if rest.strip() else prompt.paragraph(_ABSTRACT, _MORE))

    def _typed(self, title: str, abstract: str) -> None:
        if title.strip() or abstract.strip():
            self._answer(pieces.typed(title, abstract).papers)

    def _answer(self, papers: pa.RecordBatch) -> None:
        self._last = papers
        title, abstract, identifier = (papers[name][0].as_py() for name in ("title", "abstract", "id"))
        reading = pieces.typed(title, abstract)
        self._job.run([replace(reading, papers=one_paper(title, abstract, identifier))])
        prompt.say("\n")

    def _ask_otherwise(self, asking: Asking, job: Job) -> None:
        self._asking, self._job = asking, job

    def _top(self, number: str) -> None:
        if not number.isdecimal() or not int(number):
            raise UsageError(f":top {number} is no number of categories", "say :top 5")
        asking = replace(self._asking, top=int(number))
        self._ask_otherwise(asking, asking.job(self._job))

    def _model(self, name: str) -> None:
        if not name:
            raise UsageError("which model?", "say :model NAME, a name or a folder")
        asking = replace(self._asking, model=name)
        self._ask_otherwise(asking, asking.job())
        card = self._job.model.card
        prompt.say(f"{escaped(card.name)}: {card.kind}, {len(card.labels)} labels\n")

    def _explain(self, _: str) -> None:
        asking = replace(self._asking, explain=not self._asking.explain)
        self._ask_otherwise(asking, asking.job(self._job))
        if asking.explain and self._last is not None:
            return self._answer(self._last)
        return prompt.say("answers are explained\n" if asking.explain else "answers are not explained any more\n")

    def _paste(self, _: str) -> None:
        title, _, abstract = prompt.pasted(_MORE).strip().partition("\n")
        self._typed(title, abstract)

    def _fetch(self, name: str) -> None:
        if not name:
            raise UsageError("which paper?", "say :id 2401.01234, or its address")
        self._answer(sources.asked(name, self._asking.online, self._asking.state).papers)

    def _labels(self, text: str) -> None:
        view = self._job.question.view
        labels = self._job.model.card.labels if view is None else view.labels
        rows = [(label, taxonomy.name(label)) for label in labels]
        wanted = [row for row in rows if text.lower() in " ".join(row).lower()]
        if not wanted:
            raise UsageError(f"no label of the model has {text} in its name", "say :labels")
        console.show_table(("id", "name"), wanted)

    def _help(self, _: str) -> None:
        prompt.say(HELP)

    def _quit(self, _: str) -> None:
        self.over = True
