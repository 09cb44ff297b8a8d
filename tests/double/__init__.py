"""A double of arXiv's servers for tests and examples: real HTTP on loopback, an invented collection, faults on demand.

    from double import Catalogue, Double, faults

    with Double(Catalogue(1_000), page=100) as double:
        double.faults.add(faults.status(503, retry_after=1), site="oai", number=3)
        ...                                       # run a client against double.oai_url
        assert min(double.log.gaps()) >= 3.0 and double.log.most_at_once() == 1

As a process of its own: `python -m tests.double --papers 1000 --page 100`.
"""

from . import faults, spoils
from .catalogue import Catalogue
from .clock import Clock
from .double import Double
from .faultlist import Fault, Faults
from .log import Entry, Log
from .papers import Paper, Version

__all__ = ["Catalogue", "Clock", "Double", "Entry", "Fault", "Faults", "Log", "Paper", "Version", "faults", "spoils"]
