"""Downloads of the double's snapshot, and what they leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loopback import Noted, client

from arxivcli.errors import ArxivcliError
from arxivcli.sources import streams
from arxivcli.sources.snapshot import Snapshot, download

if TYPE_CHECKING:
    from pathlib import Path

    from double import Double, faults
    from double.exchange import Answer, Request, Respond

ZIP, RECORD = "arxiv-metadata-oai-snapshot.zip", ".snapshot.json"
PARTIAL, NOTE = "arxiv-metadata-oai-snapshot.partial", "arxiv-metadata-oai-snapshot.partial.json"
CORRUPT = "arxiv-metadata-oai-snapshot.corrupt"


def storage(double: Double) -> str:
    return double.origin("storage", "localhost").removeprefix("http://")


def got(double: Double, folder: Path, url: str = "", **changes: object) -> tuple[Snapshot, list[str]]:
    """What a download brings, and what people were told."""
    noted = Noted()
    with client(url or double.snapshot_url, hosts=(storage(double),), noted=noted, **changes) as web:
        return download(web, folder, noted), noted.notes


def refused(double: Double, folder: Path, url: str = "", code: int = 4, **changes: object) -> ArxivcliError:
    with pytest.raises(ArxivcliError) as caught:
        got(double, folder, url, **changes)
    assert caught.value.exit_code == code
    return caught.value


def whole(double: Double) -> bytes:
    return double.snapshot.stored().path.read_bytes()


def unpacked(file: Path) -> bytes:
    with streams.opened(file) as stream:
        return b"".join(iter(lambda: stream.read(1 << 20), b""))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def asked(double: Double, header: str = "range") -> list[str | None]:
    return [entry.headers.get(header) for entry in double.log.of("storage")]


def stops(after: int, ending: str = "reset") -> faults.Action:
    """The answer ends after so many bytes, or goes on for ever without any more."""

    def stops(request: Request, respond: Respond) -> Answer:
        answer = respond(request)
        return answer.with_wire(claim=len(answer.content), cut=min(after, len(answer.content)), ending=ending)

    return stops


def begun(double: Double, folder: Path, size: int = 9_000) -> None:
    """Leave a partial file of so many bytes."""
    fault = double.faults.add(stops(size), site="storage", times=None)
    refused(double, folder, max_wait=0.001)
    fault.times = 0
    double.log.clear()
    assert (folder / PARTIAL).stat().st_size >= size
