"""What each pod keeps in stock: from its configured size, its cap, operators' orders and the demand. Pure.

In this order, each within what a pod can hold: the configured size, or the size that has been ordered last; the fleet's
demand, levelled over the pods that may follow it; reservations, levelled over all. A pool that is paused makes nothing.
Every pod reckons for the whole fleet and takes its own part, so that the parts add up without anybody handing them out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

CONFIGURED = "configured"  # why a target is what it is, where nobody asked for anything else
EARLY_S = 30.0  # a reservation begins so much before its time, whatever it holds


class Pool(StrEnum):
    AGENTS = "agents"
    ROOMS = "rooms"


class Action(StrEnum):
    PAUSE = "pause"
    SIZE = "size"
    RESERVE = "reserve"


@dataclass(frozen=True)
class Order:
    """`number`: the larger, the later. `pool`: None where both are meant. `pod`: "" for all. Times are seconds from
    now."""

    number: int
    action: Action
    pool: Pool | None = None
    pod: str = ""
    size: int = 0
    starts_in: float = 0.0
    ends_in: float = inf
    words: str = ""

    def concerns(self, pool: Pool, pod: str) -> bool:
        return self.pool in (None, pool) and self.pod in ("", pod)

    def in_force(self, early: float = 0.0) -> bool:
        return self.starts_in <= early and self.ends_in > 0


@dataclass(frozen=True)
class Place:
    """A pod that can hold stock of one pool. `capacity`: its cap, less where free process slots are fewer;
    `comfortable`: what its memory is enough for, which bounds what follows from demand, not what is ordered."""

    pod: str
    size: int
    capacity: int
    comfortable: int | None = None

    @property
    def capacity_for_demand(self) -> int:
        return self.capacity if self.comfortable is None else min(self.capacity, self.comfortable)


@dataclass(frozen=True)
class Target:
    size: int
    why: str
    paused: bool = False


def targets(
    pool: Pool, places: Sequence[Place], orders: Iterable[Order], *, demand: int = 0, early: float = EARLY_S
) -> dict[str, Target]:
    """By pod. `demand`: what the whole fleet should keep; `early`: seconds in which a reservation can be warm."""
    orders = sorted(orders, key=lambda order: order.number)
    places = sorted(places, key=lambda place: place.pod)
    paused = {place.pod: order for place in places if (order := _latest(Action.PAUSE, orders, pool, place.pod))}
    working = [place for place in places if place.pod not in paused]
    result = {pod: Target(0, f"paused {order.words}".strip(), paused=True) for pod, order in paused.items()}
    result |= {place.pod: _own(place, _latest(Action.SIZE, orders, pool, place.pod)) for place in working}
    followers = [place for place in working if _latest(Action.SIZE, orders, pool, place.pod) is None]
    others = sum(result[place.pod].size for place in working) - sum(result[place.pod].size for place in followers)
    limits = [place.capacity_for_demand for place in followers]
    _level(result, followers, limits, demand - others, f"demand: {demand} in all")
    reserved = [order for order in orders if order.action is Action.RESERVE and order.in_force(early)]
    total = most_reserved([(order.starts_in, order.ends_in, order.size) for order in reserved], 0.0, early)
    words = "; ".join(order.words for order in reserved if order.words)
    limits = [place.capacity for place in working]
    _level(result, working, limits, total, f"reserved: {total} in all {words}".strip())
    return result


def missing(total: int, targets: Mapping[str, Target]) -> int:
    """By how many all pods together are short of what they should hold."""
    return max(0, total - sum(target.size for target in targets.values()))


def _latest(action: Action, orders: Sequence[Order], pool: Pool, pod: str) -> Order | None:
    matching = [order for order in orders if order.action is action and order.in_force() and order.concerns(pool, pod)]
    return matching[-1] if matching else None


def _own(place: Place, ordered: Order | None) -> Target:
    size, why = (ordered.size, f"ordered {ordered.words}".strip()) if ordered else (place.size, CONFIGURED)
    if size <= place.capacity:
        return Target(size, why)
    return Target(place.capacity, f"{why}: {size}, but only {place.capacity} can be held")


def _level(result: dict[str, Target], places: Sequence[Place], limits: Sequence[int], total: int, why: str) -> None:
    """Raise the targets of these pods until they add up to the total, as far as their limits allow."""
    sizes = spread(total, [result[place.pod].size for place in places], limits)
    for place, size in zip(places, sizes, strict=True):
        if size > result[place.pod].size:
            result[place.pod] = Target(size, why)


def spread(total: int, floors: Sequence[int], caps: Sequence[int]) -> list[int]:
    """Numbers that add up to `total`, none below its floor or above its cap, as level as that allows: the lowest are
    raised first, the earlier of two equals before the later. Less if the caps hold less, more if the floors are more.
    """
    low, high = 0, max(caps, default=0)
    while low < high:  # the highest level that does not need more than there is
        level = (low + high + 1) // 2
        if sum(_filled(level, floors, caps)) <= total:
            low = level
        else:
            high = level - 1
    sizes = _filled(low, floors, caps)
    left = total - sum(sizes)
    for index, size in enumerate(sizes):
        if left > 0 and size == low and size < caps[index]:
            sizes[index], left = size + 1, left - 1
    return sizes


def _filled(level: int, floors: Sequence[int], caps: Sequence[int]) -> list[int]:
    return [max(floor, min(level, cap)) for floor, cap in zip(floors, caps, strict=True)]


def most_reserved(reservations: Iterable[tuple[float, float, int]], start: float, end: float) -> int:
    """The largest sum of sizes that are reserved at one time between start and end; each is (start, end, size)."""
    overlapping = [(begin, finish, size) for begin, finish, size in reservations if begin <= end and finish > start]
    moments = [max(begin, start) for begin, _, _ in overlapping]  # it can only grow where one begins
    sums = (sum(size for begin, finish, size in overlapping if begin <= at < finish) for at in moments)
    return max(sums, default=0)
