"""Admin pages of overrides, roll-outs, and the audit logs of what operators did.

Overrides and roll-outs are made on a page of their own (pools/dashboard/override_forms.py).
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
from pools.dashboard.changelists import OVERRIDE_COLOURS, ROLLOUT_COLOURS, SteeredAdmin
from pools.dashboard.dashboard import versions
from pools.models import OperatorAction, PoolOverride, Rollout
from pools.operators.rollout import standing


@admin.register(PoolOverride)
class PoolOverrideAdmin(SteeredAdmin):
    list_display = ["what", "state", "starts_at", "ends", "ordered_by", "reason", "cancelled_by"]
    list_filter = ["action", "pool", ("cancelled_at", admin.EmptyFieldListFilter)]
    search_fields = ["pod_name", "ordered_by", "reason"]
    list_before_template = "dashboard/set_overrides.html"
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

    @admin.display(description="override")
    def what(self, override: PoolOverride) -> str:
        return str(override)

    @display(description="state", label=OVERRIDE_COLOURS)
    def state(self, override: PoolOverride) -> str:
        now = timezone.now()
        if override.cancelled_at:
            return "cancelled"
        if override.ends_at and override.ends_at <= now:
            return "over"
        return "in force" if override.starts_at <= now else "to come"

    @admin.display(description="until", ordering="ends_at")
    def ends(self, override: PoolOverride) -> str:
        return localize(override.ends_at) or NONE

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        may = request.user.has_perm("pools.add_pooloverride")
        return super().changelist_view(request, {"may_override": may, **(extra_context or {})})


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


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    list_display = ["at", "by", "what", "reason"]
    list_filter = ["at"]
    search_fields = ["by", "what", "reason"]
    fields = list_display
