"""What one pod keeps in stock: filled, replaced at once, never above the cap, healed from whatever happens to it."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from pools.models import AgentProcess, Room, StartKind, StockStatus
from tests.support.programs import is_running
from tests.support.service import available_pids, connect_lead, is_full, pid_of, run_until

pytestmark = pytest.mark.usefixtures("transactional_db")
A_MINUTE = 60.0


def test_both_pools_are_filled_at_the_start(pods, sandbox):
    pod = pods.start(agent_target=3, room_target=4)
    run_until(pod, lambda: is_full(pod))
    assert all(map(is_running, available_pids()))
    assert set(sandbox.rooms()) == set(Room.objects.available().values_list("name", flat=True))


def test_what_is_taken_is_replaced_at_once(pods, sandbox):
    pod = pods.start_full(poll_interval=A_MINUTE, heartbeat_interval=A_MINUTE)
    pids = available_pids()
    call = connect_lead(sandbox)
    run_until(pod, lambda: is_full(pod), deadline=A_MINUTE / 2)  # woken, not by the poll
    assert call.pid in pids and call.pid not in available_pids()


def test_the_stock_is_never_above_the_cap(pods, sandbox):
    pod = pods.start(agent_target=2, room_target=3)
    above = []

    def look() -> bool:
        agents = AgentProcess.objects.current().exclude(status=StockStatus.IN_USE).count()
        rooms = Room.objects.stock().count()
        if agents > 2 or rooms > 3:
            above.append((agents, rooms))
        return is_full(pod)

    for _ in range(3):
        run_until(pod, look)
        connect_lead(sandbox)
    run_until(pod, look)
    assert above == []
    assert sandbox.counters()["rooms"]["created"] == 3 + 3


def test_rooms_that_vanish_are_made_up_for(pods):
    pod = pods.start_full(room_target=3, agent_target=0, max_processes=0)
    Room.objects.available().filter(pk=Room.objects.available().latest("pk").pk).delete()
    Room.objects.available().earliest("pk").end("by somebody else")
    assert not is_full(pod)
    run_until(pod, lambda: is_full(pod))


def test_processes_whose_rows_are_ended_or_deleted_are_replaced(pods):
    pod = pods.start_full(agent_target=3)
    deleted, ended = AgentProcess.objects.available()[:2]
    AgentProcess.objects.filter(pk=deleted.pk).delete()
    ended.end("by somebody else")
    run_until(pod, lambda: is_full(pod) and not is_running(pid_of(deleted)) and not is_running(pid_of(ended)))


def test_a_process_that_is_taken_by_nobody_is_replaced(pods):
    pod = pods.start_full()
    AgentProcess.objects.filter(pk=AgentProcess.objects.available().earliest("pk").pk).update(status=StockStatus.IN_USE)
    run_until(pod, lambda: is_full(pod) and not AgentProcess.objects.in_use().exists())


def test_rows_of_processes_that_do_not_exist_are_ended(pods):
    pod = pods.start_full()
    ghost = AgentProcess.objects.create(pod=pod.pod, status=StockStatus.AVAILABLE, os_pid=4_000_000)
    run_until(pod, lambda: AgentProcess.objects.get(pk=ghost.pk).status == StockStatus.ENDED)
    assert is_full(pod)


def test_without_stock_rooms_and_processes_are_made_on_demand(pods, sandbox):
    pod = pods.start(agent_target=0, room_target=0)
    run_until(pod, lambda: pod.rooms.verified and pod.agents.zygote.zygote)
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    assert call.session.start_kind == StartKind.COLD
    assert call.process.on_demand
    assert not AgentProcess.objects.available().exists() and not Room.objects.stock().exists()


def test_rooms_near_their_end_are_replaced_and_not_handed_out(pods, sandbox):
    pod = pods.start_full(room_target=3, session_limit=120)
    old = set(sandbox.rooms())
    Room.objects.available().update(expires_at=Now() + timedelta(seconds=150))
    run_until(pod, lambda: not set(sandbox.rooms()) & old and is_full(pod))
    assert connect_lead(sandbox).room_name not in old


def test_a_room_with_less_life_than_a_session_is_not_handed_out(pods, sandbox, settings):
    settings.MAX_DAILY_SESSION_LIMIT = 120
    pods.start_full(room_target=1)
    old = Room.objects.available().get()
    Room.objects.available().update(expires_at=Now() + timedelta(seconds=119))
    call = connect_lead(sandbox)
    assert call.room_name != old.name
    assert (call.session.start_kind, call.session.start_reason) == (StartKind.PARTIAL, "no room in stock")


def test_the_rooms_of_a_pod_that_has_gone_are_adopted(pods, sandbox):
    pods.close(pods.start_full(room_target=3))
    before = set(sandbox.rooms())
    pods.start_full(room_target=2)
    assert set(sandbox.rooms()) <= before
    assert Room.objects.available().filter(pod=None).count() == 1


def test_closing_leaves_rooms_to_others_and_no_process(pods):
    pod = pods.start_full()
    pids = available_pids()
    pods.close(pod)
    assert not AgentProcess.objects.current().exists()
    assert Room.objects.available().filter(pod=None).count() == 2
    pods.end()
    assert not any(map(is_running, pids))
