"""A double of arXiv's servers for tests and examples: real HTTP on loopback, an invented collection, faults on demand.

    from double import Catalogue, Double, faults, spoils

    with Double(Catalogue(1_000), page=100) as double:
        double.faults.add(faults.status(503, retry_after=1), site="oai", number=3)
        double.faults.add(faults.spoil(spoils.control_character), verb="ListRecords", times=2)
        ...                                        # a client is sent to double.oai_url, .query_url, .snapshot_url
        double.catalogue.touch(double.catalogue.ids[7])      # the record moves to today, between two pages perhaps
        assert min(double.log.gaps()) >= 3.0 and double.log.most_at_once() == 1

What there is:

- `Catalogue(count, seed=0)`: papers that follow from their number, with `paper`, `order`, `touch`, `revise`, `add`,
  `insert(Paper(...))`; `clock.set(...)` and `clock.advance(hours=13)` move the servers' time.
- `double.oai` (`page_size`, `identifiers`, `caches_errors`), `double.query` (`wall`, `refused`, `page_limit`,
  `shuffles_ties`, `through_minute`, `legacy`), `double.snapshot` (`publish`, `revoke`, `lifetime`, `uses`, `expired`,
  `needs = basic(...)`, `single_zipped`, `flat`): the servers and their knobs.
- `faults` (statuses, connections, redirects, a record that kills its page, `before` and `afterwards` to do anything)
  and `spoils` (bodies made wrong): put on the list with `double.faults.add(action, site=, path=, verb=, number=,
  every=, where=, times=)`, or as `double.faults.weather(share, seed)`.
- `double.log`: an `Entry` for each request, and `gaps`, `pauses`, `most_at_once`, `most_connections`, `credentials`.
- `Double(..., tls="good")`: the same under HTTPS; `double.certificate` is what a client would have to trust.

As a process of its own: `python -m tests.double --papers 1000 --page 100 --port-file ports.json --log-file log.jsonl`.
"""

from . import faults, spoils
from .catalogue import Catalogue
from .clock import Clock
from .double import Double
from .faultlist import Fault, Faults
from .log import Entry, Log
from .papers import Paper, Version

__all__ = ["Catalogue", "Clock", "Double", "Entry", "Fault", "Faults", "Log", "Paper", "Version", "faults", "spoils"]
