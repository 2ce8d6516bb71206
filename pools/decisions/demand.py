"""How much stock the whole fleet should have for the callers that come: grows at once, shrinks slowly. Pure.

The size follows from the arrivals of the last ten minutes: their rate (the highest of three horizons, so that a rise is
seen at once), how much they come in bursts, and the time that a replacement takes. It is the smallest size at which few
enough callers find an empty pool.

The model. Each item is replaced when it is taken, and a caller who finds none gets the next one that becomes ready: a
one-for-one inventory, (S-1, S). The number of replacements under way then has a Poisson distribution whose mean is the
load = arrivals a second x seconds to replace, however these seconds vary (C. Palm, "Analysis of the Erlang traffic
formulae for busy-signal arrangements", Ericsson Technics 4, 1938; for inventories G. J. Feeney and C. C. Sherbrooke,
"The (S-1, S) Inventory Policy under Compound Poisson Demand", Management Science 12, 1966). A caller finds no stock
when S or more replacements are under way. This holds for agent processes. A missing room is made outside the pool,
so fewer callers miss one (Erlang's loss formula); the same size is safe there.

Callers in bursts find less than Poisson's would. The measure is their peakedness z: variance by mean of the number of
arrivals within one time to replace (1: Poisson). As in Hayward's approximation (A. A. Fredericks, "Congestion in
Blocking Systems - A Simple Approximation Technique", Bell System Technical Journal 59, 1980), size and load are divided
by z.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, lgamma, log

MEMORY_S = 600.0  # arrivals are remembered for so long,
MOST = 2000  # the latest of them: enough to know, cheap to count
HORIZONS_S = (10.0, 60.0, 600.0)
HOLD_S = 60.0  # after demand has sunk, the stock stays for so long ...
SHRINK_EVERY_S = 10.0  # ... then a tenth of it goes, again and again
RECKON_S = 5.0
REACTION_S = 0.05  # from a claim until its replacement is begun: the hand-off comes first
LONGEST_REPLACE_S = 30.0  # while Daily is down no stock helps: do not learn from it
LEARNING = 0.1  # weight of the latest measurement
LARGEST = 10_000


def poisson_tail(number: int, load: float) -> float:
    """Probability that `number` or more replacements are under way. Small ones keep their precision."""
    if number <= 0:
        return 1.0
    if number <= load:
        return 1.0 - sum(exp(_log_poisson(count, load)) for count in range(number))
    term = exp(_log_poisson(number, load))
    total, count = term, number
    while term > total * 1e-17 and term > 0.0:
        count += 1
        term *= load / count
        total += term
    return total


def _log_poisson(count: int, load: float) -> float:
    return count * log(load) - load - lgamma(count + 1)


def miss_rate(size: int, load: float, peakedness: float = 1.0) -> float:
    """Share of callers that find no stock of this size. Interpolated geometrically between whole numbers."""
    if load <= 0:
        return 0.0
    items, load = size / max(1.0, peakedness), load / max(1.0, peakedness)
    low = int(items)
    below, above = poisson_tail(low, load), poisson_tail(low + 1, load)
    if above <= 0.0:
        return below if items == low else 0.0
    return exp(log(below) + (items - low) * (log(above) - log(below)))


def size_for(load: float, peakedness: float = 1.0, *, misses: float) -> int:
    """The smallest size at which at most the share `misses` of callers finds no stock."""
    if load <= 0:
        return 0
    return bisect_left(range(LARGEST), -misses, key=lambda size: -miss_rate(size, load, peakedness))


def peakedness(arrivals: Sequence[float], width: float, span: float) -> float:
    """How much burstier than Poisson's the arrivals are: variance by mean of their number in slices of `width` seconds.

    `span` is the length of the whole time in seconds. The result is at least 1: callers who come more evenly than
    Poisson's are no reason to keep less. Of two grids half a slice apart the larger result counts, so that no burst is
    cut in two.
    """
    slices = max(1.0, span / width)
    if not arrivals or slices < 2:
        return 1.0
    mean = len(arrivals) / slices
    squares = max(_squares(arrivals, width, shift) for shift in (0.0, width / 2))
    variance = squares / slices - mean * mean
    return max(1.0, variance / mean)


def _squares(arrivals: Sequence[float], width: float, shift: float) -> float:
    counts = Counter(int((moment + shift) // width) for moment in arrivals)
    return float(sum(count * count for count in counts.values()))


def misses_of_each(hit_rate: float) -> float:
    """Share of callers that may find one pool empty: half of the misses, because either empty pool is a miss."""
    return (1 - hit_rate) / 2


@dataclass(frozen=True)
class TimeToReplace:
    """Moving average of the seconds from a claim until the item that it took is replaced."""

    seconds: float

    def learned(self, making: float) -> "TimeToReplace":
        """With one more measurement. `making`: seconds from the row of the item until it was ready."""
        seconds = min(making, LONGEST_REPLACE_S) + REACTION_S
        return TimeToReplace(self.seconds + LEARNING * (seconds - self.seconds))


def wanted(arrivals: Sequence[float], now: float, *, replace: float, misses: float) -> int:
    """The stock that the whole fleet should have now.

    `arrivals`: their moments in order, on the clock of `now`; `replace`: seconds to replace an item; `misses`: share of
    callers that may find the pool empty.
    """
    recent = arrivals[bisect_left(arrivals, now - MEMORY_S) :][-MOST:]
    if not recent:
        return 0
    rate = max((len(recent) - bisect_left(recent, now - horizon)) / horizon for horizon in HORIZONS_S)
    span = MEMORY_S if len(recent) < MOST else max(now - recent[0], 2 * replace)
    bursts = peakedness(recent, replace, span)
    return size_for(rate * replace, bursts, misses=misses)


@dataclass(frozen=True)
class Demand:
    """The size that a pool follows, and until when it keeps that size although less is wanted."""

    size: int = 0
    held_until: float = 0.0

    def follow(self, wanted: int, now: float) -> "Demand":
        if wanted >= self.size:
            return Demand(wanted, now + HOLD_S)
        if now < self.held_until:
            return self
        return Demand(max(wanted, self.size - max(1, self.size // 10)), now + SHRINK_EVERY_S)


class Follower:
    """Follows the demand for one pool; used by each pod and by the simulation.

    `misses`: share of callers that may find the pool empty. The wanted size is computed again after each new arrival,
    and otherwise every `RECKON_S` seconds.
    """

    def __init__(self, misses: float) -> None:
        self._misses = misses
        self._demand = Demand()
        self._wanted = 0
        self._latest = -inf
        self._due = -inf

    @property
    def size(self) -> int:
        return self._demand.size

    def look(self, arrivals: Sequence[float], now: float, *, replace: float, most: int = LARGEST) -> None:
        latest = arrivals[-1] if arrivals else -inf
        if latest != self._latest or now >= self._due:
            self._latest, self._due = latest, now + RECKON_S
            self._wanted = min(most, wanted(arrivals, now, replace=replace, misses=self._misses))
        self._demand = self._demand.follow(self._wanted, now)


def affordable_rooms(*, life: float, calls: int, calls_a_second: float) -> int:
    """How many rooms the whole fleet may keep, so that replacing old ones takes at most a tenth of Daily's limit.

    Each room is replaced every `life` seconds, which costs `calls` calls; Daily allows `calls_a_second`.
    """
    return int(0.1 * calls_a_second * life / max(1, calls))


def affordable_agents(*, idle: int, headroom: int, total: int, each: int) -> int:
    """How many idle processes fit into memory if a tenth of it stays free.

    `idle`: how many there are now; `headroom`: free bytes; `total`: bytes of memory; `each`: private bytes of one
    process.
    """
    return max(0, idle + (headroom - total // 10) // max(1, each))
