"""Daily's bad days: the stock is served on, no room is lost or made twice, and what is wrong is said once."""

import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from django.db.models import Sum
from django.db.models.functions import Now
from ulid import ULID

from leads.models import LeadStatus
from pools.models import AgentProcess, DailyAccount, DailyBudgetSlot, Room, StartKind, StockStatus
from pools.sessions.claims import PoolExhausted
from tests.support.make import make_lead, make_room
from tests.support.service import connect_lead, is_full, run_until

pytestmark = pytest.mark.usefixtures("transactional_db")


NO_AGENTS = {"agent_target": 0, "max_processes": 0}


def trouble() -> str:
    account = DailyAccount.objects.filter(pk=1).first()
    return account.trouble if account else ""


def room_names() -> set[str]:
    """Those that we think Daily has."""
    return set(Room.objects.exclude(status=StockStatus.ENDED).values_list("name", flat=True))


# --- the key -----------------------------------------------------------------------------------------------


def test_a_wrong_key_is_said_once_and_leaves_the_processes_warm(pods, sandbox, caplog):
    sandbox.fault("wrong_key")
    pod = pods.start()
    tries = run_until(pod, lambda: sandbox.calls("GET /").get("401", 0) >= 2 and pod.agents.available == 2)
    assert tries and "check DAILY_API_KEY" in trouble()
    said = [record for record in caplog.records if "daily_trouble" in record.message]
    assert len(said) == 1 and "retry_in=" in said[0].message
    assert AgentProcess.objects.available().count() == 2
    assert sandbox.rooms() == []


def test_a_key_that_works_again_is_used_again(pods, sandbox):
    sandbox.fault("wrong_key")
    pod = pods.start()
    run_until(pod, trouble)
    sandbox.clear_faults()
    run_until(pod, lambda: is_full(pod) and not trouble())


def test_a_key_that_is_refused_for_a_while_costs_no_call_from_the_stock(pods, sandbox, caplog):
    pod = pods.start_full(room_target=2)
    sandbox.fault("wrong_key")
    call = connect_lead(sandbox)
    run_until(pod, trouble)  # the refill has found out
    second = connect_lead(sandbox)
    for waiting in (call, second):
        run_until(pod, waiting.bot_has_joined)
    assert len([record for record in caplog.records if "daily_trouble" in record.message]) == 1
    sandbox.clear_faults()
    run_until(pod, lambda: is_full(pod) and not trouble())


def test_a_pod_that_starts_while_daily_is_down_serves_the_rooms_there_are(pods, sandbox):
    pods.close(pods.start_full())
    sandbox.fault("503")
    pod = pods.start(room_target=0)
    run_until(pod, lambda: AgentProcess.objects.available().count() == 2 and trouble())
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    assert call.session.start_kind == StartKind.WARM


# --- calls that fail ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rooms", "route", "kind"),
    [
        *((2, "/rooms", kind) for kind in ("429", "503", "disconnect", "reset", "timeout")),
        *((4, "/batch/rooms", kind) for kind in ("429", "reset")),
    ],
)
def test_calls_that_fail_lose_no_room_and_make_none_twice(pods, sandbox, rooms, route, kind):
    sandbox.fault(kind, "POST", route, times=2)
    pod = pods.start(room_target=rooms, **NO_AGENTS)
    run_until(pod, lambda: is_full(pod))
    assert sandbox.calls(f"POST {route}")[kind] == 2
    assert len(sandbox.rooms()) == sandbox.counters()["rooms"]["created"] == rooms
    assert set(sandbox.rooms()) == room_names()


def test_a_pause_that_daily_asks_for_is_kept(pods, sandbox):
    sandbox.fault("429", "POST", "/rooms", times=1, retry_after=1.5)
    pod = pods.start(room_target=1, **NO_AGENTS)
    run_until(pod, lambda: sandbox.calls("POST /rooms").get("429"))
    refused_at = time.monotonic()
    run_until(pod, lambda: is_full(pod))
    assert time.monotonic() - refused_at > 1.0


def test_without_daily_the_stock_is_served_and_then_the_lead_stays(pods, sandbox):
    pod = pods.start_full(room_target=2)
    sandbox.fault("503")
    for _ in range(2):
        run_until(pod, connect_lead(sandbox).bot_has_joined)
    run_until(pod, lambda: AgentProcess.objects.available().count() == 2 and trouble())
    lead = make_lead()
    with pytest.raises(PoolExhausted) as refusal:
        connect_lead(sandbox, lead)
    assert refusal.value.retry_after > 0
    lead.refresh_from_db()
    assert lead.status == LeadStatus.BACKLOG
    assert AgentProcess.objects.available().count() == 2
    sandbox.clear_faults()
    run_until(pod, lambda: is_full(pod) and not trouble())
    run_until(pod, connect_lead(sandbox, lead).bot_has_joined)
    run_until(pod, lambda: set(sandbox.rooms()) == room_names())  # of the failed one on demand nothing is left


