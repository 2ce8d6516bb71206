"""Who may do what: every role at every endpoint, in one table."""

from typing import Any

import pytest

from leads.models import Lead
from tests.support.api import CONNECT, LEADS, POOL_STATUS, ROOM_POOL_STATUS, check_problem, get, lead_body, post, rows
from tests.support.make import bearer, make_agent_process, make_daily_account, make_lead, make_room, make_template

pytestmark = pytest.mark.django_db

OK = "ok"
NO_TOKEN, READ_ONLY, NOT_FOUND = 401, 403, 404
READ_ONLY_TEXT = "Access denied: this token is read-only"

HOLDERS: dict[str, dict[str, Any]] = {
    "nobody": {},
    "admin": {"role": "admin"},
    "reseller": {"role": "reseller", "reseller_ids": ["acme"]},
    "two resellers": {"role": "reseller", "reseller_ids": ["acme", "other"]},
    "reseller without ids": {"role": "reseller"},
    "merchant": {"role": "merchant", "reseller_ids": ["acme"], "merchant_ids": ["m1"]},
    "merchant of any reseller": {"role": "merchant", "merchant_ids": ["m1"]},
    "merchant without ids": {"role": "merchant", "reseller_ids": ["acme"]},
    "user of a reseller": {"role": "user", "reseller_ids": ["acme"]},
    "user of a merchant": {"role": "user", "reseller_ids": ["acme"], "merchant_ids": ["m1"]},
    "user without ids": {"role": "user"},
}

# (reseller, merchant) of the leads that a holder may see; all others are 404.
ALL = {("acme", ""), ("acme", "m1"), ("acme", "m2"), ("other", ""), ("other", "m1")}
VISIBLE = {
    "nobody": set(),
    "admin": ALL,
    "reseller": {("acme", ""), ("acme", "m1"), ("acme", "m2")},
    "two resellers": ALL,
    "reseller without ids": set(),
    "merchant": {("acme", "m1")},
    "merchant of any reseller": {("acme", "m1"), ("other", "m1")},
    "merchant without ids": set(),
    "user of a reseller": {("acme", ""), ("acme", "m1"), ("acme", "m2")},
    "user of a merchant": {("acme", "m1")},
    "user without ids": set(),
}

RESELLER, MERCHANT, SCOPED = "Access denied to reseller ", "Access denied to merchant ", "reseller-scoped lead"
# What a push with the shared template `demo` of a reseller is answered with: OK or the text of its 403 or 404.
PUSH: dict[str, dict[tuple[str, str], str]] = {
    "admin": dict.fromkeys(ALL, OK),
    "reseller": {
        ("acme", ""): OK,
        ("acme", "m1"): OK,
        ("acme", "m2"): OK,
        ("other", ""): RESELLER + "other",
        ("other", "m1"): RESELLER + "other",
    },
    "two resellers": dict.fromkeys(ALL, OK),
    "reseller without ids": {pair: RESELLER + pair[0] for pair in ALL},
    "merchant": {
        ("acme", ""): SCOPED,
        ("acme", "m1"): OK,
        ("acme", "m2"): MERCHANT + "m2",
        ("other", ""): RESELLER + "other",
        ("other", "m1"): RESELLER + "other",
    },
    # a shared template belongs to a reseller, and this token names none
    "merchant of any reseller": {
        ("acme", ""): "not found",
        ("acme", "m1"): "not found",
        ("acme", "m2"): MERCHANT + "m2",
        ("other", ""): "not found",
        ("other", "m1"): "not found",
    },
    "merchant without ids": {
        ("acme", ""): SCOPED,
        ("acme", "m1"): MERCHANT + "m1",
        ("acme", "m2"): MERCHANT + "m2",
        ("other", ""): RESELLER + "other",
        ("other", "m1"): RESELLER + "other",
    },
    "user of a reseller": dict.fromkeys(ALL, READ_ONLY_TEXT),
    "user of a merchant": dict.fromkeys(ALL, READ_ONLY_TEXT),
    "user without ids": dict.fromkeys(ALL, READ_ONLY_TEXT),
}


