"""POST .../leads/bulk: what is right is made, what is wrong is reported, with few statements."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from leads.api.bulk import _room_for_a_large_one
from leads.models import Lead
from leads.push import AT_ONCE
from tests.support.api import BULK, LEADS, check_problem, lead_body, post
from tests.support.make import bearer, make_template

pytestmark = pytest.mark.django_db


def test_each_item_gets_what_a_push_of_it_alone_gets():
    make_template("demo", expected_payload_schema={"properties": {"n": {"type": "number"}}})
    headers = bearer("reseller", reseller_ids=["acme"])
    items = [
        lead_body(),
        lead_body(reseller_id="other"),
        lead_body(template="nowhere"),
        lead_body(payload={"n": "x"}),
        lead_body(payload=7),
        lead_body(reporting_webhook_url="http://localhost/"),
        lead_body(flow_override={}),
        "no object",
        lead_body(request_id="last"),
    ]
    answer = post(BULK, {"leads": items}, headers)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [one["index"] for one in results] == list(range(len(items)))
    assert [one.get("code", 201) for one in results] == [201, 403, 404, 400, 422, 422, 400, 422, 201]
    assert (answer.json()["queued"], answer.json()["failed"]) == (2, 7)
    for item, one in zip(items, results, strict=True):
        alone = post(LEADS, item, headers)
        assert alone.status_code == one.get("code", 201)
        if alone.status_code == 201:
            assert set(one) == {"index", *alone.json()}
        elif alone.status_code == 422:
            assert one["errors"] == alone.json()["detail"]
        else:
            assert (one["message"], one.get("errors")) == (alone.json()["detail"], alone.json().get("errors"))


def test_the_ids_are_those_of_the_leads_in_order():
    make_template("demo")
    body = {"leads": [lead_body(request_id=f"order-{n}") for n in range(20)]}
    results = post(BULK, body, bearer()).json()["results"]
    by_id = {str(lead.uuid): lead.request_id for lead in Lead.objects.all()}
    assert [by_id[one["lead_call_tracker_id"]] for one in results] == [f"order-{n}" for n in range(20)]
    assert [one["order_id"] for one in results] == [f"order-{n}" for n in range(20)]


def test_a_thousand_leads_take_few_statements():
    make_template("demo"), make_template("other")
    headers = bearer()

    def statements(count):
        items = [lead_body(template=("demo", "other")[n % 2], request_id=str(n)) for n in range(count)]
        with CaptureQueriesContext(connection) as queries:
            assert post(BULK, {"leads": items}, headers).json()["queued"] == count
        return len(queries)

    statements(1)
    assert statements(10) == statements(100) <= 6
    assert statements(1000) <= 10
    assert Lead.objects.count() == 1111


@contextmanager
def insert_fails_at(request_id: str) -> Iterator[None]:
    """PostgreSQL gives up at one row, as when it takes too long."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'canceling statement' USING ERRCODE = 'query_canceled'; END$$"
        )
        cursor.execute(
            "CREATE TRIGGER give_up BEFORE INSERT ON leads_lead FOR EACH ROW "
            f"WHEN (NEW.request_id = '{request_id}') EXECUTE FUNCTION give_up()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION give_up CASCADE")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "campaign-7"}], ids=["without key", "with key"])
def test_a_failure_in_the_middle_leaves_no_lead_and_the_same_request_can_be_sent_again(key):
    make_template("demo")
    headers = bearer() | key
    body = {"leads": [lead_body(request_id=f"order-{n}") for n in range(2 * AT_ONCE + 1)]}
    with insert_fails_at(f"order-{AT_ONCE + 1}"):  # in the second of three statements
        answer = post(BULK, body, headers)
    assert check_problem(answer, 503) == "The database is not available."
    assert int(answer["Retry-After"]) > 0
    assert not Lead.objects.exists()
    assert post(BULK, body, headers).json()["queued"] == len(body["leads"])
    assert Lead.objects.count() == len(body["leads"])


