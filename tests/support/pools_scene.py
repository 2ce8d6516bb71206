"""A day in the life of the pools, as rows: what the cockpit's pages are shown with in browser tests and screenshots."""

import math
import random
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from leads.models import LeadStatus
from pools.models import PoolSample, VoiceSession
from tests.support.make import (
    make_agent_process,
    make_daily_account,
    make_lead,
    make_pod,
    make_room,
    make_session,
    make_template,
)


def make_operator(name: str = "ann") -> User:
    return User.objects.create_superuser(name, password=None)


def make_scene() -> None:
    """Three pods, one in trouble; calls; a burst an hour ago that emptied the pool of agent processes."""
    make_daily_account()
    pods = [make_pod(f"pool-{letter}", agent_target=6, agent_cap=8, room_target=6, room_cap=8) for letter in "abc"]
    for pod in pods[:2]:
        for _ in range(6):
            make_agent_process(pod), make_room(pod=pod)
    make_agent_process(pods[1], "warming")
    pods[2].agent_trouble = "warm-up failed: ModuleNotFoundError: No module named 'promptlib'"
    pods[2].free_slots = 0
    pods[2].save()
    for _ in range(4):
        make_room(pod=pods[2])
    template = make_template("order-confirmation")
    for number in range(5):
        session = make_session(pod=pods[number % 2])
        make_lead(LeadStatus.PROCESSING, template=template, voice_session=session, request_id=f"order-48{number:02}")
    make_samples()
    _misses(pods)


def _misses(pods: list[Any]) -> None:
    seen = {"pods": 3, "agent_target": 12, "agents_warming": 2, "room_target": 16}
    for kind, agent_miss, room_miss, number in (
        ("partial", "burst", "", 7),
        ("partial", "", "daily_budget", 2),
        ("cold", "trouble", "burst", 1),
    ):
        for minute in range(number):
            values = {"start_kind": kind, "agent_miss": agent_miss, "room_miss": room_miss, "circumstances": seen}
            _ended(pods[0], timedelta(minutes=20 + minute), **values)
    for minute in range(120):
        _ended(pods[minute % 2], timedelta(seconds=20 * minute))
    lost = VoiceSession.objects.filter(end_reason="caller_left", agent_process__pod=pods[1])[:2]
    VoiceSession.objects.filter(pk__in=lost.values("pk")).update(end_reason="agent_lost")


def _ended(pod: Any, ago: timedelta, **values: Any) -> None:
    session = make_session("ended", pod=pod, end_reason="caller_left", **values)
    at = timezone.now() - ago
    kind = session.start_kind
    took = timedelta(milliseconds=19 if kind == "warm" else 64 if kind == "partial" else 312)
    VoiceSession.objects.filter(pk=session.pk).update(
        created_at=at,
        before_claim_ms=6.0,
        assigned_at=at + took / 3,
        handed_off_at=at + took / 2,
        active_at=at + took,
        bot_joined_at=at + took * 5,
        caller_joined_at=at + took * 12,
        first_audio_at=at + took * 14,
        ended_at=at + timedelta(minutes=2),
    )


def make_samples(hours: float = 24.0, interval: float = 30.0) -> None:
    """Demand that comes and goes; a burst 25 minutes ago."""
    chance = random.Random(7)
    now = timezone.now()
    number = int(hours * 3600 / interval)
    PoolSample.objects.bulk_create(
        _sample(now - timedelta(seconds=interval * (number - i)), (number - i) * interval / 60, chance)
        for i in range(number)
    )


def _sample(at: Any, minutes_ago: float, chance: random.Random) -> PoolSample:
    demand = 3 + 2.5 * math.sin(minutes_ago / 70) + chance.random() * 1.5
    burst = 20 < minutes_ago < 25
    taken = chance.choice([0, 0, 0, 1, 1, 2])
    missed = chance.randint(1, 3) if burst else 0
    return PoolSample(
        at=at,
        pods=3,
        agents_available=0 if burst else 12 - taken,
        agents_warming=2 if burst else taken,
        agents_in_use=int(demand * (6 if burst else 3)),
        agents_target=12 if minutes_ago > 8 else 18,
        rooms_available=max(0, (2 if burst else 16) - taken),
        rooms_warming=taken,
        rooms_in_use=int(demand * (6 if burst else 3)),
        rooms_target=16,
        waiting=0,
        last_session=0,
        warm=int(demand * 2),
        partial=missed * 2,
        cold=missed // 2,
        acknowledged=int(demand * 2) + missed,
        connect_p50_ms=18 + 4 * chance.random() + (20 if burst else 0),
        connect_p99_ms=34 + 20 * chance.random() + (190 if burst else 0),
        daily_left=1 - min(0.9, demand / 14 + (0.4 if burst else 0)),
    )
