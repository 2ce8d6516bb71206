"""Cancelling: `POST .../lead/abort` with a result for each, `DELETE .../leads/{id}` for one."""

import json

import pytest

from leads.models import LeadStatus, WebhookDelivery
from tests.support.api import ABORT, LEADS, UNKNOWN, check_problem, delete, lead_body, post, rows
from tests.support.make import bearer, make_lead, make_template

pytestmark = pytest.mark.django_db


def abort(*ids, headers=None):
    body = {"leads": [{"lead_id": str(one), "cancellation_reason": f"reason {n}"} for n, one in enumerate(ids)]}
    return post(ABORT, body, headers or bearer())


def test_each_lead_gets_its_published_message():
    waiting, in_call = make_lead(), make_lead(LeadStatus.PROCESSING)
    over, unknown = make_lead(LeadStatus.FINISHED, outcome="CONFIRMED"), UNKNOWN
    answer = abort(waiting.uuid, in_call.uuid, over.uuid, unknown, "no uuid")
    assert answer.status_code == 200
    assert answer.json() == {
        "leads": [
            {"id": str(waiting.uuid), "status": "success", "message": "Lead has been successfully aborted"},
            {
                "id": str(in_call.uuid),
                "status": "processing",
                "message": "Cannot abort - call is currently in progress",
            },
            {
                "id": str(over.uuid),
                "status": "error",
                "message": "Cannot abort - already finished with outcome: CONFIRMED",
            },
            {"id": str(unknown), "status": "error", "message": "Lead not found"},
            {"id": "no uuid", "status": "error", "message": "Lead not found"},
        ]
    }
    waiting.refresh_from_db()
    assert (waiting.status, waiting.outcome, waiting.abort_reason) == ("FINISHED", "ABORT", "reason 0")
    assert (waiting.platform_status, waiting.platform_reason) == ("NOT_INITIATED", "ABORT")
    assert waiting.call_end_time and waiting.updated_at > waiting.created_at


def test_a_foreign_lead_reads_as_unknown_and_the_others_are_aborted():
    mine, foreign = make_lead(reseller_id="acme"), make_lead(reseller_id="other")
    results = abort(foreign.uuid, mine.uuid, headers=bearer("reseller", reseller_ids=["acme"])).json()["leads"]
    assert [(one["status"], one["message"]) for one in results] == [
        ("error", "Lead not found"),
        ("success", "Lead has been successfully aborted"),
    ]
    foreign.refresh_from_db()
    assert foreign.status == LeadStatus.BACKLOG


def test_an_aborted_lead_cannot_be_connected_or_aborted_again():
    lead = make_lead()
    abort(lead.uuid)
    assert abort(lead.uuid).json()["leads"][0]["message"] == "Cannot abort - already finished with outcome: ABORT"


def test_a_lead_that_is_named_twice_is_aborted_once_with_its_first_reason():
    lead = make_lead()
    assert {one["status"] for one in abort(lead.uuid, lead.uuid).json()["leads"]} == {"success"}
    lead.refresh_from_db()
    assert lead.abort_reason == "reason 0"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"leads": []},
        {"leads": "x"},
        {"leads": [{"lead_id": "x"}]},
        {"leads": [{"cancellation_reason": "x"}]},
        {"leads": [{"lead_id": 7, "cancellation_reason": "x"}]},
        {"leads": [{"lead_id": "x", "cancellation_reason": "x" * 501}]},
        {"leads": [{"lead_id": "x", "cancellation_reason": "x"}] * 1001},
    ],
)
def test_a_body_of_another_shape_is_refused(body):
    check_problem(post(ABORT, body, bearer()), 422)


def test_many_leads_take_few_statements(django_assert_max_num_queries):
    leads = [make_lead() for _ in range(30)]
    headers = bearer()
    with django_assert_max_num_queries(5):  # token, savepoint, lock, update, release
        assert abort(*(lead.uuid for lead in leads), headers=headers).status_code == 200


def test_one_lead_can_be_deleted_which_keeps_its_record():
    lead = make_lead()
    answer = delete(f"{LEADS}/{lead.uuid}?cancellation_reason=order%20cancelled", bearer())
    assert answer.status_code == 200
    assert answer.json() == {
        "id": str(lead.uuid),
        "status": "success",
        "message": "Lead has been successfully aborted",
    }
    lead.refresh_from_db()
    assert (lead.status, lead.outcome, lead.abort_reason) == ("FINISHED", "ABORT", "order cancelled")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (LeadStatus.PROCESSING, "Cannot abort - call is currently in progress"),
        (LeadStatus.FINISHED, "Cannot abort - already finished with outcome: DONE"),
    ],
)
def test_what_does_not_wait_cannot_be_deleted(status, text):
    lead, headers = make_lead(status, outcome="DONE"), bearer()
    before = rows()
    assert check_problem(delete(f"{LEADS}/{lead.uuid}", headers), 400) == text
    assert rows() == before


@pytest.mark.parametrize("lead_id", ["x", UNKNOWN])
def test_an_unknown_one_is_not_found(lead_id):
    check_problem(delete(f"{LEADS}/{lead_id}", bearer()), 404)


def test_a_reason_that_is_too_long_is_refused():
    check_problem(delete(f"{LEADS}/{make_lead().uuid}?cancellation_reason={'x' * 501}", bearer()), 422)


@pytest.mark.parametrize("field", ["reporting_webhook_url", "payload"])
@pytest.mark.parametrize("way", ["abort", "delete"])
def test_whoever_pushed_a_lead_is_told_that_it_was_cancelled(way, field):
    make_template("demo")
    url = "https://hooks.example.com/lead?key=1"
    given = url if field == "reporting_webhook_url" else {"reporting_webhook_url": url}
    lead_id = post(LEADS, lead_body(**{field: given}), bearer()).json()["lead_call_tracker_id"]
    assert not WebhookDelivery.objects.exists()
    for _ in range(2):  # the second time it is over already
        if way == "abort":
            abort(lead_id)
        else:
            delete(f"{LEADS}/{lead_id}?cancellation_reason=reason%200", bearer())
    delivery = WebhookDelivery.objects.get()
    assert (delivery.url, delivery.status) == (url, "pending")
    assert json.loads(delivery.body) == {
        "orderId": "order-1",
        "leadId": lead_id,
        "outcome": "ABORT",
        "attemptCount": 1,
        "failureReason": "reason 0",
    }
