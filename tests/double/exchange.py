"""One question and its answer, and how the answer goes over the wire."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

XML = 'version="1.0" encoding="UTF-8"'


def escaped(text: str) -> str:
    """Text for XML, escaped as arXiv's templates do it."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&#34;").replace("'", "&#39;")


@dataclass(frozen=True)
class Request:
    """What a client asked. Header names are in lower case."""

    number: int
    """1 for the first request that any of the servers got."""
    site: str
    """Which server: oai, query, kaggle or storage."""
    method: str
    target: str
    """Path and query as they came."""
    headers: dict[str, str]
    body: bytes = b""
    proxied: bool = False
    """Whether the request line had a whole address, as those to a proxy have."""

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Decoded parameters in order: of the query, or of the form for POST."""
        raw = self.target.partition("?")[2] if self.method != "POST" else self.body.decode("utf-8", "replace")
        return parse_qsl(raw, keep_blank_values=True)

    @property
    def params(self) -> dict[str, str]:
        """Decoded parameters, the last one where a name is repeated."""
        return dict(self.pairs)


@dataclass(frozen=True)
class Part:
    """Bytes of a file, so that a large one is never in memory."""

    path: Path
    start: int
    length: int

    def __len__(self) -> int:
        return self.length

    def pieces(self, size: int = 1 << 18) -> Iterator[bytes]:
        """The bytes in order."""
        left = self.length
        with self.path.open("rb") as file:
            file.seek(self.start)
            while left and (piece := file.read(min(size, left))):
                left -= len(piece)
                yield piece


@dataclass(frozen=True)
class Wire:
    """How an answer is sent; the default is honest and at once."""

    ending: Literal["keep", "close", "reset", "hang"] = "keep"
    """What follows the last byte sent: the next request, a clean close, a reset, or silence."""
    cut: int | None = None
    """Send so many bytes of the body only."""
    claim: int | None = None
    """The Content-Length to announce instead of the true one."""
    chunked: bool = False
    """Transfer-Encoding: chunked, in small chunks; with `cut`, the last chunk never comes."""
    wait: float = 0.0
    """Seconds before the first byte."""
    drip: tuple[int, float] | None = None
    """So many bytes of the body, then so many seconds, and so on."""
    endless: bytes | None = None
    """Repeat this after the body until the client has had enough, or until `claim` bytes have gone out."""


@dataclass(frozen=True)
class Answer:
    """A response: status, headers, body, and what the body is about."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | Part = b""
    wire: Wire = field(default_factory=Wire)
    ids: tuple[str, ...] = ()
    """The papers that the server had to look at."""
    compressible: bool = False

    @property
    def body(self) -> bytes:
        """All the bytes."""
        return self.content if isinstance(self.content, bytes) else b"".join(self.content.pieces())

    def header(self, name: str) -> str | None:
        """A header's value."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_headers(self, **values: str | None) -> Answer:
        """Headers replaced (underscores stand for hyphens), or taken away where the value is None."""
        names = {name.replace("_", "-"): value for name, value in values.items()}
        gone = {name.lower() for name in names}
        kept = [(name, value) for name, value in self.headers if name.lower() not in gone]
        added = [(name, value) for name, value in names.items() if value is not None]
        return replace(self, headers=(*kept, *added))

    def with_wire(self, **changes: object) -> Answer:
        """The same answer sent in another way."""
        return replace(self, wire=replace(self.wire, **changes))  # type: ignore[arg-type]

    def with_body(self, change: bytes | Callable[[bytes], bytes]) -> Answer:
        """Another body, or the body changed by a function."""
        return replace(self, content=change if isinstance(change, bytes) else change(self.body))

    def compressed(self) -> Answer:
        """The same with Content-Encoding: gzip."""
        return self.with_body(gzip.compress(self.body, 1, mtime=0)).with_headers(Content_Encoding="gzip")


def page(status: int, kind: str, body: str | bytes, **headers: str) -> Answer:
    """An answer with a Content-Type and further headers."""
    names = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, (("Content-Type", kind), *names), body.encode() if isinstance(body, str) else body)


Respond = Callable[[Request], Answer]
"""What a server does."""
Action = Callable[[Request, Respond], Answer]
"""What a fault does instead; it may call the server, with the same request or another."""
