"""POST .../leads: what is made from what is sent."""

import uuid
from typing import Any

import pytest

from leads import bot_body
from leads.models import ExecutionMode, Lead, LeadStatus
from tests.support.api import LEADS, check_problem, lead_body, post
from tests.support.make import bearer, make_template

pytestmark = pytest.mark.django_db


def test_pushed_lead_is_answered_with_the_four_published_fields_and_waits_in_backlog():
    template = make_template("demo")
    response = post(LEADS, lead_body(), bearer())
    assert response.status_code == 201
    lead = Lead.objects.get()
    assert response.json() == {
        "status": "queued",
        "lead_call_tracker_id": str(lead.uuid),
        "order_id": "order-1",
        "message": "Call request added to queue for processing",
    }
    assert (lead.template, lead.status, lead.attempt_count) == (template, LeadStatus.BACKLOG, 0)
    assert (lead.reseller_id, lead.merchant_id, lead.payload) == ("acme", "", {"customer_name": "Asha"})


@pytest.mark.parametrize("mode", ExecutionMode.values)
def test_every_published_mode_is_accepted(mode):
    make_template("demo")
    assert post(LEADS, lead_body(execution_mode=mode), bearer()).status_code == 201
    assert Lead.objects.get().execution_mode == mode


def test_a_lead_is_for_the_telephone_unless_it_says_otherwise():
    make_template("demo")
    post(LEADS, lead_body(execution_mode=None), bearer())
    assert Lead.objects.get().execution_mode == ExecutionMode.TELEPHONY


def test_request_id_is_a_tag_and_may_come_twice():
    make_template("demo")
    headers = bearer()
    assert {post(LEADS, lead_body(), headers).status_code for _ in range(2)} == {201}
    assert Lead.objects.count() == 2


def test_text_is_kept_as_it_came():
    make_template("demo")
    text = "  Zoë 🙂 \t\u202e "
    response = post(LEADS, lead_body(request_id=text, payload={text: [text, 1.5, None, True]}), bearer())
    assert response.json()["order_id"] == text
    lead = Lead.objects.get()
    assert (lead.request_id, lead.payload) == (text, {text: [text, 1.5, None, True]})


def test_reporting_webhook_url_is_kept_inside_the_payload():
    make_template("demo")
    url = "https://crm.example.com:8443/hook?x=1"
    post(LEADS, lead_body(reporting_webhook_url=url), bearer())
    lead = Lead.objects.get()
    assert lead.payload == {"customer_name": "Asha", "reporting_webhook_url": url}
    assert lead.reporting_webhook_url == url


def test_reporting_webhook_url_may_come_inside_the_payload():
    make_template("demo")
    url = "https://crm.example.com/hook"
    post(LEADS, lead_body(payload={"reporting_webhook_url": url}), bearer())
    assert Lead.objects.get().reporting_webhook_url == url


@pytest.mark.parametrize("url", ["http://crm.example.com/", "https://10.0.0.1/", "https://localhost/", 7, ""])
def test_a_webhook_that_goes_nowhere_good_is_refused_in_both_places(url):
    make_template("demo")
    headers = bearer()
    for body in (lead_body(reporting_webhook_url=url), lead_body(payload={"reporting_webhook_url": url})):
        (problem,) = check_problem(post(LEADS, body, headers), 422)
        assert problem["loc"][-1] == "reporting_webhook_url"
    assert not Lead.objects.exists()


def test_the_first_attempt_is_due_after_the_offset_of_the_template():
    make_template("demo", initial_offset=3600)
    post(LEADS, lead_body(), bearer())
    lead = Lead.objects.get()
    assert 3590 < (lead.next_attempt_at - lead.created_at).total_seconds() < 3610


