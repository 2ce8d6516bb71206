"""Errors outside of the views' own: unknown paths, wrong methods, a database that is away."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client

from common.errors import NOT_FOUND
from tests.support.api import CONNECT, LEADS, POOL_STATUS, ROOM_POOL_STATUS, check_problem, get
from tests.support.make import bearer
from tests.support.programs import PROJECT

UNKNOWN = ["/nothing", "/agent/voice/breeze-buddy/", LEADS + "/", "/health/", "/%00", "/\u202e", "/" + "x" * 5000]
METHODS = {
    LEADS: {"GET", "POST"},
    LEADS + "/5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11": {"GET", "DELETE"},
    CONNECT: {"POST"},
    POOL_STATUS: {"GET"},
    ROOM_POOL_STATUS: {"GET"},
    "/health": {"GET"},
    "/health/ready": {"GET"},
}


@pytest.mark.parametrize("path", UNKNOWN, ids=lambda path: repr(path)[:20])
def test_an_unknown_path_is_answered_in_json(path):
    assert check_problem(get(path), 404) == NOT_FOUND


def test_the_admin_is_found_without_its_slash():
    answer = get("/admin")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


@pytest.mark.django_db
@pytest.mark.parametrize("path", METHODS)
def test_a_method_that_a_path_does_not_have_is_refused(path):
    headers = bearer()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - METHODS[path]:
        response = Client(raise_request_exception=False).generic(
            method, path, b"{", "application/json", headers=headers
        )
        check_problem(response, 405)
        assert METHODS[path] <= set(response["Allow"].split(", "))


@pytest.mark.django_db
@pytest.mark.parametrize("path", METHODS)
def test_options_are_answered(path):
    response = Client(raise_request_exception=False).options(path, headers=bearer())
    assert response.status_code == 200


def test_a_host_that_we_do_not_serve_is_refused_in_json(settings):
    settings.ALLOWED_HOSTS = ["example.com"]
    response = Client(raise_request_exception=False).get("/nothing", headers={"Host": "evil.test"})
    assert response.status_code in (400, 404)
    assert json.loads(response.content)["detail"]


@pytest.mark.parametrize("variables", [{}, {"DEBUG": "on"}, {"PUBLIC_URL": "https://pools.example.com/x"}])
def test_in_development_too_only_our_own_hosts_are_served(variables):
    """A page whose name leads to 127.0.0.1 is no page of ours (DNS rebinding)."""
    program = "from breezebuddy import settings; print(*settings.ALLOWED_HOSTS)"
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | variables
    hosts = subprocess.check_output([sys.executable, "-c", program], env=environment, cwd=PROJECT, text=True).split()
    ours = ["pools.example.com"] if "PUBLIC_URL" in variables else []
    assert hosts == ["localhost", "127.0.0.1", "[::1]", *ours]


ASK = """
import json, django
django.setup()
from django.test import Client
requests = json.load(open(0))
client = Client(raise_request_exception=False)
answers = []
for method, path, headers in requests:
    response = client.generic(method, path, b"{}", "application/json", headers=headers)
    answers.append([response.status_code, dict(response.headers), response.content.decode()])
print(json.dumps(answers))
"""


SECRET = {"Authorization": "Bearer bb_secret-of-a-caller"}
UNAVAILABLE: dict[str, list[Any]] = {
    "one connection a thread": [
        "0",
        ["GET", POOL_STATUS, {}],
        ["GET", LEADS + "/5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11", SECRET],
        ["POST", LEADS, SECRET],
        ["POST", CONNECT, SECRET],
        ["GET", "/admin/", {"Cookie": "sessionid=" + "a" * 32}],
    ],
    "pool": ["2", ["POST", LEADS, SECRET]],  # each waits for two seconds
}


@pytest.mark.parametrize("case", UNAVAILABLE)
def test_without_a_database_everything_but_health_is_unavailable_and_says_so(case, tmp_path):
    pool_size, *unavailable = UNAVAILABLE[case]
    others = [["GET", "/health", {}], ["GET", "/nothing", {}], ["POST", LEADS, {}], ["GET", "/health/ready", {}]]
    environment: dict[str, str] = os.environ | {
        "DJANGO_SETTINGS_MODULE": "breezebuddy.settings",
        "DATABASE_URL": f"postgres://somebody:database-password@/nothing?host={tmp_path}",
        "DATABASE_POOL_SIZE": pool_size,
        "SECRET_KEY": "for-tests-only-0123456789abcdef-0123456789",
        "DEBUG": "off",
        "ALLOWED_HOSTS": "testserver",
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps(others + unavailable),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [status for status, _, _ in answers] == [200, 404, 401, 503] + [503] * len(unavailable)
    for _, _, content in answers:
        assert "Traceback" not in content
        assert "database-password" not in content + done.stderr
        assert "secret-of-a-caller" not in content + done.stderr
    for _, headers, content in answers[len(others) :]:
        assert int(headers["Retry-After"]) > 0
        assert "The database is not available." in content


@pytest.mark.parametrize("accept", ["text/html", "application/xml;q=0.9", "nonsense", ""])
@pytest.mark.parametrize("query", ["", "?format=xml"])
def test_answers_are_json_whatever_a_client_accepts(accept, query):
    response = get("/health" + query, {"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
