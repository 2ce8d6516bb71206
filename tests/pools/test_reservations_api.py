"""Reservations over HTTP: ordered by an admin, refused with what can be held, shown in the status, released."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from pools.models import OperatorAction, PoolOverride
from tests.support.api import POOL_STATUS, check_problem, get, post
from tests.support.make import bearer, make_pod

pytestmark = pytest.mark.django_db
PATH = "/agent/voice/automatic/pool/reservations"


@pytest.fixture
def admin():
    return bearer(name="ops")


def body(pairs=4, **values):
    return {"pairs": pairs, "ends_at": (timezone.now() + timedelta(minutes=20)).isoformat(), **values}


def delete(path, headers):
    return Client().delete(path, headers=headers)


def test_an_admin_reserves_sees_and_releases(admin):
    make_pod(agent_cap=10, room_cap=10)
    made = post(PATH, body(reason="campaign"), admin)
    assert made.status_code == 201, made.content
    override = made.json()
    assert (override["size"], override["ordered_by"], override["reason"], override["problem"]) == (
        4,
        "token ops",
        "campaign",
        "",
    )
    assert [each["order_id"] for each in get(PATH, admin).json()["results"]] == [override["order_id"]]
    status = get(POOL_STATUS, admin).json()
    assert [each["order_id"] for each in status["orders"]] == [override["order_id"]]
    assert "4 pairs are reserved now: 0 agent processes available" in status["reasons"]
    assert delete(f"{PATH}/{override['order_id']}", admin).status_code == 204
    assert get(PATH, admin).json()["results"] == []
    assert PoolOverride.objects.get().cancelled_by == "token ops"
    actions = list(OperatorAction.objects.order_by("id").values_list("by", "what", "reason"))
    assert [(by, what.partition(":")[0], why) for by, what, why in actions] == [
        ("token ops", "override", "campaign"),
        ("token ops", "cancel", ""),
    ]
    assert "4" in actions[0][1]


def test_what_the_pods_cannot_hold_is_refused_or_accepted_as_short(admin):
    make_pod(agent_cap=3, room_cap=10)
    assert "short by 57" in check_problem(post(PATH, body(60), admin), 400)
    short = post(PATH, body(60, allow_short=True), admin)
    assert short.status_code == 201 and "short by 57" in short.json()["problem"]


def test_times_that_make_no_sense_are_refused(admin):
    make_pod()
    now = timezone.now()
    over = {"ends_at": (now - timedelta(minutes=1)).isoformat()}
    assert "ends after it begins" in check_problem(post(PATH, body(1, **over), admin), 400)
    late = {"starts_at": (now + timedelta(hours=9)).isoformat()}
    assert "ends after it begins" in check_problem(post(PATH, body(1, **late), admin), 400)


@pytest.mark.parametrize(
    "wrong",
    [{"pairs": 0}, {"pairs": 10_001}, {"pairs": "many"}, {"ends_at": "soon"}, {"ends_at": None}, {"reason": ""}],
)
def test_a_wrong_shape_is_refused_by_field(admin, wrong):
    answer = post(PATH, body() | wrong, admin)
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body", *wrong]


def test_only_reservations_are_released_here(admin):
    pause = PoolOverride.objects.create(action="pause", pool="rooms", ordered_by="ann")
    for number in (pause.uuid, "5f0c3f6e-8c53-4b0c-a3f5-0f4b6f8f4c21", "nonsense"):
        assert "Reservation not found" in check_problem(delete(f"{PATH}/{number}", admin), 404)
    assert PoolOverride.objects.standing().exists()
