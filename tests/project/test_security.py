"""Every endpoint, as the URL configuration has it: without a token, with a wrong one, in a wrong role, with ids of
somebody else. A route that is new fails here until it is said who may use it."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from access.models import ApiToken, Role
from leads.models import LeadStatus
from pools.daily.account import daily_client
from tests.access.test_role_matrix import TABLE, as_route
from tests.support.api import CONNECT, LEADS, POOL_STATUS, ROOM_POOL_STATUS, UNKNOWN, check_problem, lead_body, rows
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
)

pytestmark = pytest.mark.django_db

READ, CHANGE, ADMIN = "who sees it", "who may change it", "admins"
API = "agent/voice/breeze-buddy/"
ACCESS = {  # to the rows of a tenant; who may use which endpoint at all is in tests/access/test_role_matrix.py
    ("agent/voice/automatic/cleanup/<str:session_id>", "post"): ADMIN,
    ("agent/voice/automatic/sessions/<str:session_id>/timeline", "get"): READ,
    (API + "leads", "post"): CHANGE,
    (API + "leads/<str:lead_id>", "get"): READ,
    (API + "leads/<str:lead_id>", "delete"): CHANGE,
    (API + "connect", "post"): CHANGE,
}
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")

DAILY_KEY = "daily-key-of-the-security-test-long-enough-for-hs256"
PHONE = "+919876543210"
ROOM_TOKEN = "stored-meeting-token-of-the-test"
SECRETS = [DAILY_KEY, PHONE, ROOM_TOKEN]


def patterns(resolver: Any, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, path)
        else:
            yield path, pattern


def offered(pattern: URLPattern) -> list[str]:
    """Methods that its view implements."""
    view: Any = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
    handlers = [name for name in ("get", "post", "put", "patch", "delete", "trace") if hasattr(view, name)]
    return ["get"] if handlers and view.__module__.startswith("django.views") else handlers  # a redirect, whatever asks


ROUTES = [(path, method) for path, view in patterns(get_resolver()) for method in offered(view) if path[:6] != "admin/"]
NEED_TOKEN = {(as_route(row.route), row.method.lower()) for row in TABLE if row.statuses[0] == 401}
PROTECTED = [(path, method) for path, method in ROUTES if (as_route(path), method) in NEED_TOKEN]
ADMIN_PAGES = [path for path, _ in patterns(get_resolver()) if path.startswith("admin/")]


class Tenant:
    """The rows of somebody, and what to ask with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.template = make_template("demo", reseller_id=name)
        self.lead = make_lead(template=self.template, payload={"customer_mobile_number": PHONE})
        room = make_room("in_use", owner_token=ROOM_TOKEN, guest_token=ROOM_TOKEN)
        self.session = make_session("waiting", room=room)
        make_lead(LeadStatus.PROCESSING, template=self.template, voice_session=self.session)
        self.ids = {
            "lead_id": str(self.lead.uuid),
            "session_id": str(self.session.uuid),
            "template_id": str(self.template.uuid),
            "token_id": UNKNOWN,
        }

    def ask(self, path: str, method: str, headers: dict[str, str] | None = None) -> Any:
        """The request that would do it, if it came from the right one."""
        url = "/" + re.sub("<str:(.*?)>", lambda name: self.ids.get(name[1], UNKNOWN), path)
        body = {"lead_id": str(self.lead.uuid)} if path.endswith("connect") else lead_body(reseller_id=self.name)
        content = json.dumps(body).encode() if method not in ("get", "head", "trace") else b""
        client = Client(raise_request_exception=False)
        return client.generic(method.upper(), url, content, "application/json", headers=headers)


@pytest.fixture
def acme(settings) -> Iterator[Tenant]:
    settings.DAILY_API_KEY = DAILY_KEY
    settings.DAILY_API_URL = "http://127.0.0.1:9/v1"  # nobody listens
    daily_client.cache_clear()
    make_daily_account()
    make_agent_process(), make_room()
    yield Tenant("acme")
    daily_client.cache_clear()


# --- tokens ------------------------------------------------------------------------------------------------


def bad_tokens() -> dict[str, dict[str, str]]:
    now = timezone.now()
    row, secret = make_token()
    expired, revoked = (
        make_token(expires_at=now - timedelta(seconds=1))[1],
        make_token(revoked_at=now - timedelta(days=1))[1],
    )
    texts = {
        "wrong": "Bearer wrong",
        "empty": "Bearer ",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
        "digest at rest": f"Bearer {row.digest}",
        "hint": f"Bearer {row.hint}",
        "cut": f"Bearer {secret[:-1]}",
        "longer": f"Bearer {secret}x",
        "two": f"Bearer {secret} {secret}",
        "other scheme": f"Basic {secret}",
        "no scheme": secret,
        "NUL": f"Bearer {secret}\x00",
        "huge": "Bearer " + "x" * 100_000,
    }
    return {"none": {}} | {name: {"Authorization": text} for name, text in texts.items()}


