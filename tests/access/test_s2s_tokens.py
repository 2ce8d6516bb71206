"""`/s2s-token`: made, listed, revoked; by whom, for whom."""

import pytest

from access.models import ApiToken
from tests.support.api import UNKNOWN, check_problem, delete, get, post
from tests.support.make import bearer, make_token

pytestmark = pytest.mark.django_db

TOKENS = "/agent/voice/breeze-buddy/s2s-token"


def grant(headers=None, **values):
    body = {"name": "shop", "role": "merchant", "reseller_id": "acme", "merchant_id": "m1", **values}
    return post(TOKENS, {name: value for name, value in body.items() if value is not None}, headers or bearer())


def test_a_token_is_shown_once_and_kept_as_its_digest():
    answer = grant().json()
    secret = answer["access_token"]
    row = ApiToken.objects.get(uuid=answer["id"])
    assert row.digest == ApiToken.digest_of(secret) and secret not in str(vars(row))
    assert (answer["success"], answer["token_type"], answer["expires_in"]) == (True, "bearer", None)
    assert (answer["role"], answer["reseller_ids"], answer["merchant_ids"]) == ("merchant", ["acme"], ["m1"])
    headers = {"Authorization": f"Bearer {secret}"}
    assert get("/auth/me", headers).json()["merchant_id"] == "m1"
    listed = get(TOKENS, bearer()).json()["results"]
    assert secret not in str(listed) and answer["id"] in {one["id"] for one in listed}


def test_a_token_may_be_given_an_end():
    answer = grant(expires_in_days=1).json()
    assert answer["expires_in"] == 86_400 and answer["expires_at"]


def test_several_ids_may_be_given():
    answer = grant(reseller_id=None, merchant_id=None, reseller_ids=["b", "a"], merchant_ids=["m2", "m1"]).json()
    assert (answer["reseller_ids"], answer["merchant_ids"]) == (["a", "b"], ["m1", "m2"])


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"role": "admin"}, "role"),
        ({"role": "king"}, "role"),
        ({"name": ""}, "name"),
        ({"merchant_id": None}, None),
        ({"role": "reseller", "reseller_id": None, "merchant_id": None}, None),
        ({"role": "reseller"}, None),  # a reseller has all of its merchants
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 10**9}, "expires_in_days"),
        ({"reseller_ids": ["x"] * 101}, "reseller_ids"),
    ],
)
def test_what_makes_no_sense_is_refused(values, where):
    problems = check_problem(grant(**values), 422)
    assert problems[0]["loc"][:2] == (["body", where] if where else ["body"])
    assert ApiToken.objects.count() == 1  # the caller's


def test_a_reseller_makes_sees_and_revokes_those_of_its_own():
    headers = bearer("reseller", reseller_ids=["acme"])
    mine = grant(headers, role="user", merchant_id=None).json()["id"]
    assert check_problem(grant(headers, reseller_id="other"), 403) == "Access denied to reseller other"
    check_problem(grant(headers, reseller_id=None), 422)
    check_problem(grant(headers, reseller_id=None, reseller_ids=["acme", "other"]), 403)
    foreign = [
        make_token("admin")[0],
        make_token("reseller", reseller_ids=["other"])[0],
        make_token("reseller", reseller_ids=["acme", "other"])[0],
        make_token("merchant", merchant_ids=["m1"])[0],
    ]
    seen = {one["id"] for one in get(TOKENS, headers).json()["results"]}
    assert mine in seen and not seen & {str(token.uuid) for token in foreign}
    for token in foreign:
        assert check_problem(delete(f"{TOKENS}/{token.uuid}", headers), 404) == f"Token not found: {token.uuid}"
    assert delete(f"{TOKENS}/{mine}", headers).status_code == 204


def test_a_revoked_token_opens_nothing_and_revoking_may_be_repeated():
    answer = grant().json()
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    admin = bearer()
    for _ in range(2):
        assert delete(f"{TOKENS}/{answer['id']}", admin).status_code == 204
        check_problem(get("/auth/me", headers), 401)
    (row,) = [one for one in get(TOKENS, admin).json()["results"] if one["id"] == answer["id"]]
    assert row["revoked_at"]


@pytest.mark.parametrize("token_id", ["x", UNKNOWN, "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_token_is_not_found(token_id):
    check_problem(delete(f"{TOKENS}/{token_id}", bearer()), 404)


def test_the_list_comes_in_pages():
    admin = bearer()
    made = [make_token(name=f"t{number}")[0] for number in range(5)]
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        page = get(f"{TOKENS}?limit=2" + (f"&cursor={cursor}" if cursor else ""), admin).json()
        seen += [one["id"] for one in page["results"]]
        cursor = page["next_cursor"]
    assert seen[:5] == [str(token.uuid) for token in reversed(made)] and len(seen) == 6


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", f"cursor={UNKNOWN}"])
def test_a_query_that_makes_no_sense_is_refused(query):
    (problem,) = check_problem(get(f"{TOKENS}?{query}", bearer()), 422)
    assert problem["loc"] == ["query", query.split("=")[0]]
