"""How long a call takes: Daily's times as published measurements from India show them, scaled.

A call on a warm connection takes ~240 ms at the median (one round trip and the work) with a log-normal tail
that reaches ~400 ms at the 99th percentile. A new connection costs ~680 ms more (TCP and TLS: three round
trips), the same for all since it is the network's.
"""

import math
import random

CALL_MS = 240.0
CONNECT_MS = 680.0
P99_TO_MEDIAN = 400.0 / 240.0
_SIGMA = math.log(P99_TO_MEDIAN) / 2.3263  # the normal distribution's 99 % quantile
MAX_MS = 60_000.0


class Latency:
    """`call_ms` is the median; `connect_ms` follows it in proportion unless given."""

    def __init__(self, call_ms: float, connect_ms: float | None = None) -> None:
        self.set(call_ms, connect_ms)

    def set(self, call_ms: float, connect_ms: float | None = None) -> None:
        self.call_ms = call_ms
        self.connect_ms = call_ms * CONNECT_MS / CALL_MS if connect_ms is None else connect_ms

    def draw(self) -> float:
        """Return the seconds that the next call takes, without the set-up of its connection."""
        if not self.call_ms:
            return 0.0
        return random.lognormvariate(math.log(self.call_ms), _SIGMA) / 1000

    def connect(self) -> float:
        """Return the seconds that a new connection takes."""
        return self.connect_ms / 1000
