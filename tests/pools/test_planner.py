"""The planner's decisions: pure, so any counts and any clock."""

import random

import pytest

from pools.decisions.planner import (
    Backoff,
    Source,
    acknowledgement_timeout,
    agents_to_start,
    hangs,
    lateness,
    may_hand_off_again,
    shortfall,
    sources_for_waiting,
    to_retire,
)


@pytest.mark.parametrize(
    ("target", "cap", "warming", "available", "missing"),
    [
        (3, 3, 0, 0, 3),
        (3, 3, 2, 1, 0),  # what is warming counts
        (3, 3, 3, 3, 0),
        (5, 3, 0, 0, 3),  # the cap wins
        (0, 3, 0, 0, 0),
        (3, 5, 1, 1, 1),
    ],
)
def test_shortfall_is_what_is_missing_to_the_target_within_the_cap(target, cap, warming, available, missing):
    assert shortfall(target=target, cap=cap, warming=warming, available=available) == missing


def test_whatever_the_counts_no_pool_is_planned_above_its_cap_or_left_below_its_target():
    chance = random.Random(7)
    for _ in range(5000):
        cap = chance.randint(0, 20)
        target, warming, available = chance.randint(0, cap), chance.randint(0, 25), chance.randint(0, 25)
        planned = warming + available + shortfall(target=target, cap=cap, warming=warming, available=available)
        assert planned <= max(cap, warming + available)
        assert planned >= target


def test_no_agent_is_started_beyond_the_processes_of_the_pod():
    assert agents_to_start(target=3, cap=3, warming=0, available=0, alive=19, max_processes=20) == 1
    assert agents_to_start(target=3, cap=3, warming=0, available=0, alive=21, max_processes=20) == 0


def test_old_rooms_are_retired_a_few_at_a_time_and_only_when_none_is_being_made():
    assert to_retire(old=8, warming=0, target=8) == 2
    assert to_retire(old=1, warming=0, target=8) == 1
    assert to_retire(old=5, warming=1, target=8) == 0
    assert to_retire(old=0, warming=0, target=8) == 0
    assert to_retire(old=3, warming=0, target=0) == 1


def test_later_attempts_get_more_time_to_acknowledge():
    assert [acknowledgement_timeout(attempt) for attempt in (1, 2, 3, 9)] == [1.0, 2.0, 4.0, 4.0]


@pytest.mark.parametrize(("attempt", "age", "again"), [(1, 0, True), (2, 59, True), (3, 1, False), (1, 61, False)])
def test_a_session_is_handed_off_at_most_twice_more_within_a_minute(attempt, age, again):
    assert may_hand_off_again(attempt=attempt, age=age) is again


def test_waiting_sessions_get_what_is_fastest_first():
    sources = sources_for_waiting(waiting=5, available=1, warming=2, alive=18, max_processes=20)
    assert sources == [Source.AVAILABLE, Source.WARMING, Source.WARMING, Source.NEW, Source.NEW]


def test_no_process_is_made_for_a_waiting_session_beyond_the_limit():
    assert sources_for_waiting(waiting=3, available=0, warming=0, alive=20, max_processes=20) == []


class TestBackoff:
    def test_allows_at_once_until_something_fails(self):
        assert Backoff(base=1, ceiling=60).allows(0.0)

    def test_pauses_double_up_to_the_ceiling(self):
        backoff, pauses = Backoff(base=2, ceiling=60), []
        for _ in range(7):
            backoff = backoff.failed(100.0, chance=1.0)
            pauses.append(backoff.until - 100.0)
        assert pauses == [2, 4, 8, 16, 32, 60, 60]

    def test_full_jitter_may_be_anywhere_below_the_pause(self):
        assert Backoff(base=8, ceiling=60).failed(0.0, chance=0.25).until == 2.0

    def test_steady_backoff_of_a_bot_that_never_starts_allows_six_tries_in_a_minute(self):
        backoff, now, tries = Backoff(base=2, ceiling=60, steady=True), 0.0, 0
        while now < 60:
            tries += 1
            backoff = backoff.failed(now, chance=0.0)
            now = backoff.until
        assert tries == 6

    def test_waits_as_long_as_the_other_side_asked(self):
        assert Backoff(base=1, ceiling=60).failed(0.0, at_least=30.0, chance=0.0).until == 30.0

    def test_success_forgets(self):
        assert Backoff(base=1, ceiling=60).failed(0.0, chance=1.0).succeeded() == Backoff(base=1, ceiling=60)


@pytest.mark.parametrize(
    ("waited", "asked", "worked", "late"),
    [(1.0, 1.0, 0.01, 0.0), (0.2, 1.0, 0.3, 0.0), (31.0, 1.0, 0.0, 30.0), (0.0, 1.0, 5.0, 5.0)],
)
def test_a_loop_knows_when_it_was_late(waited, asked, worked, late):
    assert lateness(waited=waited, asked=asked, worked=worked) == late


def test_who_waits_for_a_cpu_has_more_time_to_answer_and_not_for_ever():
    assert not hangs(1.0, 1.0, starved=False)
    assert hangs(1.1, 1.0, starved=False)
    assert not hangs(3.9, 1.0, starved=True)
    assert hangs(4.1, 1.0, starved=True)
