"""All servers of the double, started and stopped together."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal, Self

from . import certificate
from .catalogue import Catalogue
from .faultlist import Faults
from .log import Log
from .oai import OaiServer
from .query import QueryServer
from .serving import Site
from .snapshot import DATASET, MEMBER, SnapshotServer


class Double:
    """The servers over one catalogue, each on a port of its own on 127.0.0.1; a context manager.

    `page` and `identifiers` are the OAI server's page sizes; `port` is the first of four ports in a row, 0 for any.
    With `tls` all of them speak HTTPS under a certificate for localhost that nobody trusts but who reads `certificate`.
    Everything may be changed while it serves: `catalogue`, `clock`, `faults`, and the knobs of `oai`, `query` and
    `snapshot`.
    """

    def __init__(
        self,
        catalogue: Catalogue | int = 1_000,
        *,
        page: int = 2_500,
        identifiers: int = 20_000,
        port: int = 0,
        log_file: Path | None = None,
        tls: Literal["good", "expired"] | None = None,
    ) -> None:
        self.catalogue = Catalogue(catalogue) if isinstance(catalogue, int) else catalogue
        self.clock = self.catalogue.clock
        self.faults = Faults()
        self.oai = OaiServer(self.catalogue, page, identifiers)
        self.query = QueryServer(self.catalogue)
        self.snapshot = SnapshotServer(self.catalogue, lambda: self.origin("storage", "localhost"))
        self.log = Log(log_file)
        self.certificate: Path | None = None
        self._port, self._tls = port, tls
        self._sites: dict[str, Site] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> Self:
        """Listen and answer."""
        self._folder = tempfile.TemporaryDirectory(prefix="double-")
        self.snapshot.folder = Path(self._folder.name)
        context = None
        if self._tls is not None:
            context, self.certificate = certificate.context(self.snapshot.folder, expired=self._tls == "expired")
        servers = {
            "oai": self.oai.respond,
            "query": self.query.respond,
            "kaggle": self.snapshot.kaggle,
            "storage": self.snapshot.storage,
        }
        try:
            for place, (name, respond) in enumerate(servers.items()):
                port = self._port and self._port + place
                self._sites[name] = Site(name, port, respond, self.faults, self.log, context)
                self._sites[name].begin()
        except OSError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Hang up, whatever is going on; the log stays readable."""
        for site in self._sites.values():
            site.end()
        self.log.close()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def origin(self, name: str, host: str = "127.0.0.1") -> str:
        """`http://127.0.0.1:<port>` of a server: oai, query, kaggle or storage."""
        return f"{'http' if self._tls is None else 'https'}://{host}:{self._sites[name].port}"

    def compress(self, on: bool = True) -> None:
        """Whether OAI and query answers are gzip for clients that say they take it."""
        for site in self._sites.values():
            site.compress = on

    @property
    def oai_url(self) -> str:
        """What stands for `https://oaipmh.arxiv.org/oai`."""
        return f"{self.origin('oai')}/oai"

    @property
    def query_url(self) -> str:
        """What stands for `https://export.arxiv.org/api/query`."""
        return f"{self.origin('query')}/api/query"

    @property
    def kaggle_url(self) -> str:
        """What stands for `https://www.kaggle.com/api/v1`."""
        return f"{self.origin('kaggle')}/api/v1"

    @property
    def snapshot_url(self) -> str:
        """What stands for `https://www.kaggle.com/api/v1/datasets/download/Cornell-University/arxiv`: the zip."""
        return f"{self.kaggle_url}/datasets/download/{DATASET}"

    @property
    def single_file_url(self) -> str:
        """The JSON lines by themselves."""
        return f"{self.snapshot_url}/{MEMBER}"

    @property
    def urls(self) -> dict[str, str]:
        """The base addresses by name."""
        return {
            "oai": self.oai_url,
            "query": self.query_url,
            "snapshot": self.snapshot_url,
            "kaggle": self.kaggle_url,
            "storage": self.origin("storage", "localhost"),
        }
