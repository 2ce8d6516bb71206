"""Decides which templates' leads are dialled now, from counts and from waits in seconds. Pure.

Web callers go first: a phone is dialled only with a warm pair, never while a session waits for a process, and some
pairs and process slots are always left to web callers. Templates take turns: the one with the fewest running calls is
next.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Queue:
    """The leads of one template that wait to be dialled.

    `due`: how many of them are due, counted only as far as can be dialled at once; `due_in`: seconds until the first
    one is due, 0 or less if it is; `opens_in`: seconds until the calling window opens, 0 while it is open; `running`:
    calls under way; `limit`: how many calls are allowed at a time.
    """

    template: int
    due: int
    due_in: float
    opens_in: float = 0.0
    running: int = 0
    limit: int | None = None

    @property
    def places(self) -> float:
        return inf if self.limit is None else self.limit - self.running


@dataclass(frozen=True)
class Capacity:
    """What all pods that take sessions have together.

    `pairs`: ready rooms or ready processes, whichever are fewer; `slots`: how many more processes may be in calls;
    `waiting`: sessions without a process; `undialled`: pairs taken for leads that are not dialled yet.
    """

    pods: int
    pairs: int
    slots: int
    waiting: int = 0
    undialled: int = 0


@dataclass(frozen=True)
class Reserve:
    """What each pod leaves to web callers."""

    pairs: int
    slots: int


@dataclass(frozen=True)
class Plan:
    """`turns`: template ids, one for each call to begin now. `wait`: seconds until another may begin by time alone."""

    turns: list[int]
    wait: float


def spare(capacity: Capacity, reserve: Reserve, at_once: int) -> int:
    """Return how many pairs may be taken for telephony leads now. `at_once`: how many may wait for their dials."""
    if capacity.waiting:
        return 0
    return max(
        0,
        min(
            capacity.pairs - reserve.pairs * capacity.pods,
            capacity.slots - reserve.slots * capacity.pods,
            at_once - capacity.undialled,
        ),
    )


def plan(queues: Sequence[Queue], capacity: Capacity, reserve: Reserve, at_once: int) -> Plan:
    """Decide for which templates calls begin now, the one with the fewest running calls first."""
    left = spare(capacity, reserve, at_once)
    ready = {queue.template: queue for queue in queues if queue.due and not queue.opens_in and queue.places > 0}
    heap = [(queue.running, queue.due_in, queue.template, 0) for queue in ready.values()]
    heapq.heapify(heap)
    turns: list[int] = []
    while heap and len(turns) < left:
        running, due_in, template, given = heapq.heappop(heap)
        turns.append(template)
        queue, given = ready[template], given + 1
        if given < min(queue.due, queue.places):
            heapq.heappush(heap, (running + 1, due_in, template, given))
    return Plan(turns, min((wait_for(queue) for queue in queues), default=inf))


def wait_for(queue: Queue) -> float:
    """Return the seconds until a queue's first call may begin; infinite if only an event can start it (the end of a
    call, a new pair, Daily's answer to a dial)."""
    wait = max(queue.due_in, queue.opens_in)
    return wait if wait > 0 else inf
