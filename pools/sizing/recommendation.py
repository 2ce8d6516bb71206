"""Which sizes reach a goal, and what the next nine costs. Pure.

A goal is a share of sessions that start within a time. A start from stock takes the warm time; one that finds the pool
of processes or of rooms empty takes so much more. Where even a miss is quick enough, one of the kind
is kept all the same: an empty pool does not show that it works.
"""

from dataclasses import dataclass
from math import ceil

from pools.decisions.demand import REACTION_S, miss_rate, size_for

DAY_S = 86_400.0
BATCH = 100  # rooms are deleted so many at a time
OVERHEAD_CALLS_A_DAY = 6 * 60 * 24 / 5 + DAY_S / 40  # reconciling and keeping the connection open


@dataclass(frozen=True)
class Conditions:
    """What is known of callers and machines; seconds, bytes. `..._peakedness`: of the arrivals within the time that it
    takes to replace one of the kind."""

    rate: float
    agent_making: float = 0.06
    room_making: float = 0.25
    agent_peakedness: float = 1.0
    room_peakedness: float = 1.0
    warm_start: float = 0.02
    agent_bytes: float = 3.5e6
    room_pool_life: float = 3600.0
    room_calls: int = 2

    @property
    def agent_load(self) -> float:
        return self.rate * (self.agent_making + REACTION_S)

    @property
    def room_load(self) -> float:
        return self.rate * (self.room_making + REACTION_S)


@dataclass(frozen=True)
class Goal:
    """So large a share of sessions starts within so many seconds; None: as a warm start does."""

    share: float
    within: float | None = None


class OutOfReach(Exception):
    """No stock is large enough for it; the message says why."""


@dataclass(frozen=True)
class Sizes:
    """Of the whole fleet, and what they cost."""

    agents: int
    rooms: int
    hit_rate: float  # share of sessions that find both in stock
    agent_bytes: float
    room_minutes_a_day: float
    daily_calls_a_day: float


def recommend(goal: Goal, conditions: Conditions) -> Sizes:
    """The smallest sizes for the goal. Raises OutOfReach."""
    within = conditions.warm_start if goal.within is None else goal.within
    if within < conditions.warm_start:
        raise OutOfReach(
            f"even a start from stock takes {conditions.warm_start * 1000:.0f} ms: "
            f"no pool makes it {within * 1000:.0f} ms"
        )
    late_without_agent = conditions.warm_start + conditions.agent_making > within
    late_without_room = conditions.warm_start + conditions.room_making > within
    misses = (1 - goal.share) / max(1, late_without_agent + late_without_room)
    agents = size_for(conditions.agent_load, conditions.agent_peakedness, misses=misses)
    rooms = size_for(conditions.room_load, conditions.room_peakedness, misses=misses)
    return cost(agents if late_without_agent else 1, rooms if late_without_room else 1, conditions)


def cost(agents: int, rooms: int, conditions: Conditions) -> Sizes:
    """What given sizes do and cost: rooms in stock are made anew when they get old, each session's room once."""
    misses = [
        miss_rate(agents, conditions.agent_load, conditions.agent_peakedness),
        miss_rate(rooms, conditions.room_load, conditions.room_peakedness),
    ]
    rooms_a_day = conditions.rate * DAY_S + rooms * DAY_S / conditions.room_pool_life
    return Sizes(
        agents=agents,
        rooms=rooms,
        hit_rate=(1 - misses[0]) * (1 - misses[1]),
        agent_bytes=agents * conditions.agent_bytes,
        room_minutes_a_day=rooms * DAY_S / 60,
        daily_calls_a_day=rooms_a_day * (conditions.room_calls - 1 + 1 / BATCH) + OVERHEAD_CALLS_A_DAY,
    )


def per_pod(total: int, pods: int) -> int:
    return ceil(total / max(1, pods))
