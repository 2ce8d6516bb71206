"""Waiting in tests: for a condition, with a deadline, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], deadline: float = 10.0, step: float = 0.01) -> T:
    """Return the first true value of `condition()`; fail after `deadline` seconds. It is asked every `step` seconds, or
    less often if the answer takes long: what is waited for needs the processor too."""
    until = time.monotonic() + deadline
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        answered = time.monotonic()
        if answered > until:
            raise AssertionError(f"not so within {deadline:g} s: {getattr(condition, '__name__', condition)}")
        time.sleep(max(step, 2 * (answered - asked)))
