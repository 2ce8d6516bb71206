"""`.../templates`: listed, made, read and changed; who may do it is in the role matrix and below."""

import pytest

from leads.models import Template
from tests.support.api import TEMPLATES, UNKNOWN, check_problem, get, patch, post
from tests.support.make import bearer, make_lead, make_template

pytestmark = pytest.mark.django_db

CONFIG = {
    "initial_offset": 60,
    "max_attempts": 3,
    "retry_offset": 900,
    "calling_window": {"start": "09:00", "end": "21:30", "time_zone": "Asia/Kolkata"},
    "max_concurrent_calls": 10,
}


def new(**values):
    body = {"name": "orders", "reseller_id": "acme", "merchant_id": "m1", **values}
    return {name: value for name, value in body.items() if value is not None}


def test_a_template_is_read_as_it_was_made():
    schema = {"type": "object", "required": ["order"]}
    body = new(expected_payload_schema=schema, configurations={"prompt": "Hi"}, call_execution_config=CONFIG)
    headers = bearer()
    made = post(TEMPLATES, body, headers)
    assert made.status_code == 201
    record = made.json()
    assert record["call_execution_config"] == CONFIG | {
        "calling_window": {"start": "09:00:00", "end": "21:30:00", "time_zone": "Asia/Kolkata"}
    }
    assert (record["name"], record["reseller_id"], record["merchant_id"]) == ("orders", "acme", "m1")
    assert (record["expected_payload_schema"], record["configurations"]) == (schema, {"prompt": "Hi"})
    assert record["is_active"] is True
    read = get(f"{TEMPLATES}/{record['id']}", headers).json()
    assert read == record
    assert get(TEMPLATES, headers).json()["results"] == [read]


def test_what_is_not_given_has_its_default():
    record = post(TEMPLATES, new(merchant_id=None), bearer()).json()
    assert record["merchant_id"] is None and record["expected_payload_schema"] is None
    assert record["call_execution_config"] == {
        "initial_offset": 0,
        "max_attempts": 1,
        "retry_offset": 900,
        "calling_window": None,
        "max_concurrent_calls": None,
    }


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"name": None}, ["name"]),
        ({"name": " "}, ["name"]),
        ({"reseller_id": None}, ["reseller_id"]),
        ({"configurations": []}, ["configurations"]),
        ({"expected_payload_schema": {"type": "objekt"}}, ["expected_payload_schema"]),
        ({"expected_payload_schema": {"$ref": "http://10.0.0.1/"}}, ["expected_payload_schema"]),
        ({"call_execution_config": {"max_attempts": 0}}, ["call_execution_config", "max_attempts"]),
        ({"call_execution_config": {"max_attempts": 10**30}}, ["call_execution_config", "max_attempts"]),
        ({"call_execution_config": {"initial_offset": -1}}, ["call_execution_config", "initial_offset"]),
        ({"call_execution_config": {"retry_offset": "soon"}}, ["call_execution_config", "retry_offset"]),
        ({"call_execution_config": {"max_concurrent_calls": 0}}, ["call_execution_config", "max_concurrent_calls"]),
        (
            {"call_execution_config": {"calling_window": {"start": "9", "end": "25:00"}}},
            ["call_execution_config", "calling_window", "start"],
        ),
        (
            {"call_execution_config": {"calling_window": {"start": "09:00+05:30", "end": "21:00"}}},
            ["call_execution_config", "calling_window", "start"],
        ),
        (
            {"call_execution_config": {"calling_window": {"start": "09:00", "end": "21:00:00Z"}}},
            ["call_execution_config", "calling_window", "end"],
        ),
        (
            {"call_execution_config": {"calling_window": {"start": "09:00", "end": "09:00"}}},
            ["call_execution_config", "calling_window"],
        ),
        (
            {"call_execution_config": {"calling_window": {"start": "09:00", "end": "10:00", "time_zone": "../etc"}}},
            ["call_execution_config", "calling_window", "time_zone"],
        ),
        (
            {"call_execution_config": {"calling_window": {"start": "09:00", "end": "10:00", "time_zone": "localtime"}}},
            ["call_execution_config", "calling_window", "time_zone"],
        ),
    ],
)
def test_what_makes_no_sense_is_refused(values, where):
    problems = check_problem(post(TEMPLATES, new(**values), bearer()), 422)
    assert problems[0]["loc"] == ["body", *where]
    assert not Template.objects.exists()


