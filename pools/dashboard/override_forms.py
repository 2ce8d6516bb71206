"""The page on which operators set overrides and make roll-outs, with its forms.

`pools.operators.overrides` decides what is refused; the form shows the reason.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views import View
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from pools import shares
from pools.decisions.targets import Pool
from pools.models import Pod, PoolOverride, Rollout
from pools.operators import overrides, rollout
from pools.operators.overrides import CAPS, WORDS, OverrideRefused, sizes
from pools.operators.rollout import RolloutRefused
from pools.shares import BadShares

A_MONTH = 60 * 24 * 31


def pods_to_choose() -> list[tuple[str, str]]:
    names = Pod.objects.current().order_by("name").values_list("name", flat=True)
    return [("", "all pods"), *((name, name) for name in names)]


class OverrideForm(forms.Form):
    """A form for one kind of override."""

    title: ClassVar[str]
    button: ClassVar[str]
    effect: ClassVar[str]
    permission: ClassVar[str] = "pools.add_pooloverride"
    bounded_by_caps: ClassVar[bool] = False  # the page shows sizes and caps of each pod
    reason = forms.CharField(
        required=False,
        max_length=300,
        label="Why",
        help_text="Shown with the override and kept in the audit log; optional.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def warning(self) -> str:
        """What callers will notice, to be confirmed before the override is set. Empty: nothing."""
        return ""

    def make(self, by: str) -> PoolOverride | Rollout:
        raise NotImplementedError

    def apply(self, by: str) -> PoolOverride | Rollout | None:
        """Set the override. If it is refused, add the reason to the form and return None."""
        try:
            return self.make(by)
        except (OverrideRefused, BadShares, RolloutRefused) as refusal:
            self.add_error(None, ValidationError(str(refusal)))
            return None


class OfPoolForm(OverrideForm):
    pool = forms.ChoiceField(
        choices=[(pool.value, WORDS[pool]) for pool in Pool], label="Pool", widget=UnfoldAdminSelectWidget
    )
    pod = forms.ChoiceField(choices=pods_to_choose, required=False, label="Pod", widget=UnfoldAdminSelectWidget)
    minutes = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=A_MONTH,
        label="Duration (minutes)",
        help_text="Empty: until somebody cancels it.",
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def until(self) -> datetime | None:
        minutes = self.cleaned_data["minutes"]
        return timezone.now() + timedelta(minutes=minutes) if minutes else None

    def values(self, by: str) -> dict[str, Any]:
        data = self.cleaned_data
        return {"pod": data["pod"], "until": self.until(), "by": by, "why": data["reason"]}


class PauseForm(OfPoolForm):
    title = "Pause a pool"
    button = "Pause"
    effect = (
        "The pool is not filled any more. Its ready items are still given out, and items on demand are still made: "
        "starts become slower, none is refused because of it."
    )
    field_order = ["pool", "pod", "minutes", "reason"]

    def warning(self) -> str:
        return (
            ""
            if self.cleaned_data["pod"]
            else "All pods stop filling this pool: once it is empty, every start is slower."
        )

    def make(self, by: str) -> PoolOverride:
        return overrides.pause(Pool(self.cleaned_data["pool"]), **self.values(by))


class SizeForm(OfPoolForm):
    bounded_by_caps = True
    title = "Set the size of a pool"
    button = "Set size"
    effect = (
        "Each pod keeps this number ready, within its hard limits, instead of the configured size, and does not follow "
        "demand. When the override ends, the one before it applies again."
    )
    size = forms.IntegerField(
        min_value=0, max_value=10_000, label="Size of each pod", widget=UnfoldAdminIntegerFieldWidget
    )
    field_order = ["pool", "size", "pod", "minutes", "reason"]

    def warning(self) -> str:
        if self.cleaned_data["size"]:
            return ""
        return f"With size 0, {self.cleaned_data['pod'] or 'all pods'} keep nothing ready: every start there is slower."

    def make(self, by: str) -> PoolOverride:
        data = self.cleaned_data
        return overrides.resize(Pool(data["pool"]), data["size"], **self.values(by))


class ReserveForm(OverrideForm):
    bounded_by_caps = True
    title = "Reserve warm pairs"
    button = "Reserve"
    effect = "All pods together keep this number of rooms and agent processes warm during that time, then release them."
    pairs = forms.IntegerField(min_value=1, max_value=10_000, label="Pairs", widget=UnfoldAdminIntegerFieldWidget)
    starts_at = forms.DateTimeField(
        label="From (UTC)", widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
    )
    minutes = forms.IntegerField(
        min_value=1, max_value=A_MONTH, label="Duration (minutes)", widget=UnfoldAdminIntegerFieldWidget
    )
    field_order = ["pairs", "starts_at", "minutes", "reason"]

    def make(self, by: str) -> PoolOverride:
        data = self.cleaned_data
        ends_at = data["starts_at"] + timedelta(minutes=data["minutes"])
        return overrides.reserve(data["pairs"], starts_at=data["starts_at"], ends_at=ends_at, by=by, why=data["reason"])


class RolloutForm(OverrideForm):
    title = "Roll out a version of the bot"
    button = "Roll out"
    effect = (
        "From now on calls prefer the versions by these shares; all other versions share the rest. If the version of a "
        "call has nothing ready, the call gets another one at once. Running calls are not touched. To roll back, use "
        "the page of the roll-out or the dashboard."
    )
    permission = "pools.add_rollout"
    shares = forms.CharField(
        max_length=300,
        label="Shares",
        help_text="VERSION=PERCENT, separated by spaces, such as 2.3=10%. A version without a share gets all calls.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    ahead = forms.BooleanField(
        required=False,
        label="Ahead",
        help_text="Accept versions that no live pod runs yet.",
        widget=UnfoldBooleanSwitchWidget,
    )
    field_order = ["shares", "ahead", "reason"]

    def make(self, by: str) -> Rollout:
        data = self.cleaned_data
        wanted = shares.parse(data["shares"].split())
        return rollout.roll_out(wanted, by=by, why=data["reason"], ahead=data["ahead"], how_ahead="switch Ahead on")


FORMS: dict[str, type[OverrideForm]] = {
    "pause": PauseForm,
    "size": SizeForm,
    "reserve": ReserveForm,
    "roll-out": RolloutForm,
}


SHOWN = 10  # pods


class OverrideView(View):
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
        override = form.apply(request.user.get_username()) if form.is_valid() else None
        if override is None:
            return self._page(request, form)
        message = f"set: {override.reason}" if override.reason else "set"
        LogEntry.objects.log_actions(request.user.pk or 0, [override], ADDITION, message)
        messages.success(request, f"Set: {override}.")
        return HttpResponseRedirect(reverse("admin:index"))

    def _page(self, request: HttpRequest, form: OverrideForm, warning: str = "") -> HttpResponse:
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
        return TemplateResponse(request, "dashboard/override.html", context)


def _stocks() -> list[str]:
    """Sizes and caps of each pod, and the setting that limits them, as text."""
    pods = list(Pod.objects.taking().order_by("name"))
    return [
        f"{pod.name}: {WORDS[pool]} {sizes([pod], pool)} ({CAPS[pool]})" for pod in pods[:SHOWN] for pool in Pool
    ] + ([f"and {len(pods) - SHOWN} more pods"] if len(pods) > SHOWN else [])


def _form_class(request: HttpRequest, action: str) -> type[OverrideForm]:
    if action not in FORMS:
        raise Http404(f"There is no override {action}.")
    if not request.user.has_perm(FORMS[action].permission):
        raise PermissionDenied
    return FORMS[action]
