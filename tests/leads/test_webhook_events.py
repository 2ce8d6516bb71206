"""The reporting webhook's events: written with the end of a lead, in the published forms."""

import json
from typing import Any

import pytest
from django.db import transaction

from leads.abort import abort
from leads.models import ExecutionMode, Lead, LeadStatus, WebhookDelivery
from leads.outcomes import session_ended
from leads.webhooks.outbox import lead_finished
from leads.webhooks.payload import failure_reason, payload_of
from pools.models import SessionStatus
from pools.sessions.end_reasons import END_REASONS
from pools.sessions.ending import Result, ask_to_end, end_session
from tests.support.make import make_lead, make_session, make_template

URL = "https://hooks.example.com/lead?key=1"
SUCCESS = {
    "orderId",
    "leadId",
    "callSid",
    "outcome",
    "status",
    "attemptCount",
    "transcription",
    "recordingUrl",
    "completedAt",
}

FAILURE = {"orderId", "leadId", "outcome", "attemptCount", "failureReason"}


def lead_in_call(**values: Any) -> Lead:
    return make_lead(
        "PROCESSING", platform_status="INITIATED", call_id="bb-1", **{"reporting_webhook_url": URL, **values}
    )


def end(lead: Lead, result: Result) -> None:
    assert lead.voice_session is not None
    assert end_session(lead.voice_session.pk, result)


def said(lead: Lead) -> dict[str, Any]:
    return json.loads(WebhookDelivery.objects.get(lead=lead).body)


@pytest.mark.django_db
def test_the_end_of_a_call_is_an_event_in_the_published_form():
    lead = lead_in_call(request_id="order-7")
    words = [{"role": "user", "content": "yes"}, {"role": "assistant", "content": "ठीक है"}]
    end(lead, Result("caller_left", "CONFIRMED", words))
    delivery = WebhookDelivery.objects.get()
    lead.refresh_from_db()
    assert (delivery.url, delivery.host, delivery.status, delivery.attempts) == (
        URL,
        "hooks.example.com",
        "pending",
        0,
    )
    body = json.loads(delivery.body)
    assert set(body) == SUCCESS
    assert lead.call_end_time is not None
    assert body == {
        "orderId": "order-7",
        "leadId": str(lead.uuid),
        "callSid": "bb-1",
        "outcome": "CONFIRMED",
        "status": "FINISHED",
        "attemptCount": 1,
        "transcription": words,
        "recordingUrl": None,
        "completedAt": lead.call_end_time.isoformat(),
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("result", "outcome", "reason"),
    [
        (Result("caller_never_joined"), "NO_ANSWER", "caller_never_joined"),
        (Result("caller_never_joined", outcome="completed"), "NO_ANSWER", "caller_never_joined"),
        (Result("agent_lost"), "UNKNOWN", "agent_lost"),
        (Result("bot_error"), "UNKNOWN", "bot_error"),
        (Result("pod_stopped"), "UNKNOWN", "pod_stopped"),
    ],
)
def test_a_call_that_came_to_nothing_is_an_event_of_the_other_form(result, outcome, reason):
    lead = lead_in_call(attempt_count=2, previous_attempt=make_lead("FINISHED"))
    end(lead, result)
    assert set(said(lead)) == FAILURE
    assert said(lead) | {"orderId": "", "leadId": ""} == {
        "orderId": "",
        "leadId": "",
        "outcome": outcome,
        "attemptCount": 3,
        "failureReason": reason,
    }


@pytest.mark.django_db
def test_a_call_in_which_the_bot_said_nothing_is_no_success_unless_it_came_to_an_outcome():
    lead = lead_in_call()
    end(lead, Result("caller_left", detail={"error": "401"}, never_spoke=True, never_heard=True))
    body = said(lead)
    assert set(body) == FAILURE | {"error", "botNeverSpoke", "botNeverHeard"}
    assert (body["failureReason"], body["error"], body["botNeverHeard"]) == ("bot_never_spoke", "401", True)
    other = lead_in_call()
    end(other, Result("caller_left", "CONFIRMED", never_heard=True))
    assert set(said(other)) == SUCCESS | {"botNeverHeard"}


