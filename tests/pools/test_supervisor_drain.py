"""A pod that drains: it takes no more, hands off what it was given, and its calls finish."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection, transaction

from breezebuddy.management.commands.runpools import listener_parameters
from leads.connect import connect
from leads.models import Lead
from pools.models import AgentProcess, Pod, Room, SessionStatus, StockStatus, VoiceSession
from pools.sessions.claims import PoolExhausted
from tests.support.make import make_lead
from tests.support.programs import is_running
from tests.support.service import available_pids, call_in_progress, connect_lead, is_full, run_until
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("transactional_db")


@contextmanager
def claim_under_way() -> Iterator[threading.Event]:
    """Another client has claimed a pair and commits when the event is set; at the end of the block at the latest."""
    claimed, commit = threading.Event(), threading.Event()
    lead = make_lead()

    def claim() -> None:
        try:
            with transaction.atomic():
                connect(lead_uuid=lead.uuid, leads=Lead.objects.all(), holder="test")
                claimed.set()
                commit.wait(20)
        finally:
            connection.close()

    client = threading.Thread(target=claim)
    client.start()
    try:
        assert claimed.wait(20)
        yield commit
    finally:
        commit.set()
        client.join()


def somebody_waits_for_a_lock() -> bool:
    """Asked on a connection of its own thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(cursor.fetchone()[0])


def test_a_pod_that_drains_is_not_claimed_from_and_leaves_its_rooms_to_others(pods, sandbox):
    pod = pods.start_full()
    pids = available_pids()
    pod.drain(30)
    run_until(pod, lambda: pod.finished)
    assert Pod.objects.get().draining
    assert not any(map(is_running, pids))
    assert set(AgentProcess.objects.values_list("end_reason", flat=True)) == {"pod drained"}
    assert Room.objects.available().count() == len(sandbox.rooms()) == 2
    with pytest.raises(PoolExhausted, match="no live pod"):
        connect_lead(sandbox)


def test_calls_finish_while_the_pod_drains(pods, sandbox):
    pod = pods.start_full()
    call = call_in_progress(pod, sandbox)
    pod.drain(30)
    run_until(pod, lambda: AgentProcess.objects.current().count() == 1)
    assert call.is_active() and not pod.finished
    call.hang_up()
    run_until(pod, lambda: pod.finished)
    assert (call.session.end_reason, call.lead.outcome) == ("caller_left", "caller_left")


def test_calls_that_do_not_finish_in_time_are_ended_and_recorded(pods, sandbox):
    pod = pods.start_full()
    call = call_in_progress(pod, sandbox)
    pod.drain(0.2)
    run_until(pod, lambda: pod.finished)
    assert call.session.end_reason == "pod_stopped"
    assert (call.lead.status, call.lead.outcome) == ("FINISHED", "UNKNOWN")


def test_a_session_that_was_assigned_before_the_drain_is_served(pods, sandbox):
    pod = pods.start_full()
    call = connect_lead(sandbox)
    pod.drain(30)
    run_until(pod, call.bot_has_joined)
    assert AgentProcess.objects.available().count() == 0
    assert not pod.finished


def test_a_claim_that_races_a_drain_and_wins_is_served(pods, sandbox):
    pod = pods.start_full(agent_target=1)
    with claim_under_way() as commit:
        pod.drain(30)
        watcher = threading.Thread(target=commit_when_somebody_waits, args=(commit,))
        watcher.start()
        run_until(pod, lambda: VoiceSession.objects.active().exists())
        watcher.join()
    assert Pod.objects.get().draining
    assert AgentProcess.objects.get(status=StockStatus.IN_USE).voice_session.status == SessionStatus.ACTIVE
    assert not pod.finished


def commit_when_somebody_waits(commit: threading.Event) -> None:
    """The supervisor ends its idle processes, and one of them is in the hands of a claim."""
    try:
        wait_until(somebody_waits_for_a_lock)
    finally:
        commit.set()
        connection.close()


def test_a_claim_under_way_holds_up_no_heartbeat(pods):
    pod = pods.start_full()
    with claim_under_way():
        before = Pod.objects.get().heartbeat_at
        run_until(pod, lambda: Pod.objects.get().heartbeat_at > before)
        assert not VoiceSession.objects.exists()
    run_until(pod, lambda: VoiceSession.objects.active().exists() and is_full(pod))


def test_a_heartbeat_under_way_holds_up_no_claim(pods, sandbox):
    pods.start_full()
    with psycopg.connect(**listener_parameters()) as other:
        other.execute("SELECT 1 FROM pools_pod FOR UPDATE")
        assert connect_lead(sandbox).status == SessionStatus.ASSIGNED


def test_a_pod_that_was_reaped_finds_out_lets_its_calls_finish_and_ends(pods, sandbox):
    pod = pods.start_full()
    call = call_in_progress(pod, sandbox)
    run_until(pod, lambda: is_full(pod))
    idle = available_pids()
    Pod.objects.get().end("no heartbeat")
    run_until(pod, lambda: pod.reaped and not any(map(is_running, idle)))
    assert call.is_active() and call.people() == ["Bot", "Caller"] and not pod.finished
    call.hang_up()
    run_until(pod, lambda: pod.finished)
    assert call.session.end_reason == "caller_left"
