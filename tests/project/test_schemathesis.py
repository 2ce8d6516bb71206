"""Whatever a client makes of our OpenAPI description: no 5xx, no answer that the description does not name, and none of
another shape. Schemathesis makes up the requests: from the examples, at the edges of the schemas, and at random."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from breezebuddy.wsgi import application
from common.openapi import EXAMPLE_LEAD, EXAMPLE_SESSION, EXAMPLE_TEMPLATE, EXAMPLE_TOKEN
from leads.models import Lead
from tests.support.make import (
    bearer,
    make_agent_process,
    make_daily_account,
    make_lead,
    make_pod,
    make_room,
    make_session,
    make_template,
    make_token,
    make_user,
)
from tests.support.properties import REPEATABLE

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))  # of each operation; `make fuzz` tries more
REQUESTS = settings(
    REPEATABLE,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
Headers = dict[str, str]
schema = schemathesis.openapi.from_wsgi("/openapi.json", application)


@pytest.fixture
def one_connection(db: None) -> Iterator[None]:
    """As Django's own test client has it: requests share the test's connection, and do not close it."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def admin(one_connection: None, settings: Any) -> Headers:
    """Who may do everything. There is what the examples of the description speak of, and enough of everything else, so
    that nothing is refused for want."""
    settings.DAILY_API_KEY = "a-daily-api-key-of-the-test-long-enough-for-hs256"
    make_daily_account()
    make_template("demo", reseller_id="demo", merchant_id="demo")
    make_lead(uuid=EXAMPLE_LEAD)
    make_template("example", uuid=EXAMPLE_TEMPLATE)
    make_token(uuid=EXAMPLE_TOKEN)
    make_user(username="asha")
    settings.LOGIN_RATE = settings.PUSH_RATE = settings.BULK_PUSH_RATE = None
    pod = make_pod(max_processes=1000)
    for _ in range(20):
        make_room(), make_agent_process(pod)
    make_session("waiting", uuid=EXAMPLE_SESSION)
    return bearer()


@schema.parametrize()
@REQUESTS
def test_an_admin_and_a_stranger_get_only_answers_that_are_described(admin: Headers, case: schemathesis.Case) -> None:
    """Both ask the same: to make a request up takes longer than to answer it."""
    before = Lead.objects.count()
    case.call_and_validate(checks=[*CHECKS])
    assert Lead.objects.count() == before
    case.call_and_validate(headers=admin, checks=[*CHECKS])
