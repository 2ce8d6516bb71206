"""A session from the claim to its end, with everything working: who serves it, how it ends, what stays."""

from datetime import datetime

import pytest

from leads.models import Lead, LeadStatus
from pools.models import AgentProcess, Pod, Room, SessionStatus, StartKind, StockStatus, VoiceSession
from pools.sessions.claims import PoolExhausted
from tests.support.make import make_lead, make_session
from tests.support.programs import is_running
from tests.support.service import call_in_progress, connect_lead, is_full, run_until

pytestmark = pytest.mark.usefixtures("transactional_db")


def test_a_lead_becomes_a_call_and_its_end_finishes_it(pods, sandbox):
    pod = pods.start_full()
    call = connect_lead(sandbox)
    assert call.lead.status == LeadStatus.PROCESSING
    assert (call.session.status, call.session.start_kind) == (SessionStatus.ASSIGNED, StartKind.WARM)
    run_until(pod, call.bot_has_joined)
    assert call.is_active()
    caller = call.join()
    assert call.people() == ["Bot", "Caller"]
    run_until(pod, call.caller_has_joined)
    pid = call.pid
    call.leave(caller)
    run_until(pod, call.is_over)
    session, lead = call.session, call.lead
    assert (session.end_reason, session.outcome) == ("caller_left", "caller_left")
    assert (lead.status, lead.outcome) == (LeadStatus.FINISHED, "caller_left")
    assert lead.call_end_time is not None
    run_until(pod, lambda: call.process.status == StockStatus.ENDED and not is_running(pid))
    run_until(pod, lambda: call.session.room.deleted_at and call.room_name not in sandbox.rooms())
    run_until(pod, lambda: is_full(pod))


def test_the_times_of_a_call_are_recorded_in_their_order(pods, sandbox):
    pod = pods.start_full()
    call = call_in_progress(pod, sandbox)
    call.hang_up()
    run_until(pod, call.is_over)
    session = call.session
    assert session.active_at and session.bot_joined_at and session.caller_joined_at and session.ended_at
    times = [session.created_at, session.active_at, session.bot_joined_at, session.caller_joined_at, session.ended_at]
    assert times == sorted(times)


def test_several_calls_at_once_have_a_room_and_a_process_each(pods, sandbox):
    pod = pods.start_full(agent_target=3, room_target=3)
    calls = [connect_lead(sandbox) for _ in range(3)]
    for call in calls:
        run_until(pod, call.bot_has_joined)
    assert len({call.pid for call in calls}) == len({call.room_name for call in calls}) == 3
    assert [call.session.start_kind for call in calls] == [StartKind.WARM] * 3
    assert [call.people() for call in calls] == [["Bot"]] * 3


def test_a_session_without_an_available_process_is_served_by_one_made_for_it(pods, sandbox):
    pod = pods.start_full(agent_target=1, room_target=2)
    first, second = connect_lead(sandbox), connect_lead(sandbox)
    assert second.session.status == SessionStatus.WAITING
    run_until(pod, second.bot_has_joined)
    assert (second.session.start_kind, second.session.start_reason) == (
        StartKind.PARTIAL,
        "no agent process in stock",
    )
    run_until(pod, first.bot_has_joined)
    assert first.pid != second.pid


def test_a_session_that_waits_takes_a_process_that_is_warming(pods, sandbox):
    pods.start_full(agent_target=0, room_target=1, max_processes=0)
    pod = pods.start(agent_target=1, room_target=0, max_processes=1)
    run_until(pod, lambda: AgentProcess.objects.warming().exists())
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    assert not call.process.on_demand


def test_sessions_that_wait_are_served_oldest_first(pods, sandbox):
    pod = pods.start_full(agent_target=1, room_target=3, max_processes=2)
    busy = connect_lead(sandbox)
    calls = [connect_lead(sandbox)]  # there is one slot for it
    run_until(pod, calls[0].bot_has_joined)
    waiting = [make_session(SessionStatus.WAITING) for _ in range(2)]
    busy.leave(busy.join())
    run_until(pod, lambda: busy.is_over() and VoiceSession.objects.waiting().count() < 2)
    assert VoiceSession.objects.waiting().get() == waiting[1]


