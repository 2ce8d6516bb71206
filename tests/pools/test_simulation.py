"""The simulation: the production code's decisions under given arrivals, whose results are what theory says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pools.decisions.demand import miss_rate
from pools.decisions.targets import Action, Override, Pool
from pools.sizing.patterns import PATTERNS, campaigns, poisson
from pools.sizing.simulation import Simulation, World
from tests.support.properties import REPEATABLE

AN_HOUR = 3600.0
LIMITLESS = {"max_processes": 100_000, "daily_calls": 100_000, "daily_calls_on_demand": 100_000}


def simulate(world, arrivals, seconds=AN_HOUR, overrides=()):
    return Simulation(world, arrivals, overrides).run(seconds)


@pytest.mark.parametrize(("size", "making"), [(2, 0.5), (4, 1.0), (8, 3.0)])
def test_poissons_callers_miss_as_often_as_the_formula_says(size, making):
    world = World(
        agent_size=size, agent_cap=size, room_size=400, room_cap=400, agent_making=making, fork=0, **LIMITLESS
    )
    result = simulate(world, poisson(2.0, AN_HOUR))
    expected = miss_rate(size, 2.0 * (making + 0.05))
    assert 1 - result.hit_rate == pytest.approx(expected, rel=0.25, abs=0.003)


def test_a_pool_that_is_large_enough_makes_everybody_warm():
    result = simulate(World(agent_size=20, agent_cap=20, room_size=20, room_cap=20), poisson(0.05, AN_HOUR))
    assert result.hit_rate == 1 and max(result.waits()) == pytest.approx(0.02)


def test_what_is_missing_is_waited_for_and_who_finds_no_slot_is_refused():
    world = World(agent_size=0, agent_cap=0, room_size=0, room_cap=0, max_processes=1, call_length=60)
    result = simulate(world, [1.0, 2.0, 3.0, 500.0])
    assert [start.wait is None for start in result.starts] == [False, True, True, False]
    assert all(wait > 0.2 for wait in result.waits()) and result.hit_rate == 0


def test_daily_is_asked_no_faster_than_it_allows():
    world = World(agent_size=60, agent_cap=60, room_size=0, room_cap=0, max_processes=500, daily_calls_on_demand=10)
    waits = simulate(world, [1.0 + number / 1000 for number in range(30)]).waits()
    assert sum(wait > 4.9 for wait in waits) == 20 and sum(wait > 9.9 for wait in waits) == 10


def test_a_reservation_is_warm_in_time_and_released():
    world = World(pods=3, agent_size=2, agent_cap=10, room_size=2, room_cap=10)
    override = Override(1, Action.RESERVE, size=20, starts_in=600, ends_in=900)
    samples = {round(sample.at): sample for sample in simulate(world, [], 1200, [override]).samples}
    assert (samples[500].agents, samples[600].agents, samples[890].agents, samples[910].agents) == (6, 20, 20, 6)
    assert samples[600].rooms == 20


def test_the_same_seed_gives_the_same_result():
    world, callers = World(agent_cap=9, pods=2), campaigns(0.5, 900)
    assert simulate(world, callers, 900) == simulate(world, callers, 900)


@settings(REPEATABLE, max_examples=12)
@given(
    pattern=st.sampled_from(sorted(PATTERNS)),
    seed=st.integers(0, 99),
    pods=st.integers(1, 3),
    size=st.integers(0, 5),
    more=st.integers(0, 20),
    slots=st.integers(5, 60),
)
def test_no_pod_is_ever_above_its_caps(pattern, seed, pods, size, more, slots):
    world = World(
        pods=pods, agent_size=size, agent_cap=size + more, room_size=size, room_cap=size + more,
        max_processes=slots, agent_making=0.5, seed=seed,
    )  # fmt: skip
    simulation = Simulation(world, PATTERNS[pattern](0.5, 150, seed))
    result = simulation.run(200)
    assert result.most[Pool.AGENTS] <= max(size + more, 0) and result.most[Pool.ROOMS] <= size + more
    assert all(pod.busy + pod.agents.available + pod.agents.warming <= slots for pod in simulation.pods)


def test_following_demand_beats_a_constant_stock_of_the_same_average_where_callers_come_in_campaigns():
    callers = campaigns(0.5, AN_HOUR)
    adaptive = simulate(World(agent_cap=40, room_cap=40, max_processes=400), callers)
    agents = round(adaptive.average(lambda sample: sample.agents) + 0.5)
    rooms = round(adaptive.average(lambda sample: sample.rooms) + 0.5)
    world = World(agent_size=agents, agent_cap=agents, room_size=rooms, room_cap=rooms, max_processes=400)
    assert adaptive.hit_rate > simulate(world, callers).hit_rate
