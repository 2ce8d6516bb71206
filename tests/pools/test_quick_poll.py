"""In a large fleet a pod makes full polls only now and then, and quick polls in between: it misses nothing."""

import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from pools.daily import budget
from pools.decisions import planner
from pools.decisions.targets import Action, Pool
from pools.models import AgentProcess, DailyBudgetSlot, Pod, PoolOverride, Room, SessionStatus, VoiceSession
from pools.notifications import announce_overrides, wake_supervisors
from pools.sessions.claims import SessionRequest, claim
from pools.supervisor.loop import Supervisor
from pools.supervisor.quick_poll import RowCounts, quick_poll
from tests.support.make import make_pod, make_room, make_session
from tests.support.service import Pods, call_in_progress, is_full, run_until

OTHERS = 100  # so many that a look is due every 45 s at most
BEATS = 8


@pytest.fixture
def pod(pods: Pods) -> Supervisor:
    """The youngest of many, full, and past its first looks."""
    nothing = {"agent_target": 0, "agent_cap": 0, "room_target": 0, "room_cap": 0, "max_processes": 0, "free_slots": 0}
    make_pod("does-the-chores", can_do_chores=True, **nothing)
    for number in range(OTHERS - 1):
        make_pod(f"other-{number}", draining=True)
    pod = pods.start_full(agent_target=1, room_target=2)
    run_until(pod, lambda: full_polls_of_turns(pod, 1) == 0)
    return pod


