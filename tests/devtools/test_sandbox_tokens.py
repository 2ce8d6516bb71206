"""Meeting tokens of the sandbox: the format that Daily documents, minted and self-signed alike."""

import time
import warnings
from typing import Any

import jwt
import pytest

from devtools.sandbox.clock import Clock
from devtools.sandbox.errors import DailyError, JoinRefused
from devtools.sandbox.tokens import CLAIMS, TokenSigner

DOMAIN = "25df5057-ef0d-4d97-bde6-0cf287276cbb"
KEY = "a-key-for-tests-only-0123456789abcdef"
NOW = 1_700_000_000.0

# Computed apart from this code: secret "test-api-key", claims in this order.
VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyIjoicm9vbS0wMjUzIiwiZCI6IjI1ZGY1MDU3LWVmMGQtNGQ5Ny1iZGU2LTBjZjI4NzI3Nm"
    "NiYiIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAzNjAwLCJvIjp0cnVlLCJlanQiOnRydWUsImVqZSI6MzYwMCwidSI6ImJvdCIsInVkIj"
    "oic2Vzcy0xIn0.jkoTsSvIRBOSWuiUITA_VX00b1iVqDZ_IZyZuwwJ9Rg"
)
VECTOR_KEY = "test-api-key"

LONG_PROPERTIES: dict[str, Any] = {
    "room_name": "room-0253",
    "nbf": NOW - 10,
    "exp": NOW + 3600,
    "is_owner": True,
    "user_name": "bot",
    "user_id": "sess-1",
    "eject_at_token_exp": True,
    "eject_after_elapsed": 3600,
    "enable_screenshare": False,
    "start_video_off": True,
    "enable_recording": "cloud",
    "enable_prejoin_ui": False,
    "lang": "en",
    "permissions": {
        "hasPresence": True,
        "canSend": ["audio", "screenVideo"],
        "canReceive": {"base": False},
        "canAdmin": False,
    },
}


@pytest.fixture
def clock() -> Clock:
    return Clock(lambda: NOW)


@pytest.fixture
def signer(clock: Clock) -> TokenSigner:
    return TokenSigner(KEY, DOMAIN, clock)


def signed(key: str = KEY, **claims: Any) -> str:
    return jwt.encode({"d": DOMAIN, "iat": int(NOW), **claims}, key, algorithm="HS256")


def test_the_self_signed_vector_is_accepted_with_its_properties(clock):
    signer = TokenSigner(VECTOR_KEY, DOMAIN, clock)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)  # the vector's key is short
        described = signer.describe(VECTOR, ignore_nbf=False)
    assert described == {
        "room_name": "room-0253",
        "exp": 1700003600,
        "is_owner": True,
        "eject_at_token_exp": True,
        "eject_after_elapsed": 3600,
        "user_name": "bot",
        "user_id": "sess-1",
    }


def test_a_minted_token_has_the_short_claims_in_request_order_then_domain_and_time(signer):
    token = signer.mint({"is_owner": True, "room_name": "foo", "exp": NOW + 60, "user_id": None})
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert list(claims.items()) == [("o", True), ("r", "foo"), ("exp", NOW + 60), ("d", DOMAIN), ("iat", int(NOW))]


def test_every_property_survives_mint_and_describe(signer):
    assert signer.describe(signer.mint(LONG_PROPERTIES), ignore_nbf=False) == LONG_PROPERTIES


def test_claim_names_are_unique():
    assert len(set(CLAIMS.values())) == len(CLAIMS)


@pytest.mark.parametrize(
    ("properties", "info"),
    [
        ({"invalid": "parameter"}, "unknown parameter 'invalid'"),
        ({"exp": "not an int"}, "exp was 'not an int' but should be a number of seconds since the unix epoch"),
        ({"exp": int(NOW)}, "exp was '1700000000', which is in the past rather than in the future"),
        ({"nbf": "x"}, "nbf was 'x' but should be a number of seconds since the unix epoch"),
        ({"is_owner": "yes"}, "is_owner was 'yes' but should be a boolean"),
        ({"room_name": 7}, "room_name was '7' but should be a string"),
        ({"user_id": "x" * 37}, "user_id should have at most 36 characters"),
        ({"eject_after_elapsed": 0}, "eject_after_elapsed was '0' but should be a number of seconds"),
        ({"permissions": {"canFly": True}}, "unknown parameter 'canFly'"),
        ({"permissions": {"canSend": ["smell"]}}, None),
        ("room", "properties should be an object"),
    ],
)
def test_wrong_properties_are_refused(signer, properties, info):
    with pytest.raises(DailyError) as refused:
        signer.mint(properties)
    assert (refused.value.status, refused.value.body["error"]) == (400, "invalid-request-error")
    assert info is None or refused.value.body["info"] == info


@pytest.mark.parametrize(
    ("token", "type"),
    [
        (signed("another-key-that-is-long-enough-0123456789"), "not-allowed"),
        (signed(d="another-domain"), "not-allowed"),
        (jwt.encode({"d": DOMAIN, "iat": int(NOW)}, "", algorithm="none"), "not-allowed"),
        (jwt.encode({"d": DOMAIN, "iat": int(NOW)}, KEY * 2, algorithm="HS512"), "not-allowed"),
        (jwt.encode({"d": DOMAIN}, KEY, algorithm="HS256"), "not-allowed"),
        (signed(exp="tomorrow"), "not-allowed"),
        (signed(r=["foo"]), "not-allowed"),
        (signed(exp=NOW), "exp-token"),
        (signed(nbf=NOW + 1), "nbf-token"),
        ("", "not-allowed"),
        ("a.b.c", "not-allowed"),
        ("\ud800.\0", "not-allowed"),
    ],
)
def test_a_token_that_does_not_admit_says_why(signer, token, type):
    with pytest.raises(JoinRefused) as refused:
        signer.verify(token)
    assert refused.value.type == type


def test_tokens_follow_the_sandbox_clock_and_not_the_real_one(clock, signer):
    token = signed(nbf=NOW + 10, exp=NOW + 20)
    assert time.time() > NOW + 20
    assert signer.verify(token, ignore_nbf=True)
    clock.offset = 15
    assert signer.verify(token)
    clock.offset = 20
    with pytest.raises(JoinRefused):
        signer.verify(token, ignore_nbf=True)


def test_unknown_claims_are_tolerated(signer):
    assert signer.describe(signed(r="foo", otcd={"x": 1}), ignore_nbf=False) == {"room_name": "foo"}
