"""How often Daily has answered 429: noted by whoever has called it, told to everybody."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.urls import reverse

from pools.daily import refusals
from pools.daily.refusals import Refusals
from pools.models import DailyRefusals
from pools.sessions.claims import PoolExhausted
from pools.status.state import read_state
from tests.support.make import make_pod
from tests.support.service import connect_lead, run_until


@pytest.fixture(autouse=True)
def _nothing_noted_before(db):
    """What this process has noted in other tests is written, and gone."""
    refusals.write()
    DailyRefusals.objects.all().delete()


@pytest.mark.django_db
def test_only_a_429_is_counted_and_a_reason_for_as_long_as_it_goes_on():
    for status in (429, 200, 503, None, 429):
        refusals.note(status)
    refusals.write()
    refusals.note(429)
    refusals.write()
    assert Refusals.read() == Refusals(hour=3, lately=3)
    assert "Daily refused 3 calls with 429 in the last hour" in read_state().reasons()
    DailyRefusals.objects.update(minute=F("minute") - timedelta(minutes=10))
    assert Refusals.read() == Refusals(hour=3, lately=0)
    assert not [reason for reason in read_state().reasons() if "429" in reason]
    DailyRefusals.objects.update(minute=F("minute") - timedelta(hours=1))
    assert Refusals.read() == Refusals()
    refusals.forget_old()
    assert not DailyRefusals.objects.exists()


@pytest.mark.django_db
def test_without_a_refusal_nothing_is_written(django_assert_num_queries):
    with django_assert_num_queries(0):
        refusals.write()


@pytest.mark.django_db
def test_the_dashboard_tells_them(admin_client):
    make_pod()
    refusals.note(429)
    refusals.write()
    daily = admin_client.get(reverse("admin:live")).json()["daily"]
    assert (daily["refused"], daily["level"]) == (1, "warn")


def test_one_that_the_api_meets_is_written_by_the_api_and_one_of_a_pod_by_the_pod(pods, sandbox):
    pod = pods.start_full(agent_target=1, room_target=0, agent_cap=1, room_cap=0)
    sandbox.fault("429", times=1)
    with pytest.raises(PoolExhausted):
        connect_lead(sandbox)
    assert Refusals.read().hour == 1
    refusals.note(429)
    run_until(pod, lambda: Refusals.read().hour == 2)
