"""Who does the fleet's chores, and who is judged by whom: the pod that can, and never by one who was away himself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pools.chores import reaper
from pools.chores.silence import Silence
from pools.decisions.planner import CREDIT_S, PodSeen, first_for_chores, silence
from pools.models import REAP_LEASE, AgentProcess, Pod, Room
from pools.sessions.ending import Result, ask_to_end, end_session
from pools.supervisor_config import Timings
from tests.support.make import make_pod, make_room, make_session
from tests.support.service import run_until

LEASE_S = REAP_LEASE.total_seconds()
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def seen(pk: int, *, can: bool = True, draining: bool = False, silent: float = 0.0) -> PodSeen:
    return PodSeen(pk, f"pod-{pk}", NOW - timedelta(seconds=silent), silent, draining, can)


@pytest.mark.parametrize(
    ("pods", "first"),
    [
        ([], None),
        ([seen(2), seen(1)], 1),
        ([seen(1, can=False), seen(2)], 2),
        ([seen(1, draining=True), seen(2)], 2),
        ([seen(1, draining=True), seen(2, can=False)], 1),
        ([seen(1, draining=True, can=False), seen(2, can=False), seen(3, can=False)], 2),
        ([seen(1, draining=True, can=False)], 1),
    ],
)
def test_the_oldest_pod_that_can_does_the_chores(pods, first):
    chosen = first_for_chores(pods)
    assert (chosen.pk if chosen else None) == first


def looks(intervals: list[float]) -> float:
    """What a pod counts as silent after a first look at a fresh heartbeat and more looks after such intervals."""
    total = silence(None, silent=0.5, since_last_look=0.0)
    for interval in intervals:
        total = silence(total, silent=0.0, since_last_look=interval)
    return total


def test_a_judge_that_is_on_time_judges_when_the_lease_is_over():
    assert looks([1.0] * 9) < LEASE_S < looks([1.0] * 10)


def test_a_judge_that_was_away_judges_nobody_by_that_time():
    assert looks([3600.0]) == 0.5 + CREDIT_S < 3.0
    assert silence(None, silent=3600.0, since_last_look=3600.0) == CREDIT_S


@given(intervals=st.lists(st.floats(1.0, 60.0), min_size=10, max_size=20))
def test_a_judge_that_is_always_late_judges_after_ten_looks(intervals):
    assert looks(intervals) > LEASE_S


def test_a_heartbeat_ends_the_silence():
    heard = Silence()
    for second in range(12):
        heard.poll(float(second), [seen(1, silent=second)])
    assert heard.longer_than(REAP_LEASE) == []  # each look has seen another heartbeat
    old = seen(1, silent=60)
    for second in range(12, 24):
        heard.poll(float(second), [old])
    assert heard.longer_than(REAP_LEASE) == [1]
    heard.poll(24.0, [seen(1)])
    assert heard.longer_than(REAP_LEASE) == []


def test_chores_and_reaping_need_no_pod_that_is_always_late(pods):
    make_pod("always-late")  # it lives and is the oldest, but does nothing
    lost = make_pod(silent_for=60)
    reserved = make_room("warming", reserved=True, created_at="2026-01-01T00:00Z")
    timings = Timings(reap_lease=timedelta(seconds=0.5))
    pod = pods.start(agent_target=0, room_target=0, max_processes=0, timings=timings)
    run_until(pod, lambda: not Pod.objects.current().filter(pk=lost.pk).exists())
    run_until(pod, lambda: not Room.objects.warming().filter(pk=reserved.pk).exists())


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["by a webhook", "by an operator", "by a reaper that died half-way"])
def test_a_process_of_a_lost_pod_is_ended_however_its_session_ends(how):
    session = make_session("assigned" if "reaper" in how else "active", pod=(pod := make_pod()))
    pod.end("no heartbeat")
    if "webhook" in how:
        end_session(session.pk, Result("supervisor_lost"))
    elif "operator" in how:
        ask_to_end(session.uuid, "ended_by_operator")
    for _ in range(2):
        reaper.settle_ended_pods()
    assert not AgentProcess.objects.current().exists()


@pytest.mark.django_db
def test_a_call_that_goes_on_without_its_pod_keeps_its_process():
    session = make_session("active", pod=make_pod(ended_at="2026-01-01T00:00Z"))
    reaper.settle_ended_pods()
    assert AgentProcess.objects.in_use().get() == session.agent_process
