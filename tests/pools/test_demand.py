"""Stock that follows demand: by a known formula, at once upwards, slowly downwards, never above the cap."""

from datetime import timedelta
from math import exp, factorial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pools.decisions.demand import (
    HOLD_S,
    MEMORY_S,
    SHRINK_EVERY_S,
    Demand,
    Follower,
    TimeToReplace,
    affordable_agents,
    affordable_rooms,
    miss_rate,
    peakedness,
    poisson_tail,
    size_for,
    wanted,
)
from pools.kernel.memory_left import memory_left
from pools.models import AgentProcess, Pod, VoiceSession
from pools.sizing.patterns import bursts, poisson
from pools.supervisor.arrivals import Arrivals
from tests.support.make import make_session
from tests.support.properties import REPEATABLE
from tests.support.service import run_until

DECISIONS = settings(REPEATABLE, max_examples=200)
loads = st.floats(0.001, 50)
sizes = st.integers(0, 80)
shares = st.sampled_from([0.1, 0.01, 0.001, 0.0001])


# --- the formula -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "load"), [(1, 0.1), (5, 3.0), (12, 20.0), (20, 12.0)])
def test_poissons_tail_is_what_its_definition_says(number, load):
    below = sum(exp(-load) * load**count / factorial(count) for count in range(number))
    assert poisson_tail(number, load) == pytest.approx(1 - below)


def test_poissons_tail_keeps_its_digits_where_it_is_tiny():
    assert poisson_tail(20, 0.1) == pytest.approx(exp(-0.1) * 0.1**20 / factorial(20), rel=0.01)
    assert poisson_tail(0, 0.1) == 1.0 and 0 <= poisson_tail(400, 0.1) < 1e-300


@DECISIONS
@given(load=loads, z=st.floats(1, 20), misses=shares)
def test_the_size_is_the_smallest_that_misses_seldom_enough(load, z, misses):
    size = size_for(load, z, misses=misses)
    assert miss_rate(size, load, z) <= misses
    assert size == 0 or miss_rate(size - 1, load, z) > misses


@DECISIONS
@given(size=sizes, load=loads, z=st.floats(1, 20))
def test_more_stock_misses_less_and_burstier_callers_miss_more(size, load, z):
    assert miss_rate(size + 1, load, z) <= miss_rate(size, load, z) <= 1
    assert miss_rate(size, load, z) >= miss_rate(size, load) - 1e-12 or miss_rate(size, load) > 0.2


def test_a_single_item_is_missed_by_whoever_comes_while_it_is_replaced():
    assert miss_rate(0, 0.2) == 1.0
    assert miss_rate(1, 0.2) == pytest.approx(1 - exp(-0.2))
    assert size_for(0, misses=0.001) == 0 and miss_rate(3, 0.0) == 0.0


def test_poissons_callers_have_no_peaks_and_bursts_as_many_as_come_at_once():
    assert peakedness([], 0.1, 600) == 1
    assert peakedness(poisson(5, 3600), 0.2, 3600) == pytest.approx(1, abs=0.1)
    assert peakedness(bursts(1, 3600, size=20, within=0.01), 0.2, 3600) == pytest.approx(20, rel=0.15)


# --- what is wanted ----------------------------------------------------------------------------------------


def test_nobody_came_nothing_is_wanted():
    assert wanted([], 1000.0, replace=0.2, misses=0.001) == 0
    assert wanted([100.0], 100.0 + MEMORY_S + 1, replace=0.2, misses=0.001) == 0


def test_a_burst_is_expected_again_for_as_long_as_it_is_remembered():
    burst = [500.0 + number / 1000 for number in range(20)]
    for later in (1, 60, 300, 590):
        assert 12 <= wanted(burst, 500 + later, replace=0.2, misses=0.001) <= 45
    assert wanted(burst, 500.1 + MEMORY_S, replace=0.2, misses=0.001) == 0


def test_slow_replacement_needs_more_stock():
    callers = poisson(2, MEMORY_S)
    needs = [wanted(callers, MEMORY_S, replace=seconds, misses=0.001) for seconds in (0.05, 0.5, 5)]
    assert needs == sorted(needs) and needs[0] < needs[1] < needs[2]


