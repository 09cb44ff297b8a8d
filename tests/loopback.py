"""One server on loopback whose answers a test chooses, the client's side of it, and the self-signed kind."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from double import Faults, Log
from double.exchange import Answer, Request, page
from double.serving import Site

from arxivcli.errors import RemoteError
from arxivcli.progress import Silent
from arxivcli.sources.web import Manners, Reply, Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


class Noted(Silent):
    """A watcher that remembers what people were told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def hello(_request: Request) -> Answer:
    return page(200, "text/plain", "hello")


@contextmanager
def site(
    respond: Callable[[Request], Answer] = hello, certificate: Path | None = None, port: int = 0, name: str = "one"
) -> Iterator[Site]:
    """A server with a fault list and a log, over TLS when there is a certificate (with its key in one file)."""
    served = Site(name, port, respond, Faults(), Log())
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        served.socket = context.wrap_socket(served.socket, server_side=True)
    served.begin()
    try:
        yield served
    finally:
        served.end()


def address(served: Site, path: str = "/", scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{served.port}{path}"


def manners(**changes: object) -> Manners:
    """Our behaviour, a few hundred times as fast."""
    return Manners(**{"pace": 0.01, "max_wait": 10.0, "timeout": 5.0} | changes)  # type: ignore[arg-type]


@contextmanager
def client(url: str, *, hosts: tuple[str, ...] = (), noted: Noted | None = None, **changes: object) -> Iterator[Web]:
    with Web(url, manners(**changes), noted or Noted(), hosts) as web:
        yield web


def body(reply: Reply) -> bytes:
    return reply.body


def refused(url: str, **changes: object) -> RemoteError:
    """What ends a question that gets no answer."""
    with client(url, **changes) as web, pytest.raises(RemoteError) as caught:
        web.ask({}, body)
    assert caught.value.exit_code == 4
    return caught.value


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def quiet_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No proxy, no credentials, no trusted certificates, and a cache of our own."""
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in [name for name in os.environ if name.startswith("KAGGLE_")]:
        monkeypatch.delenv(name)
    (folder / "certificates").mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(folder / "certificates"))  # none are read quickly
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("HOME", str(folder / "home"))


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key, in one file."""
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]
    names = ["-subj", "/CN=nobody", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-out", certificate]
    subprocess.run(["openssl", "req", "-x509", *curve, *names], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both
