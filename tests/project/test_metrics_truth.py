"""After a load on the real service, its metrics are what the database and Daily's own books say, name by name."""

import json
import re
from typing import Any

import pytest
import requests
from django.db.models import Count, F, Sum

from leads.models import Lead, LeadStatus
from pools.models import AgentProcess, Pod, Room, SessionStatus, StockStatus, VoiceSession
from tests.project.test_metrics import Samples, samples, value
from tests.support.alerting import check_alerts_and_dashboard
from tests.support.api import CONNECT
from tests.support.waiting import wait_until
from tests.support.whole_service import Service, running_service

DEADLINE = 40.0
CALLS = 6


def scrape(url: str) -> Samples:
    answer = requests.get(f"{url}/metrics", timeout=10)
    assert answer.status_code == 200
    return samples(answer.text)


def pods_port(service: Service) -> str:
    (port,) = re.findall(r"event=probes_listen port=(\d+)", service.runpools.output())
    return f"http://127.0.0.1:{port}"


def counted(rows: Any, *fields: str) -> dict[tuple[str, ...], int]:
    return {tuple(row[:-1]): row[-1] for row in rows.order_by().values_list(*fields).annotate(n=Count("pk"))}


def load(service: Service) -> None:
    """Warm, partial and cold starts, one refused, ends of two kinds, one lead that nobody connects."""
    service.push(request_id="waits")
    for number in range(CALLS):
        lead = service.push(request_id=f"call-{number}")
        assert service.post(CONNECT, {"lead_id": lead}).status_code == 200
    assert service.post(CONNECT, {"lead_id": lead}).status_code == 400
    joined = VoiceSession.objects.active().filter(bot_joined_at__isnull=False)
    wait_until(lambda: joined.count() == CALLS, DEADLINE)
    for session in VoiceSession.objects.all()[: CALLS // 2]:
        service.post(f"/agent/voice/automatic/cleanup/{session.uuid}", {})
    ended = VoiceSession.objects.filter(status=SessionStatus.ENDED)
    wait_until(lambda: ended.count() == CALLS // 2, DEADLINE)


@pytest.mark.django_db(transaction=True)
def test_after_a_load_metrics_and_logs_are_the_truth(sandbox, tmp_path):
    with running_service(sandbox, tmp_path, LOG_FORMAT="json") as service:
        load(service)
        wait_until(is_settled, DEADLINE)
        wait_until(lambda: in_use(scrape(pods_port(service))) == VoiceSession.objects.active().count(), DEADLINE)
        api, pod = scrape(service.url), scrape(pods_port(service))
        check_sessions(api)
        check_stock(api)
        check_requests(api)
        check_daily(api, pod, sandbox.counters()["calls"])
        check_pod(pod)
        check_alerts_and_dashboard({*api, *pod})
        check_logs(service)


def is_settled() -> bool:
    """Nothing is being made: the pools are at the target that demand has given them."""
    pod = Pod.objects.get()
    stock = (AgentProcess.objects.available().count(), Room.objects.available().count())
    warming = AgentProcess.objects.warming().exists() or Room.objects.warming().exists()
    return stock == (pod.agent_target, pod.room_target) and not warming


def check_logs(service: Service) -> None:
    """Every line of every process is an object; what concerns a session has its ids, and a session has its lines."""
    api, pod = (
        [json.loads(line) for line in log.output().splitlines()] for log in (service.gunicorn, service.runpools)
    )
    assert all({"time", "message"} <= line.keys() for line in (*api, *pod))
    assert any("Booting worker" in line["message"] for line in api)
    assert pod and all(line["pod"] for line in pod)
    leads = {str(session.uuid): str(session.reference) for session in VoiceSession.objects.all()}
    events: dict[str, set[str]] = {}
    for line in (*api, *pod):
        if session := line.get("session"):
            assert line["lead"] == leads[session], line
            events.setdefault(session, set()).add(line.get("event", ""))
    assert events.keys() == leads.keys() and all("session_active" in told for told in events.values())
    ended = VoiceSession.objects.filter(status=SessionStatus.ENDED)
    assert all("session_ended" in events[str(session.uuid)] for session in ended)
    of_agents = [line for line in pod if line.get("reason") == "ended_by_operator" and "agent" in line]
    assert len(of_agents) == ended.count() and all(line["pid"] for line in of_agents)


def check_sessions(api: Samples) -> None:
    sessions = VoiceSession.objects.all()
    assert value(api, "breeze_buddy_active_calls") == sessions.active().count() == CALLS - CALLS // 2
    assert value(api, "breeze_buddy_lead_backlog") == Lead.objects.filter(status=LeadStatus.BACKLOG).count() == 1
    for status in ("waiting", "assigned", "active"):
        assert value(api, "breeze_buddy_sessions", status=status) == sessions.filter(status=status).count()
    starts = counted(sessions, "start_kind")
    assert sum(starts.values()) == CALLS
    for kind in ("warm", "partial", "cold"):
        assert value(api, "breeze_buddy_starts_total", kind=kind) == starts.get((kind,), 0)
        claims = api.get(("breeze_buddy_claim_seconds_count", (("kind", kind),)), 0)
        assert claims == starts.get((kind,), 0)
    for pool, field in (("agents", "agent_miss"), ("rooms", "room_miss")):
        for (cause,), number in counted(sessions.exclude(**{field: ""}), field).items():
            assert value(api, "breeze_buddy_misses_total", pool=pool, cause=cause) == number
    ended = counted(sessions.filter(status=SessionStatus.ENDED), "end_reason")
    for (reason,), number in ended.items():
        assert value(api, "breeze_buddy_sessions_ended_total", reason=reason) == number
    again = sessions.aggregate(n=Sum(F("attempt") - 1))["n"]
    assert value(api, "breeze_buddy_handoffs_again_total") == again


def check_stock(api: Samples) -> None:
    for model, name in ((AgentProcess, "voice_agent_pool"), (Room, "daily_room_pool")):
        rows: Any = model
        for status in (StockStatus.AVAILABLE, StockStatus.WARMING, StockStatus.IN_USE):
            number = rows.objects.filter(status=status).count()
            assert value(api, f"breeze_buddy_{name}_{status}") == number, (name, status)
    pod = Pod.objects.get()
    assert value(api, "breeze_buddy_voice_agent_pool_target") == pod.agent_target
    assert value(api, "breeze_buddy_daily_room_pool_target") == pod.room_target
    assert value(api, "breeze_buddy_pods", state="taking") == 1
    assert value(api, "breeze_buddy_daily_up") == 1
    assert value(api, "breeze_buddy_database_up") == 1


def check_requests(api: Samples) -> None:
    name, route = "http_request_duration_seconds_count", "agent/voice/breeze-buddy/connect"
    assert value(api, name, method="POST", route=route, status="200") == CALLS
    assert value(api, name, method="POST", route=route, status="400") == 1
    assert value(api, "breeze_buddy_processes", process="gunicorn") == 2  # the master and one worker
    assert value(api, "breeze_buddy_process_memory_bytes", process="gunicorn") > 10 * 1024 * 1024


def check_daily(api: Samples, pod: Samples, books: dict[str, dict[str, int]]) -> None:
    """Each process counts its own calls; together they are what Daily has seen."""
    ours: dict[tuple[str, str], float] = {}
    for found in (api, pod):
        for (name, labels), number in found.items():
            if name == "breeze_buddy_daily_calls_total":
                key = (dict(labels)["route"], dict(labels)["status"])
                ours[key] = ours.get(key, 0) + number
    made = "POST /rooms"
    assert sum(n for (route, _), n in ours.items() if route == made) == sum(books[made].values())


def in_use(pod: Samples) -> float:
    """The pod looks at itself once a second."""
    return value(pod, "breeze_buddy_pod_agent_processes", status="in_use")


def check_pod(pod: Samples) -> None:
    handoffs = sum(n for (name, _), n in pod.items() if name == "breeze_buddy_handoff_seconds_count")
    felt = sum(n for (name, _), n in pod.items() if name == "breeze_buddy_acknowledged_seconds_count")
    assert handoffs == felt == VoiceSession.objects.exclude(active_at=None).count()
    assert in_use(pod) == VoiceSession.objects.active().count()
    assert value(pod, "breeze_buddy_processes", process="runpools") == 1
    assert value(pod, "breeze_buddy_process_memory_bytes", process="agents") > 1024 * 1024
    assert value(pod, "breeze_buddy_process_cpu_seconds_total", process="agents") > 0
    warmed = sum(n for (name, _), n in pod.items() if name == "breeze_buddy_agent_warmup_seconds_count")
    assert warmed == AgentProcess.objects.exclude(warmup_ms=None).count()
