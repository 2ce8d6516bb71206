"""Whose telephone is dialled: properties that hold for any capacity and any leads."""

from collections import Counter
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leads.telephony.dialling_plan import Capacity, Plan, Queue, Reserve, plan, spare, wait_for

few = st.integers(0, 30)
capacities = st.builds(Capacity, st.integers(0, 5), few, few, st.integers(0, 2), st.integers(0, 10))
reserves = st.builds(Reserve, st.integers(0, 4), st.integers(0, 6))


@st.composite
def queue_lists(draw):
    return [
        Queue(
            template,
            due := draw(st.integers(0, 8)),
            draw(st.floats(-60, 0)) if due else draw(st.floats(0.001, 900)),
            draw(st.sampled_from([0.0, 0.0, 60.0])),
            draw(st.integers(0, 6)),
            draw(st.none() | st.integers(1, 6)),
        )
        for template in range(draw(st.integers(0, 6)))
    ]


@given(queue_lists(), capacities, reserves, st.integers(1, 20))
def test_a_plan_keeps_every_limit(queues, capacity, reserve, at_once):
    turns = Counter(plan(queues, capacity, reserve, at_once).turns)
    total = turns.total()
    if total:
        assert not capacity.waiting, "somebody waits for a process"
        assert capacity.pairs - total >= reserve.pairs * capacity.pods
        assert capacity.slots - total >= reserve.slots * capacity.pods
        assert capacity.undialled + total <= at_once
    for queue in queues:
        given_turns = turns[queue.template]
        assert given_turns <= queue.due
        assert not (given_turns and queue.opens_in), "its window is closed"
        assert not given_turns or queue.limit is None or queue.running + given_turns <= queue.limit


@given(queue_lists(), capacities, reserves, st.integers(1, 20))
def test_nothing_is_left_undone_that_may_be_done(queues, capacity, reserve, at_once):
    decided = plan(queues, capacity, reserve, at_once)
    turns = Counter(decided.turns)
    if turns.total() < spare(capacity, reserve, at_once):
        for queue in queues:
            if not queue.opens_in:
                assert turns[queue.template] == max(0, min(queue.due, queue.places))


@given(queue_lists(), capacities, reserves, st.integers(1, 20))
def test_templates_take_turns_by_their_calls_under_way(queues, capacity, reserve, at_once):
    turns = Counter(plan(queues, capacity, reserve, at_once).turns)
    after = {queue.template: queue.running + turns[queue.template] for queue in queues}
    served = [queue for queue in queues if turns[queue.template]]
    hungry = [
        queue for queue in queues if not queue.opens_in and turns[queue.template] < min(queue.due, max(0, queue.places))
    ]
    for queue in served:
        for other in hungry:
            assert after[queue.template] - 1 <= after[other.template], "one had more while another waited with fewer"


@given(queue_lists(), capacities, reserves, st.integers(1, 20))
def test_the_wait_ends_with_the_first_lead_or_window_that_time_brings(queues, capacity, reserve, at_once):
    wait = plan(queues, capacity, reserve, at_once).wait
    assert wait == min((wait_for(queue) for queue in queues), default=inf)
    assert wait > 0


@pytest.mark.parametrize(
    ("queue", "wait"),
    [
        (Queue(1, due=0, due_in=30), 30),
        (Queue(1, due=2, due_in=-5, opens_in=600), 600),
        (Queue(1, due=0, due_in=700, opens_in=600), 700),
        (Queue(1, due=2, due_in=-5), inf),
        (Queue(1, due=2, due_in=-5, running=3, limit=3), inf),
    ],
)
def test_time_alone_helps_what_is_not_due_or_not_allowed_yet(queue, wait):
    assert wait_for(queue) == wait


def test_web_callers_go_first():
    queues = [Queue(1, due=9, due_in=0)]
    reserve = Reserve(pairs=1, slots=5)
    assert plan(queues, Capacity(pods=2, pairs=5, slots=40), reserve, 20).turns == [1] * 3
    assert plan(queues, Capacity(pods=2, pairs=5, slots=12), reserve, 20).turns == [1] * 2
    assert plan(queues, Capacity(pods=2, pairs=2, slots=40), reserve, 20).turns == []
    assert plan(queues, Capacity(pods=2, pairs=5, slots=40, waiting=1), reserve, 20).turns == []


def test_no_more_pairs_are_taken_than_can_be_dialled_soon():
    queues = [Queue(1, due=9, due_in=0)]
    capacity = Capacity(pods=1, pairs=20, slots=20, undialled=3)
    assert plan(queues, capacity, Reserve(0, 0), at_once=5) == Plan([1, 1], inf)
