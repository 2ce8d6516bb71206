"""The role matrix: what each role gets from each endpoint, in one table.

To add an endpoint, add a line to TABLE: its method and its route as `urls.py` has it, what `nobody` (no token), an
`admin`, a `reseller` of acme, a `merchant` m1 of acme, a read-only `user` of acme and a `stranger` (a reseller of
another) get, and what is sent, if anything. `{lead}` and the like in a route or a body stand for rows of acme's
merchant m1: add yours to `World`. An endpoint that is not in the table, or is no longer in the URLconf, is a failure.
What has no roles (the admin with its own log-in, pages, probes) is named in WITHOUT_ROLES.
"""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from pools.operators import overrides
from tests.support.make import (
    bearer,
    make_agent_process,
    make_daily_account,
    make_lead,
    make_room,
    make_session,
    make_template,
    make_token,
    make_user,
)

BUDDY = "agent/voice/breeze-buddy/"
AUTOMATIC = "agent/voice/automatic/"
OPEN = (200, 200, 200, 200, 200, 200)
OPERATORS = (401, 200, 403, 403, 403, 403)
PASSWORD = "a good password"


@dataclass(frozen=True)
class Row:
    method: str
    route: str
    statuses: tuple[int, int, int, int, int, int]
    body: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


#                                   nobody, admin, reseller, merchant, user, stranger
TABLE = [
    Row("GET", "health", OPEN),
    Row("GET", "health/ready", OPEN),
    Row("GET", "metrics", OPEN),  # closed by METRICS_TOKEN, see test_metrics
    Row("GET", AUTOMATIC + "pool/status", OPEN),
    Row("GET", AUTOMATIC + "pool/rooms/status", OPEN),
    Row("GET", AUTOMATIC + "pool/reservations", OPERATORS),
    Row(
        "POST",
        AUTOMATIC + "pool/reservations",
        (401, 201, 403, 403, 403, 403),
        {"pairs": 1, "ends_at": (timezone.now() + timedelta(days=300)).isoformat(), "allow_short": True},
    ),
    Row("DELETE", AUTOMATIC + "pool/reservations/{reservation}", (401, 204, 403, 403, 403, 403)),
    Row("POST", AUTOMATIC + "cleanup/{session}", OPERATORS),
    Row("GET", AUTOMATIC + "sessions/{session}/timeline", (401, 200, 200, 200, 200, 404)),
    *(
        row
        for prefix in ("", BUDDY)
        for row in (
            Row("POST", prefix + "login", OPEN, {"username": "{user}", "password": PASSWORD}),
            Row("GET", prefix + "auth/me", (401, 200, 200, 200, 200, 200)),
            Row("GET", prefix + "s2s-token", (401, 200, 200, 403, 403, 200)),
            Row(
                "POST",
                prefix + "s2s-token",
                (401, 201, 201, 403, 403, 403),
                {"name": "shop", "role": "merchant", "reseller_id": "acme", "merchant_id": "m1"},
            ),
            Row("DELETE", prefix + "s2s-token/{token}", (401, 204, 204, 403, 403, 404)),
        )
    ),
    Row(
        "POST",
        BUDDY + "leads",
        (401, 201, 201, 201, 403, 403),
        {"request_id": "1", "template": "demo", "reseller_id": "acme", "merchant_id": "m1", "payload": {}},
    ),
    Row("GET", BUDDY + "leads/{lead}", (401, 200, 200, 200, 200, 404)),
    Row("GET", BUDDY + "leads", (401, 200, 200, 200, 200, 200)),
    Row("GET", BUDDY + "leads/recording/{unknown}", (401, 404, 404, 404, 404, 404)),  # real ones: test_recordings
    Row("DELETE", BUDDY + "leads/{lead}", (401, 200, 200, 200, 403, 404)),
    Row(
        "POST",
        BUDDY + "leads/bulk",
        (401, 200, 200, 200, 403, 200),
        {"leads": [{"request_id": "1", "template": "demo", "reseller_id": "acme", "merchant_id": "m1", "payload": {}}]},
    ),
    Row(
        "POST",
        BUDDY + "lead/abort",
        (401, 200, 200, 200, 403, 200),
        {"leads": [{"lead_id": "{lead}", "cancellation_reason": "because"}]},
    ),
    Row("POST", BUDDY + "leads/{telephony_lead}/dispatch-now", (401, 200, 200, 200, 403, 404)),
    Row("GET", BUDDY + "templates", (401, 200, 200, 200, 200, 200)),
    Row(
        "POST",
        BUDDY + "templates",
        (401, 201, 201, 201, 403, 403),
        {"name": "new", "reseller_id": "acme", "merchant_id": "m1"},
    ),
    Row("GET", BUDDY + "templates/{template}", (401, 200, 200, 200, 200, 404)),
    Row("PATCH", BUDDY + "templates/{template}", (401, 200, 200, 200, 403, 404), {"is_active": False}),
    Row("POST", BUDDY + "connect", (401, 200, 200, 200, 403, 404), {"lead_id": "{lead}"}),
    Row("POST", "agent/voice/automatic", (401, 200, 200, 200, 403, 403), {"resellerId": "acme"}),
]

