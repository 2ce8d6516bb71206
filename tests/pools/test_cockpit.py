"""What the dashboard says, and how fast; in a browser: test_cockpit_browser.py."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from pools.daily import budget
from pools.dashboard.charts import HOUR, POINTS, history, span_named
from pools.dashboard.starts import MISSES, in_words, last_day, last_hour
from pools.dashboard.verbs import VERBS
from pools.dashboard.verdict import Level, daily_level
from pools.decisions.targets import Pool
from pools.models import Pod, PoolSample
from pools.status.sampling import STARTS, Mark, Starts, take_sample
from tests.support.dashboard import live
from tests.support.make import make_agent_process, make_daily_account, make_pod, make_room, make_session
from tests.support.pools_scene import make_samples, make_scene

pytestmark = pytest.mark.django_db


# --- what it says ------------------------------------------------------------------------------------------


def test_full_pools_are_warm(admin_client):
    make_daily_account()
    pod = make_pod(agent_target=1, room_target=1)
    make_agent_process(pod), make_room(pod=pod)
    answer = live(admin_client)
    assert (answer["verdict"]["word"], answer["verdict"]["level"]) == ("Warm", "good")
    assert answer["verdict"]["sentence"].startswith("The next start gets")


def test_an_open_talk_page_is_told_where_the_database_is_no_development_one(admin_client, settings):
    for talk_page, database, told in (
        (True, "postgres://u@h/d", True),
        (True, "", False),
        (False, "postgres://u@h/d", False),
    ):
        settings.TALK_PAGE, settings.DATABASE_URL = talk_page, database
        assert ("anybody who reaches /talk can start calls" in admin_client.get("/admin/").content.decode()) is told


def test_an_empty_pool_is_cold_and_no_pod_is_down(admin_client):
    assert live(admin_client)["verdict"]["word"] == "Down"
    make_agent_process(make_pod())
    verdict = live(admin_client)["verdict"]
    assert verdict["word"] == "Cold" and "No room in stock" in verdict["sentence"]


def tiles(client):
    answer = live(client)
    return [
        (answer[pool]["available"], answer[pool]["aim"], answer[pool]["held"], answer[pool]["level"]) for pool in Pool
    ]


def test_a_stock_that_is_paused_or_drained_is_not_green_and_keeps_its_size(admin_client):
    make_daily_account()
    pod = make_pod(agent_size=3, agent_target=3, room_size=5, room_target=5)
    for _ in range(5):
        make_room(pod=pod)
    assert tiles(admin_client) == [(0, 3, "", "bad"), (5, 5, "", "good")]
    Pod.objects.update(agent_paused=True, agent_target=0, room_paused=True, room_target=0)
    assert tiles(admin_client) == [(0, 3, "paused", "bad"), (5, 5, "paused", "warn")]
    Pod.objects.update(agent_paused=False, room_paused=False, draining=True, drained_by="ann")
    assert [tile[1:] for tile in tiles(admin_client)] == [(3, "drained", "bad"), (5, "drained", "bad")]


def test_to_drain_the_last_pod_in_service_is_warned_of(admin_client):
    one, other = make_pod(), make_pod()
    warning = "This is the only pod in service: callers will get 503."
    assert warning not in admin_client.get(VERBS["drain"].url([one.pk])).content.decode()
    assert "These are the only pods" in admin_client.get(VERBS["drain"].url([one.pk, other.pk])).content.decode()
    other.take_out_of_service("ann")
    assert warning in admin_client.get(VERBS["drain"].url([one.pk])).content.decode()


def test_the_pod_that_misbehaves_comes_first(admin_client):
    make_scene()
    pods = live(admin_client)["pods"]
    assert [(pod["name"], pod["level"]) for pod in pods] == [("pool-c", "bad"), ("pool-b", "warn"), ("pool-a", "good")]
    assert pods[0]["state"] == "in trouble" and "promptlib" in pods[0]["trouble"]
    assert pods[1]["failed"] == 2


def test_reasons_of_misses_are_counted_and_lead_to_their_sessions(admin_client):
    make_scene()
    first, *rest = live(admin_client)["causes"]
    assert (first["words"], first["kind"], first["hour"], first["day"]) == (
        "agent processes taken faster than replaced",
        "partial",
        7,
        7,
    )
    assert len(rest) == 2
    assert "7 results" in admin_client.get(first["url"]).content.decode()


def test_causes_in_words():
    assert in_words("trouble", "burst") == "agent processes do not start; rooms taken faster than made"
    assert in_words("", "") == "cause not recorded"
    assert in_words("of_a_newer_version", "") == "of_a_newer_version"


def test_the_hour_and_the_day_count_each_start_once():
    for number in range(4):
        make_session("ended", start_kind="cold" if number == 3 else "warm")
        take_sample()
        for sample in PoolSample.objects.all():
            PoolSample.objects.filter(pk=sample.pk).update(at=sample.at - timedelta(seconds=10))
    make_session("ended")
    first = PoolSample.objects.earliest("id")
    assert last_hour().starts == Starts.between(Mark.of(first))
    assert (last_day().starts.warm, last_day().starts.cold) == (3, 1)
    assert last_hour().since == first.at


def test_the_time_with_an_empty_pool_is_told():
    make_samples(hours=1, interval=10)
    assert last_hour().empty_agents_s == pytest.approx(300, abs=20)


def test_a_start_up_is_no_time_with_an_empty_pool():
    """Neither the first, nor one after a time without pods; what runs dry after it was full is."""
    for pods, available in ((1, 0), (1, 2), (1, 0), (0, 0), (1, 0), (1, 2)):
        take_sample()
        latest = PoolSample.objects.latest("id")
        stock = {"agents_available": available, "agents_target": 2 * pods, "rooms_available": 2, "rooms_target": 2}
        PoolSample.objects.filter(pk=latest.pk).update(pods=pods, **stock)
        for sample in PoolSample.objects.all():
            PoolSample.objects.filter(pk=sample.pk).update(at=sample.at - timedelta(seconds=10))
    assert (last_hour().empty_agents_s, last_hour().empty_rooms_s) == (10, 0)


def test_the_last_sample_is_told_as_it_is_beside_points_that_stand_for_many():
    make_samples(hours=0.1, interval=30)
    latest = PoolSample.objects.order_by("-at").values_list("pk", flat=True)[:2]
    for pk, agents in zip(latest, (7, 0), strict=True):
        PoolSample.objects.filter(pk=pk).update(agents_available=agents)
    points = history(span_named("7d"))
    assert (points["agents"][-1], points["last"]["agents"]) == (0, 7)


def test_the_time_in_which_dailys_budget_held_us_up_is_told(admin_client):
    take_sample()
    assert live(admin_client)["daily"] == {
        "level": "good",
        "trouble": "",
        "left": {group.value.name: 100 for group in budget.Group},
        "least": 100,
        "spent_s": 0,
        "refused": 0,
    }
    PoolSample.objects.update(daily_left=0.1)
    assert (live(admin_client)["daily"]["level"], live(admin_client)["daily"]["spent_s"]) == ("warn", 10)


def test_charts_have_gaps_where_nothing_was_sampled():
    make_samples(hours=0.25, interval=10)
    points = history(HOUR)
    assert len(points["agents"]) == POINTS
    assert points["agents"][: POINTS // 2] == [None] * (POINTS // 2)
    assert points["agents_target"][-1] == 18
    assert span_named("nonsense") is HOUR


def test_charts_come_only_with_a_newer_sample(admin_client):
    take_sample()
    answer = live(admin_client, span="1h")
    assert "history" in answer
    assert "history" not in live(admin_client, span="1h", sample=answer["sample"])
    assert "history" in live(admin_client, span="24h", sample=answer["sample"])


@pytest.mark.parametrize(
    ("trouble", "left", "limited", "level"),
    [
        ("", 1, False, Level.GOOD),
        ("", 0.2, False, Level.WARN),
        ("", 1, True, Level.WARN),
        ("key refused", 1, False, Level.BAD),
    ],
)
def test_whether_daily_limits_us(trouble, left, limited, level):
    assert daily_level(trouble, left, limited) == level


# --- how fast ----------------------------------------------------------------------------------------------


def test_the_dashboard_takes_as_many_queries_for_many_sessions_as_for_few(admin_client):
    make_scene()
    live(admin_client)
    with CaptureQueriesContext(connection) as few:
        live(admin_client)
    for number in range(6):
        make_session("ended", pod=make_pod(f"more-{number}"), start_kind="cold", agent_miss="burst")
    with CaptureQueriesContext(connection) as many:
        live(admin_client)
    assert len(many) == len(few) < 40


def test_misses_are_found_by_their_index_and_starts_by_their_key():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {MISSES}", [10])
        assert "session_missed" in str(cursor.fetchall())
        began: dict[str, Any] = {
            "after": 5,
            "until": 7,
            "after_time": timezone.now(),
            "until_time": timezone.now(),
            "no_call": ["a"],
        }
        cursor.execute(f"EXPLAIN {STARTS}", began)
        plan = str(cursor.fetchall())
        assert "session_prejoined" in plan and "pools_voicesession_pkey" in plan
        cursor.execute("EXPLAIN SELECT count(*) FROM pools_voicesession WHERE id > 5 AND id <= 7")
        assert "pools_voicesession_pkey" in str(cursor.fetchall())


@pytest.mark.parametrize("model", ["voicesession", "agentprocess", "room"])
def test_the_search_finds_by_the_beginning_of_an_id_and_reads_no_whole_table(model, admin_client):
    session = make_session()
    row: Any = {"voicesession": session, "agentprocess": session.agent_process, "room": session.room}[model]
    make_session()
    address = reverse(f"admin:pools_{model}_changelist")
    for term in (str(row.uuid), str(row.uuid)[:8], str(row.uuid)[:8].upper(), f" {row.uuid} "):
        with CaptureQueriesContext(connection) as queries:
            content = admin_client.get(address, {"q": term}).content.decode()
        assert "1 result" in content, term
        assert not any("UPPER" in query["sql"] for query in queries), "a search in capitals uses no index"
    assert "0 results" in admin_client.get(address, {"q": "zz'; --"}).content.decode()
