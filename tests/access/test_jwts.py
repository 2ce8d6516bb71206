"""JWTs of other services: which are believed, and what is refused however it is signed."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from access import jwts
from tests.support.api import check_problem, get, post
from tests.support.make import make_lead, make_user

pytestmark = pytest.mark.django_db

ME = "/auth/me"
SECRET = "the key that we share with other services"
OTHER_SECRET = "a key that we do not share with anybody"


@pytest.fixture(scope="module")
def key_pair():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public.decode()


@pytest.fixture
def shared(settings):
    settings.JWT_SECRET_KEY = SECRET


def claims(**values):
    return {"sub": "u1", "role": "reseller", "reseller_ids": ["acme"], "exp": time.time() + 600, **values}


def me(token):
    return get(ME, {"Authorization": f"Bearer {token}"})


def signed(key=SECRET, algorithm="HS256", **values):
    return jwt.encode(claims(**values), key, algorithm)


def test_one_that_is_signed_with_the_shared_key_is_believed(shared):
    answer = me(signed(username="asha", email="a@example.com")).json()
    assert (answer["username"], answer["role"], answer["reseller_ids"]) == ("asha", "reseller", ["acme"])


def test_without_a_configured_key_no_foreign_one_is():
    check_problem(me(signed()), 401)


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ({"reseller_ids": ["acme"]}, {"acme"}),
        ({"reseller_ids": ["*"]}, {"acme", "other"}),
        ({"reseller_ids": [], "reseller_id": "other"}, set()),
        ({"reseller_ids": None, "reseller_id": "other"}, {"other"}),
        ({"role": "merchant", "merchant_ids": ["m1"]}, {"acme"}),
        ({"role": "merchant", "reseller_ids": ["*"], "merchant_ids": ["*"]}, {"acme", "other"}),
        ({"role": "merchant", "reseller_ids": ["acme"], "merchant_identifiers": ["m1"]}, {"acme"}),
        ({"role": "merchant", "merchant_ids": []}, set()),
        ({"role": "shop", "reseller_ids": ["other"]}, {"other"}),
        ({"role": "admin", "reseller_ids": []}, {"acme", "other"}),
        ({"role": "reseller", "reseller_ids": "acme"}, {"acme"}),
        ({"role": "reseller", "reseller_ids": [7, None, ""]}, set()),
    ],
)
def test_its_claims_say_what_it_may_see(shared, values, seen):
    leads = {name: make_lead(reseller_id=name, merchant_id="m1") for name in ("acme", "other")}
    headers = {"Authorization": f"Bearer {signed(**values)}"}
    answers = {name: get(f"/agent/voice/breeze-buddy/leads/{lead.uuid}", headers) for name, lead in leads.items()}
    assert {name for name, answer in answers.items() if answer.status_code == 200} == seen


@pytest.mark.parametrize(
    "values",
    [
        {"exp": time.time() - 60},
        {"exp": None},
        {"role": "king"},
        {"role": None},
        {"role": ["admin"]},
        {"typ": "widget"},
        {"demo": True},
        {"sub": "legacy_admin"},
        {"nbf": time.time() + 86_400},
        {"aud": "another service"},
        {"aud": ""},
        {"aud": []},
        {"reseller_ids": ["\ud800"]},
        {"merchant_ids": ["m\x00"]},
        {"username": "\udfff"},
        {"anything": [{"\ud800": 1}]},
        {"iss": "breeze-buddy-pools"},  # ours say who they are, and are asked for
        {"iss": "breeze-buddy-pools", "sub": "9" * 100},
    ],
)
def test_claims_that_cannot_be_right_are_refused(shared, values):
    token = jwt.encode({name: value for name, value in claims(**values).items() if value is not None}, SECRET)
    check_problem(me(token), 401)


def test_one_that_is_over_says_so(shared):
    assert check_problem(me(signed(exp=time.time() - 60)), 401) == "Token has expired"


FORGED = {
    "another key": signed(OTHER_SECRET),
    "another algorithm": signed(SECRET * 2, "HS512"),
    "no algorithm": jwt.encode(claims(), "", "none"),
    "cut": signed()[:-2],
    "no signature": signed().rsplit(".", 1)[0] + ".",
    "nothing but dots": "..",
    "three letters": "a.b.c",
    "no claims": "eyJhbGciOiJIUzI1NiJ9.e30.",
    "too long": "." * 2 + "x" * 20_000,
    "signed and too long": signed(name="x" * 20_000),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_our_key_has_not_signed_is_refused(shared, what):
    check_problem(me(FORGED[what]), 401)


def test_rs256_is_checked_with_the_public_key(settings, key_pair):
    private, public = key_pair
    settings.JWT_ALGORITHM, settings.JWT_PUBLIC_KEY = "RS256", public
    assert me(signed(private, "RS256")).status_code == 200
    another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    check_problem(me(signed(another, "RS256")), 401)


def test_a_public_key_is_no_secret_to_sign_with(settings, key_pair):
    """The confusion of algorithms: the public key taken for that of an HMAC."""
    _, public = key_pair
    settings.JWT_ALGORITHM, settings.JWT_PUBLIC_KEY = "RS256", public

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signing_input = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(claims(role="admin"))
    signature = base64.urlsafe_b64encode(hmac.digest(public.encode(), signing_input, hashlib.sha256)).rstrip(b"=")
    check_problem(me((signing_input + b"." + signature).decode()), 401)


def test_with_rs256_the_log_in_goes_on_with_a_key_of_our_own(settings, key_pair):
    settings.JWT_ALGORITHM, settings.JWT_PUBLIC_KEY = "RS256", key_pair[1]
    make_user(username="asha", password="a good password")
    token = post("/login", {"username": "asha", "password": "a good password"}).json()["access_token"]
    assert me(token).json()["role"] == "admin"


@pytest.mark.parametrize("issuer", ["another service", None, "Breeze-Buddy-Pools"])
def test_with_rs256_the_key_of_our_log_ins_signs_for_no_other_issuer(shared, settings, key_pair, issuer):
    settings.JWT_ALGORITHM, settings.JWT_PUBLIC_KEY = "RS256", key_pair[1]
    check_problem(me(jwt.encode(claims(iss=issuer, role="admin") if issuer else claims(role="admin"), SECRET)), 401)


@pytest.mark.parametrize("issuer", ["another service", None])
def test_the_key_that_we_make_for_our_log_ins_signs_for_no_other_issuer(settings, issuer):
    """Whoever learned it would otherwise need no user of ours."""
    assert not settings.JWT_SECRET_KEY
    ours = jwts._login_key()
    check_problem(me(jwt.encode(claims(iss=issuer, role="admin") if issuer else claims(role="admin"), ours)), 401)


def test_with_rs256_the_private_key_does_not_sign_for_our_log_ins(settings, key_pair):
    """Not even with all claims of one of ours."""
    private, public = key_pair
    make_user(username="asha", password="a good password")
    ours = post("/login", {"username": "asha", "password": "a good password"}).json()["access_token"]
    settings.JWT_ALGORITHM, settings.JWT_PUBLIC_KEY = "RS256", public
    copied = jwt.decode(ours, options={"verify_signature": False})
    assert me(ours).status_code == 200
    check_problem(me(jwt.encode(copied, private, "RS256")), 401)
