"""Confirmation of a verb: which rows, what it does to them, why; then it is done and logged.

GET shows the page, POST does it. Rows to which the verb does not apply any more are shown as such and left alone.
"""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views import View
from unfold.widgets import UnfoldAdminTextInputWidget

from pools.dashboard.verbs import VERBS, Verb

AT_ONCE = 200  # their keys travel in an address


class ReasonForm(forms.Form):
    reason = forms.CharField(
        required=False,
        max_length=300,
        label="Why",
        help_text="For the audit log; may be left empty.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class SteerView(View):
    admin_site: Any = None
    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest, verb: str) -> HttpResponse:
        return self._page(request, _verb(request, verb), ReasonForm())

    def post(self, request: HttpRequest, verb: str) -> HttpResponse:
        found = _verb(request, verb)
        form = ReasonForm(request.POST)
        if not form.is_valid():
            return self._page(request, found, form)
        rows = [row for row in _rows(request, found) if found.applies(row)]
        by = request.user.get_username()
        done = [row for row in rows if found.perform(row, by)]
        if done:
            log(request, found, done, form.cleaned_data["reason"])
        name = found.model._meta.verbose_name if len(done) == 1 else found.model._meta.verbose_name_plural
        if done:
            messages.success(request, f"{len(done)} {name} {found.done}.")
        else:
            messages.warning(request, f"Nothing was {found.done}: it does not apply any more.")
        return HttpResponseRedirect(_back(request, found))

    def _page(self, request: HttpRequest, verb: Verb, form: ReasonForm) -> HttpResponse:
        rows = _rows(request, verb)
        applies = [row for row in rows if verb.applies(row)]
        plural = verb.model._meta.verbose_name_plural if len(rows) != 1 else verb.model._meta.verbose_name
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb.label} {len(rows)} {plural}?",
            "verb": verb,
            "warning": verb.warning(applies),
            "rows": [{"row": row, "applies": row in applies, "url": _url(row)} for row in rows],
            "possible": bool(applies),
            "ids": ",".join(str(row.pk) for row in rows),
            "form": form,
            "back": _back(request, verb),
            "back_name": _given(request, "back"),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "dashboard/steer.html", context)


def log(request: HttpRequest, verb: Verb, rows: list[models.Model], reason: str) -> None:
    message = f"{verb.done}: {reason}" if reason else verb.done
    LogEntry.objects.log_actions(
        user_id=request.user.pk or 0, queryset=rows, action_flag=CHANGE, change_message=message
    )


def _verb(request: HttpRequest, name: str) -> Verb:
    verb = VERBS.get(name)
    if verb is None:
        raise Http404(f"There is no verb {name}.")
    if not verb.may(request.user):
        raise PermissionDenied
    return verb


def _given(request: HttpRequest, name: str) -> str:
    return str(request.POST.get(name) or request.GET.get(name) or "")


def _rows(request: HttpRequest, verb: Verb) -> list[Any]:
    given = _given(request, "ids").split(",")
    keys = [int(key) for key in given if key.isascii() and key.isdigit() and len(key) < 19][:AT_ONCE]
    rows = list(verb.model._default_manager.filter(pk__in=keys).order_by("pk"))
    if not rows:
        raise Http404("None of these is there any more.")
    return rows


def _url(row: models.Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def _back(request: HttpRequest, verb: Verb) -> str:
    """To the dashboard, the row or the list: from a choice of ours, never an address of the request's."""
    match _given(request, "back"):
        case "admin:index":
            return reverse("admin:index")
        case "row" if len(rows := _rows(request, verb)) == 1:
            return _url(rows[0])
    return reverse(f"admin:{verb.model._meta.app_label}_{verb.model._meta.model_name}_changelist")
