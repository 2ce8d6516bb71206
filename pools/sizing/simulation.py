"""Simulates pools under given arrivals with the decision code of production, one event at a time. Pure.

Targets, demand and planner are those of `pools.decisions`. Only the effects are simulated: how long a process takes to
get warm, a room to be made within Daily's budget, and a call to end. Nothing waits: an hour with a few thousand callers
is simulated in a second or two.
"""

import heapq
import itertools
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from pools.decisions import planner
from pools.decisions.demand import MOST, REACTION_S, Follower, TimeToReplace, misses_of_each
from pools.decisions.targets import EARLY_S, Override, Place, Pool, Target, targets

POLL_S = 1.0
DAILY_WINDOW_S = 5.0


@dataclass
class Start:
    """How one caller started: when, which of the two was in stock, and the seconds until the acknowledgement.

    `wait`: None if not acknowledged yet, or refused because no pod had a free slot.
    """

    at: float
    agent: bool
    room: bool
    wait: float | None
    refused: bool = False

    @property
    def warm(self) -> bool:
        return self.agent and self.room


@dataclass(frozen=True)
class Sample:
    """Stock, targets and calls of the fleet at one moment."""

    at: float
    agents: int
    agent_target: int
    rooms: int
    room_target: int
    busy: int


@dataclass
class Result:
    """What a simulation showed: all starts, samples of the fleet, and figures computed from them."""

    starts: list[Start]
    samples: list[Sample]
    most: dict[Pool, int]  # the largest stock of one pod, warming included
    rooms_made: int

    @property
    def served(self) -> list[Start]:
        """Starts that were not refused. Hit rates are shares of these."""
        return [start for start in self.starts if not start.refused]

    @property
    def refused(self) -> float:
        """Share of all callers that were refused."""
        return 1 - len(self.served) / len(self.starts) if self.starts else 0.0

    def share(self, which: Callable[[Start], bool]) -> float:
        """Share of the served callers."""
        served = self.served
        return sum(map(which, served)) / len(served) if served else float(not self.starts)

    @property
    def hit_rate(self) -> float:
        return self.share(lambda start: start.warm)

    def average(self, of: Callable[[Sample], int]) -> float:
        return sum(map(of, self.samples)) / max(1, len(self.samples))

    def waits(self) -> list[float]:
        return sorted(start.wait for start in self.starts if start.wait is not None)


@dataclass(frozen=True)
class World:
    """The simulated fleet of equal pods, and how long things take (seconds). Sizes are per pod."""

    pods: int = 1
    agent_size: int = 3
    agent_cap: int = 3
    room_size: int = 5
    room_cap: int = 5
    max_processes: int = 20
    hit_rate: float = 0.999
    agent_making: float = 0.06  # from the fork to Ready
    fork: float = 0.01  # the zygote forks one after the other
    agents_at_once: int = 32
    room_making: float = 0.25  # one call to Daily
    daily_calls: int = 67  # so many in five seconds for replenishing; and for what is on demand:
    daily_calls_on_demand: int = 90
    call_length: float = 120.0
    varies: float = 0.25  # how much the times vary: standard deviation by mean
    warm_start: float = 0.02  # from the connect to the acknowledged session, when both are in stock
    seed: int = 1


@dataclass
class Stock:
    """One pool of one pod: its items, its target, and what it has learned about demand."""

    target: int
    replace: TimeToReplace
    demand: Follower
    available: int = 0
    warming: int = 0


@dataclass
class Pod:
    name: str
    agents: Stock
    rooms: Stock
    busy: int = 0
    zygote_free_at: float = 0.0
    waiting: deque[Callable[[float], None]] = field(default_factory=deque)  # sessions, each bound to what is warming

    def of(self, pool: Pool) -> Stock:
        return self.agents if pool is Pool.AGENTS else self.rooms

    def free_slots(self, limit: int) -> int:
        return limit - self.busy - self.agents.available - self.agents.warming


