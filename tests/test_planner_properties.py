"""The planner's promises, whatever the counts, the clock and the failures: single decisions, then whole pools that
decide by nothing else, simulated second by second."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import event, given, settings
from hypothesis import strategies as st

from pools.decisions.planner import (
    MAX_ATTEMPTS,
    REHAND_WITHIN_S,
    Backoff,
    Source,
    acknowledgement_timeout,
    agents_to_start,
    lateness,
    may_hand_off_again,
    shortfall,
    sources_for_waiting,
    to_retire,
)
from tests.properties import REPEATABLE

DECISIONS = settings(REPEATABLE, max_examples=300)
SIMULATIONS = settings(REPEATABLE, max_examples=150)

counts = st.integers(0, 200)
chances = st.floats(0, 1)
clocks = st.floats(0, 1e9)


# --- single decisions --------------------------------------------------------------------------------------


@DECISIONS
@given(target=counts, cap=counts, warming=counts, available=counts)
def test_what_is_missing_is_made_exactly_and_never_beyond_the_cap(target, cap, warming, available):
    made = shortfall(target=target, cap=cap, warming=warming, available=available)
    assert made >= 0
    assert warming + available + made == max(warming + available, min(target, cap))
    assert shortfall(target=target, cap=cap, warming=warming + made, available=available) == 0  # asked again at once


@DECISIONS
@given(target=counts, cap=counts, warming=counts, available=counts, others=counts, limit=counts)
def test_agents_are_started_up_to_the_target_the_cap_and_the_limit_of_processes(
    target, cap, warming, available, others, limit
):
    alive = warming + available + others
    made = agents_to_start(
        target=target, cap=cap, warming=warming, available=available, alive=alive, max_processes=limit
    )
    missing = shortfall(target=target, cap=cap, warming=warming, available=available)
    assert 0 <= made <= missing
    assert alive + made <= max(alive, limit)
    assert made == missing or alive + made >= limit  # only the limit may leave a pool below its target


@DECISIONS
@given(old=counts, warming=counts, target=counts, newer=counts)
def test_old_rooms_are_never_all_retired_while_others_could_be_kept(old, warming, target, newer):
    retired = to_retire(old=old, warming=warming, target=target)
    assert 0 <= retired <= old
    assert not (retired and warming)  # the replacement first
    assert retired or warming or not old  # what is old does go
    available = old + newer
    if available >= max(2, target):  # a full pool of two or more
        assert available - retired >= max(1, available - max(1, target // 4))


@DECISIONS
@given(waiting=counts, available=counts, warming=counts, others=counts, limit=counts)
def test_waiting_sessions_get_all_that_there_is_and_no_more(waiting, available, warming, others, limit):
    alive = available + warming + others
    sources = sources_for_waiting(
        waiting=waiting, available=available, warming=warming, alive=alive, max_processes=limit
    )
    assert sources.count(Source.AVAILABLE) <= available
    assert sources.count(Source.WARMING) <= warming
    new = sources.count(Source.NEW)
    assert new == 0 or alive + new <= limit
    assert len(sources) == min(waiting, available + warming + max(0, limit - alive))
    speed = [Source.AVAILABLE, Source.WARMING, Source.NEW]
    assert all(speed.index(first) <= speed.index(second) for first, second in pairwise(sources))


@DECISIONS
@given(attempt=st.integers(1, 50), age=st.floats(0, 1e6))
def test_a_session_is_handed_off_a_bounded_number_of_times_in_a_bounded_time(attempt, age):
    if may_hand_off_again(attempt=attempt, age=age):
        assert attempt < MAX_ATTEMPTS and age < REHAND_WITHIN_S
    assert 1.0 <= acknowledgement_timeout(attempt) <= acknowledgement_timeout(attempt + 1) <= 4.0


@DECISIONS
@given(waited=st.floats(0, 1e6), asked=st.floats(0, 1e6), worked=st.floats(0, 1e6), tolerance=st.floats(0, 10))
def test_a_loop_counts_as_late_by_all_of_its_delay_or_not_at_all(waited, asked, worked, tolerance):
    late = lateness(waited=waited, asked=asked, worked=worked, tolerance=tolerance)
    delay = max(0.0, waited - asked) + worked
    assert late == (delay if delay > tolerance else 0.0)


# --- backoff -----------------------------------------------------------------------------------------------

backoffs = st.builds(
    Backoff, base=st.floats(0.01, 10), ceiling=st.floats(10, 600), steady=st.booleans(), failures=st.integers(0, 5000)
)


@DECISIONS
@given(backoff=backoffs, now=clocks, chance=chances, at_least=st.floats(0, 3600))
def test_a_pause_is_within_the_ceiling_or_what_was_asked_for_however_often_it_has_failed(
    backoff, now, chance, at_least
):
    after = backoff.failed(now, chance=chance, at_least=at_least)
    slack = 1e-6  # what adding to a clock of a billion seconds costs
    assert after.failures == backoff.failures + 1
    assert now + at_least - slack <= after.until <= now + max(backoff.ceiling, at_least) + slack
    assert after.allows(after.until)
    assert after.succeeded() == Backoff(backoff.base, backoff.ceiling, backoff.steady)


@DECISIONS
@given(st.lists(chances, min_size=3, max_size=12))
def test_steady_pauses_grow_to_the_ceiling(jitter):
    backoff, pauses = Backoff(base=2.0, ceiling=60.0, steady=True), []
    for chance in jitter:
        backoff = backoff.failed(0.0, chance=chance)
        pauses.append(backoff.until)
    assert all(second > first or second >= 45.0 for first, second in pairwise(pauses))
    assert all(pause >= 45.0 for pause in pauses[5:])


@DECISIONS
@given(start=clocks, jitter=st.lists(chances, min_size=20, max_size=20), delays=st.lists(st.floats(0, 5), max_size=20))
def test_what_always_fails_is_tried_at_most_six_times_in_any_minute(start, jitter, delays):
    """As the agents' pool does it: `delays` are the seconds that each try takes to fail."""
    backoff, now, tries = Backoff(base=2.0, ceiling=60.0, steady=True), start, []
    for i, chance in enumerate(jitter):
        tries.append(now)
        now += delays[i] if i < len(delays) else 0.0
        backoff = backoff.failed(now, chance=chance)
        assert not backoff.allows(now)
        now = backoff.until
    assert max(sum(first <= one < first + 60 for one in tries) for first in tries) <= 6


