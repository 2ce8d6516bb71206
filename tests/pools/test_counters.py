"""What is counted is what happened: once each, whoever did it, and for longer than the rows are kept."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from pools.chores import reaper, retention
from pools.models import EventCounter, Pod, SessionCounter, SessionStatus, VoiceSession
from pools.sessions import counters
from pools.sessions.ending import Result, ask_to_end, end_session, hand_off_failed
from tests.support.make import make_pod, make_room, make_session

pytestmark = pytest.mark.django_db


def ended(**values: str) -> int:
    return SessionCounter.objects.filter(**values).aggregate(n=Sum("sessions"))["n"] or 0


def happened(event: counters.Event) -> int:
    return sum(EventCounter.objects.filter(event=event).values_list("number", flat=True))


def test_a_session_is_counted_once_however_many_report_its_end():
    session = make_session()
    assert end_session(session.pk, Result("bot_ended"))
    assert not end_session(session.pk, Result("agent_lost"))
    assert ask_to_end(session.uuid, "ended_by_operator")
    assert ended() == ended(start_kind="warm", end_reason="bot_ended") == 1


def test_an_end_that_is_rolled_back_is_not_counted():
    session = make_session()
    with transaction.atomic():
        end_session(session.pk, Result("bot_ended"))
        transaction.set_rollback(True)
    assert ended() == 0


def test_handoffs_beyond_the_first_are_counted_with_their_session():
    session = make_session(SessionStatus.ASSIGNED)
    assert hand_off_failed(session.pk, 1, "died")
    end_session(session.pk, Result("not_started"))
    assert SessionCounter.objects.get().handed_off_again == 1


def test_the_count_outlives_the_rows():
    session = make_session()
    end_session(session.pk, Result("bot_ended"))
    VoiceSession.objects.update(ended_at=timezone.now() - timedelta(days=40))
    retention.delete_ended(30)
    assert not VoiceSession.objects.exists()
    assert ended() == 1


def test_a_lost_pod_is_counted_once_though_two_reap_it():
    pod = make_pod(silent_for=60)
    make_pod()
    assert reaper.reap_lost_pods(Pod.objects.lost()) == 1
    reaper.reap_pod(pod, "no heartbeat")
    assert reaper.reap_lost_pods(Pod.objects.lost()) == 0
    assert happened(counters.Event.REAPED_POD) == 1


def test_what_is_reaped_is_counted_by_its_kind():
    long_ago = timezone.now() - timedelta(minutes=5)
    make_room("warming", reserved=True, created_at=long_ago), make_room("warming", reserved=True, created_at=long_ago)
    make_session(SessionStatus.WAITING, created_at=long_ago)
    reaper.reap_reserved_rooms()
    reaper.end_overdue_waiting(10)
    assert happened(counters.Event.REAPED_RESERVED_ROOM) == 2
    assert happened(counters.Event.REAPED_WAITING_SESSION) == 1
    assert ended(end_reason="not_started") == 1
