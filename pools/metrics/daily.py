"""Calls to Daily, counted by every process that makes them."""

from prometheus_client import Counter, Histogram

CALLS = Counter(
    "breeze_buddy_daily_calls",
    "Calls to Daily by endpoint and HTTP status; `none`: no answer.",
    ["route", "status"],
)
SECONDS = Histogram(
    "breeze_buddy_daily_call_seconds",
    "How long Daily took to answer.",
    ["route"],
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 10.0),
)


def count_call(route: str, status: int | None, seconds: float) -> None:
    """`route` is the pattern of an endpoint, never an address."""
    CALLS.labels(route, status or "none").inc()
    if status is not None:
        SECONDS.labels(route).observe(seconds)


LIMITED_ROUTES = (
    "GET /",
    "POST /rooms",
    "POST /batch/rooms",
    "DELETE /rooms/:name",
    "DELETE /batch/rooms",
    "GET /rooms",
    "GET /presence",
    "POST /meeting-tokens",
)
for limited in LIMITED_ROUTES:  # there as 0 from the beginning: the first 429 must be a rise
    CALLS.labels(limited, "429")
