"""One paper by its id, for somebody who waits: nothing is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from arxivcli.errors import InputError
from arxivcli.papers import one_paper
from arxivcli.sources import api
from arxivcli.sources.web import Web
from arxivcli.steps.fetching.naming import sorted_out

if TYPE_CHECKING:
    import pyarrow as pa

    from arxivcli.progress import Progress
    from arxivcli.sources.web import Manners


def paper(name: str, url: str, manners: Manners, progress: Progress) -> pa.RecordBatch:
    """PAPERS of the newest version of one paper, `name` its id or address.

    Raises:
        InputError: that is no id, or no paper has it.
        RemoteError: the server cannot be asked.
    """
    known, malformed = sorted_out([name])
    if malformed or not known:
        raise InputError(f"{name} is no arXiv id", "give one like 2401.01234 or hep-th/0409001")
    with Web(url, manners, progress) as web:
        found = api.Api(web).papers(known)
    if not found.entries:
        raise InputError(f"arXiv has no paper {known[0]}", "check its number")
    record = orjson.loads(found.entries[0].line)
    return one_paper(record["title"], record["abstract"], record["id"])
