"""How often a stock of a given size runs out, and how large it must be so that it seldom does. Pure.

A pool replaces each item as it is taken, and what is missing is made on demand, beside the stock. That is a one-for-one
inventory with lost sales, which W. Karush ("A Queuing Model for an Inventory Problem", Operations Research 5, 1957)
showed to be Erlang's loss system: items that are being replaced are the busy servers, and the share of callers that
find no stock is Erlang's B (A. K. Erlang, 1917) of the size and of the load = arrivals per second x seconds to replace.
Only the mean of these seconds matters, not how they vary.

Callers who come in bursts find less than Poisson's would. How much burstier they are is their peakedness z: variance by
mean of the arrivals within one time to replace (1: Poisson). Hayward's approximation (A. A. Fredericks, "Congestion in
Blocking Systems - A Simple Approximation Technique", Bell System Technical Journal 59, 1980) takes size and load by z.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from math import exp, log

LARGEST = 10_000


def erlang_b(servers: int, load: float) -> float:
    """Share of callers that find all servers busy; by the recursion in 1/B, which neither overflows nor cancels."""
    if load <= 0:
        return 0.0 if servers else 1.0
    inverse = 1.0
    for number in range(1, servers + 1):
        inverse = 1.0 + inverse * number / load
        if inverse > 1e300:
            return 0.0
    return 1.0 / inverse


def miss_rate(size: int, load: float, peakedness: float = 1.0) -> float:
    """Share of callers that find no stock. Between whole numbers of servers: geometric interpolation."""
    if load <= 0:
        return 0.0
    servers, load = size / max(1.0, peakedness), load / max(1.0, peakedness)
    low = int(servers)
    below, above = erlang_b(low, load), erlang_b(low + 1, load)
    if above <= 0.0 or below <= 0.0:
        return below if servers == low else above
    return exp(log(below) + (servers - low) * (log(above) - log(below)))


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
