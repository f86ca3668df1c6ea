"""Every metric that pe_ray exports, by name. No label may carry a client's words or id."""

from __future__ import annotations

from collections.abc import Callable

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

TRAIN = {
    name: Gauge(name, text, registry=REGISTRY)
    for name, text in (
        ("pe_train_step", "Optimizer steps done"),
        ("pe_train_horizon_steps", "Optimizer steps that there will have been"),
        ("pe_train_elapsed_seconds", "Seconds of the window used"),
        ("pe_train_window_seconds", "Seconds of the window"),
        ("pe_train_learning_rate", "Rate of the latest step"),
        ("pe_train_loss", "Language-modelling loss of the latest step"),
        ("pe_train_loss_slope", "Change of the smoothed loss in a step"),
        ("pe_train_held_out_loss", "Loss of the latest evaluation"),
        ("pe_train_tokens_per_second", "Rate between the latest two steps, over all workers"),
        ("pe_train_memory_bytes", "Resident memory of the first worker"),
        ("pe_train_gpu_memory_bytes", "Most GPU memory that the first worker had allocated"),
        ("pe_train_storage_free_bytes", "Room left where the checkpoints go"),
    )
}
TRAIN_SHARE = Gauge(
    "pe_train_expert_share", "Share of the routed slots in the latest step", ["expert"], registry=REGISTRY
)

REVIEW_WAITING = Gauge("pe_review_waiting_records", "Held records nobody decided on", ["corpus"], registry=REGISTRY)
REVIEW_SECONDS = Gauge(
    "pe_review_waiting_seconds", "How long they have waited: oldest, median", ["corpus", "of"], registry=REGISTRY
)
BEFORE_SCRAPE: list[Callable[[], None]] = []
"""What is called before the metrics are written out: figures that nobody sets as they change."""


def exposition() -> bytes:
    """The metrics of this process in Prometheus' text format."""
    for refresh in BEFORE_SCRAPE:
        refresh()
    return generate_latest(REGISTRY)
