"""Metrics of claims and refusals, counted by the processes that serve HTTP."""

from prometheus_client import Counter, Histogram

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

CLAIM_SECONDS = Histogram(
    "breeze_buddy_claim_seconds",
    "Time in claim() by kind of start, without the time to make a room on demand.",
    ["kind"],
    buckets=FAST,
)
CONNECTS_REFUSED = Counter(
    "breeze_buddy_connects_refused",
    "Connects, with or without a lead, answered 503, by what could not be had.",
    ["reason"],
)
# Every reason of PoolExhausted. Each is shown as 0 from the start, so that its first occurrence is an increase.
REASONS = (
    "no agent process in stock",
    "no live pod takes sessions",
    "all pods are at their limit of processes",
    "no agent process starts at the moment",
    "the room made for this request was given up meanwhile",
    "no room in stock, and enough are being made on demand already",
    "no room in stock, and Daily does not make one now",
    "Daily's rate limit is used up",
    "no meeting token, and enough requests are waiting for Daily already",
    "no meeting token, and Daily does not make one now",
)
for reason in REASONS:
    CONNECTS_REFUSED.labels(reason)


def count_refused(reason: str) -> None:
    """Count a connect that was answered 503."""
    CONNECTS_REFUSED.labels(reason if reason in REASONS else "other").inc()
