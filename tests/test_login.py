"""Logging in: who gets a JWT, what is in it, and when it stops to be good."""

import jwt
import pytest

from breezebuddy.configuration import Rate
from leads.models import Profile
from tests.api import check_problem, get, post
from tests.make import bearer, make_lead, make_user

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


def test_logging_in_is_limited_for_an_address_and_for_an_account(settings):
    settings.LOGIN_RATE = Rate(2, 60)
    make_user(username="asha")
    assert [log_in(username="asha", password="wrong").status_code for _ in range(2)] == [422, 422]
    refused = log_in(username="asha")
    check_problem(refused, 429)
    assert 0 < int(refused["Retry-After"]) <= 60
