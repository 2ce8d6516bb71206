"""What the lists of rows share: colours of statuses, filters with known choices, actions of operators."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import messages
from django.contrib.admin import SimpleListFilter
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from common.admin_pages import ReadOnlyAdmin
from pools.dashboard.verbs import AT_ONCE, VERBS, Verb
from pools.sessions.end_reasons import END_REASONS
from pools.sessions.misses import Cause

REPLACED_SOON = "available, to be replaced"
STATUS_COLOURS = {
    "warming": "info",
    "available": "success",
    REPLACED_SOON: "warning",
    "in_use": "primary",
    "waiting": "warning",
    "assigned": "info",
    "active": "success",
}
START_COLOURS = {"prejoined": "success", "warm": "success", "partial": "warning", "cold": "danger"}
POD_COLOURS = {"live": "success", "draining": "warning", "out of service": "warning", "silent": "danger"}
OVERRIDE_COLOURS = {"in force": "warning", "to come": "info"}
ROLLOUT_COLOURS = {"in force": "success", "taken back": "warning"}


def one_of(field: str, title_: str, choices: Iterable[str]) -> type[SimpleListFilter]:
    """A filter `?field=choice`. Django's own would read a million rows to find the choices."""
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


class SteeredAdmin(ReadOnlyAdmin):
    """Read-only admin pages whose rows have actions: in the list and as buttons on the page of a row.

    Users without permission see neither.
    """

    change_form_outer_before_template = "dashboard/verb_buttons.html"

    def verbs_for(self, request: HttpRequest) -> list[Verb]:
        return [verb for verb in VERBS.values() if verb.model is self.model and verb.may(request.user)]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {
            verb.name: (_confirmed(verb), verb.name, f"{verb.label} the selected {self.opts.verbose_name_plural}")
            for verb in self.verbs_for(request)
        }

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        buttons = [
            {"label": verb.label, "icon": verb.icon, "dangerous": verb.dangerous, "url": verb.url([row.pk], back="row")}
            for verb in self.verbs_for(request)
            if row is not None and verb.applies(row)
        ]
        return super().changeform_view(request, object_id, form_url, {"verb_buttons": buttons, **(extra_context or {})})


def _confirmed(verb: Verb) -> Callable[[Any, HttpRequest, QuerySet[Model]], HttpResponse | None]:
    def ask(admin: Any, request: HttpRequest, rows: QuerySet[Model]) -> HttpResponse | None:
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[: AT_ONCE + 1])
        if len(keys) > AT_ONCE:
            messages.error(request, f"At most {AT_ONCE} at once; `manage.py pools recycle` replaces all.")
            return None
        return HttpResponseRedirect(verb.url(keys))

    return ask