@pytest.mark.parametrize(("path", "method"), PROTECTED)
def test_without_a_usable_token_nothing_is_shown_or_done(acme, path, method):
    attempts = bad_tokens()
    before = rows()
    for name, headers in attempts.items():
        response = acme.ask(path, method, headers)
        check_problem(response, 401)
        assert response["WWW-Authenticate"] == "Bearer", name
        assert not any(part and part in response.text for part in headers.get("Authorization", "").split()[1:]), name
    assert rows() == before


@pytest.mark.parametrize(("path", "method"), PROTECTED)
def test_a_token_counts_only_in_its_header(acme, path, method):
    _, secret = make_token()
    for query in (f"?token={secret}", f"?access_token={secret}", f"?Authorization=Bearer%20{secret}"):
        response = acme.ask(path + query, method, {"X-Authorization": f"Bearer {secret}", "Cookie": f"token={secret}"})
        check_problem(response, 401)
        assert secret not in response.text


@pytest.mark.parametrize("path", sorted({path for path, _ in ROUTES}))
def test_methods_that_a_route_does_not_offer_do_nothing(acme, path):
    admin = bearer()
    before = rows()
    for method in METHODS:
        if (path, method) in ROUTES or (method == "head" and (path, "get") in ROUTES):
            continue
        for headers in (None, admin):
            response = acme.ask(path, method, headers)
            described = method == "options" or path == ""
            assert response.status_code in ((200, 302, 401, 405) if described else (401, 405)), (method, headers)
    assert rows() == before


# --- roles and scopes --------------------------------------------------------------------------------------

ROLES: dict[str, dict[str, Any]] = {
    "user": {"role": Role.USER, "reseller_ids": ["acme"]},
    "merchant": {"role": Role.MERCHANT, "reseller_ids": ["acme"], "merchant_ids": ["m1"]},
    "reseller": {"role": Role.RESELLER, "reseller_ids": ["acme"]},
}


@pytest.mark.parametrize(("path", "method"), ACCESS)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_does_only_what_it_may(acme, path, method, role):
    headers, access, before = bearer(**ROLES[role]), ACCESS[path, method], rows()
    response = acme.ask(path, method, headers)
    before["ApiToken"] = list(ApiToken.objects.order_by("pk").values())
    if access == ADMIN or (access == CHANGE and role == "user"):
        check_problem(response, 403)
        assert rows() == before
    elif role == "merchant":  # the lead is the reseller's, not this merchant's
        check_problem(response, 403 if path.endswith("leads") else 404)
        assert rows() == before
    else:
        assert response.status_code in (200, 201)


@pytest.mark.parametrize(("path", "method"), [route for route in ACCESS if ACCESS[route] != ADMIN])
@pytest.mark.parametrize("role", ROLES)
def test_what_is_somebody_elses_does_not_exist(acme, path, method, role):
    """And the answer is the same, but for the id, as for what does not exist at all."""
    others = Tenant("other")
    headers = bearer(**ROLES[role])
    before = rows()
    foreign = others.ask(path, method, headers)
    assert rows() == before
    assert not any(secret in foreign.text for secret in SECRETS)
    if path.endswith("leads") or (role == "user" and method != "get"):
        check_problem(foreign, 403)
        return
    check_problem(foreign, 404)
    foreign_id = str(others.session.uuid if "session_id" in path else others.lead.uuid)
    others.lead.delete()
    assert others.ask(path, method, headers).text == foreign.text
    assert foreign_id in foreign.text


def test_an_idempotency_key_of_somebody_else_opens_nothing(acme):
    keyed = {"Idempotency-Key": "one"}
    mine = acme.ask(CONNECT[1:], "post", bearer(**ROLES["reseller"]) | keyed)
    assert mine.status_code == 200
    other = bearer(Role.RESELLER, reseller_ids=["other"]) | keyed
    check_problem(acme.ask(CONNECT[1:], "post", other), 404)
    colleague = bearer(**ROLES["reseller"]) | keyed  # may see the lead, but it is not their key
    check_problem(acme.ask(CONNECT[1:], "post", colleague), 400)


def test_the_open_status_is_counts_and_reasons(acme):
    """Pods, hosts, what waits and how long transactions are open is for admins."""
    pod = make_pod("north-1", host="host-of-the-test")
    only_admins = {"pods", "waiting_sessions", "oldest_transaction_seconds"}
    for path in (POOL_STATUS, ROOM_POOL_STATUS):
        assert only_admins <= acme.ask(path[1:], "get", bearer()).json().keys()
        for headers in (None, *(bearer(**role) for role in ROLES.values())):
            response = acme.ask(path[1:], "get", headers)
            assert not only_admins & response.json().keys()
            assert not any(text in response.text for text in (pod.host, str(pod.uuid)))