def headers_of(holder):
    return bearer(**HOLDERS[holder]) if HOLDERS[holder] else None


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_lead_is_shown_to_those_whose_it_is_and_does_not_exist_for_others(holder):
    headers = headers_of(holder)
    for reseller, merchant in sorted(ALL):
        lead = make_lead(reseller_id=reseller, merchant_id=merchant)
        response = get(f"{LEADS}/{lead.uuid}", headers)
        if headers is None:
            check_problem(response, NO_TOKEN)
        elif (reseller, merchant) in VISIBLE[holder]:
            assert response.status_code == 200
        else:
            assert check_problem(response, NOT_FOUND) == f"Lead not found for ID: {lead.uuid}"


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_lead_is_connected_by_those_who_may_change_it(holder, settings):
    settings.DAILY_API_KEY = "a-daily-api-key-of-the-test-long-enough-for-hs256"
    make_daily_account()
    headers = headers_of(holder)
    for reseller, merchant in sorted(ALL):
        lead = make_lead(reseller_id=reseller, merchant_id=merchant)
        make_room(), make_agent_process()
        before = rows()
        response = post(CONNECT, {"lead_id": str(lead.uuid)}, headers)
        if headers is None:
            check_problem(response, NO_TOKEN)
        elif HOLDERS[holder]["role"] == "user":
            assert check_problem(response, READ_ONLY) == READ_ONLY_TEXT
        elif (reseller, merchant) in VISIBLE[holder]:
            assert response.status_code == 200
            continue
        else:
            assert check_problem(response, NOT_FOUND) == f"Lead not found with id: {lead.uuid}"
        assert rows() == before


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_lead_is_pushed_within_ones_scope_only(holder):
    for reseller in ("acme", "other"):
        make_template("demo", reseller_id=reseller)
    headers = headers_of(holder)
    for reseller, merchant in sorted(ALL):
        before = rows()
        response = post(LEADS, lead_body(reseller_id=reseller, merchant_id=merchant or None), headers)
        expected = PUSH.get(holder, {}).get((reseller, merchant))
        if expected == OK:
            assert response.status_code == 201
            lead = Lead.objects.latest("pk")
            assert (lead.reseller_id, lead.merchant_id) == (reseller, merchant)
            continue
        if expected is None:
            check_problem(response, NO_TOKEN)
        else:
            assert expected in check_problem(response, 404 if "not found" in expected else 403)
        assert rows() == before


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("path", [POOL_STATUS, ROOM_POOL_STATUS])
def test_the_pool_status_is_open_unless_it_is_closed(holder, path, settings):
    headers = headers_of(holder)
    assert get(path, headers).status_code == 200
    assert get(path, {"Authorization": "Bearer wrong"}).status_code == 200
    settings.STATUS_REQUIRE_TOKEN = True
    assert get(path, headers).status_code == (200 if headers else NO_TOKEN)
    check_problem(get(path, {"Authorization": "Bearer wrong"}), NO_TOKEN)


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/openapi.json", "/docs"])
def test_health_and_documentation_are_open(path):
    assert get(path).status_code == 200
    assert get(path, {"Authorization": "Bearer wrong"}).status_code == 200


def test_a_merchant_pushes_with_a_template_of_its_own_by_name_or_id():
    template = make_template("own", merchant_id="m1")
    for holder in ("merchant", "merchant of any reseller"):
        headers = headers_of(holder)
        by_name = lead_body(template="own", merchant_id="m1")
        by_id = lead_body(template=None, template_id=str(template.uuid))
        assert [post(LEADS, body, headers).status_code for body in (by_name, by_id)] == [201, 201]


def test_templates_of_others_cannot_be_told_from_unknown_ones():
    of_other, unknown = make_template("demo", reseller_id="other"), "00000000-0000-4000-8000-000000000000"
    of_m2 = make_template("own", merchant_id="m2")
    for holder in ("reseller", "merchant"):
        headers = headers_of(holder)
        for template_id in {str(of_other.uuid), *([str(of_m2.uuid)] if holder == "merchant" else [])}:
            details = [
                check_problem(post(LEADS, lead_body(template=None, template_id=one), headers), 404)
                for one in (template_id, unknown)
            ]
            assert details[0].replace(template_id, unknown) == details[1]


def test_a_read_only_token_is_refused_before_its_body_is_looked_at():
    assert check_problem(post(LEADS, b"not json", headers_of("user of a reseller")), 403) == READ_ONLY_TEXT
