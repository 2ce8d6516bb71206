"""Admin pages of orders, roll-outs, and the audit logs of what operators did.

Orders and roll-outs are made on a page of their own (pools/dashboard/order_forms.py).
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import localize
from unfold.decorators import display

from common.admin_pages import ReadOnlyAdmin
from common.display import NONE
from pools.dashboard.changelists import ORDER_COLOURS, ROLLOUT_COLOURS, SteeredAdmin
from pools.dashboard.dashboard import versions
from pools.models import OperatorAct, PoolOrder, Rollout
from pools.operators.rollout import standing


@admin.register(PoolOrder)
class PoolOrderAdmin(SteeredAdmin):
    list_display = ["what", "state", "starts_at", "ends", "ordered_by", "reason", "cancelled_by"]
    list_filter = ["action", "pool", ("cancelled_at", admin.EmptyFieldListFilter)]
    search_fields = ["pod_name", "ordered_by", "reason"]
    list_before_template = "dashboard/give_orders.html"
    fields = [
        "what",
        "state",
        "uuid",
        "starts_at",
        "ends",
        "ordered_by",
        "ordered_at",
        "reason",
        "cancelled_by",
        "cancelled_at",
    ]

    @admin.display(description="order")
    def what(self, order: PoolOrder) -> str:
        return str(order)

    @display(description="state", label=ORDER_COLOURS)
    def state(self, order: PoolOrder) -> str:
        now = timezone.now()
        if order.cancelled_at:
            return "cancelled"
        if order.ends_at and order.ends_at <= now:
            return "over"
        return "in force" if order.starts_at <= now else "to come"

    @admin.display(description="until", ordering="ends_at")
    def ends(self, order: PoolOrder) -> str:
        return localize(order.ends_at) or NONE

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        may = request.user.has_perm("pools.add_poolorder")
        return super().changelist_view(request, {"may_order": may, **(extra_context or {})})


@admin.register(Rollout)
class RolloutAdmin(SteeredAdmin):
    list_display = ["what", "state", "set_at", "set_by", "reason", "taken_back_by", "taken_back_at"]
    list_filter = ["set_at", ("taken_back_at", admin.EmptyFieldListFilter)]
    search_fields = ["pairs", "set_by", "reason", "taken_back_by"]
    list_before_template = "dashboard/rollouts.html"
    fields = ["what", "state", "set_at", "set_by", "reason", "taken_back_by", "taken_back_at"]

    @admin.display(description="roll-out")
    def what(self, rollout: Rollout) -> str:
        return str(rollout)

    @display(description="state", label=ROLLOUT_COLOURS)
    def state(self, rollout: Rollout) -> str:
        if rollout.taken_back_at:
            return "taken back"
        return "in force" if rollout == standing() else "followed by another"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        context = {"may_roll_out": request.user.has_perm("pools.add_rollout"), "versions": versions()}
        return super().changelist_view(request, {**context, **(extra_context or {})})


@admin.register(LogEntry)
class AuditAdmin(ReadOnlyAdmin):
    list_before_template = "dashboard/audit.html"
    list_display = ["action_time", "who", "what", "object_repr", "content_type"]
    list_display_links = ["action_time"]
    list_filter = ["action_time", "content_type"]
    list_select_related = ["user", "content_type"]
    search_fields = ["object_repr", "change_message", "user__username"]
    fields = ["action_time", "who", "what", "object_repr", "content_type", "object_id"]

    @admin.display(description="who", ordering="user__username")
    def who(self, entry: LogEntry) -> str:
        return entry.user.get_username()

    @admin.display(description="what")
    def what(self, entry: LogEntry) -> str:
        return entry.get_change_message()


@admin.register(OperatorAct)
class OperatorActAdmin(ReadOnlyAdmin):
    list_display = ["at", "by", "what", "reason"]
    list_filter = ["at"]
    search_fields = ["by", "what", "reason"]
    fields = list_display
