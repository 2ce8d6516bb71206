"""Turns a start that is not possible into an HTTP error, and counts it. For sessions with and without a lead."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import Conflict, Unavailable
from pools.metrics.claims import count_refused
from pools.sessions.claims import PoolExhausted
from pools.sessions.start import IdempotencyConflict

events = logging.getLogger("pools.events")


@contextmanager
def answered() -> Iterator[None]:
    """Context: raises 409 for an idempotency key of another request, 503 with Retry-After for a lack of capacity."""
    try:
        yield
    except IdempotencyConflict as error:
        raise Conflict(str(error)) from None
    except PoolExhausted as error:
        count_refused(error.reason)
        trouble = f" trouble={error.trouble!r}" if error.trouble else ""
        events.warning("event=connect_refused reason=%r retry_after=%d%s", error.reason, error.retry_after, trouble)
        raise Unavailable(error.reason, error.retry_after) from None