@pytest.mark.django_db
@pytest.mark.parametrize("reason", [reason for reason in END_REASONS if reason != "not_started"])
@pytest.mark.parametrize("outbound", [False, True], ids=["web", "telephone"])
def test_however_a_call_ends_there_is_one_event_that_says_what_the_lead_says(reason, outbound):
    mode = ExecutionMode.TELEPHONY if outbound else ExecutionMode.DAILY
    session = make_session(outbound=outbound)
    lead = lead_in_call(execution_mode=mode, voice_session=session, phone_session="phone" if outbound else "")
    end(lead, Result(reason))
    lead.refresh_from_db()
    assert lead.status == LeadStatus.FINISHED
    body = said(lead)
    assert set(body) in (SUCCESS, FAILURE)
    assert (body["leadId"], body["outcome"]) == (str(lead.uuid), lead.outcome) and lead.outcome


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("reason", "outcome", "why"),
    [
        ("phone_busy", "BUSY", "BUSY"),
        ("phone_no_answer", "NO_ANSWER", "NO_ANSWER"),
        ("phone_failed", "NO_ANSWER", "FAILED"),
        ("caller_never_joined", "NO_ANSWER", "TIMEOUT"),
        ("ended_by_operator", "ABORTED", "CANCELED"),
        ("number_refused", "INVALID_PHONE", "INVALID_PHONE"),
        ("dial_refused", "PRECHECK_FAILED", "PRECHECK_FAILED"),
        ("agent_lost", "UNKNOWN", "agent_lost"),
    ],
)
def test_a_telephone_that_nobody_spoke_on_is_told_with_the_carriers_word(reason, outcome, why):
    lead = lead_in_call(
        execution_mode=ExecutionMode.TELEPHONY, voice_session=make_session(outbound=True), phone_session="phone"
    )
    end(lead, Result(reason))
    assert set(said(lead)) == FAILURE
    assert (said(lead)["outcome"], said(lead)["failureReason"]) == (outcome, why)


@pytest.mark.django_db
def test_each_attempt_is_told_of_by_itself_and_its_retry_will_be_too():
    lead = lead_in_call(
        template=make_template(max_attempts=2),
        execution_mode=ExecutionMode.TELEPHONY,
        voice_session=make_session(outbound=True),
        phone_session="phone",
    )
    end(lead, Result("phone_busy"))
    again = Lead.objects.get(previous_attempt=lead)
    assert WebhookDelivery.objects.get().lead == lead
    abort(Lead.objects.all(), [(again.uuid, "sold out")])
    assert (said(lead)["attemptCount"], said(again)["attemptCount"]) == (1, 2)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"platform_status": "INITIATED", "outcome": "UNKNOWN", "end_reason": "caller_left"}, ""),
        ({"platform_status": "INITIATED", "outcome": "SOLD", "end_reason": "agent_lost"}, ""),
        ({"platform_status": "INITIATED", "outcome": "BUSY", "provider_reason": "BUSY", "end_reason": "x"}, "BUSY"),
        (
            {"platform_status": "NOT_INITIATED", "outcome": "INVALID_PHONE", "platform_reason": "INVALID_PHONE"},
            "INVALID_PHONE",
        ),
        (
            {
                "platform_status": "INITIATED",
                "outcome": "ABORTED",
                "provider_status": "NOT_ANSWERED",
                "provider_reason": "CANCELED",
            },
            "CANCELED",
        ),
        (
            {"platform_status": "INITIATED", "outcome": "UNKNOWN", "provider_status": "UNKNOWN", "end_reason": "x"},
            "x",
        ),
        ({"outcome": "ABORT", "abort_reason": "sold out"}, "sold out"),
        ({"outcome": "ABORT"}, "ABORT"),
    ],
)
def test_why_a_lead_came_to_nothing(values, reason):
    texts = ("platform_status", "platform_reason", "provider_status", "provider_reason", "abort_reason", "end_reason")
    unset = dict.fromkeys(texts, "")
    assert failure_reason(Lead(**unset | values)) == reason