def test_a_slow_daily_holds_up_no_hand_off(pods, sandbox):
    pod = pods.start_full(room_target=1)
    sandbox.set_latency(1000)
    first, second = connect_lead(sandbox), None
    run_until(pod, first.bot_has_joined)
    assert Room.objects.warming().exists()  # Daily has not answered yet
    sandbox.set_latency(0)
    run_until(pod, lambda: is_full(pod))
    second = connect_lead(sandbox)
    run_until(pod, second.bot_has_joined)


def test_three_pods_that_fill_fifty_rooms_at_once_stay_within_the_rate_limits(pods, sandbox):
    """With a caller who comes in the middle of it, and rooms to be cleaned up. Daily's own counters are the judge."""
    first, *others = [pods.start(room_target=size, agent_target=1) for size in (17, 17, 16)]

    def turned(condition):
        def turn_and_ask():
            for pod in others:
                pod.run_once(0)
            return condition()

        return turn_and_ask

    Room.objects.bulk_create([over(number) for number in range(30)])
    run_until(first, turned(lambda: AgentProcess.objects.available().exists()))
    call = connect_lead(sandbox)
    run_until(first, turned(call.bot_has_joined))
    run_until(first, turned(lambda: all(map(is_full, (first, *others)))), deadline=60)
    run_until(first, turned(lambda: not Room.objects.undeleted().exists()), deadline=60)
    counters = sandbox.counters()
    assert counters["rate_limited"] == 0
    assert all(window["peak_offered"] <= 0.9 * window["limit"] for window in counters["windows"]), counters["windows"]
    assert len(sandbox.rooms()) == 51


def test_a_call_takes_its_budget_when_a_thread_is_free_to_make_it(pods, sandbox):
    """One that waited for a thread would be made in another window of Daily's limits, beside those of that window."""
    used_up = {"group": "batch", "slot": 2**40, "used": 1000}  # in every window to come: rooms are made one by one
    DailyBudgetSlot.objects.create(**used_up)
    sandbox.set_latency(100)
    pod = pods.start(room_target=20, **NO_AGENTS)
    most = 0

    def filling() -> bool:
        nonlocal most
        routes = "GET /", "GET /meeting-tokens/{token}", "POST /rooms"
        made = sum(sum(sandbox.calls(route).values()) for route in routes)
        spent = DailyBudgetSlot.objects.filter(group="general").aggregate(calls=Sum("used"))["calls"] or 0
        most = max(most, spent - made)
        return Room.objects.available().count() >= 8

    run_until(pod, filling)
    assert 0 < most <= 4, "no more than threads are making calls"


def over(number: int) -> Room:
    return Room(
        name=f"bb-over-{number}", status=StockStatus.ENDED, ended_at=Now(), expires_at=Now(), end_reason="session over"
    )


# --- meeting tokens ----------------------------------------------------------------------------------------


def test_tokens_are_signed_by_us_where_daily_accepts_that(pods, sandbox):
    pod = pods.start_full()
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    assert sandbox.calls("POST /meeting-tokens") == {}
    assert not Room.objects.exclude(owner_token="", guest_token="").exists()
    bot, caller = sandbox.participants(call.room_name)[0], call.join()
    assert bot["owner"] and bot["user_id"] == str(call.session.uuid)
    assert [person["owner"] for person in sandbox.participants(call.room_name) if person["id"] == caller] == [False]


@pytest.mark.parametrize("why", ["switched off", "refused"])
def test_tokens_are_minted_and_stored_where_signing_does_not_work(pods, sandbox, why):
    if why == "refused":
        sandbox.advance_clock(600)  # Daily takes a token of ours for expired
    pod = pods.start_full(self_signed_tokens=why != "switched off", room_pool_life=3600)
    account = DailyAccount.objects.get()
    assert not account.self_signed_tokens and account.domain_id
    stored = set(Room.objects.available().values_list("guest_token", flat=True))
    call = connect_lead(sandbox)
    assert call.connected.token in stored
    assert jwt.decode(call.connected.token, options={"verify_signature": False})["r"] == call.room_name
    run_until(pod, call.bot_has_joined)
    call.join()
    assert call.people() == ["Bot", "Caller"]
    call.hang_up()
    run_until(pod, call.is_over)
    assert (call.session.room.owner_token, call.session.room.guest_token) == ("", "")


def test_stored_tokens_are_renewed_before_they_are_too_old(pods, sandbox):
    pod = pods.start_full(self_signed_tokens=False, **NO_AGENTS)
    before = set(Room.objects.available().values_list("owner_token", flat=True))
    Room.objects.available().update(tokens_expire_at=Now() + timedelta(seconds=130), owner_token="old")
    run_until(pod, lambda: not Room.objects.available().filter(owner_token="old").exists())
    assert before and not Room.objects.available().filter(tokens_expire_at__lt=Now() + timedelta(minutes=10)).exists()


def test_a_room_made_on_demand_has_tokens_too(pods, sandbox):
    pod = pods.start_full(self_signed_tokens=False, room_target=0)
    run_until(pod, lambda: DailyAccount.objects.exists())
    call = connect_lead(sandbox)
    assert call.session.start_kind == StartKind.PARTIAL
    run_until(pod, call.bot_has_joined)
    call.join()
    assert call.people() == ["Bot", "Caller"]