def test_at_the_limit_of_processes_a_claim_takes_nothing(pods, sandbox):
    pod = pods.start_full(agent_target=1, room_target=2, max_processes=1)
    call = connect_lead(sandbox)
    run_until(pod, call.is_active)
    run_until(pod, lambda: Room.objects.available().count() == 2)
    lead = make_lead()
    with pytest.raises(PoolExhausted) as refusal:
        connect_lead(sandbox, lead)
    assert refusal.value.retry_after > 0
    lead.refresh_from_db()
    assert lead.status == LeadStatus.BACKLOG
    assert Room.objects.available().count() == 2


def test_a_session_that_waits_too_long_gives_its_lead_back(pods, sandbox):
    pod = pods.start_full(agent_target=1, max_processes=1, waiting_timeout=0.3)
    call = connect_lead(sandbox)
    run_until(pod, call.is_active)
    session = make_session(SessionStatus.WAITING)
    lead = make_lead(LeadStatus.PROCESSING, voice_session=session)
    run_until(pod, lambda: Lead.objects.get(pk=lead.pk).status == LeadStatus.BACKLOG)
    session.refresh_from_db()
    assert (session.status, session.end_reason) == (SessionStatus.ENDED, "not_started")
    assert call.is_active()


def test_a_call_to_which_nobody_comes_is_ended(pods, sandbox):
    pod = pods.start_full(caller_timeout=0.5)
    call = connect_lead(sandbox)
    run_until(pod, call.is_over)
    assert call.session.end_reason == "caller_never_joined"
    assert (call.lead.status, call.lead.outcome) == (LeadStatus.FINISHED, "NO_ANSWER")
    run_until(pod, lambda: is_full(pod) and call.room_name not in sandbox.rooms())


def test_a_call_lasts_no_longer_than_a_session_may(pods, sandbox):
    pod = pods.start_full(session_limit=1)
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    call.join()
    run_until(pod, call.is_over)
    assert call.session.end_reason in ("session_limit", "ejected")  # the bot's meeting token ends at the same time
    assert (call.lead.status, call.lead.outcome) == (LeadStatus.FINISHED, "UNKNOWN")


def test_a_bot_that_stays_after_its_caller_is_ended_when_idle(pods, sandbox, tmp_path):
    (tmp_path / "stays.py").write_text("import asyncio\nasync def bot(args):\n    await asyncio.Event().wait()\n")
    pod = pods.start_full(bot="stays", bot_dir=tmp_path, idle_timeout=0.5)
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    call.leave(call.join())
    run_until(pod, call.is_over)
    assert call.session.end_reason == "idle_timeout"


def test_what_the_bot_reports_is_kept_with_session_and_lead(pods, sandbox, tmp_path):
    (tmp_path / "reports.py").write_text(
        "from pools.agent import report\n"
        "async def bot(args):\n"
        "    words = [{'role': 'user', 'content': args.body['payload']['customer_name']}]\n"
        "    report(outcome='SOLD', transcript=words, price=7)\n"
    )
    pod = pods.start_full(bot="reports", bot_dir=tmp_path)
    call = connect_lead(sandbox, make_lead(payload={"customer_name": "Asha"}))
    run_until(pod, call.is_over)
    session = call.session
    assert (session.end_reason, session.outcome, session.detail) == ("bot_ended", "SOLD", {"price": 7})
    assert session.transcript == [{"role": "user", "content": "Asha"}]
    assert (call.lead.status, call.lead.outcome) == (LeadStatus.FINISHED, "SOLD")


def test_an_idle_pod_does_not_turn_its_loop_over_and_over(pods):
    pod = pods.start_full(poll_interval=1.0, heartbeat_interval=1.0)
    beats: set[datetime] = set()
    turns = 0
    while len(beats) < 3:  # a second apart
        pod.run_once(1.0)
        turns += 1
        beats.add(Pod.objects.get().heartbeat_at)
    assert turns < 100


def test_a_lead_with_a_large_payload_reaches_its_bot_whole(pods, sandbox, tmp_path):
    (tmp_path / "measures.py").write_text(
        "from pools.agent import report\nasync def bot(args):\n    report(size=len(args.body['payload']['notes']))\n"
    )
    pod = pods.start_full(bot="measures", bot_dir=tmp_path)
    call = connect_lead(sandbox, make_lead(payload={"notes": "x" * 480_000}))
    run_until(pod, call.is_over)
    assert (call.session.end_reason, call.session.attempt) == ("bot_ended", 1)
    assert call.session.detail == {"size": 480_000}
