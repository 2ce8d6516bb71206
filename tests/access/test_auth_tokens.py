"""Bearer tokens: which are accepted, and what `createtoken` makes."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from access.models import ApiToken
from tests.support.api import LEADS, check_problem, get, lead_body, post, rows
from tests.support.make import make_lead, make_template, make_token

pytestmark = pytest.mark.django_db


def status_with(header):
    lead = make_lead()
    response = get(f"{LEADS}/{lead.uuid}", {"Authorization": header} if header is not None else None)
    if response.status_code == 401:
        check_problem(response, 401)
        assert response["WWW-Authenticate"] == "Bearer"
    return response.status_code


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {} "])
def test_a_usable_token_is_accepted(form):
    assert status_with(form.format(make_token()[1])) == 200


@pytest.mark.parametrize(
    "form",
    [
        None,
        "",
        "{}",
        "Basic {}",
        "Bearer",
        "Bearer ",
        "Bearer x{}",
        "Bearer {}x",
        "Token {}",
        "Bearer {} {}",
        "Bearer ü",
    ],
)
def test_a_missing_or_wrong_token_is_not(form):
    assert status_with(form and form.replace("{}", make_token()[1])) == 401


def test_a_very_long_token_is_not():
    assert status_with("Bearer " + "x" * 100_000) == 401


def test_the_digest_is_no_token():
    token, _ = make_token()
    assert status_with(f"Bearer {token.digest}") == 401


def test_an_expired_token_is_not():
    now = timezone.now()
    assert status_with(f"Bearer {make_token(expires_at=now - timedelta(seconds=1))[1]}") == 401
    assert status_with(f"Bearer {make_token(expires_at=now + timedelta(minutes=1))[1]}") == 200


def test_a_revoked_token_is_not():
    token, secret = make_token()
    assert status_with(f"Bearer {secret}") == 200
    assert ApiToken.objects.filter(pk=token.pk).revoke() == 1
    assert status_with(f"Bearer {secret}") == 401


def test_nothing_is_read_or_written_without_a_token():
    make_template("demo")
    before = rows()
    for body in (lead_body(), {}, b"not json"):
        assert "Authorization: Bearer <token>" in check_problem(post(LEADS, body), 401)
    assert rows() == before


def test_only_the_sha_256_of_a_token_is_kept():
    token, secret = make_token()
    assert len(secret) > 40
    stored = ApiToken.objects.filter(pk=token.pk).values().get()
    assert secret not in str(stored)
    assert stored["digest"] == ApiToken.digest_of(secret)
    assert secret.startswith(stored["hint"])


def test_createtoken_prints_a_token_that_works(capsys):
    call_command("createtoken", "--name", "crm", "--role", "reseller", "--reseller", "acme", "--days", "30")
    secret = capsys.readouterr().out.strip()
    token = ApiToken.objects.get()
    assert (token.name, token.role, token.reseller_ids) == ("crm", "reseller", ["acme"])
    assert token.expires_at
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    assert status_with(f"Bearer {secret}") == 200


@pytest.mark.parametrize(
    "arguments",
    [
        "--role admin",
        "--role reseller --reseller a --reseller b",
        "--role merchant --merchant m",
        "--role merchant --merchant m --reseller a",
        "--role user --merchant m",
        "--role user --reseller a",
    ],
)
def test_createtoken_accepts_what_a_role_needs(arguments):
    call_command("createtoken", "--name", "x", *arguments.split())
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--role boss",
        "--role admin --reseller a",
        "--role admin --merchant m",
        "--role reseller",
        "--role reseller --reseller a --merchant m",
        "--role merchant",
        "--role merchant --reseller a",
        "--role user",
        "--role user --merchant=",
        "--role admin --days 0",
        "--role admin --days -1",
        "--role admin --days 99999999999",
        "--role admin --days soon",
    ],
)
def test_createtoken_refuses_the_rest(arguments):
    with pytest.raises(CommandError):
        call_command("createtoken", "--name", "x", *arguments.split())
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_createtoken_needs_a_name_of_a_holder(name):
    with pytest.raises(CommandError):
        call_command("createtoken", "--name", name, "--role", "admin")
