"""Rows for tests: plain functions, each with defaults that satisfy every constraint; keywords override fields."""

import itertools
import os
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from access.models import ApiToken, Profile, Role
from leads.models import ExecutionMode, Lead, LeadStatus, Template
from pools.daily.tokens import fingerprint
from pools.models import AgentProcess, DailyAccount, Pod, Room, SessionStatus, StartKind, StockStatus, VoiceSession

_number = itertools.count(1)
A_SLOW_TEST_S = 300.0


def make_pod(name: str | None = None, *, silent_for: float = -A_SLOW_TEST_S, **values: Any) -> Pod:
    """A pod that is live until the test is over; or its last heartbeat was `silent_for` seconds ago."""
    return Pod.objects.create(
        **{
            "name": name or f"pod-{next(_number)}",
            "host": "test-host",
            "os_pid": os.getpid(),
            "version": "1",
            "heartbeat_at": timezone.now() - timedelta(seconds=silent_for),
            "agent_target": 3,
            "agent_cap": 3,
            "room_target": 5,
            "room_cap": 5,
            "max_processes": 20,
            "free_slots": 20,
            "start_method": "zygote",
            **values,
        }
    )


def make_room(status: str = StockStatus.AVAILABLE, *, life: float = 5400, **values: Any) -> Room:
    """A room that lasts `life` seconds more; without `pod=` nobody counts it as stock."""
    now = timezone.now()
    name = values.get("name") or f"bb-test-{next(_number)}"
    usable = status in (StockStatus.AVAILABLE, StockStatus.IN_USE)
    return Room.objects.create(
        **{
            "name": name,
            "url": f"https://test.daily.co/{name}" if usable or status == StockStatus.ENDED else "",
            "status": status,
            "expires_at": now + timedelta(seconds=life),
            "available_at": now if usable else None,
            "in_use_at": now if status == StockStatus.IN_USE else None,
            "ended_at": now if status == StockStatus.ENDED else None,
            "end_reason": "test" if status == StockStatus.ENDED else "",
            **values,
        }
    )


def make_agent_process(pod: Pod | None = None, status: str = StockStatus.AVAILABLE, **values: Any) -> AgentProcess:
    """A process row without a process behind it; its PID is no real one."""
    now = timezone.now()
    return AgentProcess.objects.create(
        **{
            "pod": pod or make_pod(),
            "status": status,
            "os_pid": None if status == StockStatus.WARMING else 4_000_000 + next(_number),
            "available_at": now if status in (StockStatus.AVAILABLE, StockStatus.IN_USE) else None,
            "in_use_at": now if status == StockStatus.IN_USE else None,
            "ended_at": now if status == StockStatus.ENDED else None,
            "end_reason": "test" if status == StockStatus.ENDED else "",
            **values,
        }
    )


def make_session(status: str = SessionStatus.ACTIVE, *, pod: Pod | None = None, **values: Any) -> VoiceSession:
    """A session with a room of its own and, unless it is waiting, an agent process of `pod`."""
    now = timezone.now()
    over = status == SessionStatus.ENDED
    stock_status = StockStatus.ENDED if over else StockStatus.IN_USE
    if "room" not in values:
        values["room"] = make_room(stock_status, pod=pod)
    if "agent_process" not in values and status != SessionStatus.WAITING:
        values["agent_process"] = make_agent_process(pod, stock_status)
    return VoiceSession.objects.create(
        **{
            "status": status,
            "start_kind": StartKind.WARM,
            "assigned_at": None if status == SessionStatus.WAITING else now,
            "active_at": now if status in (SessionStatus.ACTIVE, SessionStatus.ENDED) else None,
            "ended_at": now if over else None,
            "end_reason": "bot_left" if over else "",
            **values,
        }
    )


def make_daily_account(**values: Any) -> DailyAccount:
    """The one row: verified with settings.DAILY_API_KEY, self-signed tokens accepted, no trouble."""
    return DailyAccount.objects.create(
        **{
            "pk": 1,
            "key_fingerprint": fingerprint(settings.DAILY_API_KEY),
            "domain_id": str(uuid.uuid4()),
            "domain_name": "test",
            "self_signed_tokens": True,
            "verified_at": timezone.now(),
            **values,
        }
    )


def make_template(name: str | None = None, **values: Any) -> Template:
    """A template of reseller `acme` for all of its merchants."""
    return Template.objects.create(
        **{
            "name": name or f"template-{next(_number)}",
            "reseller_id": "acme",
            "configurations": {"prompt": "Be kind."},
            **values,
        }
    )


def make_lead(status: str = LeadStatus.BACKLOG, **values: Any) -> Lead:
    """A DAILY lead with reseller and merchant of its template; in PROCESSING it gets an active session."""
    template = values.pop("template", None) or make_template(
        **{key: values[key] for key in ("reseller_id", "merchant_id") if key in values}
    )
    if status == LeadStatus.PROCESSING and "voice_session" not in values:
        values["voice_session"] = make_session()
    if session := values.get("voice_session"):  # what a connect and the end of a session copy from it
        values = {"call_id": session.room.name, "transcription": session.transcript, **values}
    return Lead.objects.create(
        **{
            "request_id": f"order-{next(_number)}",
            "template": template,
            "reseller_id": template.reseller_id,
            "merchant_id": template.merchant_id,
            "execution_mode": ExecutionMode.DAILY,
            "payload": {"customer_name": "Asha"},
            "status": status,
            "call_end_time": timezone.now() if status == LeadStatus.FINISHED else None,
            **values,
        }
    )


def make_user(role: str | None = Role.ADMIN, *, password: str = "a good password", **values: Any) -> User:  # noqa: S107
    """A user who can log in; `None`: without a profile."""
    scope = {name: values.pop(name) for name in ("reseller_ids", "merchant_ids") if name in values}
    name = values.pop("username", f"user-{next(_number)}")
    user = User.objects.create_user(name, **{"email": f"{name}@example.com", "password": password, **values})
    if role:
        Profile.objects.create(user=user, role=role, **scope)
    return user


def make_token(role: str = Role.ADMIN, **values: Any) -> tuple[ApiToken, str]:
    """The row and the secret to send as `Authorization: Bearer`."""
    return ApiToken.issue(**{"name": f"token-{next(_number)}", "role": role, **values})


def bearer(role: str = Role.ADMIN, **values: Any) -> dict[str, str]:
    """Headers of a new token, for `client.get(..., headers=bearer())`."""
    return {"Authorization": f"Bearer {make_token(role, **values)[1]}"}
