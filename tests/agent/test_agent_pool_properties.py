"""A pool of agent processes that decides by nothing but the planner: whatever happens to it, second by second."""

from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st

from pools.decisions.planner import Backoff, agents_to_start
from tests.support.properties import REPEATABLE

SIMULATIONS = settings(REPEATABLE, max_examples=150)
chances = st.floats(0, 1)
clocks = st.floats(0, 1e9)


@dataclass
class Agents:
    """Counts of a pod's processes, replenished as `AgentPool` does it: only when nothing has failed too recently, and
    after a failure one at a time, to see whether it is mended."""

    target: int
    cap: int
    limit: int
    now: float
    backoff: Backoff = field(default_factory=lambda: Backoff(base=2.0, ceiling=60.0, steady=True))
    warming: int = 0
    available: int = 0
    in_use: int = 0
    started: int = 0
    tries: list[float] = field(default_factory=list)

    @property
    def alive(self) -> int:
        return self.warming + self.available + self.in_use

    def replenish(self) -> int:
        if not self.backoff.allows(self.now):
            return 0
        made = agents_to_start(
            target=self.target,
            cap=self.cap,
            warming=self.warming,
            available=self.available,
            alive=self.alive,
            max_processes=self.limit,
        )
        if self.backoff.failures:
            made = min(made, 1 - self.warming) if self.warming < 1 else 0
        self.warming += made
        self.started += made
        if made:
            self.tries.append(self.now)
        return made

    def warmed(self, number: int) -> None:
        number = min(number, self.warming)
        self.warming -= number
        self.available += number
        if number:
            self.backoff = self.backoff.succeeded()

    def failed(self, number: int, chance: float) -> None:
        """Some that are warming die; those that were started together fail together: one failure."""
        number = min(number, self.warming)
        self.warming -= number
        if number and self.backoff.allows(self.now):
            self.backoff = self.backoff.failed(self.now, chance=chance)

    def check(self) -> None:
        assert self.warming + self.available <= self.cap
        assert self.alive <= self.limit


pods = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 30), clocks).map(
    lambda sizes: Agents(target=min(sizes[0], sizes[1]), cap=max(sizes[0], sizes[1]), limit=sizes[2], now=sizes[3])
)

several = st.integers(1, 12)
happenings = st.one_of(
    st.tuples(st.just("time passes"), st.floats(0, 90)),
    st.tuples(st.just("sessions take processes"), several),
    st.tuples(st.just("sessions end"), several),
    st.tuples(st.just("idle processes die"), several),
    st.tuples(st.just("processes become ready"), several),
    st.tuples(st.just("processes fail to warm"), st.tuples(several, chances)),
)


def happens(pod: Agents, what: str, how) -> None:
    match what:
        case "time passes":
            pod.now += how
        case "sessions take processes":
            taken = min(how, pod.available)
            pod.available, pod.in_use = pod.available - taken, pod.in_use + taken
        case "sessions end":
            pod.in_use = max(0, pod.in_use - how)
        case "idle processes die":
            pod.available = max(0, pod.available - how)
        case "processes become ready":
            pod.warmed(how)
        case "processes fail to warm":
            pod.failed(*how)


@SIMULATIONS
@given(pod=pods, events=st.lists(happenings, max_size=60))
def test_a_pool_of_agents_stays_below_its_cap_and_heals_when_failures_cease(pod, events):
    for what, how in events:
        happens(pod, what, how)
        pod.replenish()
        pod.check()
    turns = 0
    wanted = min(pod.target, pod.limit - pod.in_use)
    while pod.available < wanted:
        turns += 1
        assert turns <= pod.target + 2, "it does not heal"
        pod.now = max(pod.now, pod.backoff.until)
        pod.replenish()
        pod.warmed(pod.warming)
        pod.check()
    event(f"healed in {turns} turns")


@SIMULATIONS
@given(pod=pods, steps=st.lists(st.floats(0, 30), max_size=40))
def test_a_full_pool_of_agents_is_left_alone(pod, steps):
    while pod.replenish():
        pod.warmed(pod.warming)
    started = pod.started
    assert started == pod.available == min(pod.target, pod.limit)
    for seconds in steps:
        pod.now += seconds
        assert pod.replenish() == 0
    assert pod.started == started


@SIMULATIONS
@given(pod=pods, jitter=st.lists(chances, min_size=40, max_size=40), step=st.floats(0.2, 3))
def test_agents_that_never_become_ready_are_tried_at_most_six_times_in_any_minute(pod, jitter, step):
    """However many are missing: those that are started together count as one try."""
    for chance in jitter:
        pod.replenish()
        pod.now += step  # they take so long to fail
        pod.failed(pod.warming, chance)
        pod.now = max(pod.now, pod.backoff.until) if chance > 0.5 else pod.now + step
    assert max((sum(first <= one < first + 60 for one in pod.tries) for first in pod.tries), default=0) <= 6
