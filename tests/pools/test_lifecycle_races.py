"""Two at once, held at the worst moment: one has written and not yet committed, the other comes to the same row."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from leads.models import ExecutionMode, Lead, LeadStatus
from leads.telephony.dialler import Dialler
from pools.chores import reaper
from pools.models import AgentProcess, Pod, Room, SessionStatus, StockStatus, VoiceSession
from pools.processes import session_rows
from pools.sessions.claims import SessionRequest, claim
from pools.sessions.daily_events import end_left_alone
from pools.sessions.ending import Result, end_session
from tests.support.make import make_agent_process, make_lead, make_pod, make_room, make_session
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def is_blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(BLOCKED)
        return cursor.fetchone()[0] > 0


@contextmanager
def uncommitted(work: Callable[[], object]) -> Iterator[threading.Event]:
    """`work` is done in a transaction of its own, which commits when the event is set, at the latest at the end."""
    done, commit = threading.Event(), threading.Event()

    def run() -> None:
        try:
            with transaction.atomic():
                work()
                done.set()
                commit.wait(20)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(run)
        try:
            wait_until(lambda: done.is_set() or result.done())
            yield commit
        finally:
            commit.set()
        result.result(20)


def in_the_background(pool: ThreadPoolExecutor, work: Callable[[], object]) -> Future[object]:
    def run() -> object:
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


def acknowledge(session: VoiceSession) -> None:
    """As its pod does it."""
    process = session.agent_process
    assert process is not None
    assert session_rows.acknowledge(session.pk, session.attempt, process.pk, process.pod_id, since_start=0.0)


def test_a_claim_that_commits_while_its_pod_is_reaped_is_handed_back():
    pod = make_pod()
    make_agent_process(pod), make_room()
    request = SessionRequest(body={}, life=timedelta(minutes=30))
    with uncommitted(lambda: claim(request)) as commit, ThreadPoolExecutor(1) as pool:
        reaped = in_the_background(pool, lambda: reaper.reap_pod(pod, "killed"))
        wait_until(is_blocked)
        commit.set()
        reaped.result(20)
    session = VoiceSession.objects.get()
    assert (session.status, session.attempt) == (SessionStatus.WAITING, 2)
    assert AgentProcess.objects.get().status == StockStatus.ENDED


def test_a_session_in_the_hands_of_an_ended_pod_is_taken_back():
    session = make_session("assigned", pod=make_pod(ended_at="2026-01-01T00:00Z"))
    assert reaper.take_back_unacknowledged(Pod.objects.ended()) == 1
    session.refresh_from_db()
    assert session.status == SessionStatus.WAITING


@pytest.mark.parametrize("how", ["taken back", "reaped"])
def test_a_session_that_is_acknowledged_at_the_last_moment_is_left_to_its_bot(how):
    """Its bot has been told to go: with a second process there would be two in the room."""
    pod = make_pod(silent_for=5)
    session = make_session("assigned", pod=pod)

    def act() -> None:
        if how == "reaped":
            reaper.reap_pod(pod, "no heartbeat")
        else:
            reaper.take_back_unacknowledged(Pod.objects.silent())

    with uncommitted(lambda: acknowledge(session)) as commit, ThreadPoolExecutor(1) as pool:
        acting = in_the_background(pool, act)
        if how == "reaped":
            wait_until(is_blocked)
        else:
            acting.result(20)  # it waits for no lock
        commit.set()
        acting.result(20)
    session.refresh_from_db()
    assert (session.status, session.attempt) == (SessionStatus.ACTIVE, 1)
    assert AgentProcess.objects.get().status == StockStatus.IN_USE


def test_a_room_that_is_made_while_its_pod_goes_is_not_ended_as_if_it_were_not():
    """It may have been claimed by then."""
    pod = make_pod(ended_at="2026-01-01T00:00Z")
    room = make_room("warming", pod=pod)

    def made() -> None:
        assert room.become_available(url="https://test.daily.co/made", expires_at=room.expires_at)

    ended = Pod.objects.exclude(ended_at=None)
    with uncommitted(made):
        reaper.release_rooms(ended)
    room.refresh_from_db()
    assert room.status == StockStatus.AVAILABLE
    reaper.release_rooms(ended)
    room.refresh_from_db()
    assert (room.status, room.pod) == (StockStatus.AVAILABLE, None)


def test_a_locked_row_of_one_lost_pod_holds_up_nobody(caplog):
    locked, other = make_pod(silent_for=60), make_pod(silent_for=60)
    make_agent_process(locked), make_agent_process(other)

    def lock() -> None:
        Pod.objects.select_for_update().get(pk=locked.pk)

    with uncommitted(lock):
        assert reaper.reap_lost_pods(Pod.objects.lost()) == 1
        assert list(Pod.objects.current()) == [locked]
        assert [line for line in caplog.messages if "pod_reaped" in line and locked.name in line] == []
    assert reaper.reap_lost_pods(Pod.objects.lost()) == 1
    assert not AgentProcess.objects.current().exists()


def test_locked_rows_hold_up_no_chore():
    gone = make_pod(ended_at="2026-01-01T00:00Z")
    assigned, active = make_session("assigned", pod=gone), make_session("active", pod=gone)
    room, reserved = make_room(pod=gone), make_room("warming", reserved=True, created_at="2026-01-01T00:00Z")
    make_session("active", caller_left_at="2026-01-01T00:00Z")
    overdue = make_session("waiting", created_at="2026-01-01T00:00Z")

    def lock() -> None:
        for model in (VoiceSession, AgentProcess, Room):
            assert list(model.objects.select_for_update())

    def chores() -> None:
        reaper.take_back_unacknowledged(Pod.objects.ended())
        reaper.settle_ended_pods()
        reaper.reap_reserved_rooms()
        reaper.end_overdue_waiting(3600)
        end_left_alone(0)
        reaper.end_abandoned_calls([active], set(), 0)

    def after() -> list[object]:
        for row in (assigned, active, room, reserved, overdue):
            row.refresh_from_db()
        return [assigned.status, active.status, room.pod, reserved.status, overdue.status]

    before = after()
    with uncommitted(lock):
        chores()
        assert after() == before
    chores()
    assert after() == ["waiting", "waiting", None, "ended", "ended"]
    assert VoiceSession.objects.filter(stop_reason="caller_left").count() == 1


def test_a_telephone_is_not_dialled_for_a_session_that_ends_meanwhile():
    """Its pod is silent: another one ends it, while this one, which has been paused, goes on to dial."""
    session = make_session(outbound=True, bot_joined_at=timezone.now())
    lead = make_lead(LeadStatus.PROCESSING, voice_session=session, execution_mode=ExecutionMode.TELEPHONY)
    assert Lead.objects.to_be_dialled().get() == lead

    def end() -> None:
        end_session(session.pk, Result("supervisor_lost"))

    with uncommitted(end) as commit, ThreadPoolExecutor(1) as pool:
        intended = in_the_background(pool, lambda: Dialler._intend(Lead.objects.to_be_dialled().get(pk=lead.pk)))
        wait_until(is_blocked)
        commit.set()
        assert not intended.result(20)
    lead.refresh_from_db()
    assert (lead.status, lead.platform_status) == (LeadStatus.BACKLOG, "")
