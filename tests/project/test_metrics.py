"""/metrics: the numbers of the rows, cheap, closed by METRICS_TOKEN, and there even without a database."""

import re
from typing import Any

import pytest
from django.db import OperationalError, connection
from prometheus_client.parser import text_string_to_metric_families

from pools.models import DailyAccount, SessionStatus, StartKind
from pools.sessions import counters
from pools.sessions.end_reasons import END_REASONS
from pools.sessions.ending import Result, end_session, hand_off_failed
from pools.status import fleet_metrics, version_metrics
from pools.status.state import read_state
from pools.supervisor.probes import PodGauges, Probes
from tests.support.api import get
from tests.support.make import make_agent_process, make_daily_account, make_lead, make_pod, make_room, make_session
from tests.support.programs import PROJECT

pytestmark = pytest.mark.django_db

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """By name and labels; a text that Prometheus could not read fails."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(headers: dict[str, str] | None = None) -> Samples:
    answer = get("/metrics", headers)
    assert answer.status_code == 200
    return samples(answer.content.decode())


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def a_mixed_fleet() -> None:
    """Something of everything."""
    make_daily_account()
    pods = [make_pod(), make_pod(draining=True), make_pod(silent_for=60), make_pod(agent_trouble="no bot")]
    for pod in pods:
        make_agent_process(pod), make_agent_process(pod, "warming"), make_agent_process(pod, "in_use")
        make_agent_process(pod, "in_use", on_demand=True), make_agent_process(pod, "ended")
        make_room(pod=pod), make_room(pod=pod, life=60), make_room("warming", pod=pod), make_room("in_use", pod=pod)
    make_room(), make_room("warming", reserved=True), make_room("ended")
    for status in ("waiting", "assigned", "active", "ended"):
        make_session(status, pod=pods[0])
    make_lead(), make_lead()


@pytest.mark.parametrize("signs", [True, False])
def test_the_fleet_is_as_the_status_says(signs):
    a_mixed_fleet()

    DailyAccount.objects.update(self_signed_tokens=signs)
    found, state = scraped(), read_state()
    for name, stock in (("voice_agent_pool", state.agents), ("daily_room_pool", state.rooms)):
        for what, number in stock.published().items():
            what = "target" if what == "pool_size" else what
            assert value(found, f"breeze_buddy_{name}_{what}") == number, (name, what)
        assert value(found, f"breeze_buddy_{name}_cap") == stock.cap
    assert value(found, "breeze_buddy_sessions", status="waiting") == state.waiting_sessions == 1
    assert value(found, "breeze_buddy_lead_backlog") == 2
    assert [value(found, "breeze_buddy_pods", state=state) for state in ("taking", "draining", "silent")] == [2, 1, 1]
    assert value(found, "breeze_buddy_pods_in_trouble") == 1
    assert value(found, "breeze_buddy_rooms_to_delete") >= 1


def test_a_call_is_active_when_its_bot_is_in_the_room():
    found = value(scraped(), "breeze_buddy_active_calls")
    make_session(bot_joined_at="2026-11-24T10:00Z"), make_session()
    assert value(scraped(), "breeze_buddy_active_calls") == found + 1


def test_starts_count_from_the_claim_on_and_for_ever():
    session = make_session(start_kind=StartKind.PARTIAL, agent_miss="burst")
    for _ in range(2):
        found = scraped()
        assert value(found, "breeze_buddy_starts_total", kind="partial") == 1
        assert value(found, "breeze_buddy_misses_total", pool="agents", cause="burst") == 1
        end_session(session.pk, Result("bot_ended"))
    session.delete()
    found = scraped()
    assert value(found, "breeze_buddy_starts_total", kind="partial") == 1
    assert value(found, "breeze_buddy_sessions_ended_total", reason="bot_ended") == 1


def test_handoffs_beyond_the_first_are_counted_while_the_session_runs_and_after():
    session = make_session(SessionStatus.ASSIGNED)
    hand_off_failed(session.pk, 1, "died")
    assert value(scraped(), "breeze_buddy_handoffs_again_total") == 1
    end_session(session.pk, Result("not_started"))
    assert value(scraped(), "breeze_buddy_handoffs_again_total") == 1


def test_calls_in_which_one_of_the_two_was_not_heard_are_counted():
    end_session(make_session().pk, Result("caller_left", never_heard=True))
    found = scraped()
    assert value(found, "breeze_buddy_sessions_silent_total", what="never_heard") == 1
    assert value(found, "breeze_buddy_sessions_silent_total", what="never_spoke") == 0


def test_what_has_not_happened_is_there_as_zero():
    found = scraped()
    assert value(found, "breeze_buddy_sessions_ended_total", reason="not_started") == 0
    assert value(found, "breeze_buddy_reaped_total", what="pod") == 0
    counters.count_events(counters.Event.REAPED_POD, 1)
    assert value(scraped(), "breeze_buddy_reaped_total", what="pod") == 1


def test_the_end_reasons_are_those_of_the_glossary():
    text = (PROJECT / "docs/glossary.md").read_text()
    rows = text.partition("## How a voice session ends")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in rows.splitlines() if "|" in line]
    reasons = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert reasons == set(END_REASONS)


def test_a_word_that_is_no_end_reason_makes_no_label_of_its_own():
    end_session(make_session().pk, Result("+919876543210 hung up"))
    text = get("/metrics").content.decode()
    assert value(samples(text), "breeze_buddy_sessions_ended_total", reason="other") == 1
    assert "9876543210" not in text


def test_requests_are_measured_by_route_not_by_address():
    lead = make_lead()
    get(f"/agent/voice/breeze-buddy/leads/{lead.uuid}"), get("/health"), get("/nothing/here")
    found = scraped()
    name = "http_request_duration_seconds_count"
    assert value(found, name, method="GET", route="health", status="200") >= 1
    assert value(found, name, method="GET", route="none", status="404") >= 1
    assert not any(str(lead.uuid) in str(labels) for _, labels in found)


def test_without_a_database_the_processes_still_tell_what_they_know():
    def away(execute: Any, *arguments: Any) -> Any:
        raise OperationalError("the server closed the connection")

    with connection.execute_wrapper(away):
        found = scraped()
    assert value(found, "breeze_buddy_database_up") == 0
    assert ("breeze_buddy_active_calls", ()) not in found
    assert any(name == "http_request_duration_seconds_count" for name, _ in found)
    assert value(scraped(), "breeze_buddy_database_up") == 1


# --- METRICS_TOKEN -------------------------------------------------------------------------------------------------


def test_a_token_closes_the_api(settings):
    settings.METRICS_TOKEN = "let-prometheus-in"
    for headers in (None, {"Authorization": "Bearer wrong"}, {"Authorization": "let-prometheus-in"}):
        answer = get("/metrics", headers)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Bearer" and "detail" in answer.json()
    assert scraped({"Authorization": "Bearer let-prometheus-in"})


def test_a_token_closes_the_pods_port_but_not_its_health():
    probes = Probes("127.0.0.1", 0, PodGauges().exposition, "let-prometheus-in")
    try:
        assert probes.answer("/metrics", None).status == 401
        assert probes.answer("/metrics", "Bearer wrong").status == 401
        assert probes.answer("/health", None).status == 200
        found = samples(probes.answer("/metrics", "Bearer let-prometheus-in").content.decode())
        assert value(found, "breeze_buddy_loop_age_seconds") < 30
    finally:
        probes.close()


# --- cost ------------------------------------------------------------------------------------------------------


def test_the_statements_read_nothing_but_what_is_current(django_assert_num_queries):
    """Thousands of ended rows, a few current ones: no sequential scan of any table that grows."""
    pod = make_pod()
    with connection.cursor() as cursor:
        cursor.execute(ENDED_ROWS, {"pod": pod.pk, "rows": 20_000})
        make_session(), make_room(), make_agent_process(pod)
        for table in ("pools_voicesession", "pools_room", "pools_agentprocess"):
            cursor.execute(f"ANALYZE {table}")
        for statement, parameters in [*fleet_metrics.statements(), version_metrics.statement()]:
            cursor.execute("EXPLAIN " + statement, parameters)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            for table in ("pools_voicesession", "pools_room", "pools_agentprocess"):
                assert f"Seq Scan on {table}" not in plan, plan
    with django_assert_num_queries(4):  # two of the pools, one of the versions, one of the leads
        get("/metrics")


ENDED_ROWS = """
WITH room AS (
    INSERT INTO pools_room (uuid, name, url, status, reserved, expires_at, ended_at, deleted_at, end_reason,
        owner_token, guest_token)
    SELECT gen_random_uuid(), 'bb-ended-' || n, '', 'ended', false, now(), now(), now(), 'test', '', ''
    FROM generate_series(1, %(rows)s) AS n RETURNING id
), agent AS (
    INSERT INTO pools_agentprocess (uuid, pod_id, status, on_demand, start_method, version, ended_at, end_reason)
    SELECT gen_random_uuid(), %(pod)s, 'ended', false, 'zygote', '', now(), 'test'
    FROM generate_series(1, %(rows)s) RETURNING id
), pair AS (
    SELECT room.id AS room, agent.id AS agent FROM (SELECT id, row_number() OVER () AS n FROM room) AS room
    JOIN (SELECT id, row_number() OVER () AS n FROM agent) AS agent USING (n)
)
INSERT INTO pools_voicesession (uuid, room_id, agent_process_id, status, start_kind, start_reason, attempt, body,
    stop_reason, ended_at, end_reason, outcome, transcript, detail)
SELECT gen_random_uuid(), room, agent, 'ended', 'warm', '', 1, '{}', '', now(), 'bot_ended', '', '[]', '{}' FROM pair"""
