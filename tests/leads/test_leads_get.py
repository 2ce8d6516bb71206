"""GET .../leads/{id}: the record under its published names, and how its session went."""

from datetime import datetime

import pytest

from common.errors import NOT_FOUND
from leads.models import LeadStatus
from pools.models import SessionStatus
from tests.support.api import LEADS, check_problem, get
from tests.support.make import bearer, make_lead, make_room, make_session, make_template

pytestmark = pytest.mark.django_db

PUBLISHED = {
    "id", "outbound_number_id", "reseller_id", "merchant_id", "template", "template_id", "request_id", "attempt_count",
    "next_attempt_at", "payload", "metaData", "recording_url", "status", "outcome", "call_id", "call_initiated_time",
    "call_end_time", "cost", "is_locked", "langfuse_scores", "execution_mode", "call_direction", "created_at",
    "updated_at",
}  # fmt: skip


def test_a_lead_in_backlog_has_all_published_fields_and_no_session():
    template = make_template("demo", merchant_id="m1")
    lead = make_lead(template=template, request_id="order-7")
    record = get(f"{LEADS}/{lead.uuid}", bearer()).json()
    assert set(record) == PUBLISHED | {"session"}
    assert record["id"] == str(lead.uuid)
    assert (record["template"], record["template_id"]) == ("demo", str(template.uuid))
    assert (record["reseller_id"], record["merchant_id"]) == ("acme", "m1")
    assert (record["status"], record["is_locked"], record["session"]) == ("BACKLOG", False, None)
    assert (record["call_direction"], record["payload"]) == ("OUTBOUND", {"customer_name": "Asha"})
    assert datetime.fromisoformat(record["created_at"]) == lead.created_at


def test_empty_merchant_and_outcome_are_null():
    record = get(f"{LEADS}/{make_lead().uuid}", bearer()).json()
    assert record["merchant_id"] is record["outcome"] is None


def test_a_session_is_shown_step_by_step_without_address_and_tokens():
    room = make_room("in_use", owner_token="owner-secret", guest_token="guest-secret")
    session = make_session(room=room, start_reason="no room in stock", start_kind="partial")
    lead = make_lead(LeadStatus.PROCESSING, voice_session=session)
    response = get(f"{LEADS}/{lead.uuid}", bearer())
    record = response.json()
    assert (record["is_locked"], record["call_id"]) == (True, room.name)
    shown = record["session"]
    assert shown["session_id"] == str(session.uuid)
    assert (shown["status"], shown["start_kind"], shown["start_reason"]) == ("active", "partial", "no room in stock")
    assert shown["room_name"] == room.name
    assert datetime.fromisoformat(shown["claimed_at"]) == session.created_at
    assert datetime.fromisoformat(shown["acknowledged_at"]) == session.active_at
    assert shown["ended_at"] is shown["first_audio_at"] is None
    assert not any(secret in response.content.decode() for secret in ("owner-secret", "guest-secret", room.url))


def test_a_finished_lead_has_its_end_and_transcript():
    session = make_session(SessionStatus.ENDED, transcript=[{"role": "bot", "content": "Hello"}])
    lead = make_lead(LeadStatus.FINISHED, voice_session=session, outcome="CONFIRMED")
    record = get(f"{LEADS}/{lead.uuid}", bearer()).json()
    assert (record["outcome"], record["session"]["end_reason"]) == ("CONFIRMED", "bot_left")
    assert record["metaData"] == {"transcription": [{"role": "bot", "content": "Hello"}]}


def test_what_did_not_work_in_a_call_is_told_without_secrets():
    detail = {"error": "AuthenticationError: +919876543210 is refused", "problem": "on pod-a"}
    session = make_session(SessionStatus.ENDED, detail=detail, never_spoke=True)
    lead = make_lead(LeadStatus.FINISHED, voice_session=session)
    response = get(f"{LEADS}/{lead.uuid}", bearer())
    shown = response.json()["session"]
    assert shown["error"] == "AuthenticationError: [redacted] is refused"
    assert (shown["never_spoke"], shown["never_heard"]) == (True, False)
    assert "pod-a" not in response.content.decode()


@pytest.mark.parametrize(
    "lead_id",
    [
        "2d1f6d0e-5f57-4c1b-8d3a-0f6b6d3a9a11",
        "0",
        "-1",
        "x" * 5000,
        "%00",
        "..%2f..",
        "1e9999",
        "{}",
        "%F0%9F%99%82",
        "None",
    ],
)
def test_an_id_that_is_no_leads_is_not_found(lead_id):
    detail = check_problem(get(f"{LEADS}/{lead_id}", bearer()), 404)
    assert detail.startswith("Lead not found for ID: ") or detail == NOT_FOUND
    assert len(detail) < 200


def test_reading_takes_two_queries(client, django_assert_num_queries):
    lead, headers = make_lead(LeadStatus.PROCESSING), bearer()
    with django_assert_num_queries(2):  # token, lead with template, session and room
        assert client.get(f"{LEADS}/{lead.uuid}", headers=headers).status_code == 200