# --- what Daily has and we think it has --------------------------------------------------------------------


def reconcile(pod):
    """The chore that comes round every few minutes, now."""
    for later in (1_000, 2_000):
        pod.chores.run(time.monotonic() + later, daily_works=True)


def test_rooms_of_ours_that_nobody_knows_are_deleted_and_other_peoples_are_not(pods, sandbox):
    pod = pods.start_full(**NO_AGENTS)
    old, young = (datetime.now(UTC) - timedelta(minutes=age) for age in (11, 9))
    lost, fresh = (f"bb-{ULID.from_datetime(made)}".lower() for made in (old, young))
    strange = f"cc-{ULID.from_datetime(old)}".lower()
    for name in (lost, fresh, strange, "bb-lunch"):
        sandbox.create_room(name)
    reconcile(pod)
    run_until(pod, lambda: lost not in sandbox.rooms())
    assert {fresh, strange, "bb-lunch"} <= set(sandbox.rooms())
    assert is_full(pod)


def test_a_room_that_is_made_after_it_was_deleted_is_deleted_again(pods, sandbox):
    """By a call that was under way when its pod was reaped."""
    pod = pods.start_full(**NO_AGENTS)
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    name = f"bb-{ULID.from_datetime(long_ago)}".lower()
    late = make_room(name=name, status=StockStatus.ENDED, ended_at=long_ago, deleted_at=long_ago)
    sandbox.create_room(late.name)
    reconcile(pod)
    run_until(pod, lambda: late.name not in sandbox.rooms())


def test_rooms_that_daily_does_not_have_are_replaced(pods, sandbox):
    pod = pods.start(room_target=1, **NO_AGENTS)
    gone = make_room(pod=pod.pod, available_at=datetime.now(UTC) - timedelta(minutes=5))
    run_until(pod, lambda: pod.rooms.verified)
    reconcile(pod)
    run_until(pod, lambda: not Room.objects.available().filter(pk=gone.pk).exists())
    gone.refresh_from_db()
    assert gone.end_reason == "not known to Daily"
    run_until(pod, lambda: set(sandbox.rooms()) == room_names())


def test_rooms_are_deleted_in_one_call_when_there_are_many(pods, sandbox):
    pod = pods.start_full(room_target=6, **NO_AGENTS)
    Room.objects.available().update(status=StockStatus.ENDED, ended_at=Now(), end_reason="test")
    run_until(pod, lambda: Room.objects.filter(deleted_at__isnull=False).count() == 6)
    assert sandbox.calls("DELETE /batch/rooms") == {"200": 1}
    run_until(pod, lambda: is_full(pod))
    assert set(sandbox.rooms()) == room_names()


def test_a_room_that_daily_does_not_let_go_holds_up_no_other(pods, sandbox, caplog):
    pod = pods.start_full(room_target=6, **NO_AGENTS)
    stubborn, *others = Room.objects.available().order_by("pk")
    sandbox.fault("400", "DELETE", "/batch/rooms")
    sandbox.fault("400", "DELETE", f"/rooms/{stubborn.name}")
    Room.objects.available().update(status=StockStatus.ENDED, ended_at=Now(), end_reason="test")
    run_until(pod, lambda: not Room.objects.undeleted().exclude(pk=stubborn.pk).exists())
    asked = sandbox.calls("DELETE /rooms/{name}")
    assert asked == {"200": len(others), "400": 1}
    spent = DailyBudgetSlot.objects.filter(group="delete").aggregate(calls=Sum("used"))
    assert spent["calls"] == sum(asked.values())
    assert [line for line in caplog.messages if "delete_rooms_rejected" in line and stubborn.name in line]


def test_rooms_are_deleted_while_daily_has_too_many_to_make_another(pods, sandbox):
    sandbox.set_limits(max_api_rooms=2)
    pod = pods.start(room_target=3, **NO_AGENTS)
    run_until(pod, lambda: pod.rooms.refused and Room.objects.available().count() == 2)
    over = list(Room.objects.available().values_list("pk", flat=True))
    Room.objects.filter(pk__in=over).update(status=StockStatus.ENDED, ended_at=Now(), end_reason="test")
    run_until(pod, lambda: Room.objects.filter(pk__in=over, deleted_at__isnull=False).count() == 2)
    run_until(pod, lambda: Room.objects.available().count() == 2)


def test_a_room_that_daily_refuses_is_said_and_tried_again_with_pauses(pods, sandbox, caplog):
    sandbox.set_limits(max_api_rooms=0)
    pod = pods.start(room_target=1, **NO_AGENTS)
    run_until(pod, lambda: pod.rooms.backoff.failures >= 3)
    assert trouble().startswith("Daily POST /rooms: 4")
    assert Room.objects.count() <= 4
    sandbox.set_limits(max_api_rooms=None)
    run_until(pod, lambda: is_full(pod) and not trouble())
