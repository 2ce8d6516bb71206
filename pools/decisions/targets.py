"""Computes the targets: how many ready items each pod keeps in a pool. Pure.

A target is the configured size, or the size of the latest override. Then the demand of the fleet is spread over the
pods without such an override, and reservations over all pods; each within what a pod can hold. The target of a paused
pool is 0. Every pod computes the targets of the whole fleet and takes its own, so that they add up without a
coordinator.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

CONFIGURED = "configured"  # the reason of a target that nothing has changed
EARLY_S = 30.0  # seconds by which a reservation begins early, so that its pairs are warm in time


class Pool(StrEnum):
    AGENTS = "agents"
    ROOMS = "rooms"


class Action(StrEnum):
    PAUSE = "pause"
    SIZE = "size"
    RESERVE = "reserve"


@dataclass(frozen=True)
class Override:
    """What an operator has set for a pool, as the targets need it.

    `number` grows with time. `pool` is None for both pools, `pod` is "" for all pods. Times are seconds from now.
    """

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
    """A pod that can hold items of one pool.

    `capacity`: its cap, or fewer if it has fewer free process slots; `comfortable`: how many its memory is enough for.
    The latter limits what follows from demand, not what an operator has set.
    """

    pod: str
    size: int
    capacity: int
    comfortable: int | None = None

    @property
    def capacity_for_demand(self) -> int:
        return self.capacity if self.comfortable is None else min(self.capacity, self.comfortable)


@dataclass(frozen=True)
class Target:
    """How many ready items a pod keeps, and why."""

    size: int
    why: str
    paused: bool = False


def targets(
    pool: Pool, places: Sequence[Place], overrides: Iterable[Override], *, demand: int = 0, early: float = EARLY_S
) -> dict[str, Target]:
    """The target of each pod, by its name.

    `demand`: how many items the whole fleet should have; `early`: seconds by which reservations begin early.
    """
    overrides = sorted(overrides, key=lambda override: override.number)
    places = sorted(places, key=lambda place: place.pod)
    paused = {
        place.pod: override for place in places if (override := _latest(Action.PAUSE, overrides, pool, place.pod))
    }
    working = [place for place in places if place.pod not in paused]
    result = {pod: Target(0, f"paused {override.words}".strip(), paused=True) for pod, override in paused.items()}
    result |= {place.pod: _own(place, _latest(Action.SIZE, overrides, pool, place.pod)) for place in working}
    followers = [place for place in working if _latest(Action.SIZE, overrides, pool, place.pod) is None]
    others = sum(result[place.pod].size for place in working) - sum(result[place.pod].size for place in followers)
    limits = [place.capacity_for_demand for place in followers]
    _raise_evenly(result, followers, limits, demand - others, f"demand: {demand} in all")
    reserved = [override for override in overrides if override.action is Action.RESERVE and override.in_force(early)]
    total = most_reserved([(override.starts_in, override.ends_in, override.size) for override in reserved], 0.0, early)
    words = "; ".join(override.words for override in reserved if override.words)
    limits = [place.capacity for place in working]
    _raise_evenly(result, working, limits, total, f"reserved: {total} in all {words}".strip())
    return result


def missing(total: int, targets: Mapping[str, Target]) -> int:
    """How many items all targets together are short of `total`."""
    return max(0, total - sum(target.size for target in targets.values()))


def _latest(action: Action, overrides: Sequence[Override], pool: Pool, pod: str) -> Override | None:
    matching = [
        override
        for override in overrides
        if override.action is action and override.in_force() and override.concerns(pool, pod)
    ]
    return matching[-1] if matching else None


def _own(place: Place, ordered: Override | None) -> Target:
    size, why = (ordered.size, f"ordered {ordered.words}".strip()) if ordered else (place.size, CONFIGURED)
    if size <= place.capacity:
        return Target(size, why)
    return Target(place.capacity, f"{why}: {size}, but only {place.capacity} can be held")


def _raise_evenly(
    result: dict[str, Target], places: Sequence[Place], limits: Sequence[int], total: int, why: str
) -> None:
    """Raise the targets of these pods evenly until they add up to `total`, as far as their limits allow."""
    sizes = spread(total, [result[place.pod].size for place in places], limits)
    for place, size in zip(places, sizes, strict=True):
        if size > result[place.pod].size:
            result[place.pod] = Target(size, why)


def spread(total: int, floors: Sequence[int], caps: Sequence[int]) -> list[int]:
    """Spread `total` as evenly as possible, none below its floor or above its cap.

    The lowest are raised first, the earlier of two equals before the later. The sum is smaller than `total` if the caps
    are, and larger if the floors are.
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