def test_a_flow_override_is_for_the_playground_alone():
    make_template("demo")
    headers = bearer()
    body = lead_body(flow_override={"start": "hello"})
    assert "is_playground" in check_problem(post(LEADS, body, headers), 400)
    assert post(LEADS, body | {"is_playground": True}, headers).status_code == 201
    lead = Lead.objects.get()
    assert bot_body.of_lead(lead)["flow_override"] == {"start": "hello"}


def test_configurations_override_counts_only_in_the_playground():
    make_template("demo")
    headers = bearer()
    post(LEADS, lead_body(configurations_override={"prompt": "x"}), headers)
    post(LEADS, lead_body(configurations_override={"prompt": "x"}, is_playground=True), headers)
    in_playground, outside = Lead.objects.all()
    assert outside.configurations_override is None
    assert in_playground.configurations_override == {"prompt": "x"}


def test_fields_that_we_do_not_know_and_nulls_are_ignored():
    make_template("demo")
    body = lead_body() | {"colour": [1], "template_id": None, "merchant_id": None, "reporting_webhook_url": None}
    assert post(LEADS, body, bearer()).status_code == 201


def test_a_merchants_own_template_goes_before_the_one_for_all_merchants():
    shared, own = make_template("demo"), make_template("demo", merchant_id="m1")
    headers = bearer()
    post(LEADS, lead_body(merchant_id="m1"), headers)
    post(LEADS, lead_body(merchant_id="m2"), headers)
    of_m2, of_m1 = Lead.objects.all()
    assert (of_m1.template, of_m1.merchant_id) == (own, "m1")
    assert (of_m2.template, of_m2.merchant_id) == (shared, "m2")


def test_a_template_may_be_given_by_its_id_and_passes_its_merchant_on():
    template = make_template("demo", merchant_id="m1")
    response = post(LEADS, lead_body(template=None, template_id=str(template.uuid)), bearer())
    assert response.status_code == 201
    assert (Lead.objects.get().template, Lead.objects.get().merchant_id) == (template, "m1")


NO_MERCHANT = ", and no merchant_id was given"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"template": "other"}, f"Template 'other' not found for reseller: acme{NO_MERCHANT}"),
        ({"template": "inactive"}, f"Template 'inactive' not found for reseller: acme{NO_MERCHANT}"),
        ({"template": "of-merchant"}, f"Template 'of-merchant' not found for reseller: acme{NO_MERCHANT}"),
        ({"template": "of-merchant", "merchant_id": "m2"}, "Template 'of-merchant' not found for reseller: acme"),
        ({"reseller_id": "nobody"}, f"Template 'demo' not found for reseller: nobody{NO_MERCHANT}"),
    ],
)
def test_a_template_that_does_not_fit_is_not_found(change, text):
    make_template("demo")
    make_template("inactive", active=False)
    make_template("of-merchant", merchant_id="m1")
    assert check_problem(post(LEADS, lead_body(**change), bearer()), 404) == text
    assert not Lead.objects.exists()


def test_an_id_of_a_template_that_does_not_fit_is_not_found():
    template = make_template("demo", merchant_id="m1")
    headers = bearer()
    cases: list[tuple[uuid.UUID, dict[str, Any]]] = [
        (uuid.uuid4(), {"template": None}),
        (template.uuid, {"template": None, "reseller_id": "nobody"}),
        (template.uuid, {"template": None, "merchant_id": "m2"}),
        (template.uuid, {"template": "another name"}),
    ]
    for template_id, change in cases:
        body = lead_body(template_id=str(template_id), **change)
        detail = check_problem(post(LEADS, body, headers), 404)
        assert detail == f"Template not found for reseller: {body['reseller_id']} (template_id={template_id})"
    assert not Lead.objects.exists()


def test_pushing_takes_four_queries(client, django_assert_num_queries):
    make_template("demo")
    headers = bearer()
    post(LEADS, lead_body(), headers)  # the first one makes the row of the rate
    with django_assert_num_queries(4):  # token, rate, template, lead
        response = client.post(LEADS, lead_body(), content_type="application/json", headers=headers)
    assert response.status_code == 201
