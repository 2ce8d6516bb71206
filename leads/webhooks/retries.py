"""When to try again: pure decisions. Exponential with full jitter; for how long says the row."""

BASE_S = 10.0
CEILING_S = 3600.0
LEAST_S = 1.0
GONE = 410  # the receiver's own word for "never again"


def delay(attempts: int, draw: float, retry_after: float | None = None) -> float:
    """Seconds until the next try after `attempts` failed ones. `draw`: a random number from 0 to 1; `retry_after`:
    what the receiver has asked for, which is heeded up to the ceiling."""
    ceiling = min(CEILING_S, BASE_S * 2.0 ** min(attempts - 1, 20))
    return max(LEAST_S, draw * ceiling, min(retry_after or 0.0, CEILING_S))


def is_success(status: int | None) -> bool:
    return status is not None and 200 <= status < 300
