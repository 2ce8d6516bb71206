"""Whatever is sent: a 4xx that says what was wrong, never a 500, and nothing is written."""

import json
from typing import Any

import pytest

from tests.support.api import CONNECT, LEADS, check_problem, lead_body, post, rows
from tests.support.make import bearer, make_lead, make_template

pytestmark = pytest.mark.django_db

LEAD_ID = "5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11"
NOT_JSON = {
    "nothing but space": b"  ",
    "half an object": b'{"lead_id": ',
    "words": b"hello",
    "two values": b"{}{}",
    "single quotes": b"{'lead_id': 1}",
    "trailing comma": b'{"lead_id": "x",}',
    "latin-1": '{"lead_id": "Zoë"}'.encode("latin-1"),
    "UTF-16": '{"lead_id": "x"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "raw control character": b'{"lead_id": "a\x00b"}',
    "NaN": b'{"payload": NaN}',
    "Infinity": b'{"payload": -Infinity}',
    "number of 5,000 digits": b'{"payload": {"n": ' + b"9" * 5000 + b"}}",
    "100,000 brackets": b"[" * 100_000,
    "100,000 nested objects": b'{"a":' * 100_000,
    "nested 65 levels": b'{"payload":' + b"[" * 65 + b"]" * 65 + b"}",
}
NO_OBJECT = [[], [1], "text", 1, 1.5, True, None]
UNSTORABLE = {
    "NUL in a value": (b'{"payload": {"a": ["x", "b\\u0000c"]}}', ["body", "payload", "a", 1]),
    "NUL in a key": (b'{"payload": {"b\\u0000c": 1}}', ["body", "payload"]),
    "NUL in a field": (b'{"lead_id": "\\u0000"}', ["body", "lead_id"]),
    "NUL in an unknown field": (b'{"x": "\\u0000"}', ["body", "x"]),
    "number beyond all": (b'{"payload": {"n": [1e999]}}', ["body", "payload", "n", 0]),
    "half a surrogate pair": (b'{"payload": {"a": "\\ud800"}}', ["body", "payload", "a"]),
    "half a pair in a key": (b'{"payload": {"\\udfff": 1}}', ["body", "payload"]),
}
WRONG_LEADS: dict[str, tuple[dict[str, Any], str]] = {
    "missing request_id": ({"request_id": None}, "request_id"),
    "missing reseller_id": ({"reseller_id": None}, "reseller_id"),
    "missing payload": ({"payload": None}, "payload"),
    "request_id a number": ({"request_id": 5}, "request_id"),
    "request_id an object": ({"request_id": {}}, "request_id"),
    "request_id true": ({"request_id": True}, "request_id"),
    "request_id empty": ({"request_id": ""}, "request_id"),
    "request_id blank": ({"request_id": " \n"}, "request_id"),
    "request_id long": ({"request_id": "x" * 201}, "request_id"),
    "reseller_id a list": ({"reseller_id": ["acme"]}, "reseller_id"),
    "reseller_id empty": ({"reseller_id": ""}, "reseller_id"),
    "reseller_id long": ({"reseller_id": "x" * 101}, "reseller_id"),
    "merchant_id a number": ({"merchant_id": 1}, "merchant_id"),
    "merchant_id empty": ({"merchant_id": ""}, "merchant_id"),
    "merchant_id long": ({"merchant_id": "x" * 101}, "merchant_id"),
    "template a number": ({"template": 1}, "template"),
    "template empty": ({"template": ""}, "template"),
    "template long": ({"template": "x" * 201}, "template"),
    "template_id no UUID": ({"template_id": "demo"}, "template_id"),
    "template_id a number": ({"template_id": 7}, "template_id"),
    "template_id a list": ({"template_id": []}, "template_id"),
    "template_id too long": ({"template_id": LEAD_ID + "0"}, "template_id"),
    "payload a list": ({"payload": []}, "payload"),
    "payload text": ({"payload": "{}"}, "payload"),
    "payload a number": ({"payload": 1}, "payload"),
    "mode unknown": ({"execution_mode": "FAX"}, "execution_mode"),
    "mode in small letters": ({"execution_mode": "daily"}, "execution_mode"),
    "mode a number": ({"execution_mode": 1}, "execution_mode"),
    "mode an object": ({"execution_mode": {}}, "execution_mode"),
    "mode long": ({"execution_mode": "x" * 100_000}, "execution_mode"),
    "webhook a number": ({"reporting_webhook_url": 1}, "reporting_webhook_url"),
    "webhook without scheme": ({"reporting_webhook_url": "example.com"}, "reporting_webhook_url"),
    "webhook of a file": ({"reporting_webhook_url": "file:///etc/passwd"}, "reporting_webhook_url"),
    "webhook without host": ({"reporting_webhook_url": "http://"}, "reporting_webhook_url"),
    "webhook with a bad port": ({"reporting_webhook_url": "http://x:99999"}, "reporting_webhook_url"),
    "webhook with an open bracket": ({"reporting_webhook_url": "http://[::1"}, "reporting_webhook_url"),
    "webhook with a space": ({"reporting_webhook_url": "http://x/ y"}, "reporting_webhook_url"),
    "webhook with a line break": ({"reporting_webhook_url": "http://x/\r\ny"}, "reporting_webhook_url"),
    "webhook long": ({"reporting_webhook_url": "http://x/" + "y" * 2000}, "reporting_webhook_url"),
    "playground a word": ({"is_playground": "maybe"}, "is_playground"),
    "playground an object": ({"is_playground": {}}, "is_playground"),
    "playground 2": ({"is_playground": 2}, "is_playground"),
    "override a list": ({"configurations_override": []}, "configurations_override"),
    "override text": ({"configurations_override": "x"}, "configurations_override"),
}
NO_UUIDS: list[Any] = [
    None,
    1,
    0,
    -1,
    1.5,
    10**30,
    True,
    [],
    {},
    "",
    "x",
    LEAD_ID + "0",
    "x" * 10_000,
    "{" + LEAD_ID[:-1],
]


