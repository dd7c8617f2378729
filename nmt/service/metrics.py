"""Numbers about a service in the format of Prometheus: counts and times, but no text, address or key."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from nmt.service.batching import Batcher

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Upper ends of the classes of times."""


class Metrics:
    """What is counted."""

    def __init__(self, batcher: Batcher) -> None:
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)
        self.requests = Counter("nmt_requests", "Requests that were answered.", ["route", "status"], registry=own)
        self.seconds = Histogram("nmt_request_seconds", "Time of requests.", ["route"], registry=own, buckets=SECONDS)
        self.characters = Counter("nmt_characters", "Characters of the texts of requests.", registry=own)
        self.running = Gauge("nmt_running_requests", "Requests that are being translated.", registry=own)
        for name, text in {
            "sentences": "Sentences translated since the start.",
            "rounds": "Batches translated since the start.",
            "waiting_seconds": "Estimated time until a request that arrives now is translated.",
        }.items():
            gauge = Gauge(f"nmt_{name}", text, registry=own)
            gauge.set_function(lambda name=name: getattr(batcher, name))  # type: ignore[misc]

    def text(self) -> bytes:
        """All numbers."""
        return generate_latest(self._registry)
