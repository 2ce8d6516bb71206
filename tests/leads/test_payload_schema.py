"""Payload schemas: what is no schema is refused when it is written, and every violation of one that is gets named."""

import time
from typing import Any

import pytest

from leads.models import Lead
from leads.payload_schema import PayloadSchema, TooMuchWork
from leads.schema_subset import BadSchema
from tests.support.api import BULK, LEADS, check_problem, lead_body, post
from tests.support.make import bearer, make_template

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


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"properties": {"x": {"$ref": "#"}}}, {"properties": {"x": {"$ref": "#"}}}]},
        {"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"$defs": {"a": {}}, "$ref": "#/%24defs/a"},
        {"$defs": {"a": {"$anchor": "here"}}, "$ref": "#here"},
        {"$defs": {"a": {"$id": "https://example.com/a"}}, "$ref": "https://example.com/a"},
        {"$dynamicAnchor": "here", "properties": {"x": {"$dynamicRef": "#here"}}},
        {"$recursiveAnchor": True, "properties": {"x": {"$recursiveRef": "#"}}},
        {"properties": {"x": {"$ref": "#/properties/y"}, "y": {}}},
        {"allOf": [{"unevaluatedProperties": False}]},
    ],
)
def test_references_other_than_plain_ones_and_circles_are_refused_and_the_text_says_what_is_allowed(schema):
    with pytest.raises(BadSchema, match=r"#/\$defs/NAME"):
        PayloadSchema(schema)


def test_a_long_chain_of_references_is_refused():
    chain = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(600)}
    for start in ("d0", "d599"):
        with pytest.raises(BadSchema, match="deep"):
            PayloadSchema({"$defs": {**chain, "d600": {}}, "$ref": f"#/$defs/{start}"})


def test_what_common_schemas_use_is_allowed():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/order",
        "type": "object",
        "required": ["id", "total"],
        "properties": {
            "id": {"type": "string", "minLength": 1, "maxLength": 50},
            "total": {"type": "number", "multipleOf": 0.01},
            "$ref": {"type": "string", "description": "a property of this name is no reference"},
            "status": {"enum": ["new", "paid"]},
            "at": {"type": "string", "format": "date-time"},
            "name": {"type": "string", "pattern": "^.{1,500}$"},
            "items": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/item"}},
            "address": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/address"}]},
        },
        "allOf": [{"if": {"properties": {"status": {"const": "paid"}}}, "then": {"required": ["at"]}}],
        "patternProperties": {"^x-": {"type": "string"}},
        "unevaluatedProperties": False,
        "$defs": {
            "item": {"type": "object", "required": ["sku"], "properties": {"sku": {"$ref": "#/$defs/sku"}}},
            "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{1,6}$"},
            "address": {"type": "object", "properties": {"zip": {"type": "string"}}, "additionalProperties": False},
        },
    }
    good = {
        "id": "1",
        "total": 12.34,
        "status": "paid",
        "at": "2026-11-24T06:00:00Z",
        "name": "Asha" * 10,
        "items": [{"sku": f"ABC-{n}"} for n in range(100)],
        "address": {"zip": "560001"},
        "x-note": "n" * 100_000,
    }
    checked = PayloadSchema(schema)
    assert checked.violations(good) == []
    bad = good | {"total": 12.345, "address": {"city": ""}, "y": 1}
    assert {violation.kind for violation in checked.violations(bad | {"items": [], "name": ""})} == {
        *("multipleOf", "anyOf", "unevaluatedProperties", "pattern")
    }


MANY = list(range(250_000))
DOUBLED: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(6)}
DOUBLED["d6"] = {"items": {"type": "integer"}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"allOf": [{"items": {"type": "integer"}}] * 2000}, MANY),
        ({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, MANY),
        ({"$ref": "#/$defs/d0"}, MANY),
        ({"pattern": "(([ab]{1,60}){1,60})[^ab]"}, "ab" * 50_000),
        ({"allOf": [{"pattern": "[ab]*a[ab]{50}$"}] * 50}, "ab" * 5000),
        ({"allOf": [{"format": "uri-reference"}] * 50}, "a." * 100_000),
        ({"patternProperties": {f"[ab]*a[ab]{{50}}{n}$": {} for n in range(50)}}, {"ab" * 5000: 1}),
        ({"items": {"multipleOf": 1e-300}}, [1e308] * 40_000),
        ({"allOf": [{"uniqueItems": True}] * 100}, MANY),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_payload_that_would_take_long_to_check_is_refused_before_it_is_checked(schema, value):
    checked = PayloadSchema({"properties": {"x": schema}, "$defs": DOUBLED})
    began = time.process_time()
    with pytest.raises(TooMuchWork):
        checked.violations({"x": value})
    assert time.process_time() - began < 1


def test_the_most_that_is_checked_takes_little_time_and_memory():
    """Right below the limit of work, all of it wrong: 10 s and 300 MB if all of that were collected."""
    checked = PayloadSchema({"properties": {"x": {"items": {"type": "string"}}}})
    checked_with_alternatives = PayloadSchema({"properties": {"x": {"items": {"anyOf": [{"type": "string"}]}}}})
    began = time.process_time()
    assert [one.loc for one in checked.violations({"x": MANY[:16_000]})] == [["x", 0]]
    (one,) = checked_with_alternatives.violations({"x": MANY[:7000]})
    assert "too large" in one.msg
    assert time.process_time() - began < 2


def test_the_text_of_a_violation_is_short_whatever_the_schema_says():
    (violation,) = PayloadSchema({"properties": {"x": {"enum": ["x" * 100_000]}}}).violations({"x": 1})
    assert len(violation.msg) <= 500


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


@pytest.mark.django_db
def test_a_bulk_push_may_take_so_many_steps_in_all(monkeypatch):
    monkeypatch.setattr("leads.push.MAX_WORK_OF_A_REQUEST", 5000)
    make_template("demo", expected_payload_schema={"properties": {"n": {"items": {"type": "integer"}}}})
    items = [lead_body(payload={"n": list(range(1000))}) for _ in range(4)]
    answer = post(BULK, {"leads": items}, bearer()).json()
    assert [one.get("code", 201) for one in answer["results"]] == [201, 201, 400, 400]
    assert "steps" in answer["results"][3]["message"]


@pytest.mark.django_db
def test_a_template_stored_with_what_is_not_allowed_any_more_is_a_400_that_says_so():
    make_template("demo", expected_payload_schema={"properties": {"x": {"$ref": "#"}}})
    assert "#/$defs/NAME" in check_problem(post(LEADS, lead_body(payload={"x": {}}), bearer()), 400)
