"""Operators' overrides: what is refused and why, who gave them, and that running pods obey."""

from datetime import timedelta

import pytest
from django.utils import timezone

from pools.decisions.targets import Pool
from pools.models import AgentProcess, Pod, PoolOverride, Room
from pools.operators import overrides
from pools.operators.overrides import OverrideRefused
from pools.supervisor.pod_targets import overrides_in_view
from tests.support.make import bearer, make_pod
from tests.support.service import connect_lead, is_full, run_until, together

pytestmark = pytest.mark.usefixtures("transactional_db")

A_MINUTE = 60.0
ROOMY = {"agent_cap": 6, "room_cap": 6}


def soon(seconds=60.0):
    return timezone.now() + timedelta(seconds=seconds)


def reserve(pairs, start=0.0, end=600.0, **values):
    now = timezone.now().replace(microsecond=0)
    begin, finish = now + timedelta(seconds=start), now + timedelta(seconds=end)
    return overrides.reserve(pairs, starts_at=begin, ends_at=finish, by="ann", **values)


# --- what is refused ---------------------------------------------------------------------------------------


def test_a_size_above_the_cap_of_a_pod_is_refused_and_says_what_it_can_hold():
    make_pod("a", agent_cap=3), make_pod("b", agent_cap=9, max_processes=4)
    with pytest.raises(
        OverrideRefused,
        match=r"pod a can hold 3 agent processes, not 4: size \d, target \d, cap 3; .* VOICE_AGENT_MAX_POOL_SIZE",
    ):
        overrides.resize(Pool.AGENTS, 4, by="ann")
    with pytest.raises(OverrideRefused, match="VOICE_AGENT_MAX_PROCESSES"):
        overrides.resize(Pool.AGENTS, 5, pod="b", by="ann")
    assert overrides.resize(Pool.AGENTS, 4, pod="b", by="ann").size == 4
    assert PoolOverride.objects.count() == 1


def test_an_unknown_pod_is_refused_and_those_that_run_are_named():
    make_pod("pod-1")
    with pytest.raises(OverrideRefused, match="no pod is named pod-7; running: pod-1"):
        overrides.pause(Pool.ROOMS, pod="pod-7", by="ann")
    with pytest.raises(OverrideRefused, match="no pod is named pod-7; running: pod-1"):
        overrides.resize(Pool.ROOMS, 1, pod="pod-7", by="ann")


def test_a_reservation_beyond_the_caps_is_refused_with_the_number_that_is_missing():
    make_pod(agent_cap=10, room_cap=12), make_pod(agent_cap=10, room_cap=12)
    with pytest.raises(OverrideRefused, match="can hold 20 agent processes: short by 40"):
        reserve(60)
    assert reserve(60, allow_short=True).size == 60


def test_reservations_at_one_time_share_the_caps_and_others_do_not():
    make_pod(agent_cap=10, room_cap=10)
    reserve(6, 0, 600)
    with pytest.raises(OverrideRefused, match=r"11 pairs at one time \(6 of them reserved already\)"):
        reserve(5, 300, 900)
    reserve(10, 660, 900)
    reserve(4, 0, 600)


def test_a_cancelled_reservation_holds_nothing():
    make_pod(agent_cap=10, room_cap=10)
    assert overrides.cancel(reserve(10).uuid, by="ben")
    reserve(10)


@pytest.mark.parametrize(("start", "end"), [(0, -1), (600, 60), (60, 60)])
def test_a_reservation_that_does_not_end_after_it_begins_is_refused(start, end):
    make_pod()
    with pytest.raises(OverrideRefused, match="ends after it begins"):
        reserve(1, start, end)


def test_an_end_in_the_past_is_refused():
    with pytest.raises(OverrideRefused, match="in the past"):
        overrides.pause(Pool.ROOMS, until=soon(-1), by="ann")


# --- who and when ------------------------------------------------------------------------------------------


def test_an_order_keeps_who_gave_it_and_who_took_it_back():
    make_pod()
    override = overrides.resize(Pool.ROOMS, 2, by="ann", why="quiet night")
    assert overrides.cancel(override.uuid, by="ben")
    assert not overrides.cancel(override.uuid, by="eve")
    override.refresh_from_db()
    assert (override.ordered_by, override.reason, override.cancelled_by) == ("ann", "quiet night", "ben")
    assert override.cancelled_at and override.ordered_at <= override.cancelled_at


def test_resume_lifts_pauses_of_one_pod_or_of_all_but_not_a_general_one_for_one_pod():
    make_pod("a"), make_pod("b")
    for pod in ("a", "b"):
        overrides.pause(Pool.AGENTS, pod=pod, by="ann")
    overrides.pause(Pool.ROOMS, by="ann")
    assert overrides.resume(Pool.AGENTS, pod="a", by="ben") == 1
    with pytest.raises(OverrideRefused, match="paused on all pods by ann"):
        overrides.resume(Pool.ROOMS, pod="a", by="ben")
    assert overrides.resume(Pool.AGENTS, by="ben") == 1
    assert overrides.resume(Pool.ROOMS, by="ben") == 1
    assert not PoolOverride.objects.standing().exists()


