"""What the service counts, as Prometheus reads it; with several worker processes all of them together.

They share what they count through files in the folder of PROMETHEUS_MULTIPROC_DIR, which prometheus_client looks for
when it is first imported: this module must be imported after that is set.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arxivcli.models.card import Card
    from arxivcli.serving.drifting import Distance, Drifting
    from arxivcli.serving.scoring import Answer

MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"})
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_PAPERS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_CHARACTERS: Final = (100, 300, 1000, 2000, 5000, 20_000, 100_000)
_CONFIDENCES: Final = tuple(tenth / 10 for tenth in range(1, 11))
_FRESH: Final = 0.25
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Telemetry:
    """The metrics of one worker process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._shown = b"", 0.0
        self._requests = self._counter("requests", "Requests by route, method and status.", "route", "method", "status")
        self._request_seconds = self._histogram("request_seconds", "From the request to its answer.", _SECONDS, "route")
        self._inference_seconds = self._histogram("inference_seconds", "Scoring of one batch.", _SECONDS)
        self._batch_papers = self._histogram("batch_papers", "Papers that were scored together.", _PAPERS)
        self._characters = self._histogram("input_characters", "Characters of title and abstract.", _CHARACTERS)
        self._predictions = self._counter("predictions", "Best answers by archive.", "archive")
        self._confidence = self._histogram("confidence", "Confidence of best answers.", _CONFIDENCES)
        self._errors = self._counter("errors", "What went wrong, by type.", "type")
        self._fetched = self._counter("fetched_papers", "Papers asked for by arXiv id, by how that ended.", "outcome")
        self._dropped = self._counter("log_lines_dropped", "Log lines nobody read in time.")
        self._records = self._counter("logged_predictions", "Records for the log of predictions.", "state")
        self._model = self._gauge("model_info", "1 for the model that answers.", "livemax", "name", "kind", "version")
        self._queue = self._gauge("queue_papers", "Papers that wait for the model.", "livesum")
        self._ready = self._gauge("ready", "Worker processes that are ready.", "livesum")
        self._cpu = self._gauge("process_cpu_seconds", "CPU time used.", "livesum")
        self._memory = self._gauge("process_resident_memory_bytes", "Memory in use.", "livesum")
        self._files = self._gauge("process_open_fds", "Open files and connections.", "livesum")
        self._drift = self._gauge("drift_distance", "Jensen-Shannon distance of the latest answers.", "livemax", "of")
        self._by_chance = self._gauge("drift_chance_distance", "About what it is by chance alone.", "livemax", "of")
        self._compared = self._gauge("drift_papers", "Answers that are compared.", "livesum", "side")
        self._known: tuple[str, str, str] | None = None

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered; `status` 0 is for one that got no answer, for its client had left."""
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status) if status else "none").inc()
        self._request_seconds.labels(route).observe(seconds)

    def batch(self, papers: int, seconds: float) -> None:
        """A batch was scored."""
        self._batch_papers.observe(papers)
        self._inference_seconds.observe(seconds)

    def paper(self, characters: int) -> None:
        """A paper of that size was asked about."""
        self._characters.observe(characters)

    def answers(self, answers: Sequence[Answer]) -> None:
        """Papers were answered."""
        for answer in answers:
            if answer.error is None:
                self._predictions.labels(answer.archive).inc()
                self._confidence.observe(answer.confidence)

    def error(self, kind: str) -> None:
        """Something went wrong."""
        self._errors.labels(kind).inc()

    def fetched(self, outcome: str) -> None:
        """A paper was asked for by its id."""
        self._fetched.labels(outcome).inc()

    def dropped(self, lines: int) -> None:
        """Log lines were dropped."""
        self._dropped.inc(lines)

    def logged(self, state: str, records: int) -> None:
        """Records of predictions were written, or lost."""
        self._records.labels(state).inc(records)

    def model(self, card: Card, version: str) -> None:
        """Another model answers from now on."""
        if self._known is not None:
            self._model.labels(*self._known).set(0)
        self._known = card.name, card.kind, version
        self._model.labels(*self._known).set(1)

    def state(self, waiting: int, ready: bool) -> None:
        """How it stands now."""
        self._queue.set(waiting)
        self._ready.set(ready)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._cpu.set(usage.ru_utime + usage.ru_stime)
        with contextlib.suppress(OSError):  # no Linux, or no file may be opened any more
            self._memory.set(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE)
            self._files.set(sum(1 for _ in Path("/proc/self/fd").iterdir()))

    def drift(self, drifting: Drifting) -> None:
        """How far the latest answers are from the reference; 0 while too few are known."""
        self._compared.labels("reference").set(drifting.reference.papers)
        self._compared.labels("lately").set(drifting.lately.papers)
        found = drifting.compared()
        for of in ("categories", "confidence"):
            distance: Distance | None = getattr(found, of, None)
            self._drift.labels(of).set(0 if distance is None else distance.distance)
            self._by_chance.labels(of).set(0 if distance is None else distance.by_chance)

    def shown(self) -> bytes:
        """All of it as Prometheus reads it; asked for often, it is made four times a second at most."""
        page, at = self._shown
        if not page or time.monotonic() - at > _FRESH:
            registry = self._registry
            if MULTIPROCESS in os.environ:
                registry = CollectorRegistry()
                MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            page = generate_latest(registry)
            self._shown = page, time.monotonic()
        return page

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"arxivcli_{name}", about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"arxivcli_{name}", about, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, about: str, together: str, *labels: str) -> Gauge:
        return Gauge(
            f"arxivcli_{name}",
            about,
            labels,
            multiprocess_mode=together,  # type: ignore[arg-type]
            registry=self._registry,
        )
