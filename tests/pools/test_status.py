"""The status endpoints: what they count, and what they call healthy."""

import uuid
from math import isnan

import psycopg
import pytest
from django.db import connection

from pools.status import fleet_metrics
from pools.status.state import oldest_transaction
from tests.support.api import POOL_STATUS, ROOM_POOL_STATUS, check_problem, get
from tests.support.make import bearer, make_agent_process, make_daily_account, make_pod, make_room, make_session
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db

PUBLISHED = ("pool_size", "available", "in_use", "warming")


def connect_as_owner() -> psycopg.Connection:
    return psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None, "context": None})


def counts(path=POOL_STATUS, query=""):
    body = get(path + query).json()
    return tuple(body[name] for name in PUBLISHED)


def reasons(path=POOL_STATUS):
    body = get(path).json()
    assert body["status"] == ("degraded" if body["reasons"] else "healthy")
    return body["reasons"]


def as_operator(path=POOL_STATUS):
    return get(path, headers=bearer()).json()


@pytest.fixture
def account():
    return make_daily_account()


def healthy_pod(name=None, **values):
    pod = make_pod(name, **values)
    make_agent_process(pod), make_room(pod=pod)
    return pod


def test_a_full_pool_is_healthy(account):
    pod = make_pod()
    for _ in range(2):
        make_agent_process(pod), make_room(pod=pod)
    make_agent_process(pod, "warming"), make_room("warming", pod=pod)
    make_agent_process(pod, "ended"), make_room("ended", pod=pod)
    make_session(pod=pod)
    assert counts() == (3, 2, 1, 1)
    assert counts(ROOM_POOL_STATUS) == (5, 2, 1, 1)
    assert reasons() == reasons(ROOM_POOL_STATUS) == []


def test_the_older_nested_keys_stand_beside_the_published_ones(account, settings):
    pod = make_pod()
    make_agent_process(pod), make_agent_process(pod, "warming"), make_agent_process(pod, "in_use", on_demand=True)
    make_room(pod=pod), make_session(pod=pod)
    body = get(POOL_STATUS).json()
    assert body["voice_pool_stats"] == {
        "managed_processes": 3,
        "available_processes": 1,
        "active_processes": 2,
        "managed_active": 1,
        "ephemeral_active": 1,
        "is_creating_process": True,
        "pool_size": 3,
        "max_pool_size": 3,
    }
    assert body["room_pool_stats"] == {
        "available_rooms": 1,
        "active_rooms": 1,
        "is_creating_room": False,
        "pool_size": 5,
        "max_pool_size": 5,
        "max_session_limit": settings.MAX_DAILY_SESSION_LIMIT,
        "recording_enabled": False,
    }


@pytest.mark.parametrize("recorded", [True, False])
def test_the_status_says_whether_sessions_are_recorded(account, settings, recorded):
    settings.ENABLE_AUTOMATIC_DAILY_RECORDING = recorded
    assert get(ROOM_POOL_STATUS).json()["room_pool_stats"]["recording_enabled"] is recorded


def test_pods_are_added_up_and_one_can_be_asked_for(account):
    healthy_pod("a")
    b = healthy_pod("b", agent_target=1)
    make_agent_process(b)
    assert counts() == (4, 3, 0, 0)
    assert counts(query="?pod=a") == (3, 1, 0, 0)
    assert counts(query="?pod=b") == (1, 2, 0, 0)
    assert counts(ROOM_POOL_STATUS, "?pod=b") == (5, 1, 0, 0)
    assert [pod["name"] for pod in as_operator()["pods"]] == ["a", "b"]


@pytest.mark.parametrize("role", [None, "reseller", "merchant", "user"])
def test_only_operators_are_told_about_single_pods(account, role):
    healthy_pod("a")
    scope = {"reseller_ids": ["acme"], "merchant_ids": ["m"]}
    body = get(POOL_STATUS, headers=bearer(role, **scope) if role else None).json()
    assert body["available"] == 1
    assert not body.keys() & {"pods", "waiting_sessions", "oldest_transaction_seconds"}


@pytest.mark.parametrize("name", ["c", "", "%00", "x" * 3000, "a%27--", "%ED%A0%80"])
def test_an_unknown_pod_is_not_found(name, account):
    healthy_pod("a")
    make_pod("c", ended_at="2026-01-01T00:00Z")
    detail = check_problem(get(f"{POOL_STATUS}?pod={name}"), 404)
    assert detail.startswith("Pod not found: ") and len(detail) < 150


