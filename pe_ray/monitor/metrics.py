"""Every metric that pe_ray exports, by name. No label may carry a client's words or id."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

REQUESTS = Counter("pe_requests", "Requests answered", ["route", "outcome"], registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "pe_request_seconds",
    "Seconds from request to reply",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
TRIAGE = Counter("pe_triage", "Messages by triage level", ["level"], registry=REGISTRY)
TRIAGE_SECONDS = Histogram(
    "pe_triage_seconds", "Seconds of triage", buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.15), registry=REGISTRY
)
BLOCKED = Counter("pe_output_blocked", "Replies that the output filter replaced", ["rule"], registry=REGISTRY)
CACHE = Counter("pe_cache", "Cache look-ups", ["outcome"], registry=REGISTRY)
TOKENS = Counter("pe_generated_tokens", "Tokens generated", registry=REGISTRY)
OUTBOX = Gauge("pe_outbox_parcels", "Entries acknowledged and not yet in the journal", registry=REGISTRY)
OUTBOX_AGE = Gauge("pe_outbox_oldest_seconds", "Seconds that the oldest of them has waited", registry=REGISTRY)


def exposition() -> bytes:
    """The metrics of this process in Prometheus' text format."""
    return generate_latest(REGISTRY)
