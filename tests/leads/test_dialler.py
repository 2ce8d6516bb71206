"""Telephones that are really dialled: a supervisor, its agents and the sandbox's phones, and every way it can end."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from leads.models import ExecutionMode, Lead, LeadStatus, Template
from leads.telephony.dialler import Dialler
from leads.telephony.dialling import DiallingConfig
from leads.telephony.dialling_plan import Reserve
from pools import notifications
from pools.daily import budget
from pools.daily.client import DailyClient
from pools.models import SessionStatus, VoiceSession
from pools.sessions.ending import ask_to_end
from pools.supervisor.loop import Supervisor
from tests.support.daily_sandbox import Sandbox
from tests.support.make import make_lead, make_template
from tests.support.service import Pods, connect_lead, run_until

NUMBER = "+9198765432"


def start(pods: Pods, sandbox: Sandbox, *, at_once: int = 5, **values: Any) -> Supervisor:
    """A pod that dials, both of its pools full."""
    client = DailyClient(sandbox.api_url, sandbox.api_key, timeout=(1.0, 1.0))
    reserve = values.pop("reserve", Reserve(0, 0))
    return pods.start_full(
        background_tasks=[Dialler(client, DiallingConfig(reserve, at_once, timedelta(seconds=120)))],
        **{"agent_target": 2, "room_target": 3, **values},
    )


def push(template: Template | None = None, number: int = 10, **values: Any) -> Lead:
    payload = {"customer_mobile_number": f"{NUMBER}{number}"}
    return make_lead(
        template=template or make_template(),
        execution_mode=ExecutionMode.TELEPHONY,
        **{"payload": payload, "next_attempt_at": timezone.now(), **values},
    )


def is_finished(lead: Lead) -> Callable[[], bool]:
    return lambda: Lead.objects.get(pk=lead.pk).status == LeadStatus.FINISHED


def is_dialled(sandbox: Sandbox, times: int = 1) -> Callable[[], bool]:
    return lambda: sandbox.counters()["phones"]["dialled"] >= times


def facts(lead: Lead) -> tuple[str, str, str, str]:
    lead.refresh_from_db()
    return lead.outcome, lead.platform_status, lead.provider_status, lead.provider_reason


def test_every_outcome_of_a_call_is_told_apart(pods: Pods, sandbox: Sandbox) -> None:
    sandbox.set_limits(enabled=False)
    expected = {
        "busy": ("BUSY", "INITIATED", "NOT_ANSWERED", "BUSY"),
        "no_answer": ("NO_ANSWER", "INITIATED", "NOT_ANSWERED", "NO_ANSWER"),
        "rings_out": ("NO_ANSWER", "INITIATED", "NOT_ANSWERED", "NO_ANSWER"),
        "fail": ("NO_ANSWER", "INITIATED", "NOT_ANSWERED", "FAILED"),
        "answer": ("caller_left", "INITIATED", "ANSWERED", "COMPLETED"),  # the word of the light bot
    }
    template = make_template(max_attempts=2, retry_offset=600)
    leads = {}
    for number, behaviour in enumerate(expected, start=10):
        sandbox.set_phone(f"{NUMBER}{number}", behaviour=behaviour, after_s=0.1, talk_s=0.3)
        leads[behaviour] = push(template, number)
    pod = start(pods, sandbox)
    for lead in leads.values():
        run_until(pod, is_finished(lead), 40)
    assert {behaviour: facts(lead) for behaviour, lead in leads.items()} == expected
    answered = leads["answer"]
    run_until(pod, lambda: Lead.objects.exclude(phone_session="").filter(pk=answered.pk).exists())
    assert answered.voice_session is not None
    assert answered.call_initiated_time and answered.voice_session.caller_joined_at
    assert leads["busy"].provider_hangup_cause == "486 Busy Here"
    again = Lead.objects.filter(status=LeadStatus.BACKLOG, attempt_count=1)
    assert {lead.previous_attempt for lead in again} == {leads[name] for name in expected if name != "answer"}
    assert sandbox.counters()["phones"]["twice"] == 0


@pytest.mark.parametrize(
    ("kind", "rings"),
    [pytest.param("reset", True, id="answer lost"), pytest.param("timeout", False, id="no answer")],
)
def test_a_dial_whose_answer_never_came_is_not_made_again(pods: Pods, sandbox: Sandbox, kind, rings) -> None:
    sandbox.set_phone(behaviour="answer", after_s=60)
    sandbox.fault(kind, "POST", "/rooms/*/dialOut/start", times=1)
    lead = push(make_template(max_attempts=3))
    pod = start(pods, sandbox, phone_timeout=3)
    run_until(pod, is_finished(lead))
    assert facts(lead) == ("UNKNOWN", "INITIATED", "UNKNOWN", "")
    assert Lead.objects.count() == 1, "nor by a retry"
    assert sandbox.counters()["phones"]["dialled"] == rings


def test_a_lost_answer_is_made_up_for_by_what_the_bot_sees(pods: Pods, sandbox: Sandbox) -> None:
    sandbox.set_phone(behaviour="answer", after_s=0.3, talk_s=0.3)
    sandbox.fault("reset", "POST", "/rooms/*/dialOut/start", times=1)
    lead = push()
    run_until(start(pods, sandbox), is_finished(lead))
    assert facts(lead)[2:] == ("ANSWERED", "COMPLETED")
    assert sandbox.counters()["phones"]["dialled"] == 1


def test_what_daily_has_not_carried_out_is_dialled_again(pods: Pods, sandbox: Sandbox) -> None:
    sandbox.set_phone(behaviour="busy", after_s=0)
    sandbox.fault("429", "POST", "/rooms/*/dialOut/start", times=2)
    lead = push()
    run_until(start(pods, sandbox), is_finished(lead))
    assert facts(lead)[0] == "BUSY"
    assert sandbox.counters()["phones"]["dialled"] == 1


def somebody_else_dials() -> bool:
    """All of Daily's limit, again and again, however long the machine takes."""
    budget.take(budget.Group.DIAL, budget.Priority.ON_DEMAND, 5)
    return True


