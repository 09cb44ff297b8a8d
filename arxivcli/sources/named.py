"""Papers named by their arXiv ids, asked of arXiv's query API all together."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from arxivcli.sources import api
from arxivcli.sources.api import BATCH, BadQueryError
from arxivcli.sources.fields import Columns
from arxivcli.sources.readings import PaperRows, Reading
from arxivcli.sources.trouble import BrokenAnswerError
from arxivcli.sources.web import Manners, Web

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arxivcli.progress import Progress

_SOURCE = "arXiv"
_UNKNOWN = "arXiv has no paper of this id"
_UNTOLD = "arXiv cannot give this paper"


class Papers:
    """What arXiv has of some ids; it is asked when the first of them is wanted, and never twice for one."""

    def __init__(self, identifiers: Sequence[str], url: str | None, manners: Manners, progress: Progress) -> None:
        self._left = list(dict.fromkeys(identifiers))
        self._web = (url or api.URL, manners, progress)
        self._records: dict[str, bytes] = {}
        self._untold: set[str] = set()

    def some(self, identifiers: Sequence[str]) -> Some:
        """The papers of some of the ids."""
        return Some(self, identifiers)

    def readings(self, identifiers: Sequence[str]) -> Iterator[Reading]:
        """Readings of these papers, in that order; an id that arXiv does not know is a record with an error.

        Raises RemoteError when arXiv refuses, or there was trouble for too long.
        """
        self._ask()
        for known, ids in groupby(identifiers, self._records.__contains__):
            if known:
                yield self._known(list(ids))
            else:
                for identifier in ids:
                    yield _failed(identifier, _UNTOLD if identifier in self._untold else _UNKNOWN)

    def records(self) -> dict[str, bytes]:
        """Snapshot records of those that arXiv gives, by id. Raises as `readings`."""
        self._ask()
        return self._records

    def _ask(self) -> None:
        if not self._left:
            return
        with Web(*self._web) as web:
            server = api.Api(web)
            while self._left:
                self._bring(server, self._left[:BATCH])
                del self._left[:BATCH]

    def _bring(self, server: api.Api, identifiers: Sequence[str]) -> None:
        """Ask for papers; one id that the server does not take costs no other."""
        try:
            feed = server.papers(identifiers)
        except (BadQueryError, BrokenAnswerError) as error:
            if len(identifiers) > 1:
                middle = len(identifiers) // 2
                self._bring(server, identifiers[:middle])
                self._bring(server, identifiers[middle:])
            elif isinstance(error, BadQueryError):
                self._untold.update(identifiers)
            else:
                raise
        else:
            self._records.update((entry.id, entry.line) for entry in feed.entries)

    def _known(self, identifiers: Sequence[str]) -> Reading:
        gathered = PaperRows(_SOURCE, "jsonl", Columns(texts_only=True))
        for number, identifier in enumerate(identifiers, 1):
            gathered.add_json(self._records[identifier], number)
        return gathered.take()


class Some:
    """Papers of some ids, as a source."""

    def __init__(self, papers: Papers, identifiers: Sequence[str]) -> None:
        self._papers = papers
        self._identifiers = identifiers

    def readings(self) -> Iterator[Reading]:
        """As `Papers.readings`."""
        return self._papers.readings(self._identifiers)


def _failed(identifier: str, reason: str) -> Reading:
    """The reading of one paper that is not to be had; it has a name."""
    gathered = PaperRows(f"{_SOURCE}:{identifier}", "jsonl", Columns(texts_only=True))
    gathered.fail(reason, 1, identifier)
    return replace(gathered.take(), lines=pa.nulls(1, pa.int64()))
