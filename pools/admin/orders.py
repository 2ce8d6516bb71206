"""Operators' orders: who has paused, sized or reserved what, until when. Given on a page of their own (order_view)."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import localize
from unfold.decorators import display

from common.display import NONE
from pools.dashboard.labels import ORDER_COLOURS
from pools.dashboard.steered import SteeredAdmin
from pools.models import PoolOrder


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
