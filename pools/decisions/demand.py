"""How much stock the fleet should have for the callers that come: grows at once, shrinks slowly. Pure.

From the arrivals of the last ten minutes: how many a second (the busiest of three horizons, so that a rise is seen at
once), how much in bursts, and from how long it takes to replace what they take, the size at which so few of them would
find nothing (formula and sources: pools/decisions/formula.py).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from pools.decisions import formula

MEMORY_S = 600.0  # arrivals are remembered for so long,
MOST = 2000  # the latest of them: enough to know, cheap to count
HORIZONS_S = (10.0, 60.0, 600.0)
HOLD_S = 60.0  # after demand has sunk, the stock stays for so long ...
SHRINK_EVERY_S = 10.0  # ... then a tenth of it goes, again and again
RECKON_S = 5.0
REACTION_S = 0.05  # from a claim until its replacement is begun: the hand-off comes first
LONGEST_REPLACE_S = 30.0  # while Daily is down no stock helps: do not learn from it
LEARNING = 0.1  # weight of the latest measurement


def misses_of_each(hit_rate: float) -> float:
    """A session misses if either pool is empty: each may be so for half of those that may miss."""
    return (1 - hit_rate) / 2


@dataclass(frozen=True)
class TimeToReplace:
    """Seconds from a claim until what it took is there again: the mean, the last ones weighing most."""

    seconds: float

    def learned(self, making: float) -> "TimeToReplace":
        """`making`: how long the latest took, from its row to its readiness."""
        seconds = min(making, LONGEST_REPLACE_S) + REACTION_S
        return TimeToReplace(self.seconds + LEARNING * (seconds - self.seconds))


def wanted(arrivals: Sequence[float], now: float, *, replace: float, misses: float) -> int:
    """Stock of the whole fleet. `arrivals`: their moments in order, on the clock of `now`; `replace`: seconds."""
    recent = arrivals[bisect_left(arrivals, now - MEMORY_S) :][-MOST:]
    if not recent:
        return 0
    rate = max((len(recent) - bisect_left(recent, now - horizon)) / horizon for horizon in HORIZONS_S)
    span = MEMORY_S if len(recent) < MOST else max(now - recent[0], 2 * replace)
    bursts = formula.peakedness(recent, replace, span)
    return formula.size_for(rate * replace, bursts, misses=misses)


@dataclass(frozen=True)
class Demand:
    """What is followed: `size` now, and until when it is held although less is wanted."""

    size: int = 0
    held_until: float = 0.0

    def follow(self, wanted: int, now: float) -> "Demand":
        if wanted >= self.size:
            return Demand(wanted, now + HOLD_S)
        if now < self.held_until:
            return self
        return Demand(max(wanted, self.size - max(1, self.size // 10)), now + SHRINK_EVERY_S)


class Follower:
    """The demand for one pool, followed: by a pod, or by a simulated one. `misses`: share of callers that may find the
    pool empty. What is wanted is reckoned anew when somebody has come, and otherwise now and then."""

    def __init__(self, misses: float) -> None:
        self._misses = misses
        self._demand = Demand()
        self._wanted = 0
        self._latest = -inf
        self._due = -inf

    @property
    def size(self) -> int:
        return self._demand.size

    def look(self, arrivals: Sequence[float], now: float, *, replace: float, most: int = formula.LARGEST) -> None:
        latest = arrivals[-1] if arrivals else -inf
        if latest != self._latest or now >= self._due:
            self._latest, self._due = latest, now + RECKON_S
            self._wanted = min(most, wanted(arrivals, now, replace=replace, misses=self._misses))
        self._demand = self._demand.follow(self._wanted, now)


def affordable_rooms(*, life: float, calls: int, calls_a_second: float) -> int:
    """How many rooms of the whole fleet may be kept: each is made anew every `life` seconds at so many calls, and that
    upkeep may take a tenth of what Daily allows, so that the rest is there for the sessions."""
    return int(0.1 * calls_a_second * life / max(1, calls))


def affordable_agents(*, idle: int, headroom: int, total: int, each: int) -> int:
    """How many idle processes the memory is enough for, a tenth of it kept free; bytes. `headroom`: what is free now,
    `each`: what one has for itself."""
    return max(0, idle + (headroom - total // 10) // max(1, each))
