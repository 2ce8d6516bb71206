"""Operators drain pods and bring them back, retire rooms, recycle processes; running pods obey, calls go on."""

import pytest
from django.db import IntegrityError, transaction

from pools.models import AgentProcess, Pod, Room
from pools.operators import steering
from pools.sessions.claims import PoolExhausted
from tests.support.make import make_agent_process, make_pod, make_room
from tests.support.service import available_pids, call_in_progress, connect_lead, is_full, run_until

pytestmark = pytest.mark.usefixtures("transactional_db")


def row_of(pod) -> Pod:
    return Pod.objects.get(pk=pod.pod.pk)


def test_a_drained_pod_takes_no_sessions_keeps_no_stock_and_lets_calls_finish(pods, sandbox):
    pod = pods.start_full()
    call = call_in_progress(pod, sandbox)
    run_until(pod, lambda: is_full(pod))
    assert steering.drain(row_of(pod), "ann")
    run_until(pod, lambda: AgentProcess.objects.current().count() == 1)
    run_until(pod, lambda: not Room.objects.available().filter(pod=pod.pod).exists())
    assert Room.objects.available().count() == 2, "they are left to the others"
    with pytest.raises(PoolExhausted, match="no live pod takes sessions"):
        connect_lead(sandbox)
    assert call.is_active() and not pod.finished
    call.hang_up()
    run_until(pod, call.is_over)
    assert call.session.end_reason == "caller_left"
    assert not pod.finished, "it waits to be brought back"


def test_a_pod_that_is_brought_back_adopts_its_rooms_and_is_full_again(pods, sandbox):
    pod = pods.start_full()
    rooms = set(Room.objects.available().values_list("pk", flat=True))
    steering.drain(row_of(pod), "ann")
    run_until(pod, lambda: not AgentProcess.objects.current().exists())
    assert steering.uncordon(row_of(pod), "ben")
    run_until(pod, lambda: is_full(pod))
    assert set(Room.objects.available().values_list("pk", flat=True)) == rooms
    run_until(pod, connect_lead(sandbox).bot_has_joined)


def test_an_operators_drain_becomes_final_when_the_pod_is_told_to_end(pods):
    pod = pods.start_full()
    steering.drain(row_of(pod), "ann")
    pod.drain(30)
    run_until(pod, lambda: pod.finished)
    assert row_of(pod).drained_by == ""
    assert not steering.uncordon(row_of(pod), "ann")
    assert row_of(pod).draining


def test_only_an_operators_drain_can_be_taken_back():
    leaving = make_pod(draining=True)
    assert not steering.uncordon(leaving, "ann")
    assert not steering.drain(leaving, "ann")
    gone = make_pod()
    gone.end("stopped")
    assert not steering.drain(gone, "ann")


def test_who_drained_a_pod_cannot_be_on_one_that_takes_sessions():
    with pytest.raises(IntegrityError), transaction.atomic():
        make_pod(drained_by="ann")


def test_recycled_processes_are_replaced_few_at_a_time(pods):
    pod = pods.start_full(agent_target=4)
    before, seen = set(available_pids()), []

    assert steering.recycle_processes(AgentProcess.objects.all(), "ann") == 4

    def all_are_new() -> bool:
        pids = set(available_pids())
        seen.append(len(pids))
        return len(pids) == 4 and not pids & before

    run_until(pod, all_are_new)
    assert min(seen) >= 3, "it never ran dry"
    assert set(AgentProcess.objects.exclude(ended_at=None).values_list("end_reason", flat=True)) == {
        "recycled: by an operator"
    }


def test_a_process_in_a_session_is_not_recycled(pods, sandbox):
    pod = pods.start_full(agent_target=1)
    call = call_in_progress(pod, sandbox)
    assert steering.recycle_processes(AgentProcess.objects.filter(pk=call.process.pk), "ann") == 0


def test_retired_rooms_are_replaced_few_at_a_time(pods, sandbox):
    pod = pods.start_full(room_target=4)
    before, seen = set(sandbox.rooms()), []

    def all_are_new() -> bool:
        names = set(Room.objects.available().values_list("name", flat=True))
        seen.append(len(names))
        return len(names) == 4 and not names & before

    assert steering.retire_rooms(Room.objects.all(), "ann") == 4
    run_until(pod, all_are_new)
    assert min(seen) >= 3, "it never ran dry"
    assert set(Room.objects.exclude(ended_at=None).values_list("end_reason", flat=True)) == {"retired by an operator"}


def test_rooms_that_no_pod_replaces_are_retired_at_once():
    nobodys, silent = make_room(), make_room(pod=make_pod(silent_for=60))
    in_use = make_room("in_use")
    assert steering.retire_rooms(Room.objects.all(), "ann") == 2
    assert set(Room.objects.exclude(ended_at=None)) == {nobodys, silent}
    assert Room.objects.get(pk=in_use.pk).status == "in_use"


def test_stock_of_other_pods_is_left_alone():
    mine, other = make_pod(), make_pod()
    process = make_agent_process(mine)
    make_agent_process(other)
    assert steering.recycle_processes(AgentProcess.objects.filter(pod=mine), "ann") == 1
    assert set(AgentProcess.objects.filter(retiring=True)) == {process}
