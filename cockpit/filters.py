"""Filters whose choices are known: Django's own would read a million rows to find them out."""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from pools.misses import Cause

END_REASONS = (
    "caller_left",
    "bot_ended",
    "caller_never_joined",
    "idle_timeout",
    "session_limit",
    "ejected",
    "bot_error",
    "join_failed",
    "room_lost",
    "agent_lost",
    "supervisor_lost",
    "ended_by_operator",
    "pod_stopped",
    "no_meeting_token",
    "not_started",
)


def one_of(field: str, title_: str, choices: Iterable[str]) -> type[SimpleListFilter]:
    """`?field=choice`."""
    known = [(choice, choice.replace("_", " ")) for choice in choices]

    class OneOf(SimpleListFilter):
        title = title_
        parameter_name = field

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return known

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{field: self.value()}) if self.value() else queryset

    return OneOf


EndReason = one_of("end_reason", "end reason", END_REASONS)
AgentMiss = one_of("agent_miss", "why no process", Cause)
RoomMiss = one_of("room_miss", "why no room", Cause)
