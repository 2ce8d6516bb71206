"""The admin site. Its front page is the dashboard, which polls `live.json` for new figures."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from rest_framework.exceptions import Throttled
from unfold.sites import UnfoldAdminSite

from access.login import count_address
from access.login_form import LoginForm
from common.admin_pages import OfferedAutocomplete
from pools.dashboard.charts import span_named
from pools.dashboard.dashboard import live
from pools.dashboard.override_forms import OverrideView
from pools.dashboard.verbs import SteerView

REFUSED_LOGIN = """<!doctype html><html lang="en"><title>Too many attempts</title>
<p>Too many attempts to log in. Try again in {seconds} s.</p><p><a href="">Back</a></p></html>"""


def _refused_login(seconds: int) -> HttpResponse:
    """Answer without the form, which takes five times the CPU: guesses come by the thousand."""
    page = REFUSED_LOGIN.format(seconds=seconds)
    return HttpResponse(page, status=429, headers={"Retry-After": str(seconds), "Cache-Control": "no-store"})


def may_see_dashboard(request: HttpRequest) -> bool:
    return request.user.has_perm("pools.view_pod")


class BreezeBuddyAdminSite(UnfoldAdminSite):
    index_template = "dashboard/dashboard.html"
    index_title = "Dashboard"
    enable_nav_sidebar = True
    login_form = LoginForm

    def get_urls(self) -> list[URLPattern]:
        return [
            path("live.json", self.admin_view(self.live), name="live"),
            path("steer/<slug:verb>/", self.admin_view(SteerView.as_view(admin_site=self)), name="steer"),
            path("override/<slug:action>/", self.admin_view(OverrideView.as_view(admin_site=self)), name="override"),
            *super().get_urls(),
        ]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        try:
            if request.method == "POST":
                count_address(request)
            return super().login(request, extra_context)
        except Throttled as error:
            return _refused_login(int(getattr(error, "wait", None) or 1))

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        """Refuse URLs with a NUL: PostgreSQL does not take one, and Django checks only forms for it."""

        @wraps(view)
        def without_nul(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if "\0" in request.path or any("\0" in f"{name}{value}" for name, value in _asked(request)):
                raise BadRequest("An address cannot have a NUL.")
            return view(request, *args, **kwargs)

        return super().admin_view(without_nul, cacheable)

    def autocomplete_view(self, request: HttpRequest) -> Any:
        return OfferedAutocomplete.as_view(admin_site=self)(request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        if not may_see_dashboard(request):
            return super().index(request, extra_context)
        span = span_named(request.GET.get("span"))
        return super().index(request, {"live": live(request.user, span), **(extra_context or {})})

    def live(self, request: HttpRequest) -> HttpResponse:
        """Return what the dashboard shows, as JSON for its script.

        `?sample=` names the newest sample that the script has; the charts are sent only if there is a newer one.
        """
        if not may_see_dashboard(request):
            return JsonResponse({"detail": "You may not see the pools."}, status=403)
        known = request.GET.get("sample", "")
        answer = JsonResponse(live(request.user, span_named(request.GET.get("span")), known_sample=known))
        answer["Cache-Control"] = "no-store"
        return answer


def _asked(request: HttpRequest) -> list[tuple[str, str]]:
    return [(name, value) for name, values in request.GET.lists() for value in values]
