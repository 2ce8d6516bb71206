"""Actions of operators on rows in the admin, and the page that asks to confirm them.

One table says who may do what to which rows. `pools.operators.steering` does it, as for `manage.py pools`; the admin
records who did it and why. GET shows the page, POST does the action. Rows to which it does not apply any more are shown
as such and left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views import View
from unfold.widgets import UnfoldAdminTextInputWidget

from pools.models import AgentProcess, Pod, PoolOverride, Rollout, Room, SessionStatus, StockStatus, VoiceSession
from pools.operators import overrides, rollout, steering
from pools.sessions.ending import end_for_operator


@dataclass(frozen=True)
class Verb:
    """One action. `perform(row, by)` does it and returns False if somebody else was faster."""

    name: str
    label: str
    icon: str
    done: str  # past participle, for messages and the audit log
    model: type[Model]
    effect: str
    applies: Callable[[Any], bool]
    perform: Callable[[Any, str], bool]
    dangerous: bool = False
    warning: Callable[[Sequence[Any]], str] = lambda rows: (
        ""
    )  # what callers will notice, given the rows to which it applies

    @property
    def permission(self) -> str:
        return f"{self.model._meta.app_label}.{get_permission_codename('change', self.model._meta)}"

    def may(self, user: Any) -> bool:
        return bool(user.has_perm(self.permission))

    def url(self, keys: Sequence[int], back: str = "") -> str:
        """Address of the page that asks for confirmation. `back`: the page to return to; default: the list."""
        query = {"ids": ",".join(map(str, keys))} | ({"back": back} if back else {})
        return f"{reverse('admin:steer', args=[self.name])}?{urlencode(query)}"


def _end(session: VoiceSession, by: str) -> bool:
    before = session.status
    asked = end_for_operator(session.uuid, by)
    return asked is not None and before != SessionStatus.ENDED


def _leaves_none(pods: Sequence[Pod]) -> str:
    if not steering.leaves_none(pods):
        return ""
    these = "This is the only pod" if len(pods) == 1 else "These are the only pods"
    return f"{these} in service: callers will get 503."


_ALL = (
    Verb(
        "drain",
        "Drain",
        "logout",
        "drained",
        Pod,
        "The pod gets no more sessions and keeps nothing ready; other pods adopt its rooms. Its calls go on. It stays "
        "out of service until you uncordon it.",
        lambda pod: pod.ended_at is None and not pod.draining,
        steering.drain,
        dangerous=True,
        warning=_leaves_none,
    ),
    Verb(
        "uncordon",
        "Uncordon",
        "login",
        "uncordoned",
        Pod,
        "The pod fills its pools again and takes sessions.",
        lambda pod: pod.ended_at is None and bool(pod.drained_by),
        steering.uncordon,
    ),
    Verb(
        "retire",
        "Retire",
        "autorenew",
        "retired",
        Room,
        "The rooms are replaced by new ones, a few at a time so that the pool does not run dry, and deleted at Daily. "
        "Until its turn comes a room may still be given out. Rooms in a session are not touched.",
        lambda room: room.status == StockStatus.AVAILABLE and not room.retiring,
        lambda room, by: steering.retire_rooms(Room.objects.filter(pk=room.pk), by) == 1,
        dangerous=True,
    ),
    Verb(
        "recycle",
        "Recycle",
        "autorenew",
        "recycled",
        AgentProcess,
        "Idle processes are replaced by new ones, a few at a time so that the pool does not run dry. Those in a "
        "session are not touched: they end with the session.",
        lambda process: process.status == StockStatus.AVAILABLE and not process.retiring,
        lambda process, by: steering.recycle_processes(AgentProcess.objects.filter(pk=process.pk), by) == 1,
        dangerous=True,
    ),
    Verb(
        "end-session",
        "End",
        "call_end",
        "ended",
        VoiceSession,
        "The call ends for its caller, its room is deleted at Daily, and the lead is FINISHED.",
        lambda session: session.status != SessionStatus.ENDED and not session.stop_reason,
        _end,
        dangerous=True,
    ),
    Verb(
        "cancel",
        "Cancel",
        "cancel",
        "cancelled",
        PoolOverride,
        "The override ends now. A pause is lifted, a size goes back to what it was before, a reservation is released.",
        lambda override: (
            override.cancelled_at is None and (override.ends_at is None or override.ends_at > timezone.now())
        ),
        lambda override, by: overrides.cancel(override.uuid, by=by),
    ),
    Verb(
        "roll-back",
        "Roll back",
        "undo",
        "rolled back",
        Rollout,
        "New calls go to the versions as they did before this roll-out. Running calls are not touched.",
        lambda made: made == rollout.standing(),
        lambda made, by: rollout.roll_back(by=by, only=made) is not None,
        dangerous=True,
    ),
)
VERBS = {verb.name: verb for verb in _ALL}


AT_ONCE = 200  # rows: their keys are in the URL


class ReasonForm(forms.Form):
    reason = forms.CharField(
        required=False,
        max_length=300,
        label="Why",
        help_text="Recorded in the audit log; optional.",
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
        raise Http404("None of these rows exists any more.")
    return rows


def _url(row: models.Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def _back(request: HttpRequest, verb: Verb) -> str:
    """The page to return to: dashboard, row or list. A fixed choice, never an address from the request."""
    match _given(request, "back"):
        case "admin:index":
            return reverse("admin:index")
        case "row" if len(rows := _rows(request, verb)) == 1:
            return _url(rows[0])
    return reverse(f"admin:{verb.model._meta.app_label}_{verb.model._meta.model_name}_changelist")