def test_a_name_is_taken_once_in_a_scope():
    headers = bearer()
    assert post(TEMPLATES, new(), headers).status_code == 201
    assert post(TEMPLATES, new(merchant_id="m2"), headers).status_code == 201
    check_problem(post(TEMPLATES, new(), headers), 409)
    other = post(TEMPLATES, new(name="other"), headers).json()
    check_problem(patch(f"{TEMPLATES}/{other['id']}", {"name": "orders"}, headers), 409)
    assert Template.objects.get(uuid=other["id"]).name == "other"


def test_a_change_leaves_what_is_not_given():
    headers = bearer()
    before = post(TEMPLATES, new(call_execution_config=CONFIG, configurations={"a": 1}), headers).json()
    address = f"{TEMPLATES}/{before['id']}"
    after = patch(address, {"is_active": False, "configurations": {"b": 2}}, headers).json()
    expected = before | {"is_active": False, "configurations": {"b": 2}, "updated_at": after["updated_at"]}
    assert after == expected
    assert patch(address, {"call_execution_config": {}}, headers).json()["call_execution_config"]["max_attempts"] == 1
    assert patch(address, {}, headers).status_code == 200


def test_a_template_stays_where_it_is():
    template, headers = make_template(merchant_id="m1"), bearer()
    address = f"{TEMPLATES}/{template.uuid}"
    assert patch(address, {"reseller_id": "acme", "merchant_id": "m1"}, headers).status_code == 200
    for change in ({"reseller_id": "other"}, {"merchant_id": "m2"}, {"merchant_id": None}):
        (problem,) = check_problem(patch(address, change, headers), 422)
        assert problem["loc"] == ["body", next(iter(change))]


def test_a_change_does_not_reach_leads_that_exist():
    lead = make_lead(template=make_template(expected_payload_schema=None))
    headers = bearer()
    patch(f"{TEMPLATES}/{lead.template.uuid}", {"expected_payload_schema": {"required": ["x"]}}, headers)
    assert get(f"/agent/voice/breeze-buddy/leads/{lead.uuid}", headers).status_code == 200


def test_a_merchant_sees_shared_templates_of_its_reseller_and_changes_its_own_alone():
    own, shared = make_template("own", merchant_id="m1"), make_template("shared")
    other, foreign = make_template("other", merchant_id="m2"), make_template("foreign", reseller_id="other")
    headers = bearer("merchant", reseller_ids=["acme"], merchant_ids=["m1"])
    assert {one["name"] for one in get(TEMPLATES, headers).json()["results"]} == {"own", "shared"}
    assert get(f"{TEMPLATES}/{shared.uuid}", headers).status_code == 200
    assert patch(f"{TEMPLATES}/{own.uuid}", {"is_active": False}, headers).status_code == 200
    for template in (shared, other, foreign):
        check_problem(patch(f"{TEMPLATES}/{template.uuid}", {"is_active": False}, headers), 404)
    check_problem(post(TEMPLATES, new(merchant_id=None), headers), 403)
    check_problem(post(TEMPLATES, new(merchant_id="m2"), headers), 403)
    assert post(TEMPLATES, new(), headers).status_code == 201


def test_the_list_can_be_narrowed():
    make_template("a", merchant_id="m1"), make_template("b"), make_template("a", reseller_id="other")
    headers = bearer()

    def names(query):
        return [(one["reseller_id"], one["name"]) for one in get(f"{TEMPLATES}?{query}", headers).json()["results"]]

    assert names("name=a") == [("other", "a"), ("acme", "a")]
    assert names("reseller_id=acme") == [("acme", "b"), ("acme", "a")]
    assert names("merchant_id=m1") == [("acme", "a")]


@pytest.mark.parametrize("template_id", ["x", UNKNOWN])
def test_an_unknown_template_is_not_found(template_id):
    headers = bearer()
    check_problem(get(f"{TEMPLATES}/{template_id}", headers), 404)
    check_problem(patch(f"{TEMPLATES}/{template_id}", {}, headers), 404)
