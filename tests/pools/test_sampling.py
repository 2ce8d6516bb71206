"""The history behind the charts: a sample each ten seconds, by the oldest live pod."""

from datetime import timedelta

import pytest
from django.utils import timezone

from pools.daily import budget
from pools.models import PoolSample, StartKind
from pools.status.sampling import Mark, Starts, forget_old, take_sample
from tests.support.make import make_agent_process, make_daily_account, make_pod, make_room, make_session
from tests.support.service import call_in_progress, is_full, run_until

pytestmark = pytest.mark.django_db


def let_time_pass(seconds=10.0):
    for sample in PoolSample.objects.all():
        PoolSample.objects.filter(pk=sample.pk).update(at=sample.at - timedelta(seconds=seconds))


def make_start(kind=StartKind.WARM, ms=20.0, before_claim_ms=None):
    session = make_session("ended", start_kind=kind, before_claim_ms=before_claim_ms)
    session.active_at = session.created_at + timedelta(milliseconds=ms)
    session.save()


def test_a_sample_is_what_the_status_says():
    make_daily_account()
    pod = make_pod(agent_target=2, room_target=1)
    make_agent_process(pod), make_agent_process(pod, "warming"), make_agent_process(pod, "in_use")
    make_room(pod=pod)
    make_session("waiting")
    assert take_sample()
    sample = PoolSample.objects.get()
    assert (sample.pods, sample.waiting) == (1, 1)
    assert (sample.agents_available, sample.agents_warming, sample.agents_in_use, sample.agents_target) == (1, 1, 1, 2)
    assert (sample.rooms_available, sample.rooms_target) == (1, 1)


def test_each_start_is_in_one_sample_of_the_interval_after_it():
    for number, kinds in enumerate([["warm"], ["warm", "cold"], ["partial"], [], []]):
        for kind in kinds:
            make_start(StartKind(kind), ms=10.0 * (number + 1))
        assert take_sample()
        let_time_pass()
    samples = PoolSample.objects.order_by("id")
    counted = [(sample.warm, sample.partial, sample.cold, sample.acknowledged) for sample in samples]
    assert counted == [(0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 1, 2), (0, 1, 0, 1), (0, 0, 0, 0)]
    assert [sample.connect_p50_ms for sample in samples][2:4] == pytest.approx([20.0, 30.0])


def test_two_pods_at_once_take_one_sample():
    assert take_sample()
    assert not take_sample()


def test_percentiles_are_those_of_acknowledged_sessions():
    for ms in range(1, 102):
        make_start(ms=ms)
    make_session("assigned")
    starts = Starts.between(Mark.of(None))
    assert (starts.total, starts.acknowledged) == (102, 101)
    assert (starts.p50_ms, starts.p99_ms) == (pytest.approx(51), pytest.approx(100))


def test_a_start_is_timed_from_the_request_with_the_room_made_on_demand():
    make_start(StartKind.PARTIAL, ms=30.0, before_claim_ms=1200.0)
    starts = Starts.between(Mark.of(None))
    assert (starts.p50_ms, starts.p99_ms) == (pytest.approx(1230), pytest.approx(1230))


def test_what_is_left_of_dailys_budget():
    assert budget.left()[budget.Group.GENERAL] == 1
    budget.take(budget.Group.GENERAL, budget.Priority.ON_DEMAND, 45)
    assert budget.left()[budget.Group.GENERAL] == 0.5
    take_sample()
    assert PoolSample.objects.get().daily_left == 0.5


def test_old_samples_are_forgotten():
    PoolSample.objects.create(
        at=timezone.now() - timedelta(days=8),
        last_session=0,
        pods=1,
        waiting=0,
        **{
            f"{pool}_{what}": 0 for pool in ("agents", "rooms") for what in ("available", "warming", "in_use", "target")
        },
    )
    take_sample()
    forget_old()
    assert PoolSample.objects.count() == 1


def test_a_running_pod_takes_samples(pods, sandbox):
    pod = pods.start_full()
    call_in_progress(pod, sandbox)
    run_until(pod, lambda: is_full(pod))
    run_until(pod, PoolSample.objects.exists)
