"""How often a stock of a given size runs out, and how large it must be so that it seldom does. Pure.

Each item is replaced as it is taken, and who finds none takes the next one that gets ready: a one-for-one inventory,
(S-1, S). How many replacements are under way at a moment is then Poisson's, whose mean is the load = arrivals a second
x seconds to replace, however these seconds vary (C. Palm, "Analysis of the Erlang traffic formulae for busy-signal
arrangements", Ericsson Technics 4, 1938; for inventories G. J. Feeney and C. C. Sherbrooke, "The (S-1, S) Inventory
Policy under Compound Poisson Demand", Management Science 12, 1966). A caller finds no stock when S or more are under
way. So it is for agent processes; a missing room is made beside the stock, which misses less (Erlang's loss formula):
the same size is on the safe side there.

Callers who come in bursts find less than Poisson's would. How much burstier they are is their peakedness z: variance by
mean of the arrivals within one time to replace (1: Poisson). As in Hayward's approximation (A. A. Fredericks,
"Congestion in Blocking Systems - A Simple Approximation Technique", Bell System Technical Journal 59, 1980), size and
load are taken by z.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from math import exp, lgamma, log

LARGEST = 10_000


def poisson_tail(number: int, load: float) -> float:
    """How probable `number` or more under way are; the small ones are summed up, so that they keep their digits."""
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
    """Share of callers that find no stock. Between whole numbers: geometric interpolation."""
    if load <= 0:
        return 0.0
    items, load = size / max(1.0, peakedness), load / max(1.0, peakedness)
    low = int(items)
    below, above = poisson_tail(low, load), poisson_tail(low + 1, load)
    if above <= 0.0:
        return below if items == low else 0.0
    return exp(log(below) + (items - low) * (log(above) - log(below)))


def size_for(load: float, peakedness: float = 1.0, *, misses: float) -> int:
    """The smallest size at which at most this share of callers finds no stock."""
    if load <= 0:
        return 0
    return bisect_left(range(LARGEST), -misses, key=lambda size: -miss_rate(size, load, peakedness))


def peakedness(arrivals: Sequence[float], width: float, span: float) -> float:
    """Variance by mean of the numbers of arrivals in slices of `width` seconds of a time of `span` seconds, at least 1:
    callers who come more evenly than Poisson's are no reason to keep less.

    Slices begin wherever one may, so of two grids half a slice apart the worse counts: a burst is not cut in two.
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
