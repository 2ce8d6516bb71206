"""Ending a session by hand: whoever has it, however far it is, as often as one likes."""

import pytest
from rest_framework.test import APIRequestFactory

from leads.models import LeadStatus
from pools.api.cleanup import CleanupView
from pools.models import OperatorAction, SessionStatus, StockStatus
from tests.support.api import check_problem, post
from tests.support.make import bearer, make_agent_process, make_lead, make_pod, make_session

pytestmark = pytest.mark.django_db

CLEANUP = "/agent/voice/automatic/cleanup/"


def clean_up(session_id, role="admin", **scope):
    return post(f"{CLEANUP}{session_id}", {}, headers=bearer(role, **scope))


@pytest.mark.parametrize("status", ["waiting", "assigned"])
def test_what_has_not_begun_is_ended_at_once_with_room_and_lead(status):
    session = make_session(status)
    lead = make_lead(LeadStatus.PROCESSING, voice_session=session)
    answer = clean_up(session.uuid, name="ops")
    assert [(action.by, action.what) for action in OperatorAction.objects.all()] == [
        ("token ops", f"end session {session.uuid}")
    ]
    assert answer.json() == {
        "status": "success",
        "message": f"Session {session.uuid} cleaned up successfully",
        "process_type": "pool",
    }
    for row in (session, lead, session.room):
        row.refresh_from_db()
    assert (session.status, session.end_reason) == (SessionStatus.ENDED, "ended_by_operator")
    assert (lead.status, session.room.status) == (LeadStatus.FINISHED, StockStatus.ENDED)


def test_a_call_without_a_pod_is_ended_here():
    session = make_session(pod=make_pod(ended_at="2026-01-01T00:00Z"))
    assert clean_up(session.uuid).status_code == 200
    session.refresh_from_db()
    assert session.end_reason == "ended_by_operator"


def test_a_call_is_left_to_the_pod_that_has_it():
    pod = make_pod()
    session = make_session(pod=pod, agent_process=make_agent_process(pod, "in_use", on_demand=True))
    request = APIRequestFactory().post(CLEANUP, headers=bearer())
    answer = CleanupView.as_view(patience_s=0.1)(request, session_id=str(session.uuid))
    assert answer.data["message"].endswith("has been told to end")
    assert answer.data["process_type"] == "direct"
    session.refresh_from_db()
    assert (session.status, session.stop_reason) == (SessionStatus.ACTIVE, "ended_by_operator")


def test_what_is_over_stays_as_it_is():
    session = make_session("ended", end_reason="caller_left")
    assert clean_up(session.uuid).json()["status"] == "success"
    assert not OperatorAction.objects.exists()
    session.refresh_from_db()
    assert session.end_reason == "caller_left"


@pytest.mark.parametrize("session_id", ["2d1f6d0e-5f57-4c1b-8d3a-0f6b6d3a9a11", "nonsense", "0", "%00"])
def test_an_unknown_session_is_not_found(session_id):
    answer = clean_up(session_id)
    assert answer.status_code == 404
    if "%" not in str(session_id):
        assert answer.json() == {"status": "not_found", "message": f"Session {session_id} not found"}


@pytest.mark.parametrize("role", ["reseller", "merchant", "user"])
def test_only_admins_may(role):
    session = make_session()
    check_problem(clean_up(session.uuid, role, reseller_ids=["acme"], merchant_ids=["m"]), 403)
    check_problem(post(f"{CLEANUP}{session.uuid}", {}), 401)
    session.refresh_from_db()
    assert session.stop_reason == ""
