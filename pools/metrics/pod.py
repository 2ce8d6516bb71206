"""Metrics that one `runpools` counts in memory and serves on its own port. A restart begins at 0."""

from prometheus_client import Counter, Gauge, Histogram

HANDOFF_SECONDS = Histogram(
    "breeze_buddy_handoff_seconds",
    "From the claim to the acknowledgement, by the number of the hand-off.",
    ["attempt"],
    buckets=(0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0),
)
ACKNOWLEDGED_SECONDS = Histogram(
    "breeze_buddy_acknowledged_seconds",
    "From the request to the acknowledgement, by how the session starts: what the caller waits for.",
    ["kind"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0, 10.0),
)
WARMUP_SECONDS = Histogram(
    "breeze_buddy_agent_warmup_seconds",
    "From the start of an agent process to Ready.",
    ["method"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)
TURN_SECONDS = Histogram(
    "breeze_buddy_loop_turn_seconds",
    "How long a turn of the supervisor's loop took, the waiting not included.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)
LOOP_AGE = Gauge("breeze_buddy_loop_age_seconds", "Seconds since the last turn of the supervisor's loop.")
LATE = Counter("breeze_buddy_loop_late", "Turns that were so late that the supervisor reset all deadlines.")
FAILURES = Counter("breeze_buddy_failures", "What failed and is tried again after a pause.", ["of"])
for of in ("daily", "agents", "zygote", "task"):  # shown as 0 from the start, so that the first one is an increase
    FAILURES.labels(of)
