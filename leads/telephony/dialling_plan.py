"""Whose telephone is to be dialled now: pure decisions of counts and of waits in seconds.

Web callers go first. A telephone is dialled with a warm pair or not at all, never while a session waits for a process,
and some pairs and some process slots are left to web callers whatever telephone calls there are to be made. Templates
take turns: the one with the fewest calls under way is next.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Queue:
    """The leads of one template that wait for their calls.

    `due`: how many of them are due (perhaps more, beyond what can be dialled at once); `due_in`: seconds until the
    first is, 0 or less if some are; `opens_in`: seconds until the calling window opens, 0 while it is open; `running`:
    calls under way; `limit`: how many there may be.
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
class Stock:
    """What all pods that take sessions have together.

    `pairs`: warm rooms and processes, whichever are fewer; `slots`: processes that may still be in calls at once;
    `waiting`: sessions without a process; `undialled`: pairs that have been taken for telephones not yet dialled.
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
    """`turns`: templates, one for each call to begin now. `wait`: seconds until time alone lets another begin."""

    turns: list[int]
    wait: float


def spare(stock: Stock, reserve: Reserve, at_once: int) -> int:
    """How many pairs may be taken for telephones now. `at_once`: how many may be taken ahead of their dials."""
    if stock.waiting:
        return 0
    return max(
        0,
        min(
            stock.pairs - reserve.pairs * stock.pods,
            stock.slots - reserve.slots * stock.pods,
            at_once - stock.undialled,
        ),
    )


def plan(queues: Sequence[Queue], stock: Stock, reserve: Reserve, at_once: int) -> Plan:
    left = spare(stock, reserve, at_once)
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
    """What is due and may be called waits for something else to happen: a call's end, new stock, a dial's turn."""
    wait = max(queue.due_in, queue.opens_in)
    return wait if wait > 0 else inf
