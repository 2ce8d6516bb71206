"""The sandbox's own clock, for rooms, tokens, rate limits and stays. Latency uses real time."""

import time
from collections.abc import Callable


class Clock:
    """Unix seconds of `source` plus an offset that the control endpoint moves."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self.offset = 0.0

    def now(self) -> float:
        return self._source() + self.offset