@pytest.mark.django_db
def test_a_recording_is_named_where_the_service_is_known_to_the_internet(settings):
    settings.PUBLIC_URL = "https://pools.example.com"
    session = make_session()
    session.room.recorded = True
    session.room.save()
    lead = lead_in_call(voice_session=session)
    end(lead, Result("caller_left", "SOLD"))
    assert said(lead)["recordingUrl"] == ("https://pools.example.com/agent/voice/breeze-buddy/leads/recording/bb-1")
    settings.PUBLIC_URL = ""
    assert payload_of(Lead.objects.select_related("voice_session__room").get(pk=lead.pk))["recordingUrl"] is None


@pytest.mark.django_db
def test_the_address_may_stand_in_the_payload_where_the_published_form_keeps_it():
    lead = lead_in_call(reporting_webhook_url="", payload={"reporting_webhook_url": URL})
    end(lead, Result("caller_left"))
    assert WebhookDelivery.objects.get().url == URL


@pytest.mark.django_db
@pytest.mark.parametrize("url", [None, "", 7, {"a": 1}, "x" * 3000])
def test_without_an_address_there_is_no_event(url):
    end(lead_in_call(reporting_webhook_url="", payload={"reporting_webhook_url": url}), Result("caller_left"))
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db
def test_an_address_that_is_none_is_kept_for_everybody_to_see():
    end(lead_in_call(reporting_webhook_url="https://[::1"), Result("caller_left"))
    assert WebhookDelivery.objects.get().host == ""


@pytest.mark.django_db
def test_a_start_that_never_ran_is_no_end():
    lead = lead_in_call()
    end(lead, Result("not_started"))
    lead.refresh_from_db()
    assert lead.status == LeadStatus.BACKLOG and not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_event_is_written_if_and_only_if_the_end_is():
    lead = lead_in_call()
    session = lead.voice_session
    assert session is not None
    with pytest.raises(RuntimeError), transaction.atomic():
        end_session(session.pk, Result("caller_left"))
        raise RuntimeError
    lead.refresh_from_db()
    assert lead.status == LeadStatus.PROCESSING and not WebhookDelivery.objects.exists()
    with pytest.raises(transaction.TransactionManagementError):
        lead_finished(lead)


@pytest.mark.django_db
def test_leads_that_are_cancelled_are_told_of_with_the_reason():
    leads = [make_lead(reporting_webhook_url=url) for url in (URL, URL, "")]
    abort(Lead.objects.all(), [(lead.uuid, "sold out") for lead in leads])
    assert WebhookDelivery.objects.count() == 2
    assert said(leads[0])["outcome"] == "ABORT" and said(leads[0])["failureReason"] == "sold out"
    assert set(said(leads[1])) == FAILURE


@pytest.mark.django_db
def test_a_call_ended_by_an_operator_is_told_too():
    lead = lead_in_call(voice_session=make_session(SessionStatus.WAITING))
    assert lead.voice_session is not None
    ask_to_end(lead.voice_session.uuid, "ended_by_operator")
    assert (said(lead)["outcome"], said(lead)["failureReason"]) == ("UNKNOWN", "ended_by_operator")


@pytest.mark.django_db
def test_a_report_that_comes_late_completes_an_event_that_nobody_has_seen_else_it_is_another_one():
    lead = lead_in_call()
    end(lead, Result("supervisor_lost"))
    session = lead.voice_session
    assert session is not None
    session.refresh_from_db()
    session.end_reason, session.outcome = "caller_left", "SOLD"
    session.save()
    session_ended(session)
    assert said(lead)["outcome"] == "SOLD"
    WebhookDelivery.objects.get().begin()
    session_ended(session)
    assert WebhookDelivery.objects.count() == 2
    assert len(set(WebhookDelivery.objects.values_list("event_id", flat=True))) == 2