@pytest.fixture(autouse=True)
def some_rows():
    make_template("demo")
    make_lead()


@pytest.mark.parametrize("path", [LEADS, CONNECT])
@pytest.mark.parametrize("case", NOT_JSON)
def test_what_is_no_json_is_refused(path, case):
    refused(path, NOT_JSON[case], ["body"])


@pytest.mark.parametrize("path", [LEADS, CONNECT])
@pytest.mark.parametrize("body", NO_OBJECT, ids=repr)
def test_json_that_is_no_object_is_refused(path, body):
    assert refused(path, json.dumps(body).encode(), ["body"])["msg"] == "must be an object"


@pytest.mark.parametrize("path", [LEADS, CONNECT])
@pytest.mark.parametrize("case", UNSTORABLE)
def test_what_postgresql_cannot_store_is_refused_where_it_stands(path, case):
    body, loc = UNSTORABLE[case]
    refused(path, body, loc)


@pytest.mark.parametrize("case", WRONG_LEADS)
def test_a_lead_of_the_wrong_shape_is_refused_by_its_field(case):
    change, field = WRONG_LEADS[case]
    problem = refused(LEADS, json.dumps(lead_body(**change)).encode(), ["body", field])
    assert len(problem["msg"]) < 200


def test_null_is_refused_where_a_value_is_needed():
    for name in ("request_id", "reseller_id", "payload", "execution_mode", "is_playground"):
        refused(LEADS, json.dumps(lead_body() | {name: None}).encode(), ["body", name])


def test_all_missing_fields_are_named_at_once():
    detail = check_problem(post(LEADS, {}, bearer()), 422)
    assert [(problem["loc"][-1], problem["type"]) for problem in detail] == [
        ("request_id", "missing"),
        ("reseller_id", "missing"),
        ("payload", "missing"),
    ]


def test_a_lead_needs_a_template_by_name_or_id():
    problem = refused(LEADS, json.dumps(lead_body(template=None)).encode(), ["body"])
    assert problem["msg"] == "Either 'template' or 'template_id' must be provided"


@pytest.mark.parametrize("lead_id", NO_UUIDS, ids=lambda value: repr(value)[:20])
def test_connect_refuses_what_is_no_uuid(lead_id):
    refused(CONNECT, json.dumps({"lead_id": lead_id}).encode(), ["body", "lead_id"])


def test_connect_needs_a_lead_id():
    assert refused(CONNECT, b"{}", ["body", "lead_id"])["type"] == "missing"


@pytest.mark.parametrize("path", [LEADS, CONNECT])
def test_a_body_that_is_too_large_is_refused(path):
    body = json.dumps(lead_body(payload={"text": "x" * 1_000_000})).encode()
    unchanged(path, body, 413)


@pytest.mark.parametrize("path", [LEADS, CONNECT])
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/xml", ";"],
)
def test_a_body_that_is_declared_as_something_else_is_refused(path, content_type):
    problem = unchanged(path, json.dumps(lead_body()).encode(), 415, content_type=content_type)
    assert "Content-Type: application/json" in problem


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/json; charset=bz2_codec"])
def test_json_is_utf_8_whatever_charset_is_declared(content_type):
    assert post(LEADS, lead_body(), bearer(), content_type).status_code == 201


@pytest.mark.parametrize("path", [LEADS, CONNECT])
def test_a_body_without_a_length_is_refused_not_taken_for_empty(path):
    response = post(path, b"", bearer() | {"Transfer-Encoding": "chunked"})
    check_problem(response, 411)


def test_large_numbers_and_deep_structures_within_the_limits_are_kept():
    deep: list[object] = []
    for _ in range(60):
        deep = [deep]
    payload = {"big": 2**63, "bigger": 10**300, "small": 1e-300, "deep": deep, "": {}, "long": "x" * 400_000}
    assert post(LEADS, lead_body(payload=payload), bearer()).status_code == 201


def refused(path, body, loc):
    """422 at this place; returns the problem."""
    (problem,) = unchanged(path, body, 422)
    assert problem["loc"] == loc
    return problem


def unchanged(path, body, status, content_type="application/json"):
    headers = bearer()
    before = rows()
    detail = check_problem(post(path, body, headers, content_type), status)
    assert rows() == before
    return detail
