"""Filters whose choices are known: Django's own would read a million rows to find them out."""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from pools.sessions.end_reasons import END_REASONS
from pools.sessions.misses import Cause


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