@pytest.mark.parametrize("leads", [[], None, {}, "x", [lead_body()] * 1001])
def test_a_list_of_the_wrong_size_is_refused(leads):
    problems = check_problem(post(BULK, {"leads": leads}, bearer()), 422)
    assert problems[0]["loc"] == ["body", "leads"]
    assert not Lead.objects.exists()


def test_its_body_may_be_larger_than_that_of_others_and_has_a_limit_too(settings):
    make_template("demo")
    headers = bearer()
    body = {"leads": 2 * [lead_body(payload={"text": "x" * (settings.MAX_REQUEST_BODY_BYTES * 2 // 3)})]}
    check_problem(post(LEADS, body, headers), 413)
    assert post(BULK, body, headers).json()["queued"] == 2
    settings.MAX_BULK_BODY_BYTES = 1000
    assert "1000 bytes" in check_problem(post(BULK, body, headers), 413)


def test_what_is_not_json_is_refused():
    headers = bearer()
    for body in (b"", b"{", b"[]", b'{"leads": [NaN]}', b'{"leads": [1], "leads": [2]}'):
        check_problem(post(BULK, body, headers), 422)
    check_problem(post(BULK, json.dumps({}).encode(), headers, content_type="text/plain"), 415)


def test_bulk_pushes_have_a_rate_of_their_own(settings):
    settings.BULK_PUSH_RATE = settings.BULK_PUSH_RATE._replace(calls=1)
    make_template("demo")
    headers = bearer()
    assert [post(BULK, {"leads": [lead_body()]}, headers).status_code for _ in range(2)] == [200, 429]
    assert post(LEADS, lead_body(), headers).status_code == 201


def test_pushes_have_a_rate(settings):
    settings.PUSH_RATE = settings.PUSH_RATE._replace(calls=2)
    make_template("demo")
    headers = bearer()
    answers = [post(LEADS, lead_body(), headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(answers[2]["Retry-After"]) > 0
    assert post(LEADS, lead_body(), bearer()).status_code == 201


def test_one_that_is_too_large_for_a_push_of_its_own_is_too_large_here(settings):
    settings.MAX_REQUEST_BODY_BYTES = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2000
    make_template("demo")
    items = [lead_body(payload={"text": "x" * 2000}), lead_body()]
    answer = post(BULK, {"leads": items}, bearer()).json()
    assert [one.get("code", 201) for one in answer["results"]] == [413, 201]
    assert answer["results"][0]["message"] == check_problem(post(LEADS, items[0], bearer()), 413)


@pytest.mark.parametrize("value", [[], {}, 1, ""], ids=str)
def test_many_small_values_are_refused_before_they_are_read(value):
    body = json.dumps({"leads": [value] * 600_000}).encode()
    began = time.process_time()
    (problem,) = check_problem(post(BULK, body, bearer()), 422)
    assert problem["type"] == "too_many_values"
    assert time.process_time() - began < 1


def test_a_lead_may_have_as_many_values_as_one_that_is_pushed_alone_and_commas_in_texts_are_none(monkeypatch):
    make_template("demo")
    items = [lead_body(payload={"n": [[]] * 49_000}), lead_body(payload={"n": [1] * 51_000})]
    items.append(lead_body(payload={"text": ',[{\\"' * 60_000}))
    results = post(BULK, {"leads": items}, bearer()).json()["results"]
    assert [one.get("code", 201) for one in results] == [201, 422, 201]
    assert [post(LEADS, item, bearer()).status_code for item in items] == [201, 422, 201]


def test_a_worker_has_one_large_push_at_a_time(monkeypatch):
    make_template("demo")
    monkeypatch.setattr("leads.api.bulk.LARGE", 1000)
    headers, body = bearer(), {"leads": [lead_body(payload={"text": "x" * 1000})]}
    with _room_for_a_large_one:
        answer = post(BULK, body, headers)
        check_problem(answer, 503)
        assert int(answer["Retry-After"]) > 0
        assert post(BULK, {"leads": [lead_body()]}, headers).status_code == 200
    for _ in range(2):
        assert post(BULK, body, headers).status_code == 200