def full_polls_of_turns(pod: Supervisor, beats: int) -> int:
    """How often it asked for its sessions while its heart beat so many times."""
    looks = 0

    def count(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        nonlocal looks
        looks += 'FROM "pools_voicesession"' in sql
        return execute(sql, *arguments)

    seen: set[datetime] = set()
    while len(seen) <= beats:
        with connection.execute_wrapper(count):
            pod.run_once(0.1)
        seen.add(Pod.objects.values_list("heartbeat_at", flat=True).get(pk=pod.pod.pk))
    return looks


def test_a_pod_with_nothing_to_do_makes_only_quick_polls(pod):
    assert full_polls_of_turns(pod, BEATS) == 0
    assert Pod.objects.live().filter(pk=pod.pod.pk).exists()


def test_in_a_small_fleet_every_poll_is_a_full_one(pods):
    pod = pods.start_full(agent_target=0, room_target=1, max_processes=0)
    assert full_polls_of_turns(pod, BEATS) >= BEATS // 2


def test_a_claim_whose_notification_was_lost_is_handed_off(pod):
    with transaction.atomic():
        session = claim(SessionRequest(body={}, life=timedelta(seconds=60)))
    run_until(pod, lambda: VoiceSession.objects.active().filter(pk=session.pk).exists())


def test_a_call_that_is_to_end_is_ended(pod, sandbox):
    call = call_in_progress(pod, sandbox)
    run_until(pod, lambda: full_polls_of_turns(pod, 1) == 0)
    VoiceSession.objects.filter(uuid=call.connected.session_id).update(stop_reason="aborted")
    run_until(pod, lambda: call.status == SessionStatus.ENDED)


def test_a_process_that_somebody_else_has_ended_is_made_up_for(pod):
    AgentProcess.objects.available().get(pod=pod.pod).end("by somebody else")
    assert not is_full(pod)
    run_until(pod, lambda: is_full(pod))


def test_what_an_operator_wants_replaced_is_replaced(pod):
    process = AgentProcess.objects.available().get(pod=pod.pod)
    AgentProcess.objects.filter(pk=process.pk).update(retiring=True)
    run_until(pod, lambda: not AgentProcess.objects.available().filter(pk=process.pk).exists())


def test_an_order_is_carried_out_when_it_is_announced(pod):
    PoolOverride.objects.create(action=Action.PAUSE, pool=Pool.AGENTS, ordered_by="ann")
    announce_overrides()
    run_until(pod, lambda: Pod.objects.filter(pk=pod.pod.pk, agent_paused=True).exists())


def test_rooms_that_daily_would_not_give_yet_are_asked_for_again(pod):
    used = [DailyBudgetSlot(group=group.value.name, slot=2**40, used=1000) for group in budget.Group]
    DailyBudgetSlot.objects.bulk_create(used)  # in every window to come
    Room.objects.available().filter(pod=pod.pod).latest("pk").end("by somebody else")
    wake_supervisors()
    run_until(pod, lambda: Room.objects.warming().filter(pod=pod.pod).exists())
    run_until(pod, lambda: full_polls_of_turns(pod, 1) == 0)
    DailyBudgetSlot.objects.all().delete()
    run_until(pod, lambda: is_full(pod))


def test_while_daily_is_away_nobody_looks_more_often(pod, sandbox):
    sandbox.fault("503")
    Room.objects.available().filter(pod=pod.pod).latest("pk").end("by somebody else")
    wake_supervisors()
    run_until(pod, lambda: pod.rooms.trouble)
    run_until(pod, lambda: full_polls_of_turns(pod, 2) == 0)
    sandbox.clear_faults()
    run_until(pod, lambda: is_full(pod))


def test_a_fork_server_that_dies_is_replaced_and_so_are_its_failed_forks(pod):
    former = pod.agents.zygote.pid
    os.kill(former, signal.SIGKILL)
    run_until(pod, lambda: pod.agents.zygote.zygote and pod.agents.zygote.pid != former)
    AgentProcess.objects.available().get(pod=pod.pod).end("by somebody else")
    run_until(pod, lambda: is_full(pod))


def test_one_taken_out_of_service_ends_its_stock(pod):
    pod.pod.take_out_of_service("ann")
    run_until(pod, lambda: not AgentProcess.objects.available().filter(pod=pod.pod).exists())


def test_one_that_was_reaped_finds_out(pod):
    pod.pod.end("no heartbeat")
    run_until(pod, lambda: pod.reaped)


def test_whoever_looks_tells_the_oldest_that_the_chores_are_its_own(pod, pods):
    Pod.objects.exclude(pk=pod.pod.pk).update(ended_at=Now(), end_reason="drained")
    younger = pods.start(agent_target=0, room_target=0, max_processes=0)

    def the_older_has_heard() -> bool:
        younger.run_once(0.02)
        return pod.chores.are_ours

    run_until(pod, the_older_has_heard)
    reserved = make_room("warming", reserved=True, created_at=Now() - timedelta(minutes=5))
    run_until(pod, lambda: not Room.objects.warming().filter(pk=reserved.pk).exists())


def test_a_quick_poll_sees_what_a_full_one_would(db):
    news: dict[str, Any] = {"free_slots": 7, "start_method": "spawn", "agent_trouble": ""}
    pod, other = make_pod(), make_pod()
    make_session(SessionStatus.ASSIGNED, pod=pod)
    assert quick_poll(pod, calls=True, **news) == RowCounts(False, 1, 0, 0, sessions=True)
    assert quick_poll(pod, calls=False, **news) == RowCounts(False, 1, 0, 0, sessions=False)
    pod.refresh_from_db()
    assert (pod.free_slots, pod.start_method) == (7, "spawn")
    assert quick_poll(other, calls=True, **news) == RowCounts(False, 0, 0, 0, sessions=False)
    other.end("gone")
    assert quick_poll(other, calls=False, **news) is None


def test_all_pods_together_look_about_as_often_as_a_few():
    assert planner.full_poll_interval(2, poll_interval=1.0) == 1.0
    assert planner.full_poll_interval(50, poll_interval=1.0) == 50 / planner.FULL_POLLS_A_SECOND
    assert planner.full_poll_interval(10_000, poll_interval=1.0) == planner.LONGEST_FULL_POLL_S
    assert planner.full_poll_interval(10_000, poll_interval=60.0) == 60.0