# --- a pool of agent processes -----------------------------------------------------------------------------


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
@given(pod=pods, story=st.lists(happenings, max_size=60))
def test_a_pool_of_agents_stays_below_its_cap_and_heals_when_failures_cease(pod, story):
    for what, how in story:
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


# --- a pool of rooms ---------------------------------------------------------------------------------------

SESSION_S = 1800.0
MARGIN_S = 60.0  # rooms are retired so long before they are of no more use
POLL_S = 1.0


@dataclass
class Rooms:
    """Rooms with their ages, kept as `RoomPool` does it: at every turn the old retired, the shortfall asked for."""

    target: int
    life: float  # in the pool, without the session that follows
    making: float  # seconds that Daily takes to make one
    now: float = 0.0
    warming: list[float] = field(default_factory=list)  # when each will be made
    available: list[float] = field(default_factory=list)  # when each expires
    made: int = 0
    retired: int = 0
    taken: int = 0
    unusable: int = 0  # seconds that a room was on offer which no session could have used
    fewest: int = 1_000_000

    def turn(self, seconds: float = POLL_S) -> None:
        self.now += seconds
        ready = [at for at in self.warming if at <= self.now]
        self.warming = [at for at in self.warming if at > self.now]
        self.available += [at + self.life + SESSION_S for at in ready]
        self.unusable += sum(expiry < self.now + SESSION_S for expiry in self.available)
        self.retire()
        missing = shortfall(
            target=self.target, cap=self.target, warming=len(self.warming), available=len(self.available)
        )
        self.warming += [self.now + self.making] * missing
        self.made += missing
        assert len(self.warming) + len(self.available) <= self.target

    def retire(self) -> None:
        old = sum(expiry <= self.now + SESSION_S + MARGIN_S for expiry in self.available)
        retired = to_retire(old=old, warming=len(self.warming), target=self.target)
        self.available = sorted(self.available)[retired:]
        self.retired += retired
        self.fewest = min(self.fewest, len(self.available))

    def take(self, number: int) -> None:
        """By callers: the newest first."""
        for _ in range(min(number, len(self.available))):
            self.available.remove(max(self.available))
            self.taken += 1

    def fill(self) -> None:
        while len(self.available) < self.target:
            self.turn()
        self.fewest = len(self.available)


rooms = st.builds(Rooms, target=st.integers(1, 40), life=st.floats(600, 3600), making=st.floats(0.05, 5.0))


@settings(SIMULATIONS, max_examples=25)
@given(pool=rooms)
def test_rooms_of_one_age_are_renewed_in_time_and_the_pool_is_never_empty(pool):
    """For one whole life: all rooms were made by one batch, all grow old at once, none is wasted."""
    pool.fill()
    lifetime = pool.life
    while pool.now < lifetime + 120:
        pool.turn()
    assert pool.unusable == 0  # none was offered that no session could have used
    assert pool.retired == pool.target  # each once: what replaces them is not retired again
    assert pool.made == 2 * pool.target
    assert pool.fewest >= pool.target - max(1, pool.target // 4)


@settings(SIMULATIONS, max_examples=25)
@given(pool=rooms, callers=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 8)), max_size=20))
def test_no_more_rooms_are_made_than_are_taken_or_grow_old(pool, callers):
    pool.fill()
    for pause, number in callers:
        for _ in range(pause):
            pool.turn()
        pool.take(number)
    stock = len(pool.available) + len(pool.warming)
    assert pool.made == stock + pool.taken + pool.retired
    assert pool.retired <= pool.target * (1 + pool.now / (pool.life - MARGIN_S - pool.making))
    pool.fill()
    assert len(pool.available) == pool.target
