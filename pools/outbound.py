"""What the supervisor's loop asks of whoever makes calls that begin here (telephones, not web callers).

`pools` knows no leads: `runpools` hands the supervisor the one that does.
"""

from typing import Protocol

from pools.daily_calls import DailyCalls
from pools.models import Pod


class Outbound(Protocol):
    """`calls`: its own calls to Daily, so that a slow dial delays no room; `due`: when it has to be asked again."""

    calls: DailyCalls

    @property
    def due(self) -> float: ...

    def turn(self, pod: Pod, now: float, *, woken: bool, draining: bool) -> None:
        """One small, repeatable step. `woken`: something has changed; `draining`: begin no more."""

    def close(self) -> None: ...
