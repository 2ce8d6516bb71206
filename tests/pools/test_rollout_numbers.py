"""Versions side by side in numbers and metrics: what each has started, ended, and failed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from pools.models import Pod, VersionCounter, VoiceSession
from pools.operators import version_numbers
from pools.operators.rollout import roll_out
from pools.sessions.ending import Result, end_session, hand_off_failed
from pools.status import version_metrics
from tests.pools.test_prejoined_pairs import make_prejoined_pair
from tests.support.make import make_agent_process, make_pod, make_session
from tests.support.rollouts import NEW, OLD, two_versions


def a_day_with_two_versions() -> None:
    now = timezone.now()
    new, old = two_versions(stock=0)
    for number in range(4):
        process = make_agent_process(new, "in_use", version=NEW)
        session = make_session(
            agent_process=process,
            start_kind="partial" if number == 0 else "warm",
            agent_miss="burst" if number == 0 else "",
        )
        VoiceSession.objects.filter(pk=session.pk).update(
            created_at=now - timedelta(seconds=60),
            before_claim_ms=100,
            bot_joined_at=now - timedelta(seconds=59.8),
            caller_joined_at=now - timedelta(seconds=50),
            first_audio_at=now - timedelta(seconds=49.5),
        )
        end_session(session.pk, Result("bot_error" if number == 1 else "caller_left"))
    broken = make_agent_process(new, "in_use", version=NEW)
    session = make_session("assigned", agent_process=broken)
    assert hand_off_failed(session.pk, 1, "died")
    process = make_agent_process(old, "in_use", version=OLD)
    VoiceSession.objects.filter(pk=session.pk).update(status="assigned", agent_process=process)
    end_session(session.pk, Result("caller_left"))
    make_prejoined_pair(pod=old)  # no call


@pytest.mark.django_db
def test_numbers_of_versions_stand_side_by_side():
    a_day_with_two_versions()
    roll_out({NEW: 10}, by="ann")
    old, new = version_numbers.read(minutes=60)
    assert (new.version, new.pods, new.wanted_percent, new.warm, new.partial) == (NEW, 1, 10, 3, 1)
    assert (new.agent_misses, new.ended, new.failed, new.failed_handoffs) == (1, 4, 1, 1)
    assert new.joined_p50_ms == pytest.approx(300)  # from the request
    assert new.first_audio_p95_ms == pytest.approx(500)
    assert (old.version, old.wanted_percent, old.starts, old.failed, old.failed_handoffs) == (OLD, 90, 1, 0, 0)
    assert version_numbers.read(minutes=0.5)[1].starts == 0


@pytest.mark.django_db
def test_metrics_by_version_count_what_has_ended_and_are_of_versions_that_run():
    a_day_with_two_versions()
    make_agent_process(Pod.objects.get(version=NEW))
    roll_out({NEW: 10}, by="ann")
    VersionCounter.objects.create(version="1.0", start_kind="warm", shard=0, sessions=9)
    found = {
        (sample.name.removeprefix("breeze_buddy_version_"), *sample.labels.values()): sample.value
        for family in version_metrics.metrics(version_metrics.read())
        for sample in family.samples
    }
    assert found["sessions_ended_total", NEW, "warm"] == 3 and found["sessions_ended_total", NEW, "cold"] == 0
    assert found["failed_total", NEW] == found["failed_handoffs_total", NEW] == 1
    assert found["bots_joined_total", NEW] == 4
    assert found["bot_joined_seconds_total", NEW] == pytest.approx(1.2)
    assert found["first_audio_seconds_total", NEW] == pytest.approx(2.0)
    assert (found["pods", NEW], found["available", NEW], found["available", OLD]) == (1, 1, 1)  # the pre-joined pair
    assert (found["wanted_ratio", NEW], found["wanted_ratio", OLD]) == (0.1, 0.9)
    assert not any("1.0" in key for key in found)


@pytest.mark.django_db
def test_metrics_have_no_more_versions_than_are_readable():
    for number in range(version_metrics.MOST + 3):
        make_pod(version=f"build-{number}")
    assert len({row.version for row in version_metrics.read()}) == version_metrics.MOST
