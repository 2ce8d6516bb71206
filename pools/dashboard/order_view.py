"""The page on which an order is given: what it does, its form, and what speaks against it."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views import View

from pools.dashboard.order_forms import FORMS, OrderForm
from pools.decisions.targets import Pool
from pools.models import Pod
from pools.operators.orders import CAPS, WORDS, sizes

SHOWN = 10  # pods


class OrderView(View):
    admin_site: Any = None
    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest, action: str) -> HttpResponse:
        given = {name: request.GET[name] for name in ("pool", "pod", "size", "shares") if name in request.GET}
        return self._page(request, _form_class(request, action)(initial=given))

    def post(self, request: HttpRequest, action: str) -> HttpResponse:
        form = _form_class(request, action)(request.POST)
        warning = form.warning() if form.is_valid() else ""
        if warning and request.POST.get("confirmed") != warning:
            return self._page(request, form, warning)
        order = form.give(request.user.get_username()) if form.is_valid() else None
        if order is None:
            return self._page(request, form)
        message = f"ordered: {order.reason}" if order.reason else "ordered"
        LogEntry.objects.log_actions(request.user.pk or 0, [order], ADDITION, message)
        messages.success(request, f"Ordered: {order}.")
        return HttpResponseRedirect(reverse("admin:index"))

    def _page(self, request: HttpRequest, form: OrderForm, warning: str = "") -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": form.title,
            "effect": form.effect,
            "button": form.button,
            "form": form,
            "warning": warning,
            "stocks": _stocks() if form.bounded_by_caps else [],
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "dashboard/order.html", context)


def _stocks() -> list[str]:
    """What each pod keeps, and the setting that bounds it."""
    pods = list(Pod.objects.taking().order_by("name"))
    return [
        f"{pod.name}: {WORDS[pool]} {sizes([pod], pool)} ({CAPS[pool]})" for pod in pods[:SHOWN] for pool in Pool
    ] + ([f"and {len(pods) - SHOWN} more pods"] if len(pods) > SHOWN else [])


def _form_class(request: HttpRequest, action: str) -> type[OrderForm]:
    if action not in FORMS:
        raise Http404(f"There is no order {action}.")
    if not request.user.has_perm(FORMS[action].permission):
        raise PermissionDenied
    return FORMS[action]