class Simulation:
    """One run of a simulated fleet; call `run` once.

    `arrivals` and the times of `overrides` are seconds from the beginning.
    """

    def __init__(self, world: World, arrivals: Sequence[float], overrides: Iterable[Override] = ()) -> None:
        self._world = world
        self._arrivals = arrivals
        self._overrides = list(overrides)
        self._chance = random.Random(world.seed)  # noqa: S311
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = itertools.count()
        self._seen = 0
        self._daily: deque[float] = deque()
        self._result = Result([], [], dict.fromkeys(Pool, 0), 0)
        self.pods = [
            Pod(
                f"pod-{number:03}",
                self._stock(world.agent_size, world.agent_making),
                self._stock(world.room_size, world.room_making),
            )
            for number in range(world.pods)
        ]

    def run(self, seconds: float) -> Result:
        for arrival in self._arrivals:
            self._at(arrival, self._connect)
        self._at(0.0, self._poll)
        while self._events and self._events[0][0] <= seconds:
            now, _, event = heapq.heappop(self._events)
            event(now)
        return self._result

    def _stock(self, size: int, making: float) -> Stock:
        """A pool that is full at the beginning."""
        follower = Follower(misses_of_each(self._world.hit_rate))
        return Stock(size, TimeToReplace(making + REACTION_S), follower, available=size)

    def _at(self, moment: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._number), event))

    def _time(self, mean: float) -> float:
        """A random time with this mean: a gamma variate, never negative, as variable as the world says."""
        if mean <= 0 or not self._world.varies:
            return mean
        shape = 1 / self._world.varies**2
        return self._chance.gammavariate(shape, mean / shape)

    # --- a caller -----------------------------------------------------------------------------------------

    def _connect(self, now: float) -> None:
        self._seen += 1
        world = self._world
        pod = self._with_stock()
        start = Start(now, pod is not None, False, None)
        self._result.starts.append(start)
        pod = pod or self._with_source()
        if pod is None:
            start.refused = True
            return
        room = next((each for each in self._shuffled() if each.rooms.available), None)
        start.room = room is not None
        room_at = now
        if room:
            room.rooms.available -= 1
        else:
            room_at = self._asked(now, world.daily_calls_on_demand)
        pod.busy += 1
        if start.agent:
            pod.agents.available -= 1
            self._begin(pod, start, room_at)
        else:
            self._wait(pod, start, now, room_at)
        for each in {id(touched): touched for touched in (pod, room) if touched}.values():
            self._at(now + REACTION_S, lambda moment, each=each: self._level(each, moment))  # type: ignore[misc]

    def _wait(self, pod: Pod, start: Start, now: float, room_at: float) -> None:
        """Start when a process that is warming is ready (it then leaves the pool), else when one made on demand is."""
        (source,) = planner.sources_for_waiting(
            waiting=1, available=0, warming=pod.agents.warming, alive=0, max_processes=1
        )
        if source is planner.Source.WARMING:
            pod.agents.warming -= 1
            pod.waiting.append(lambda moment: self._begin(pod, start, max(moment, room_at)))
        else:
            self._at(self._forked(pod, now), lambda moment: self._begin(pod, start, max(moment, room_at)))

    def _begin(self, pod: Pod, start: Start, now: float) -> None:
        """Room and process are there: hand off now, and free the process after the call."""
        start.wait = now - start.at + self._world.warm_start
        self._at(now + self._time(self._world.call_length), lambda _: self._hang_up(pod))

    def _with_stock(self) -> Pod | None:
        """The pod with the most free slots of those with a process in stock, as the claim chooses it."""
        having = [pod for pod in self.pods if pod.agents.available]
        return max(
            having, key=lambda pod: (pod.free_slots(self._world.max_processes), self._chance.random()), default=None
        )

    def _with_source(self) -> Pod | None:
        """The pod for a caller who found no stock: one where a process is warming, else one with a free slot."""
        warming = [pod for pod in self.pods if pod.agents.warming]
        most = max(warming or self.pods, key=lambda pod: pod.free_slots(self._world.max_processes))
        return most if most.agents.warming or most.free_slots(self._world.max_processes) > 0 else None

    def _shuffled(self) -> list[Pod]:
        return sorted(self.pods, key=lambda pod: self._chance.random())

    @staticmethod
    def _hang_up(pod: Pod) -> None:
        pod.busy -= 1

    # --- a pod --------------------------------------------------------------------------------------------

    def _poll(self, now: float) -> None:
        for pod in self.pods:
            self._follow_demand(pod, now)
        self._aim(now)
        for pod in self.pods:
            self._level(pod, now)
        self._look(now)
        self._at(now + POLL_S, self._poll)

    def _follow_demand(self, pod: Pod, now: float) -> None:
        world = self._world
        caps = {Pool.AGENTS: (world.agent_size, world.agent_cap), Pool.ROOMS: (world.room_size, world.room_cap)}
        known = self._arrivals[max(0, self._seen - MOST) : self._seen]
        for pool, (size, cap) in caps.items():
            if size < cap:
                stock = pod.of(pool)
                stock.demand.look(known, now, replace=stock.replace.seconds)

    def _aim(self, now: float) -> None:
        """Set the targets. Each pod computes them for the whole fleet and takes its own."""
        overrides = [
            replace(override, starts_in=override.starts_in - now, ends_in=override.ends_in - now)
            for override in self._overrides
        ]
        for pool in Pool:
            places = [self._place(pool, pod) for pod in self.pods]
            reckoned: dict[int, dict[str, Target]] = {}
            for pod in self.pods:
                demand = pod.of(pool).demand.size
                if demand not in reckoned:
                    reckoned[demand] = targets(pool, places, overrides, demand=demand, early=EARLY_S)
                pod.of(pool).target = reckoned[demand][pod.name].size

    def _place(self, pool: Pool, pod: Pod) -> Place:
        world = self._world
        if pool is Pool.ROOMS:
            return Place(pod.name, world.room_size, world.room_cap)
        return Place(pod.name, world.agent_size, min(world.agent_cap, max(0, world.max_processes - pod.busy)))

    def _level(self, pod: Pod, now: float) -> None:
        agents, rooms, world = pod.agents, pod.rooms, self._world
        for stock in (agents, rooms):
            stock.available -= planner.surplus(target=stock.target, warming=stock.warming, available=stock.available)
        missing = planner.agents_to_start(
            target=agents.target,
            cap=world.agent_cap,
            warming=agents.warming,
            available=agents.available,
            alive=pod.busy + agents.available + agents.warming,
            max_processes=world.max_processes,
        )
        for _ in range(min(missing, world.agents_at_once - agents.warming)):
            agents.warming += 1
            self._at(self._forked(pod, now), self._made(pod, Pool.AGENTS, now))
        missing = planner.shortfall(
            target=rooms.target, cap=world.room_cap, warming=rooms.warming, available=rooms.available
        )
        for _ in range(missing):
            rooms.warming += 1
            self._at(self._asked(now, world.daily_calls), self._made(pod, Pool.ROOMS, now))
        for pool in Pool:
            stock = pod.of(pool)
            self._result.most[pool] = max(self._result.most[pool], stock.available + stock.warming)

    def _made(self, pod: Pod, pool: Pool, since: float) -> Callable[[float], None]:
        def made(now: float) -> None:
            stock = pod.of(pool)
            if pool is Pool.AGENTS and pod.waiting:
                pod.waiting.popleft()(now)
            else:
                stock.warming -= 1
                stock.available += 1
            stock.replace = stock.replace.learned(now - since)
            self._level(pod, now)

        return made

    def _forked(self, pod: Pod, now: float) -> float:
        """When a process that is asked for now is ready. The zygote forks one after the other."""
        pod.zygote_free_at = max(now, pod.zygote_free_at) + self._world.fork
        return pod.zygote_free_at + self._time(self._world.agent_making)

    def _asked(self, now: float, allowed: int) -> float:
        """When a room that is asked for now is made, with at most `allowed` calls to Daily in a window."""
        moment = now
        recent = [call for call in self._daily if call > now - DAILY_WINDOW_S]
        if len(recent) >= allowed:
            moment = recent[len(recent) - allowed] + DAILY_WINDOW_S
        self._daily = deque(recent)
        self._daily.insert(bisect_right(recent, moment), moment)
        self._result.rooms_made += 1
        return moment + self._time(self._world.room_making)

    def _look(self, now: float) -> None:
        def total(of: Callable[[Pod], int]) -> int:
            return sum(map(of, self.pods))

        self._result.samples.append(
            Sample(
                now,
                total(lambda pod: pod.agents.available),
                total(lambda pod: pod.agents.target),
                total(lambda pod: pod.rooms.available),
                total(lambda pod: pod.rooms.target),
                total(lambda pod: pod.busy),
            )
        )