def test_a_lead_whose_room_is_gone_at_daily_waits_for_another_session(pods: Pods, sandbox: Sandbox, caplog) -> None:
    pod = start(pods, sandbox)
    lead = push()
    run_until(pod, lambda: somebody_else_dials() and VoiceSession.objects.filter(bot_joined_at__isnull=False).exists())
    sandbox.call("DELETE", f"/rooms/{VoiceSession.objects.get().room.name}").raise_for_status()
    run_until(pod, lambda: somebody_else_dials() and Lead.objects.get().status == LeadStatus.BACKLOG)
    assert facts(lead)[:2] == ("", "")
    assert sandbox.counters()["phones"]["dialled"] == 0


def test_rooms_that_may_not_dial_out_end_in_a_clear_outcome(pods: Pods, sandbox: Sandbox, caplog) -> None:
    lead = push()
    run_until(start(pods, sandbox, room_dialout=False), is_finished(lead))
    assert facts(lead) == ("PRECHECK_FAILED", "NOT_INITIATED", "", "")
    assert "event=dial_refused" in caplog.text and NUMBER not in caplog.text


def test_a_bot_that_never_comes_leaves_its_lead_undialled(pods: Pods, sandbox: Sandbox) -> None:
    sandbox.set_limits(enabled=False)
    pod = start(pods, sandbox)
    lead = push()
    run_until(pod, lambda: somebody_else_dials() and VoiceSession.objects.filter(bot_joined_at__isnull=False).exists())
    session = VoiceSession.objects.get()
    ask_to_end(session.uuid, "pod_stopped")
    run_until(pod, lambda: somebody_else_dials() and Lead.objects.get().status == LeadStatus.BACKLOG)
    assert facts(lead)[:2] == ("", "")
    assert sandbox.counters()["phones"]["dialled"] == 0


def test_a_pod_that_is_killed_in_the_middle_of_a_dial_dials_nobody_twice(pods: Pods, sandbox: Sandbox) -> None:
    sandbox.set_phone(behaviour="answer", after_s=0.5, talk_s=None)
    lead = push(make_template(max_attempts=3))
    first = start(pods, sandbox)
    run_until(first, is_dialled(sandbox))
    pods.close(first)  # before it could write down what Daily has said
    other = start(pods, sandbox)
    run_until(other, lambda: "answered" in sandbox.dials()[0]["events"])
    (dial,) = sandbox.dials()
    sandbox.hang_up(dial["room"], dial["sessionId"])
    run_until(other, is_finished(lead))
    assert facts(lead)[1:] == ("INITIATED", "ANSWERED", "COMPLETED")
    assert sandbox.counters()["phones"]["dialled"] == 1 and Lead.objects.count() == 1


def test_a_web_caller_finds_a_pair_while_telephones_wait_for_one(pods: Pods, sandbox: Sandbox) -> None:
    sandbox.set_phone(behaviour="answer", after_s=0, talk_s=None)
    for number in range(10, 16):
        push(number=number)
    pod = start(pods, sandbox, max_processes=4, reserve=Reserve(pairs=1, slots=2))
    run_until(pod, is_dialled(sandbox, 2))
    call = connect_lead(sandbox)
    assert call.session.start_kind == "warm"
    run_until(pod, call.bot_has_joined)
    assert VoiceSession.objects.filter(outbound=True).exclude(status=SessionStatus.ENDED).count() == 2


def test_a_lead_is_dialled_when_its_time_has_come_and_not_at_the_next_poll(pods: Pods, sandbox: Sandbox) -> None:
    sandbox.set_phone(behaviour="busy", after_s=0)
    pod = start(pods, sandbox, poll_interval=600.0, heartbeat_interval=0.5)
    lead = push(next_attempt_at=timezone.now() + timedelta(seconds=1.5))
    notifications.wake_supervisors()  # as a push does
    run_until(pod, is_finished(lead))
    assert facts(lead)[0] == "BUSY"
