"""Logging in: who gets a JWT, what is in it, and when it stops to be good."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from django.db import connection
from django.test import Client

from access.models import Profile
from access.rate import Rate
from tests.conftest import QuickHasher
from tests.support.api import check_problem, get, post
from tests.support.make import bearer, make_lead, make_user
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db

LOGIN = "/agent/voice/breeze-buddy/login"
ME = "/agent/voice/breeze-buddy/auth/me"
LEADS = "/agent/voice/breeze-buddy/leads"
PASSWORD = "a good password"


def log_in(**values):
    return post(LOGIN, {"password": PASSWORD, **values})


def token_of(user):
    answer = log_in(username=user.get_username())
    assert answer.status_code == 200, answer.content
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.mark.parametrize("path", [LOGIN, "/login"])
def test_the_published_form_and_that_of_the_code_are_both_answered(path):
    user = make_user("reseller", username="asha", reseller_ids=["acme"])
    for name in ({"email": "Asha@Example.com"}, {"username": "asha"}, {"username": "asha@example.com"}):
        answer = post(path, {"password": PASSWORD, **name}).json()
        assert set(answer) == {"access_token", "token_type", "expires_in", "user"}
        assert (answer["token_type"], answer["expires_in"]) == ("bearer", 3600)
        assert answer["user"] == {
            "id": str(user.pk),
            "username": "asha",
            "email": "asha@example.com",
            "role": "reseller",
            "reseller_ids": ["acme"],
            "merchant_ids": ["*"],
            "reseller_id": "acme",
            "merchant_id": None,
        }


def test_the_claims_are_those_of_the_contract():
    user = make_user("merchant", reseller_ids=["acme"], merchant_ids=["m1", "m2"])
    claims = jwt.decode(token_of(user)["Authorization"][7:], options={"verify_signature": False})
    assert (claims["sub"], claims["role"]) == (str(user.pk), "merchant")
    assert (claims["reseller_ids"], claims["merchant_ids"]) == (["acme"], ["m1", "m2"])
    assert (claims["username"], claims["email"]) == (user.username, user.email)
    assert claims["exp"] - claims["iat"] == 3600


@pytest.mark.parametrize(
    "name", [{"username": "asha", "password": "wrong"}, {"username": "nobody"}, {"email": "twice@example.com"}]
)
def test_what_does_not_fit_is_refused_in_the_same_words(name):
    make_user(username="asha")
    for number in range(2):
        make_user(username=f"twin-{number}", email="twice@example.com")
    (problem,) = check_problem(log_in(**name), 422)
    assert problem == {"loc": ["body"], "msg": "Invalid username or password", "type": "invalid_credentials"}


def test_one_who_is_not_active_cannot_log_in():
    user = make_user()
    user.is_active = False
    user.save()
    check_problem(log_in(username=user.username), 422)


def test_one_without_a_role_is_told_what_to_do():
    assert "Profiles" in check_problem(log_in(username=make_user(None).username), 403)


def test_a_superuser_needs_no_profile():
    user = make_user(None, is_superuser=True)
    assert get(ME, token_of(user)).json()["role"] == "admin"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "x"},
        {"password": "x"},
        {"username": 7, "password": "x"},
        [],
        {"username": "\x00", "password": ""},
    ],
)
def test_a_body_of_another_shape_is_refused(body):
    check_problem(post(LOGIN, body), 422)


def test_a_token_is_good_for_the_api_within_its_role():
    mine, other = make_lead(reseller_id="acme", merchant_id="m1"), make_lead(reseller_id="other")
    headers = token_of(make_user("merchant", reseller_ids=["acme"], merchant_ids=["m1"]))
    assert get(f"{LEADS}/{mine.uuid}", headers).status_code == 200
    assert get(f"{LEADS}/{other.uuid}", headers).status_code == 404


@pytest.mark.parametrize("change", ["deactivated", "new password", "deleted", "no profile"])
def test_a_token_ends_with_what_it_was_given_for(change):
    user = make_user("reseller", reseller_ids=["acme"])
    headers = token_of(user)
    assert get(ME, headers).status_code == 200
    match change:
        case "deactivated":
            user.is_active = False
            user.save()
        case "new password":
            user.set_password("another password")
            user.save()
        case "deleted":
            user.delete()
        case "no profile":
            Profile.objects.all().delete()
    check_problem(get(ME, headers), 401)


def test_a_role_that_has_changed_counts_at_once():
    user = make_user("admin")
    headers = token_of(user)
    Profile.objects.update(role="user", reseller_ids=["acme"])
    assert get(ME, headers).json()["role"] == "user"


def test_an_opaque_token_may_ask_who_it_is_too():
    answer = get(ME, bearer("merchant", name="checkout", merchant_ids=["m1"])).json()
    assert (answer["username"], answer["role"], answer["merchant_id"]) == ("checkout", "merchant", "m1")


# --- limits: `POST /login` and the form of the admin have the same -----------------------------------------

ADMIN = "/admin/login/"
WRONG = "a wrong password"


def fill_in(username, password=WRONG, address="127.0.0.1"):
    return Client(REMOTE_ADDR=address).post(ADMIN, {"username": username, "password": password})


def ask(username, password=WRONG, address="127.0.0.1"):
    body = json.dumps({"username": username, "password": password})
    return Client(REMOTE_ADDR=address).post(LOGIN, body, "application/json")


@pytest.mark.parametrize("ways", [(ask, ask), (fill_in, fill_in), (ask, fill_in), (fill_in, ask)])
def test_logging_in_is_limited_for_an_account_whichever_way_and_address_it_is_tried_from(settings, ways):
    settings.LOGIN_RATE = Rate(2, 60)
    make_user(username="asha", is_staff=True)
    assert [ways[0]("asha", address=f"192.0.2.{number}").status_code < 429 for number in range(2)] == [True, True]
    refused = ways[1]("asha", PASSWORD, "192.0.2.9")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    assert "_auth_user_id" not in refused.client.session


@pytest.mark.parametrize("way", [ask, fill_in])
def test_logging_in_is_limited_for_an_address(settings, way):
    settings.LOGIN_RATE = Rate(2, 60)
    assert [way(f"guess-{number}").status_code for number in range(3)][2] == 429


def test_an_attempt_that_is_refused_gets_a_short_page_and_not_the_form(settings):
    """Rendering the form takes far more CPU than the refusal, and guesses would take it from everyone."""
    settings.LOGIN_RATE = Rate(1, 60)
    assert fill_in("guess-1").templates
    refused = fill_in("guess-2")
    assert refused.status_code == 429 and not refused.templates
    assert re.search(r"Try again in \d+ s\.", refused.text)


def test_the_addresses_of_one_ipv6_network_count_as_one(settings):
    settings.LOGIN_RATE = Rate(2, 60)
    statuses = [ask(f"guess-{number}", address=f"2001:db8:0:1::{number}").status_code for number in range(3)]
    assert statuses == [422, 422, 429]
    for other in ("2001:db8:0:2::1", "::ffff:192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"):
        assert ask(f"from {other}", address=other).status_code == 422
    assert ask("again", address="192.0.2.1").status_code == 429


@pytest.mark.parametrize("way", [ask, fill_in])
def test_attempts_that_are_refused_for_their_address_leave_the_account_its_own(settings, way):
    settings.LOGIN_RATE = Rate(2, 60)
    make_user(username="asha", is_staff=True)
    for name in ("somebody", "somebody else", "asha", "asha", "asha"):
        way(name)
    assert way("asha", PASSWORD, "192.0.2.9").status_code in (200, 302)


@pytest.mark.parametrize("other", ["ASHA@EXAMPLE.COM", "asha", "a\u017fha@example.com"])
def test_every_name_of_an_account_has_the_same_allowance(settings, other):
    settings.LOGIN_RATE = Rate(2, 60)
    make_user(username="asha")
    for number in range(2):
        ask("asha@example.com", address=f"192.0.2.{number}")
    assert ask(other, address="192.0.2.9").status_code == 429


def test_a_dotless_i_is_no_i():
    """For PostgreSQL both have the same capital."""
    make_user(username="mina")
    check_problem(log_in(email="m\u0131na@example.com"), 422)
    assert log_in(email="Mina@Example.com").status_code == 200


class SlowHasher(QuickHasher):
    """Hashes until `go_on`, and counts how many do so at once."""

    go_on = threading.Event()
    lock = threading.Lock()
    now = most = 0

    def verify(self, password, encoded):
        self.change(+1)
        self.go_on.wait(60)
        self.change(-1)
        return super().verify(password, encoded)

    @classmethod
    def change(cls, by):
        with cls.lock:
            cls.now += by
            cls.most = max(cls.most, cls.now)


@pytest.mark.django_db(transaction=True)
def test_one_hash_is_made_at_a_time_and_few_wait_for_it(settings):
    settings.LOGIN_RATE = None
    make_user(username="asha", is_staff=True)
    settings.PASSWORD_HASHERS = [f"{__name__}.SlowHasher"]

    def one(number):
        try:
            return (fill_in if number % 2 else ask)("asha", PASSWORD)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        attempts = [pool.submit(one, number) for number in range(8)]
        try:
            wait_until(lambda: sum(attempt.done() for attempt in attempts) == 5)
        finally:
            SlowHasher.go_on.set()
        answers = [attempt.result() for attempt in attempts]
    assert SlowHasher.most == 1
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 5 and all(answer["Retry-After"] for answer in refused)
    assert all(answer.status_code in (200, 302) for answer in answers if answer not in refused)
