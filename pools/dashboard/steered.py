"""Admin pages of rows that verbs steer: the verbs are actions of the list and buttons on the row's page."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from common.admin_pages import ReadOnlyAdmin
from pools.dashboard.steer_view import AT_ONCE
from pools.dashboard.verbs import VERBS, Verb


class SteeredAdmin(ReadOnlyAdmin):
    """Whoever may only look sees neither."""

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
            messages.error(request, f"At most {AT_ONCE} at once; `manage.py pools recycle` takes all.")
            return None
        return HttpResponseRedirect(verb.url(keys))

    return ask