# --- error bodies ------------------------------------------------------------------------------------------


def test_no_error_says_a_secret(acme):
    """What is secret is in the request, in the rows and in the settings; none of it is in what is answered."""
    _, secret = make_token()
    headers = {"Authorization": f"Bearer {secret}"}
    lead = str(acme.lead.uuid)
    broken = lead_body(payload={"customer_mobile_number": PHONE}, token=ROOM_TOKEN)
    bodies: list[tuple[str, bytes, int]] = [
        (LEADS, json.dumps(broken).encode()[:-1], 422),
        (LEADS, json.dumps(broken | {"payload": [PHONE]}).encode(), 422),
        (LEADS, json.dumps(broken | {"payload": {"phone": PHONE + "\ud800"}}).encode(), 422),
        (LEADS, json.dumps(broken | {"execution_mode": PHONE}).encode(), 422),
        (LEADS, json.dumps(broken | {"is_playground": PHONE}).encode(), 422),
        (LEADS, json.dumps(broken | {"template_id": ROOM_TOKEN}).encode(), 422),
        (LEADS, json.dumps(broken | {"template": "unknown"}).encode(), 404),
        (LEADS, json.dumps(broken | {"payload": {"n": PHONE * 100_000}}).encode(), 413),
        (CONNECT, json.dumps({"lead_id": ROOM_TOKEN}).encode(), 422),
        (CONNECT, json.dumps({"lead_id": lead}).encode(), 200),
        (CONNECT, json.dumps({"lead_id": lead}).encode(), 400),
        (CONNECT, json.dumps({"lead_id": str(make_lead().uuid)}).encode(), 503),  # no room, and Daily cannot be asked
    ]
    make_agent_process()
    for path, body, status in bodies:
        response = Client(raise_request_exception=False).generic(
            "POST", path, body, "application/json", headers=headers
        )
        assert response.status_code == status, (path, body[:100])
        if status != 200:
            found = [i for i, text in enumerate([*SECRETS, secret, "Traceback", 'File "']) if text in response.text]
            assert not found, (path, status)


# --- the admin ---------------------------------------------------------------------------------------------


def admin_urls(tenant: Tenant) -> list[str]:
    """Every page of the admin, with ids and names that exist."""
    values = {
        "<path:object_id>": "1",
        "<path:app_label>": "leads",
        "<path:content_type_id>/<path:object_id>": "1/1",
        "<int:content_type_id>": "1",
        "(?P<url>.*)$": "leads/lead",
        "<id>": str(User.objects.order_by("pk").values_list("pk", flat=True).first() or 1),
    }
    urls = []
    for page in ADMIN_PAGES:
        url = "/" + re.sub(r"\(\?P<app_label>[^)]*\)", "leads", page)
        for name, value in values.items():
            url = url.replace(name, value)
        if "/leads/lead/1/" in url:
            url = url.replace("/1/", f"/{tenant.lead.pk}/")
        urls.append(url.replace("^", "").replace("$", "").replace("\\Z", ""))
    return sorted({url for url in urls if not url.startswith("/admin/login")})


@pytest.mark.parametrize("who", ["anonymous", "customer", "staff without permissions"])
def test_the_admin_shows_nothing_and_does_nothing_for_who_may_not(acme, who):
    client = Client(raise_request_exception=False)
    if who != "anonymous":
        client.force_login(User.objects.create_user("somebody", password="x", is_staff=who.startswith("staff")))
    urls = admin_urls(acme)
    assert len(urls) > 40
    before, users = rows(), list(User.objects.values("pk", "password", "is_superuser"))
    for url in urls:
        if "logout" in url:
            continue
        for method in ("get", "post"):
            response = getattr(client, method)(url, {"post": "yes", "action": "delete_selected", "name": "x"})
            assert response.status_code < 500, (url, method)
            assert not any(text in response.text for text in (*SECRETS, str(acme.lead.uuid))), url
            if not who.startswith("staff"):
                assert response.status_code in (302, 403, 404, 405), (url, method, response.status_code)
                if response.status_code == 302:
                    assert "/login/" in response["Location"] or response["Location"].startswith("/admin/"), url
            elif "/leads/" in url or "/pools/" in url or "/auth/" in url:
                assert response.status_code in (302, 403, 404), (url, method, response.status_code)
    assert rows() == before
    assert list(User.objects.values("pk", "password", "is_superuser")) == users


def test_an_api_token_does_not_open_the_admin(acme):
    response = Client().get("/admin/leads/lead/", headers=bearer())
    assert (response.status_code, response["Location"]) == (302, "/admin/login/?next=/admin/leads/lead/")
