"""All servers of the double, started and stopped together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from .catalogue import Catalogue
from .faults import Faults
from .log import Log
from .oai import OaiServer
from .query import QueryServer
from .serving import Site

if TYPE_CHECKING:
    from pathlib import Path


class Double:
    """The servers over one catalogue, each on a port of its own on 127.0.0.1; a context manager."""

    def __init__(
        self,
        catalogue: Catalogue | int = 1_000,
        *,
        page: int = 2_500,
        identifiers: int = 20_000,
        port: int = 0,
        log_file: Path | None = None,
    ) -> None:
        self.catalogue = Catalogue(catalogue) if isinstance(catalogue, int) else catalogue
        self.clock = self.catalogue.clock
        self.faults = Faults()
        self.log = Log(log_file)
        self.oai = OaiServer(self.catalogue, page, identifiers)
        self.query = QueryServer(self.catalogue)
        servers = {"oai": self.oai.respond, "query": self.query.respond}
        self._sites = {
            name: Site(name, port and port + place, respond, self.faults, self.log)
            for place, (name, respond) in enumerate(servers.items())
        }

    def __enter__(self) -> Self:
        for site in self._sites.values():
            site.begin()
        return self

    def __exit__(self, *_: object) -> None:
        for site in self._sites.values():
            site.end()
        self.log.close()

    def origin(self, name: str, host: str = "127.0.0.1") -> str:
        """`http://127.0.0.1:<port>` of a server: oai, query, kaggle or storage."""
        return f"http://{host}:{self._sites[name].port}"

    @property
    def oai_url(self) -> str:
        """What stands for `https://oaipmh.arxiv.org/oai`."""
        return f"{self.origin('oai')}/oai"

    @property
    def query_url(self) -> str:
        """What stands for `https://export.arxiv.org/api/query`."""
        return f"{self.origin('query')}/api/query"
