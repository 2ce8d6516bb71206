"""Roll-outs: versions get their shares, a call never suffers for it, and one word takes it back."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pools import shares
from pools.models import AgentProcess, OperatorAction, Pod, Rollout, StockStatus, VoiceSession
from pools.operators import rollout
from pools.operators.rollout import RolloutRefused, roll_back, roll_out
from pools.processes.session_rows import left_to_others
from pools.sessions import taking
from pools.sessions.claims import PoolExhausted, SessionRequest, claim
from tests.pools.test_claims import in_threads
from tests.pools.test_prejoined_pairs import make_prejoined_pair
from tests.support.make import make_agent_process, make_pod, make_room, make_session
from tests.support.rollouts import NEW, OLD, ONE_IN_A_BILLION, REQUEST, claimed, two_versions, version_of
from tests.support.service import connect_lead, run_until, together


def take(process: int | None) -> None:
    assert process is not None
    assert AgentProcess.objects.available().filter(pk=process).update(status=StockStatus.IN_USE) == 1


# --- claims ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_shares_converge_though_the_new_version_has_the_fewest_slots():
    number, percent = 1000, 30
    new, old = two_versions(stock=0)
    for pod in (new, old):
        AgentProcess.objects.bulk_create(
            AgentProcess(pod=pod, status="available", os_pid=4_000_000 + i, available_at=timezone.now())
            for i in range(number)
        )
    roll_out({NEW: percent}, by="ann")
    for _ in range(number):
        take(taking.lock_process(shares.draw(uuid.uuid4())))
    taken = AgentProcess.objects.in_use().filter(pod=new).count()
    deviation = (number * 0.3 * 0.7) ** 0.5
    assert abs(taken - number * 0.3) < ONE_IN_A_BILLION * deviation, taken


@pytest.mark.django_db
def test_without_a_roll_out_calls_go_where_the_free_slots_are():
    two_versions(stock=3)
    assert [version_of(claimed()) for _ in range(3)] == [OLD] * 3


@pytest.mark.django_db
def test_a_version_that_is_out_of_stock_refuses_nobody():
    two_versions(stock=2)
    roll_out({NEW: 100}, by="ann")
    assert [version_of(claimed()) for _ in range(4)] == [NEW, NEW, OLD, OLD]
    make_room()
    assert claimed().status == "waiting"


@pytest.mark.django_db
def test_a_version_without_a_share_is_taken_last():
    two_versions(stock=2)
    roll_out({OLD: 0}, by="ann")
    assert [version_of(claimed()) for _ in range(4)] == [NEW, NEW, OLD, OLD]


@pytest.mark.django_db
def test_rolling_back_goes_to_what_stood_before_step_by_step():
    new, old = two_versions(stock=0)

    def preferred() -> str:
        process = make_agent_process(new), make_agent_process(old)
        taken = taking.lock_process(0.5)
        AgentProcess.objects.filter(pk__in=[each.pk for each in process]).delete()
        return NEW if taken == process[0].pk else OLD

    assert preferred() == OLD  # by its free slots
    roll_out({NEW: 60}, by="ann")
    roll_out({NEW: 100}, by="ann")
    roll_out({OLD: 100}, by="ben")
    assert preferred() == OLD
    taken_back = roll_back(by="eve")
    assert taken_back is not None and taken_back.shares == {OLD: 100}
    assert preferred() == NEW and str(rollout.standing()) == "2.3 100 %"
    roll_back(by="eve")
    assert str(rollout.standing()) == "2.3 60 %, the others 40 %"
    roll_back(by="eve")
    assert rollout.standing() is None and preferred() == OLD
    assert roll_back(by="eve") is None
    assert not Pod.objects.filter(draws_from__isnull=False).exists()
    assert OperatorAction.objects.filter(by="eve", what__startswith="roll back: ").count() == 3


@pytest.mark.django_db
def test_off_is_a_roll_out_that_can_be_taken_back():
    new, _ = two_versions()
    roll_out({NEW: 100}, by="ann")
    roll_out({}, by="ann")
    new.refresh_from_db()
    assert new.draws_from is None
    roll_back(by="ann")
    new.refresh_from_db()
    assert (new.draws_from, new.draws_until) == (0, 1)


@pytest.mark.django_db
def test_a_version_that_no_live_pod_runs_is_refused_unless_it_is_said_ahead():
    two_versions(), make_pod(version="2.1", silent_for=60), make_pod(version="")
    with pytest.raises(RolloutRefused, match=r"version 2\.1; live: \(pods without a version\), 2\.2, 2\.3"):
        roll_out({"2.1": 10}, by="ann")
    assert not Rollout.objects.exists()
    roll_out({"2.4": 0}, by="ann", ahead=True)
    assert rollout.draws_of("2.4") == {"draws_from": 0.0, "draws_until": 0.0}
    assert rollout.draws_of("2.2") == {"draws_from": 0.0, "draws_until": 1.0}


@pytest.mark.django_db
def test_a_claim_costs_the_same_statements_with_a_roll_out():
    two_versions()
    roll_out({NEW: 100}, by="ann")
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        claim(REQUEST)
    assert len(queries) == 2


@pytest.mark.django_db(transaction=True)
def test_a_pod_that_starts_has_what_stands_from_its_first_moment(pods):
    make_pod(version=OLD)
    roll_out({OLD: 25}, by="ann")
    started = pods.start().pod
    assert (started.draws_from, started.draws_until) == (0.25, 1.0)


# --- pre-joined pairs and sessions that wait ----------------------------------------------------------------------


@pytest.mark.django_db
def test_a_prejoined_pair_of_another_version_is_taken_only_before_nothing():
    new, old = two_versions(stock=0)
    prejoined = make_prejoined_pair(pod=old)
    make_agent_process(new), make_room()
    roll_out({NEW: 100}, by="ann")
    request = SessionRequest(body={}, life=timedelta(minutes=30), prejoined=True)
    assert version_of(claimed(request)) == NEW
    assert claimed(request).pk == prejoined.pk


@pytest.mark.django_db
def test_a_waiting_session_is_left_to_a_pod_of_its_version_that_has_a_slot_for_a_moment():
    new, old = two_versions(stock=0)
    session = make_session("waiting")
    assert left_to_others(old, [session]) == set()  # no roll-out
    roll_out({NEW: 100}, by="ann")
    assert left_to_others(old, [session]) == {session.pk}
    assert left_to_others(new, [session]) == set()
    Pod.objects.filter(pk=new.pk).update(free_slots=0)
    assert left_to_others(old, [session]) == set()
    Pod.objects.filter(pk=new.pk).update(free_slots=3, agent_trouble="no bot")
    assert left_to_others(old, [session]) == set()
    Pod.objects.filter(pk=new.pk).update(agent_trouble="")
    again = make_session("waiting", attempt=2)
    long_ago = make_session("waiting", created_at=timezone.now() - timedelta(seconds=5))
    assert left_to_others(old, [again, long_ago]) == set()


@pytest.mark.django_db(transaction=True)
def test_pods_of_two_versions_obey_from_stock_and_on_demand(pods, sandbox):
    old, new = (pods.start_full(version=version, agent_target=1, room_target=4) for version in (OLD, NEW))
    roll_out({NEW: 100}, by="ann")
    first = connect_lead(sandbox)
    run_until(old, together(first.bot_has_joined, new))
    AgentProcess.objects.available().update(status="ended", ended_at=timezone.now())  # nothing in stock
    second = connect_lead(sandbox)
    soon = timezone.now() + timedelta(hours=1)  # this machine may be too slow for half a second
    VoiceSession.objects.waiting().update(created_at=soon)
    run_until(old, together(second.bot_has_joined, new))
    assert [call.process.version for call in (first, second)] == [NEW, NEW]
    assert (first.session.start_kind, second.session.start_kind) == ("warm", "partial")


# --- at once -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_claims_while_operators_and_pods_come_and_go_lose_nothing_and_pods_agree_at_the_end():
    new, old = make_pod(version=NEW, max_processes=200), make_pod(version=OLD, max_processes=200)
    for pod in (new, old):
        for _ in range(40):
            make_agent_process(pod), make_room()

    def race(turn: int) -> int:
        if turn == 0:
            for percent in (10, 50, 90, 0):
                roll_out({NEW: percent}, by="ann")
            return 0
        if turn == 1:
            for _ in range(2):
                roll_back(by="ben")
            return 0
        if turn == 2:
            for number in range(4):
                with transaction.atomic():
                    rollout.take_turn()
                    carried: dict[str, Any] = dict(rollout.draws_of(NEW))
                    make_pod(f"late-{number}", version=NEW, **carried)
            return 0
        taken = 0
        for _ in range(15):
            try:
                taken += claimed().agent_process_id is not None
            except PoolExhausted as refusal:
                raise AssertionError("refused because of a preference") from refusal
        return taken

    in_threads(7, race)
    used = AgentProcess.objects.in_use()
    assert used.count() == VoiceSession.objects.exclude(agent_process=None).count()
    assert VoiceSession.objects.count() == 60
    for version in (NEW, OLD):
        expected = rollout.draws_of(version)
        found = Pod.objects.filter(version=version).order_by().values("draws_from", "draws_until").distinct()
        assert list(found) == [expected]
