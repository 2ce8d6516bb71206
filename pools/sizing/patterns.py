"""Arrivals to try the pools with: Poisson, bursts, campaigns. Seconds from 0, in order, the same for a seed."""

import random
from collections.abc import Callable, Iterator


def poisson(rate: float, seconds: float, seed: int = 1) -> list[float]:
    """Independent callers, `rate` a second."""
    return list(_poisson(random.Random(seed), rate, 0.0, seconds))  # noqa: S311


def bursts(rate: float, seconds: float, seed: int = 1, *, size: int = 20, within: float = 0.2) -> list[float]:
    """Groups of `size` callers within a moment, at moments of their own; `rate` a second in all."""
    chance = random.Random(seed)  # noqa: S311
    starts = _poisson(chance, rate / size, 0.0, max(0.0, seconds - within))
    return sorted(start + chance.random() * within for start in starts for _ in range(size))


def campaigns(
    rate: float, seconds: float, seed: int = 1, *, every: float = 1800.0, lasts: float = 300.0, size: int = 12
) -> list[float]:
    """A tenth of the callers come evenly; the others while a campaign runs, in groups of `size` as it dials them."""
    chance = random.Random(seed)  # noqa: S311
    moments = list(_poisson(chance, 0.1 * rate, 0.0, seconds))
    busy_rate = 0.9 * rate * every / lasts
    begin = every / 3
    while begin < seconds:
        for start in _poisson(chance, busy_rate / size, begin, min(begin + lasts, seconds)):
            moments += [start + chance.random() * 0.3 for _ in range(size)]
        begin += every
    return sorted(moment for moment in moments if moment < seconds)


PATTERNS: dict[str, Callable[[float, float, int], list[float]]] = {
    "poisson": poisson,
    "bursts": bursts,
    "campaigns": campaigns,
}


def _poisson(chance: random.Random, rate: float, begin: float, end: float) -> Iterator[float]:
    moment = begin
    while rate > 0 and (moment := moment + chance.expovariate(rate)) < end:
        yield moment
