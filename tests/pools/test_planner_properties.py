"""The planner's promises, whatever the counts, the clock and the failures: single decisions, and pauses
after failures."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
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
from pools.models import Pod
from pools.processes.agent_pool import AgentPool
from tests.support.properties import REPEATABLE
from tests.support.service import supervisor_config

DECISIONS = settings(REPEATABLE, max_examples=300)
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
@given(start=clocks, tries=st.integers(1, 20), delays=st.lists(st.floats(0, 5), max_size=20))
def test_agents_that_always_fail_are_started_at_most_six_times_in_any_minute(start, tries, delays):
    """`delays` are the seconds that each start takes to fail."""
    pool = AgentPool(supervisor_config(Path("unused"), start_method="spawn"), Pod(name="pod"))
    now, starts = start, []
    for number in range(tries):
        assert pool.can_start(now)
        starts.append(now)
        now += delays[number] if number < len(delays) else 0.0
        pool.start_failed("it does not work", now)
        assert not pool.can_start(now)
        now = pool.backoff.until
    assert max(sum(first <= one < first + 60 for one in starts) for first in starts) <= 6