@DECISIONS
@given(gaps=st.lists(st.floats(0, 30), max_size=200), replace=st.floats(0.01, 10), misses=shares)
def test_what_is_wanted_is_bounded_whatever_came(gaps, replace, misses):
    moments, moment = [], 0.0
    for gap in gaps:
        moments.append(moment := moment + gap)
    assert 0 <= wanted(moments, moment, replace=replace, misses=misses) <= 10_000


# --- it is followed ----------------------------------------------------------------------------------------


@DECISIONS
@given(wishes=st.lists(st.integers(0, 100), min_size=1, max_size=60), steady=st.integers(0, 100))
def test_it_grows_at_once_shrinks_slowly_and_settles_without_oscillating(wishes, steady):
    demand, now = Demand(), 0.0
    for wish in wishes:
        before, demand = demand, demand.follow(wish, now)
        assert demand.size >= wish
        assert demand.size >= before.size - max(1, before.size // 10)
        now += 1
    sizes = []
    for _ in range(int((HOLD_S + 100 * SHRINK_EVERY_S) / 1)):
        demand = demand.follow(steady, now)
        sizes.append(demand.size)
        now += 1
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] == steady  # heals, one way only


def test_a_dip_shorter_than_the_hold_changes_nothing():
    demand = Demand().follow(20, 0.0)
    for second in range(int(HOLD_S)):
        assert (demand := demand.follow(3, second)).size == 20
    assert demand.follow(20, HOLD_S).follow(3, HOLD_S + 1).size == 20


@DECISIONS
@given(most=st.integers(0, 30), seed=st.integers(0, 99))
def test_a_bound_is_never_exceeded(most, seed):
    callers = bursts(1, 120, seed, size=25)
    follower = Follower(0.0005)
    for second in range(0, 120, 3):
        follower.look([moment for moment in callers if moment <= second], second, replace=0.3, most=most)
        assert follower.size <= most


def test_the_time_to_replace_is_learned_and_an_outage_is_not():
    learned = TimeToReplace(0.2)
    for _ in range(60):
        learned = learned.learned(1.0)
    assert learned.seconds == pytest.approx(1.05, rel=0.01)
    assert learned.learned(3600).seconds < 5


def test_memory_and_daily_bound_what_demand_may_ask_for():
    assert affordable_agents(idle=5, headroom=1000, total=1000, each=100) == 14
    assert affordable_agents(idle=5, headroom=50, total=1000, each=100) == 4
    assert affordable_agents(idle=0, headroom=0, total=1000, each=100) == 0
    assert affordable_rooms(life=3600, calls=2, calls_a_second=13) == 2340
    free, total = memory_left()
    assert 0 < free <= total


# --- in a pod ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_arrivals_are_read_once_each_also_those_that_were_committed_late():
    arrivals = Arrivals()
    first, late, third = (make_session() for _ in range(3))
    number = late.pk
    VoiceSession.objects.filter(pk=late.pk).delete()
    for _ in range(2):
        arrivals.poll()
    assert len(arrivals.moments) == 2
    make_session(pk=number)
    for _ in range(2):
        arrivals.poll()
    assert len(arrivals.moments) == 3 and list(arrivals.moments) == sorted(arrivals.moments)
    assert first.pk < number < third.pk


@pytest.mark.django_db
def test_arrivals_of_before_the_pod_started_count_but_not_old_ones(django_assert_num_queries):
    now = make_session().created_at
    make_session(created_at=now - timedelta(seconds=60))
    make_session(created_at=now - timedelta(seconds=MEMORY_S + 1))
    arrivals = Arrivals()
    with django_assert_num_queries(2):
        arrivals.poll()
    with django_assert_num_queries(1):
        arrivals.poll()
    assert len(arrivals.moments) == 2


@pytest.mark.django_db(transaction=True)
def test_a_pod_grows_with_the_callers_within_its_cap_and_says_why(pods):
    pod = pods.start_full(agent_target=1, agent_cap=4, room_target=1, room_cap=3)
    for _ in range(12):
        make_session("ended", pod=pod.pod)
    run_until(pod, lambda: AgentProcess.objects.available().count() == 4)
    row = Pod.objects.get()
    assert (row.agent_target, row.agent_size, row.room_target) == (4, 1, 3)
    assert row.agent_target_why.startswith("demand: ")


@pytest.mark.django_db(transaction=True)
def test_a_pod_whose_caps_leave_no_room_does_not_even_read_arrivals(pods, django_assert_num_queries):
    pod = pods.start_full()
    with django_assert_num_queries(1):
        pod.targets.poll(0.0)
