"""`Idempotency-Key` on push: the same request again makes no second lead."""

import threading

import pytest
from django.db import connections

from access.scope import Scope
from leads.models import Lead
from leads.push import push
from tests.support.api import BULK, LEADS, check_problem, lead_body, post
from tests.support.make import bearer, make_template, make_token

KEY = {"Idempotency-Key": "order-1"}


@pytest.mark.django_db
class TestPush:
    def test_a_retry_gets_the_same_lead(self):
        make_template("demo")
        headers = bearer() | KEY
        first, second = (post(LEADS, lead_body(), headers) for _ in range(2))
        assert first.status_code == second.status_code == 201
        assert first.json() == second.json()
        assert Lead.objects.count() == 1

    def test_without_a_key_or_with_another_it_is_another_lead(self):
        make_template("demo")
        headers = bearer()
        for more in ({}, {}, KEY, {"Idempotency-Key": "order-2"}):
            assert post(LEADS, lead_body(), headers | more).status_code == 201
        assert Lead.objects.count() == 4

    def test_a_key_is_its_holders(self):
        make_template("demo")
        for _ in range(2):
            assert post(LEADS, lead_body(), bearer() | KEY).status_code == 201
        assert Lead.objects.count() == 2

    def test_another_body_with_the_same_key_is_a_conflict(self):
        make_template("demo")
        headers = bearer() | KEY
        post(LEADS, lead_body(), headers)
        check_problem(post(LEADS, lead_body(request_id="order-2"), headers), 409)
        assert Lead.objects.count() == 1

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256])
    def test_a_key_of_the_wrong_shape_is_refused(self, key):
        make_template("demo")
        check_problem(post(LEADS, lead_body(), bearer() | {"Idempotency-Key": key}), 422)

    def test_a_bulk_push_can_be_sent_again(self):
        make_template("demo")
        headers = bearer() | KEY
        body = {"leads": [lead_body(), lead_body(), {"request_id": "broken"}]}
        first, second = (post(BULK, body, headers) for _ in range(2))
        assert first.json() == second.json()
        assert (first.json()["queued"], Lead.objects.count()) == (2, 2)
        other = {"leads": [lead_body(), lead_body(request_id="changed")]}
        check_problem(post(BULK, other, headers), 409)
        assert Lead.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_many_at_once_with_one_key_make_one_lead():
    make_template("demo")
    scope = Scope.of_token(make_token()[0])
    values = lead_body(is_playground=False)
    start, found = threading.Barrier(8), []

    def once():
        start.wait(timeout=20)
        try:
            found.append(push(scope, values, "order-1").uuid)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=once) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == 8 and set(found) == {Lead.objects.get().uuid}
