"""The forms of operators' orders. What is refused and why is for `pools.operators.orders` to say; the form shows it."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from pools import shares
from pools.decisions.targets import Pool
from pools.models import Pod, PoolOrder, Rollout
from pools.operators import orders, rollout
from pools.operators.orders import WORDS, OrderRefused
from pools.operators.rollout import RolloutRefused
from pools.shares import BadShares

A_MONTH = 60 * 24 * 31


def pods_to_choose() -> list[tuple[str, str]]:
    names = Pod.objects.current().order_by("name").values_list("name", flat=True)
    return [("", "all pods"), *((name, name) for name in names)]


class OrderForm(forms.Form):
    """`give(by)` gives the order, or adds its refusal to the form and returns None."""

    title: ClassVar[str]
    button: ClassVar[str]
    effect: ClassVar[str]
    permission: ClassVar[str] = "pools.add_poolorder"
    bounded_by_caps: ClassVar[bool] = False  # the page shows what each pod keeps and may keep
    reason = forms.CharField(
        required=False,
        max_length=300,
        label="Why",
        help_text="Shown with the order and kept in the audit log; may be left empty.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def warning(self) -> str:
        """What callers will notice; asked about before it is ordered. Empty: nothing."""
        return ""

    def order(self, by: str) -> PoolOrder | Rollout:
        raise NotImplementedError

    def give(self, by: str) -> PoolOrder | Rollout | None:
        try:
            return self.order(by)
        except (OrderRefused, BadShares, RolloutRefused) as refusal:
            self.add_error(None, ValidationError(str(refusal)))
            return None


class OfPoolForm(OrderForm):
    pool = forms.ChoiceField(
        choices=[(pool.value, WORDS[pool]) for pool in Pool], label="Pool", widget=UnfoldAdminSelectWidget
    )
    pod = forms.ChoiceField(choices=pods_to_choose, required=False, label="Pod", widget=UnfoldAdminSelectWidget)
    minutes = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=A_MONTH,
        label="For so many minutes",
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
        "Nothing more is made for the stock. What is in stock is still given out, and what is on demand still made: "
        "starts become slower, none is refused for this."
    )
    field_order = ["pool", "pod", "minutes", "reason"]

    def warning(self) -> str:
        return (
            "" if self.cleaned_data["pod"] else "All pods stop making stock: once it is used up, every start is slower."
        )

    def order(self, by: str) -> PoolOrder:
        return orders.pause(Pool(self.cleaned_data["pool"]), **self.values(by))


class SizeForm(OfPoolForm):
    bounded_by_caps = True
    title = "Set the size of a pool"
    button = "Set size"
    effect = (
        "Each pod keeps so many in stock, instead of the configured size and of what demand asks for, within its hard "
        "limits. When the order ends, the one before it counts again."
    )
    size = forms.IntegerField(
        min_value=0, max_value=10_000, label="Size of each pod", widget=UnfoldAdminIntegerFieldWidget
    )
    field_order = ["pool", "size", "pod", "minutes", "reason"]

    def warning(self) -> str:
        if self.cleaned_data["size"]:
            return ""
        return (
            f"Size 0 keeps nothing in stock on {self.cleaned_data['pod'] or 'all pods'}: every start there is slower."
        )

    def order(self, by: str) -> PoolOrder:
        data = self.cleaned_data
        return orders.resize(Pool(data["pool"]), data["size"], **self.values(by))


class ReserveForm(OrderForm):
    bounded_by_caps = True
    title = "Reserve warm pairs"
    button = "Reserve"
    effect = "So many rooms and agent processes of all pods together are warm in that time, then they are released."
    pairs = forms.IntegerField(min_value=1, max_value=10_000, label="Pairs", widget=UnfoldAdminIntegerFieldWidget)
    starts_at = forms.DateTimeField(
        label="From (UTC)", widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
    )
    minutes = forms.IntegerField(
        min_value=1, max_value=A_MONTH, label="For so many minutes", widget=UnfoldAdminIntegerFieldWidget
    )
    field_order = ["pairs", "starts_at", "minutes", "reason"]

    def order(self, by: str) -> PoolOrder:
        data = self.cleaned_data
        ends_at = data["starts_at"] + timedelta(minutes=data["minutes"])
        return orders.reserve(data["pairs"], starts_at=data["starts_at"], ends_at=ends_at, by=by, why=data["reason"])


class RolloutForm(OrderForm):
    title = "Roll out a version of the bot"
    button = "Roll out"
    effect = (
        "Calls prefer the versions by these shares from now on; all other versions share the rest. Where the version "
        "of a call is out of stock, it has another one at once. Calls that go on are not touched. To roll back, take "
        "the roll-out back on its page or on the dashboard."
    )
    permission = "pools.add_rollout"
    shares = forms.CharField(
        max_length=300,
        label="Shares",
        help_text="VERSION=PERCENT, several with spaces between, such as 2.3=10%. A version alone has all calls.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    ahead = forms.BooleanField(
        required=False,
        label="Ahead",
        help_text="Though no live pod runs such a version yet.",
        widget=UnfoldBooleanSwitchWidget,
    )
    field_order = ["shares", "ahead", "reason"]

    def order(self, by: str) -> Rollout:
        data = self.cleaned_data
        wanted = shares.parse(data["shares"].split())
        return rollout.roll_out(wanted, by=by, why=data["reason"], ahead=data["ahead"], how_ahead="switch Ahead on")


FORMS: dict[str, type[OrderForm]] = {
    "pause": PauseForm,
    "size": SizeForm,
    "reserve": ReserveForm,
    "roll-out": RolloutForm,
}
