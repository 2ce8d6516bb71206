"""What every request to the sandbox needs: a key, an address, a body; Daily's words for those that lack it."""

import socket

import pytest

from devtools.sandbox import SANDBOX_API_KEY
from devtools.sandbox.server import MAX_BODY_BYTES
from tests.support.daily_sandbox import Sandbox, running_sandbox

BAD_HEADER = {"error": "authorization-header-error", "info": "bad Authorization header format"}
NOT_JSON = {"error": "json-parsing-error", "info": "the request body is not valid JSON"}


# --- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/rooms", "/rooms", "/", "/v1", "/v1/no/such/path", "/v1/foo", "/sandbox/counters"]
)
@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({}, 400, BAD_HEADER),
        ({"Authorization": SANDBOX_API_KEY}, 400, BAD_HEADER),
        ({"Authorization": "Bearer"}, 400, BAD_HEADER),
        ({"Authorization": f"Basic {SANDBOX_API_KEY}"}, 400, BAD_HEADER),
        ({"Authorization": f"Bearer {SANDBOX_API_KEY} x"}, 400, BAD_HEADER),
        ({"Authorization": "Bearer wrong"}, 401, {"error": "authentication-error"}),
        ({"Authorization": f"Bearer {SANDBOX_API_KEY}x"}, 401, {"error": "authentication-error"}),
        ({"Authorization": b"Bearer \xff\xfe"}, 401, {"error": "authentication-error"}),
    ],
)
def test_a_missing_or_malformed_header_is_400_and_a_wrong_key_401(module_sandbox, path, headers, status, body):
    answer = module_sandbox.raw("GET", path, headers=headers)
    assert (answer.status_code, answer.json()) == (status, body)


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost:8002", True),
        ("sandbox:8002", True),
        ("dev.localhost", True),
        ("127.0.0.1", True),
        ("[::1]:8002", True),
        ("evil.example", False),
        ("evil.example:8002", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("[::1", False),
    ],
)
def test_a_page_of_another_name_is_refused(module_sandbox, host, is_ours):
    """Whose name leads here: to a browser the sandbox would be its own site, and the key is published."""
    headers = {"Authorization": f"Bearer {SANDBOX_API_KEY}", "Host": host}
    for path in ("/v1/rooms", "/sandbox/counters", "/a-room"):
        assert (module_sandbox.raw("GET", path, headers=headers).status_code in (400, 403)) is not is_ours


# --- addresses and bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/rooms", "/v1/rooms/", "/rooms", "/rooms/", "//rooms", "//v1//rooms", "/v1//rooms?"]
)
def test_v1_is_optional_and_slashes_do_not_matter(module_sandbox, path):
    # requests tidies paths up: say it on the wire
    host, port = module_sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        lines = [f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {SANDBOX_API_KEY}", "Connection: close"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b'"total_count"' in received


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (b"{", 400, NOT_JSON),
        (b"\xff\xfe{}", 400, NOT_JSON),
        (b"\0", 400, NOT_JSON),
        (b"[" * 100_000, 400, NOT_JSON),
        (b'{"properties": {"exp": NaN}}', 400, NOT_JSON),
        (b'{"properties": {"exp": 1e999}}', 400, NOT_JSON),
        (b'{"properties": {"exp": ' + b"9" * 5000 + b"}}", 400, NOT_JSON),
        (b"[]", 400, {"error": "invalid-request-error", "info": "the request body should be an object"}),
        (b'"x"', 400, {"error": "invalid-request-error", "info": "the request body should be an object"}),
    ],
)
def test_bodies_that_are_no_json_objects_are_refused(module_sandbox, body, status, answer):
    got = module_sandbox.call("POST", "/rooms", data=body)
    assert (got.status_code, got.json()) == (status, answer)
    assert module_sandbox.rooms() == []


def test_a_body_that_is_too_large_is_refused(module_sandbox):
    got = module_sandbox.call("POST", "/rooms", data=b"x" * (MAX_BODY_BYTES + 1))
    assert got.status_code == 413
    assert got.json()["error"] == "invalid-request-error"


def test_an_empty_body_is_an_empty_object(sandbox: Sandbox):
    assert sandbox.call("POST", "/rooms").json()["config"] == {}


@pytest.mark.parametrize(("method", "path"), [("GET", "/meetings"), ("PUT", "/rooms"), ("POST", "/phone-numbers")])
def test_what_daily_does_not_have_or_the_sandbox_leaves_out_is_404(module_sandbox, method, path):
    got = module_sandbox.call(method, path)
    assert (got.status_code, got.json()) == (404, {"error": "not-found"})


def test_its_address_opened_in_a_browser_says_what_this_is(module_sandbox):
    answer = module_sandbox.raw("GET", "/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 200 and "Daily sandbox" in answer.text


def test_a_room_url_opened_in_a_browser_says_what_this_is(sandbox: Sandbox):
    path = sandbox.create_room("foo")["url"].removeprefix(sandbox.url)
    page = sandbox.raw("GET", path)
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "Daily sandbox" in page.text


# --- domain ------------------------------------------------------------------------------------------------


def test_the_domain_has_a_name_an_id_that_never_changes_and_a_config():
    with running_sandbox(domain="acme", max_api_rooms=7) as first, running_sandbox(domain="acme") as second:
        domain = first.call("GET", "/").json()
        assert domain["domain_name"] == "acme"
        assert domain["config"] == {"max_api_rooms": 7}
        assert domain["domain_id"] == second.call("GET", "/").json()["domain_id"]
