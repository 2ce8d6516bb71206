"""Ended rows go after a while; what is still needed stays."""

from datetime import timedelta

import pytest
from django.utils import timezone

from leads.models import Lead, LeadStatus
from pools.chores import retention
from pools.models import AgentProcess, Pod, Room, VersionCounter, VoiceSession
from tests.support.make import make_agent_process, make_lead, make_pod, make_room, make_session

pytestmark = pytest.mark.django_db

LONG_AGO = timezone.now() - timedelta(days=31)


def test_a_session_goes_with_its_room_process_and_pod_and_its_lead_stays():
    pod = make_pod(ended_at=LONG_AGO)
    room = make_room("ended", ended_at=LONG_AGO, deleted_at=LONG_AGO)
    process = make_agent_process(pod, "ended", ended_at=LONG_AGO)
    session = make_session("ended", room=room, agent_process=process, ended_at=LONG_AGO)
    lead = make_lead(LeadStatus.FINISHED, voice_session=session, outcome="DONE")
    assert retention.delete_ended(30) is False
    assert not any(model.objects.exists() for model in (VoiceSession, Room, AgentProcess, Pod))
    assert Lead.objects.get(pk=lead.pk).outcome == "DONE"


def test_what_is_young_or_current_or_still_at_daily_stays():
    make_session("ended"), make_session("active", created_at=LONG_AGO)
    make_room("ended", ended_at=LONG_AGO), make_room(available_at=LONG_AGO)
    before = [model.objects.count() for model in (VoiceSession, Room, AgentProcess, Pod)]
    retention.delete_ended(30)
    assert [model.objects.count() for model in (VoiceSession, Room, AgentProcess, Pod)] == before


def test_nothing_goes_where_everything_is_to_be_kept():
    make_agent_process(status="ended", ended_at=LONG_AGO)
    retention.delete_ended(0)
    assert AgentProcess.objects.count() == 1


def test_a_batch_is_bounded_and_says_that_there_is_more():
    pod = make_pod()
    AgentProcess.objects.bulk_create(
        AgentProcess(pod=pod, status="ended", ended_at=LONG_AGO) for _ in range(retention.BATCH + 1)
    )
    assert retention.delete_ended(30) is True
    assert AgentProcess.objects.count() == 1
    assert retention.delete_ended(30) is False


def test_young_rows_among_the_oldest_stop_nothing():
    pod = make_pod()
    for at in (timezone.now(), LONG_AGO, LONG_AGO, LONG_AGO):
        make_agent_process(pod, "ended", ended_at=at)
    rounds = 1
    while retention.delete_ended(30, batch=2):
        rounds += 1
    assert AgentProcess.objects.count() == 1 and rounds == 4


def test_the_counters_of_a_version_go_after_its_last_pod():
    make_pod(version="2.3"), make_pod(version="2.2", ended_at=LONG_AGO)
    for version in ("2.3", "2.2", "2.1"):
        VersionCounter.objects.create(version=version, start_kind="warm", shard=0)
    retention.delete_ended(0)
    assert VersionCounter.objects.count() == 3
    retention.delete_ended(30)
    assert VersionCounter.objects.get().version == "2.3"