WITHOUT_ROLES = {
    "": "leads to the documentation",
    "admin": "leads to the one with a slash",
    "admin/": "has users and permissions of its own",
    "docs": "documentation, for everybody",
    "openapi.json": "documentation, for everybody",
    "talk": "for development, not there without TALK_PAGE: a call with the template `demo`",
    "webhooks/daily": "Daily alone, which signs what it sends",
}

CALLERS: dict[str, dict[str, Any] | None] = {
    "nobody": None,
    "admin": {"role": "admin"},
    "reseller": {"role": "reseller", "reseller_ids": ["acme"]},
    "merchant": {"role": "merchant", "reseller_ids": ["acme"], "merchant_ids": ["m1"]},
    "user": {"role": "user", "reseller_ids": ["acme"], "merchant_ids": ["m1"]},
    "stranger": {"role": "reseller", "reseller_ids": ["other"]},
}


class World:
    """Rows of acme's merchant m1, made when a row of the table asks for them."""

    unknown = "nowhere"

    @cached_property
    def template(self) -> object:
        return make_template("demo", reseller_id="acme", merchant_id="m1").uuid

    @cached_property
    def lead(self) -> object:
        return make_lead(reseller_id="acme", merchant_id="m1").uuid

    @cached_property
    def telephony_lead(self) -> object:
        number = {"customer_mobile_number": "+919876501234"}
        return make_lead(reseller_id="acme", merchant_id="m1", execution_mode="TELEPHONY", payload=number).uuid

    @cached_property
    def session(self) -> object:
        return make_session("waiting", reference=self.lead).uuid

    @cached_property
    def reservation(self) -> object:
        ends_at = timezone.now() + timedelta(hours=1)
        return overrides.reserve(1, starts_at=timezone.now(), ends_at=ends_at, allow_short=True, by="test").uuid

    @cached_property
    def token(self) -> object:
        return make_token("merchant", reseller_ids=["acme"], merchant_ids=["m1"])[0].uuid

    @cached_property
    def user(self) -> object:
        return make_user("merchant", reseller_ids=["acme"], merchant_ids=["m1"], password=PASSWORD).get_username()

    def fill(self, text: str) -> str:
        for name in ("template", "telephony_lead", "lead", "session", "reservation", "token", "user", "unknown"):
            if f"{{{name}}}" in text:
                text = text.replace(f"{{{name}}}", str(getattr(self, name)))
        return text


@pytest.fixture(autouse=True)
def quick(settings):
    settings.DAILY_API_KEY = "a-daily-api-key-of-the-test-long-enough-for-hs256"


@pytest.mark.django_db
@pytest.mark.parametrize("row", TABLE, ids=str)
def test_each_role_gets_what_the_table_says(row):
    for caller, expected in zip(CALLERS, row.statuses, strict=True):
        with transaction.atomic():
            world = World()
            assert world.template
            make_daily_account(), make_room(), make_agent_process()
            answer = ask(row, world, CALLERS[caller])
            transaction.set_rollback(True)  # what one caller has changed is not there for the next
        assert answer.status_code == expected, (caller, answer.content[:300])
        if expected in (403, 404):
            assert set(answer.json()) <= {"detail", "status", "message"}


def ask(row: Row, world: World, holder: dict[str, Any] | None) -> Any:
    body = world.fill(json.dumps(row.body)) if row.body is not None else b""
    headers = bearer(**holder) if holder else None
    client = Client(raise_request_exception=False)
    return client.generic(row.method, "/" + world.fill(row.route), body, "application/json", headers=headers)


def test_the_table_has_every_endpoint_and_no_other():
    in_table = {(row.method, as_route(row.route)) for row in TABLE}
    assert len(in_table) == len(TABLE)
    served = set(endpoints(get_resolver()))
    assert served - in_table == set(), "not in TABLE: see the docstring of this file"
    assert in_table - served == set(), "in TABLE, but not served"


def endpoints(resolver: URLResolver, prefix: str = "") -> Any:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if route in WITHOUT_ROLES and (isinstance(entry, URLPattern) or route):
            continue
        if isinstance(entry, URLResolver):
            yield from endpoints(entry, route)
            continue
        view = getattr(entry.callback, "view_class", None) or getattr(entry.callback, "cls", None)
        assert view, f"{route} is no class-based view: name it in WITHOUT_ROLES with its reason, if it has no roles"
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if hasattr(view, method.lower()):
                yield method, as_route(route)


def as_route(route: str) -> str:
    """With its parameters alike, whether they are `<str:lead_id>` or `{lead}`."""
    return "/".join("*" if part[:1] in "<{" and part else part for part in route.split("/"))
