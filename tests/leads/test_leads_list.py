"""GET .../leads: newest first, filtered, in pages."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from leads.models import Lead
from tests.support.api import ABORT, LEADS, check_problem, get, post
from tests.support.make import bearer, make_lead, make_template

pytestmark = pytest.mark.django_db


def listed(query="", headers=None):
    answer = get(f"{LEADS}?{query}", headers or bearer())
    assert answer.status_code == 200, answer.content
    return [one["request_id"] for one in answer.json()["results"]]


def test_each_filter_narrows_the_list():
    a = make_lead(template=make_template("a", merchant_id="m1"), request_id="a")
    make_lead("FINISHED", template=make_template("b", reseller_id="other"), request_id="b")
    make_lead(template=a.template, request_id="c", execution_mode="TELEPHONY")
    assert listed() == ["c", "b", "a"]
    assert listed("status=FINISHED") == ["b"]
    assert listed("template=a") == listed(f"template_id={a.template.uuid}") == ["c", "a"]
    assert listed("request_id=c") == listed("execution_mode=TELEPHONY") == ["c"]
    assert listed("reseller_id=other") == ["b"]
    assert listed("merchant_id=m1") == ["c", "a"]
    assert listed("template=a&request_id=a&status=BACKLOG") == ["a"]
    assert listed("template=a&status=FINISHED") == []


def test_dates_bound_the_list():
    for days in (3, 2, 1):
        lead = make_lead(request_id=f"{days} days ago")
        Lead.objects.filter(pk=lead.pk).update(created_at=timezone.now() - timedelta(days=days, hours=1))
    begin, end = ((timezone.now() - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (3, 2))
    assert listed(f"created_from={begin}") == ["1 days ago", "2 days ago"]
    assert listed(f"created_before={end}") == ["2 days ago", "3 days ago"]
    assert listed(f"created_from={begin}&created_before={end}") == ["2 days ago"]


def test_an_item_is_what_get_shows():
    lead = make_lead("PROCESSING")
    headers = bearer()
    (item,) = get(LEADS, headers).json()["results"]
    assert item == get(f"{LEADS}/{lead.uuid}", headers).json()


def test_pages_show_every_lead_once_while_others_come_in():
    leads = [make_lead() for _ in range(7)]
    headers, seen, cursor = bearer(), [], ""
    while cursor is not None:
        page = get(f"{LEADS}?limit=3" + (f"&cursor={cursor}" if cursor else ""), headers).json()
        seen += [one["id"] for one in page["results"]]
        cursor = page["next_cursor"]
        make_lead()
    assert seen == [str(lead.uuid) for lead in reversed(leads)]


def test_pages_go_on_where_the_last_lead_has_gone_on_and_passes_the_filter_no_more():
    leads = [make_lead() for _ in range(4)]
    headers = bearer()
    first = get(f"{LEADS}?status=BACKLOG&limit=2", headers).json()
    assert post(ABORT, {"leads": [{"lead_id": first["next_cursor"], "cancellation_reason": "x"}]}, headers).json()
    second = get(f"{LEADS}?status=BACKLOG&limit=2&cursor={first['next_cursor']}", headers).json()
    seen = [one["id"] for one in first["results"] + second["results"]]
    assert seen == [str(lead.uuid) for lead in reversed(leads)]


def test_a_page_takes_as_many_queries_as_another(django_assert_max_num_queries):
    headers = bearer()
    for _ in range(20):
        make_lead("PROCESSING")
    with django_assert_max_num_queries(2):  # token, leads
        assert len(get(LEADS, headers).json()["results"]) == 20


def test_a_cursor_of_what_one_does_not_see_is_refused():
    foreign = make_lead(reseller_id="other")
    headers = bearer("reseller", reseller_ids=["acme"])
    for cursor in (foreign.uuid, uuid.uuid4()):
        (problem,) = check_problem(get(f"{LEADS}?cursor={cursor}", headers), 422)
        assert problem["loc"] == ["query", "cursor"]


@pytest.mark.parametrize(
    "query",
    [
        "status=DONE",
        "template_id=7",
        "limit=0",
        "limit=1e3",
        "created_from=yesterday",
        "request_id=%00",
        "cursor=",
        "statuss=FINISHED",
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(query):
    (problem,) = check_problem(get(f"{LEADS}?{query}", bearer()), 422)
    assert problem["loc"] == ["query", query.partition("=")[0]]


@pytest.mark.parametrize(
    ("holder", "seen"),
    [
        ({"role": "reseller", "reseller_ids": ["acme"]}, {"acme/m1", "acme/m2", "acme/"}),
        ({"role": "merchant", "reseller_ids": ["acme"], "merchant_ids": ["m1"]}, {"acme/m1"}),
        ({"role": "user", "reseller_ids": ["other"]}, {"other/m1"}),
        ({"role": "reseller", "reseller_ids": ["*"]}, {"acme/m1", "acme/m2", "acme/", "other/m1"}),
        ({"role": "merchant", "reseller_ids": ["acme"], "merchant_ids": ["*"]}, {"acme/m1", "acme/m2"}),
    ],
)
def test_everybody_sees_their_own_whatever_they_filter_by(holder, seen):
    for reseller, merchant in (("acme", "m1"), ("acme", "m2"), ("acme", ""), ("other", "m1")):
        make_lead(reseller_id=reseller, merchant_id=merchant, request_id=f"{reseller}/{merchant}")
    headers = bearer(**holder)
    assert set(listed(headers=headers)) == seen
    for reseller in ("acme", "other"):
        assert set(listed(f"reseller_id={reseller}", headers)) == {one for one in seen if one.startswith(reseller)}


def test_a_page_of_large_leads_is_shorter_and_the_cursor_goes_on(monkeypatch):
    monkeypatch.setattr("common.api.pages.MAX_PAGE_BYTES", 10_000)
    sizes = [10, 4000, 4000, 4000, 20_000, 20_000, 10, 9000, 900]
    leads = [make_lead(payload={"text": "x" * size}) for size in reversed(sizes)][::-1]
    headers, pages, cursor = bearer(), [], ""
    while cursor is not None:
        page = get(f"{LEADS}?limit=100" + (f"&cursor={cursor}" if cursor else ""), headers).json()
        pages.append([one["id"] for one in page["results"]])
        cursor = page["next_cursor"]
    assert [one for page in pages for one in page] == [str(lead.uuid) for lead in leads]
    assert [len(page) for page in pages] == [3, 1, 1, 1, 3]