def test_processes_of_a_silent_pod_are_not_available(account):
    healthy_pod("a")
    silent = make_pod("b", silent_for=60)
    make_agent_process(silent), make_agent_process(silent, "warming"), make_agent_process(silent, "in_use")
    make_room(pod=silent), make_room("warming", pod=silent)
    assert counts() == (3, 1, 1, 0)  # its calls may well be running
    assert counts(ROOM_POOL_STATUS) == (5, 2, 0, 0)  # its rooms can be claimed
    (reason,) = reasons()
    assert reason.startswith("pod b is silent: no heartbeat for 6")


def test_a_draining_pod_offers_nothing_and_is_no_trouble_beside_another(account):
    healthy_pod("a")
    draining = make_pod("b", draining=True)
    make_agent_process(draining)
    assert counts() == (3, 1, 0, 0)
    assert reasons() == []


def test_rooms_of_no_pod_are_stock_too(account):
    healthy_pod()
    make_room(), make_room(pod=make_pod(ended_at="2026-01-01T00:00Z"))
    assert counts(ROOM_POOL_STATUS) == (5, 3, 0, 0)


def test_rooms_that_do_not_last_a_session_are_not_available(account, settings):
    pod = healthy_pod()
    make_room(pod=pod, life=settings.MAX_DAILY_SESSION_LIMIT - 5)
    assert counts(ROOM_POOL_STATUS) == (5, 1, 0, 0)


def test_a_room_made_for_one_request_is_no_stock(account):
    make_room("warming", pod=healthy_pod(), reserved=True)
    assert counts(ROOM_POOL_STATUS) == (5, 1, 0, 0)


def test_without_self_signed_tokens_only_rooms_with_fresh_tokens_are_available(settings):
    make_daily_account(self_signed_tokens=False)
    room = make_room(pod=make_pod())
    assert counts(ROOM_POOL_STATUS)[1] == 0
    room.tokens_expire_at = room.expires_at
    room.save()
    assert counts(ROOM_POOL_STATUS)[1] == 1


def test_no_pod_is_degraded(account):
    assert reasons() == ["no live pod"]
    make_pod("a", silent_for=4)
    assert "no live pod" in reasons()


def test_all_pods_draining_is_degraded(account):
    make_pod(draining=True)
    assert reasons() == ["every live pod is draining"]


def test_nothing_available_is_degraded_and_less_than_the_target_is_not(account):
    pod = make_pod()
    make_agent_process(pod, "warming")
    assert reasons() == ["no agent process available (0 of 3, 1 warming)", "no room available (0 of 5, 0 warming)"]
    make_agent_process(pod), make_room(pod=pod)
    assert reasons() == []


def test_a_pool_of_size_nought_lacks_nothing(account):
    make_pod(agent_target=0, room_target=0)
    assert reasons() == []


def test_trouble_of_a_pod_and_of_daily_is_told(account):
    healthy_pod("a", agent_trouble="the bot module does not import: No module named 'nobot'")
    account.trouble = "the API key is not accepted"
    account.save()
    assert reasons() == [
        "pod a: the bot module does not import: No module named 'nobot'",
        "Daily: the API key is not accepted",
    ]


def test_sessions_that_wait_are_counted(account):
    make_session("waiting", pod=healthy_pod())
    assert as_operator()["waiting_sessions"] == 1


@pytest.mark.django_db(transaction=True)
def test_the_oldest_open_transaction_is_shown():
    assert as_operator()["oldest_transaction_seconds"] == 0
    with connect_as_owner() as other:
        other.execute("SELECT 1")  # begins a transaction
        assert as_operator()["oldest_transaction_seconds"] >= 0


def test_transactions_of_other_roles_are_unknown_and_not_0_until_their_age_may_be_read():
    role = f"pools_{uuid.uuid4().hex}"
    with connection.cursor() as cursor, connect_as_owner() as other:
        cursor.execute(f"CREATE ROLE {role}")
        cursor.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        other.execute("SELECT 1")
        cursor.execute(f"SET LOCAL ROLE {role}")
        assert oldest_transaction() is None
        assert isnan(fleet_metrics.read()["oldest_transaction", ""])
        cursor.execute(f"SET LOCAL ROLE none; GRANT pg_read_all_stats TO {role}; SET LOCAL ROLE {role}")
        wait_until(lambda: (oldest_transaction() or 0) > 0)
        assert fleet_metrics.read()["oldest_transaction", ""] > 0


def test_the_number_of_queries_does_not_depend_on_the_number_of_pods(account, django_assert_num_queries):
    for size in (3, 18):
        while get(POOL_STATUS).json()["pool_size"] < size:
            make_session(pod=healthy_pod())
        with django_assert_num_queries(10):
            assert get(POOL_STATUS).json()["pool_size"] == size