def test_orders_that_are_over_or_far_off_are_not_looked_at():
    make_pod(agent_cap=10, room_cap=10)
    near, far = reserve(1, 600, 900), reserve(1, 7200, 7300)
    assert [override.number for override in overrides_in_view()] == [near.pk]
    PoolOverride.objects.update(starts_at=soon(-90), ends_at=soon(-30))
    assert not overrides_in_view() and far.pk


# --- pods obey ---------------------------------------------------------------------------------------------


def level(pod):
    """Both pools are exactly at the targets that the row shows."""
    pod.pod.refresh_from_db()
    return is_full(pod)


def test_a_size_is_obeyed_at_once_upwards_and_downwards(pods):
    pod = pods.start_full(**ROOMY, poll_interval=A_MINUTE, heartbeat_interval=A_MINUTE)
    overrides.resize(Pool.AGENTS, 5, by="ann"), overrides.resize(Pool.ROOMS, 0, by="ann")
    run_until(pod, lambda: (AgentProcess.objects.available().count(), Room.objects.available().count()) == (5, 0))
    overrides.resize(Pool.AGENTS, 1, by="ann"), overrides.unsize(Pool.ROOMS, by="ann")
    run_until(pod, lambda: (AgentProcess.objects.available().count(), Room.objects.available().count()) == (1, 2))
    assert level(pod) and pod.pod.agent_target_why.startswith("ordered by ann") and pod.pod.agent_size == 2
    assert pod.pod.room_target_why == "configured"
    run_until(pod, lambda: len(pod.agents.agents) == 1)  # what was given up is gone
    assert not pod.agents.trouble


def test_an_override_ends_by_the_clock(pods):
    pod = pods.start_full(**ROOMY)
    override = overrides.resize(Pool.AGENTS, 4, by="ann", until=soon(60))
    run_until(pod, lambda: AgentProcess.objects.available().count() == 4)
    PoolOverride.objects.filter(pk=override.pk).update(starts_at=soon(-90), ends_at=soon(-0.001))
    run_until(pod, lambda: AgentProcess.objects.available().count() == 2)


def test_a_paused_pool_gives_out_what_it_has_and_makes_no_more_until_it_is_resumed(pods, sandbox, client):
    pod = pods.start_full(poll_interval=A_MINUTE, heartbeat_interval=A_MINUTE)
    for pool in Pool:
        overrides.pause(pool, by="ann", why="Daily is down")
    run_until(pod, lambda: Pod.objects.get().agent_paused and Pod.objects.get().room_paused)
    made = AgentProcess.objects.count(), Room.objects.count()
    call = connect_lead(sandbox)
    run_until(pod, call.is_active)
    run_until(pod, lambda: not pod.handoffs.just_sent())
    assert (AgentProcess.objects.count(), Room.objects.count()) == made
    status = client.get("/agent/voice/automatic/pool/status", headers=bearer()).json()
    assert status["status"] == "degraded" and "paused by ann" in " ".join(status["reasons"])
    assert status["pods"][0]["agent_processes"]["configured_size"] == 2 and status["pool_size"] == 0
    assert {override["action"] for override in status["orders"]} == {"pause"}
    for pool in Pool:
        overrides.resume(pool, by="ann")
    run_until(pod, lambda: level(pod) and AgentProcess.objects.available().count() == 2)


def two_full_pods(pods):
    """Both turn while they fill: neither counts as silent to the other, however long that takes."""
    one, two = pods.start(pod_name="a", **ROOMY), pods.start(pod_name="b", **ROOMY)
    run_until(one, together(lambda: is_full(one) and is_full(two), two))
    return one, two


def stock_of(pod):
    return [model.objects.available().filter(pod=pod.pod).count() for model in (AgentProcess, Room)]


def test_a_reservation_is_spread_over_the_pods_and_released(pods):
    """They get there in steps: one that has not heard of the other yet keeps more for a moment."""
    one, two = two_full_pods(pods)
    override = reserve(9)
    run_until(one, together(lambda: [stock_of(one), stock_of(two)] == [[5, 5], [4, 4]], two))
    overrides.cancel(override.uuid, by="ann")
    run_until(one, together(lambda: [stock_of(one), stock_of(two)] == [[2, 2], [2, 2]], two))


def test_a_pod_that_goes_leaves_its_share_of_a_reservation_to_the_others(pods):
    one, two = two_full_pods(pods)
    reserve(6)
    run_until(one, together(lambda: one.agents.target.size == 3, two))
    pods.close(two)
    run_until(one, lambda: AgentProcess.objects.available().count() == 6)
