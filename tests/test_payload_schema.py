"""Payload schemas: what is no schema is refused when it is written, and every violation of one that is gets named."""

import time

import pytest

from leads.models import Lead
from leads.payload_schema import BadSchema, PayloadSchema
from tests.api import LEADS, check_problem, lead_body, post
from tests.make import bearer, make_template

ORDER = {
    "type": "object",
    "required": ["order", "amount"],
    "properties": {
        "amount": {"type": "number", "minimum": 1},
        "phone": {"type": "string", "pattern": "^\\+[1-9][0-9]{6,14}$"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "$defs": {"item": {"type": "object", "required": ["sku"]}},
}


@pytest.mark.django_db
def test_a_push_lists_every_violation_and_none_of_the_values():
    make_template("demo", expected_payload_schema=ORDER)
    payload = {"amount": "much", "phone": "98765 secret", "items": [{"sku": "a"}, {}]}
    answer = post(LEADS, lead_body(payload=payload), bearer())
    detail = check_problem(answer, 400)
    errors = answer.json()["errors"]
    assert {(tuple(error["loc"][2:]), error["type"]) for error in errors} == {
        ((), "required"),
        (("amount",), "type"),
        (("phone",), "pattern"),
        (("items", 1), "required"),
    }
    assert all(error["loc"][:2] == ["body", "payload"] for error in errors)
    for part in ("order", "amount", "phone", "items.1", "sku"):
        assert part in detail
    assert "much" not in answer.content.decode() and "98765" not in answer.content.decode()
    assert not Lead.objects.exists()


@pytest.mark.django_db
def test_a_payload_that_fits_is_pushed():
    make_template("demo", expected_payload_schema=ORDER)
    payload = {"order": 1, "amount": 2.5, "phone": "+919876501234", "items": [{"sku": "a"}]}
    assert post(LEADS, lead_body(payload=payload), bearer()).status_code == 201


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"properties": {"a": {"pattern": "("}}},
        {"properties": {"a": {"pattern": "(?=look)ahead"}}},
        {"pattern": "(a{1000}){1000}"},
        {"required": "name"},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/nowhere"},
        {"$schema": "https://example.com/my-own"},
    ],
)
def test_what_is_no_usable_schema_is_refused(schema):
    with pytest.raises(BadSchema):
        PayloadSchema(schema)


def test_references_that_multiply_are_refused():
    levels = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    with pytest.raises(BadSchema, match="too large"):
        PayloadSchema({"$defs": {**levels, "d40": {}}, "$ref": "#/$defs/d0"})


def test_references_in_a_circle_come_to_an_end():
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}
    assert PayloadSchema(tree).violations({"left": {"right": 7}})
    PayloadSchema({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}).violations(
        {}
    )


def test_a_pattern_takes_linear_time():
    schema = PayloadSchema({"properties": {"a": {"pattern": "^(a+)+$"}}})
    began = time.process_time()
    assert schema.violations({"a": "a" * 10_000 + "!"})
    assert time.process_time() - began < 5  # with a pattern that goes back it would be years


def test_older_drafts_are_read_as_such():
    draft_4 = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "properties": {"n": {"maximum": 5, "exclusiveMaximum": True}},
    }
    assert PayloadSchema(draft_4).violations({"n": 5})


def test_not_more_than_a_hundred_are_listed():
    schema = PayloadSchema({"additionalProperties": {"type": "number"}})
    assert len(schema.violations({str(n): "x" for n in range(1000)})) == 100
