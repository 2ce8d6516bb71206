"""`explain` says the real cause of every kind of start: twenty of each, each made by bringing it about."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from access.models import Role
from pools.daily import budget
from pools.models import (
    AgentProcess,
    SessionStatus,
    StartKind,
    VoiceSession,
)
from pools.sessions.claims import OnDemandRoom, RoomNeeded, SessionRequest, claim
from pools.sessions.ending import Result, end_session, hand_off_failed
from pools.sessions.history import SessionHistory
from pools.sessions.misses import Cause, Circumstances, agent_cause, room_cause
from tests.support.api import get
from tests.support.make import (
    bearer,
    make_agent_process,
    make_daily_account,
    make_lead,
    make_pod,
    make_room,
    make_session,
)

LIFE = timedelta(minutes=30)
TWENTY = 20

pytestmark = pytest.mark.django_db


def start(**values) -> VoiceSession:
    """A session claimed as `connect` does it: a room that is missing is made, and then claimed."""
    request = SessionRequest(body={}, life=LIFE, **values)
    try:
        with transaction.atomic():
            return claim(request)
    except RoomNeeded as needed:
        seen = needed.seen
    made = make_room("warming", reserved=True, url="https://test.daily.co/on-demand")
    with transaction.atomic():
        return claim(request, OnDemandRoom(made, seen))


def live_pod(**values):
    return make_pod(silent_for=-60, **values)


def has_been_ready(pod) -> None:
    """Its pools have been filled once."""
    make_agent_process(pod, "ended", available_at=timezone.now())
    make_room("ended", pod=pod, available_at=timezone.now())


# --- how each cause comes about: called before every start, so that the next one misses for the same reason -------


def agents_switched_off():
    live_pod(agent_target=0, agent_cap=0), make_room()


def agents_in_trouble():
    live_pod(agent_trouble="warm-up failed: No module named 'nobot'"), make_room()
    has_been_ready(live_pod())


def agents_of_a_leaving_pod():
    has_been_ready(live_pod())
    make_room()
    make_agent_process(live_pod(draining=True))
    make_agent_process(make_pod(silent_for=5))


def agents_starting():
    make_agent_process(live_pod(), "warming"), make_room()


def agents_at_their_limit():
    has_been_ready(live_pod(free_slots=0))
    make_room()


def agents_in_a_burst():
    pod = live_pod()
    has_been_ready(pod)
    make_room()
    for _ in range(3):
        make_agent_process(pod, "warming")


AGENT_CAUSES = {
    Cause.SWITCHED_OFF: agents_switched_off,
    Cause.TROUBLE: agents_in_trouble,
    Cause.POD_LEAVING: agents_of_a_leaving_pod,
    Cause.STARTING: agents_starting,
    Cause.PROCESS_LIMIT: agents_at_their_limit,
    Cause.BURST: agents_in_a_burst,
}


def rooms_switched_off():
    make_agent_process(live_pod(room_target=0, room_cap=0))


def rooms_in_trouble():
    make_daily_account(trouble="Daily POST /rooms: no answer (ConnectTimeout)")
    pod = live_pod()
    has_been_ready(pod)
    make_agent_process(pod)


def rooms_too_old():
    pod = live_pod()
    make_agent_process(pod), make_room(pod=pod, life=60)


def rooms_starting():
    pod = live_pod()
    make_agent_process(pod), make_room("warming", pod=pod)


def rooms_without_budget():
    pod = live_pod()
    has_been_ready(pod)
    make_agent_process(pod)
    budget.take(budget.Group.GENERAL, budget.Priority.ON_DEMAND, 90)


def rooms_in_a_burst():
    pod = live_pod()
    has_been_ready(pod)
    make_agent_process(pod), make_room("warming", pod=pod)


ROOM_CAUSES = {
    Cause.SWITCHED_OFF: rooms_switched_off,
    Cause.TROUBLE: rooms_in_trouble,
    Cause.TOO_OLD: rooms_too_old,
    Cause.STARTING: rooms_starting,
    Cause.DAILY_BUDGET: rooms_without_budget,
    Cause.BURST: rooms_in_a_burst,
}


def twenty_times() -> Iterator[None]:
    """Each time with an empty database."""
    for _ in range(TWENTY):
        before = transaction.savepoint()
        yield
        transaction.savepoint_rollback(before)


@pytest.mark.parametrize("cause", AGENT_CAUSES)
def test_a_missing_process_is_explained_by_its_real_cause(cause):
    for _ in twenty_times():
        AGENT_CAUSES[cause]()
        session = start()
        assert session.start_kind == StartKind.PARTIAL
        [miss] = SessionHistory.read(session.uuid).misses
        assert (miss.pool, miss.cause) == ("agents", cause), miss.words


@pytest.mark.parametrize("cause", ROOM_CAUSES)
def test_a_missing_room_is_explained_by_its_real_cause(cause):
    for _ in twenty_times():
        ROOM_CAUSES[cause]()
        session = start()
        assert session.start_kind == StartKind.PARTIAL
        [miss] = SessionHistory.read(session.uuid).misses
        assert (miss.pool, miss.cause) == ("rooms", cause), miss.words


def test_a_cold_start_has_both_causes():
    for _ in twenty_times():
        has_been_ready(live_pod())
        session = start()
        assert session.start_kind == StartKind.COLD
        assert [(miss.pool, miss.cause) for miss in SessionHistory.read(session.uuid).misses] == [
            ("agents", Cause.BURST),
            ("rooms", Cause.BURST),
        ]


def test_a_warm_start_has_no_cause_and_keeps_no_circumstances():
    for _ in twenty_times():
        make_agent_process(live_pod()), make_room()
        session = start()
        assert session.start_kind == StartKind.WARM
        assert session.circumstances is None
        assert SessionHistory.read(session.uuid).misses == []


def test_a_warm_start_pays_no_statement_for_it(django_assert_num_queries):
    make_agent_process(live_pod()), make_room()
    with transaction.atomic(), django_assert_num_queries(2):  # the claim: it locks the pair and begins the session
        claim(SessionRequest(body={}, life=LIFE))


def test_processes_that_do_not_start_are_explained_with_their_trouble():
    agents_in_trouble()
    [miss] = SessionHistory.read(start().uuid).misses
    assert miss.words.startswith("process pool empty: processes do not start on 1 of 2 pods (warm-up failed: No module")


def test_what_others_are_claiming_at_that_moment_is_no_empty_pool():
    assert agent_cause(Circumstances(pods=1, agent_target=3, agents_available=2)) == Cause.CONTENDED
    assert room_cause(Circumstances(pods=1, room_target=3, rooms_available=2, rooms_lasting=2)) == Cause.CONTENDED


def test_a_burst_is_explained_with_its_numbers():
    pod = live_pod()
    has_been_ready(pod)
    for _ in range(7):
        make_agent_process(pod), make_room(pod=pod)
    for _ in range(7):
        start()
    make_room(pod=pod)
    for _ in range(3):
        make_agent_process(pod, "warming")
    session = start()
    warming = AgentProcess.objects.warming().order_by("pk")[0]
    AgentProcess.objects.filter(pk=warming.pk).update(
        available_at=session.created_at + timedelta(seconds=0.4), status="available", os_pid=1
    )
    session.agent_process = make_agent_process(pod, "in_use", on_demand=True, available_at=None)
    session.status = SessionStatus.ASSIGNED
    session.save()
    [miss] = SessionHistory.read(session.uuid).misses
    assert miss.words == (
        "process pool empty: 7 starts in the 2 s before, 3 warming of a target of 3, the next ready 400 ms later"
    )


def test_a_partial_start_tells_what_its_caller_waited_for_and_no_later_stock():
    pod = live_pod(free_slots=5)
    has_been_ready(pod)
    make_room()
    session = start()
    make_agent_process(pod, available_at=session.created_at + timedelta(minutes=26))
    session.agent_process = make_agent_process(pod, "in_use", on_demand=True, available_at=None)
    session.status, session.assigned_at = SessionStatus.ASSIGNED, session.created_at + timedelta(seconds=0.021)
    session.save()
    [miss] = SessionHistory.read(session.uuid).misses
    assert miss.words.endswith("0 warming of a target of 3; this start waited 21 ms for one")
    assert "later" not in miss.words


def test_a_pause_is_told_with_who_ordered_it_and_why():
    live_pod(
        agent_target=0, agent_paused=True, agent_target_why="paused by ann@vm until 2026-11-24 07:37:59 UTC (limits)"
    )
    make_room()
    [miss] = SessionHistory.read(start().uuid).misses
    assert miss.words == "process pool switched off: paused by ann@vm until 2026-11-24 07:37:59 UTC (limits)"


def test_a_handoff_that_failed_is_told_with_process_pod_and_problem():
    pod = live_pod(name="pod-a")
    session = make_session(SessionStatus.ASSIGNED, pod=pod)
    process = session.agent_process
    assert process is not None
    assert hand_off_failed(session.pk, 1, "did not acknowledge its session")
    history = SessionHistory.read(session.uuid)
    [failed] = history.session.failed_handoffs
    assert (failed["agent"], failed["pod"], failed["attempt"]) == (str(process.uuid), "pod-a", 1)
    assert "hand-off 1 to pod-a failed: did not acknowledge its session" in history.lines()


def test_what_did_not_work_in_the_call_is_told_and_logged(django_capture_on_commit_callbacks, caplog):
    session = make_session()
    result = Result("bot_error", detail={"error": "RuntimeError: no flow"}, never_spoke=True, never_heard=True)
    with caplog.at_level("INFO", "pools.events"), django_capture_on_commit_callbacks(execute=True):
        end_session(session.pk, result)
    history = SessionHistory.read(session.uuid)
    assert history.lines()[-3:] == [
        "error: RuntimeError: no flow",
        "the bot never spoke: the caller was there and heard nothing",
        "the bot never heard the caller: no words, or no voice, came through to it",
    ]
    assert "never_spoke=true never_heard=true error='RuntimeError: no flow'" in caplog.text


# --- over HTTP -------------------------------------------------------------------------------------------------


def path(session_uuid) -> str:
    return f"/agent/voice/automatic/sessions/{session_uuid}/timeline"


def test_an_operator_gets_the_whole_history():
    agents_in_a_burst()
    session = start()
    answer = get(path(session.uuid), bearer()).json()
    assert answer["session_id"] == str(session.uuid)
    assert answer["start"]["misses"][0]["cause"] == "burst"
    assert answer["start"]["misses"][0]["numbers"]["warming"] == 3
    assert answer["steps"][0]["step"] == "claim"


def test_the_leads_own_reseller_gets_it_without_what_concerns_the_service():
    agents_in_a_burst()
    lead = make_lead()
    session = start(reference=lead.uuid)
    answer = get(path(session.uuid), bearer(Role.RESELLER, reseller_ids=[lead.reseller_id])).json()
    assert answer["start"]["misses"] == [{"pool": "agents", "cause": "burst"}]
    assert answer["pod"] is None


def test_other_resellers_sessions_and_unknown_ones_do_not_exist():
    session = make_session(reference=make_lead().uuid)
    for stranger in (session.uuid, uuid.uuid4(), "no-uuid"):
        assert get(path(stranger), bearer(Role.RESELLER, reseller_ids=["other"])).status_code == 404
    assert get(path(session.uuid)).status_code == 401
