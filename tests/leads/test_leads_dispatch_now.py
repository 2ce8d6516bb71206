"""POST .../leads/{id}/dispatch-now: a telephony lead that waits is due at once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from leads.models import LeadStatus
from tests.support.api import LEADS, check_problem, post, rows
from tests.support.make import bearer, make_lead

pytestmark = pytest.mark.django_db

NUMBER = {"customer_mobile_number": "+919876501234"}


def dispatch(lead_id, headers=None):
    return post(f"{LEADS}/{lead_id}/dispatch-now", b"", headers or bearer())


def test_a_lead_that_waits_is_due_at_once():
    later = timezone.now() + timedelta(hours=5)
    lead = make_lead(execution_mode="TELEPHONY", next_attempt_at=later, payload=NUMBER)
    answer = dispatch(lead.uuid)
    assert answer.status_code == 200
    assert answer.json() == {"status": "queued", "lead_id": str(lead.uuid), "expected_dispatch_within_ms": 200}
    lead.refresh_from_db()
    assert lead.next_attempt_at <= timezone.now()


@pytest.mark.parametrize(
    ("values", "status", "text"),
    [
        ({"status": LeadStatus.PROCESSING}, 409, "Lead is currently being dispatched"),
        ({"status": LeadStatus.FINISHED}, 400, "Lead is finished; create a new lead for re-attempt"),
        ({"payload": {}}, 400, "Lead has no number to dial: push it with payload.customer_mobile_number"),
        ({"execution_mode": "DAILY"}, 400, "Lead is not a telephony lead. execution_mode: DAILY"),
    ],
)
def test_what_cannot_be_dialled_now_stays_as_it_is(values, status, text):
    lead, headers = make_lead(**{"execution_mode": "TELEPHONY", "payload": NUMBER, **values}), bearer()
    before = rows()
    assert check_problem(dispatch(lead.uuid, headers), status) == text
    assert rows() == before


def test_an_unknown_lead_is_not_found():
    check_problem(dispatch("x"), 404)
