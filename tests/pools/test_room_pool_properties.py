"""The decisions of a pool of rooms, simulated second by second: rooms are renewed in time, and none is wasted."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from pools.decisions.planner import room_changes
from tests.support.properties import REPEATABLE

SIMULATIONS = settings(REPEATABLE, max_examples=25)
SESSION_S = 1800.0
MARGIN_S = 60.0  # rooms are retired so long before they are of no more use
POLL_S = 1.0


@dataclass
class Rooms:
    """Rooms with their ages. What is done with them at a turn is `room_changes`' decision, as in `RoomPool`."""

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
        changes = room_changes(
            target=self.target,
            cap=self.target,
            warming=len(self.warming),
            available=len(self.available),
            old=sum(expiry <= self.now + SESSION_S + MARGIN_S for expiry in self.available),
        )
        assert changes.surplus == 0
        self.available = sorted(self.available)[changes.retire :]
        self.retired += changes.retire
        self.fewest = min(self.fewest, len(self.available))
        self.warming += [self.now + self.making] * changes.make
        self.made += changes.make
        assert len(self.warming) + len(self.available) <= self.target

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


@SIMULATIONS
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


@SIMULATIONS
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
