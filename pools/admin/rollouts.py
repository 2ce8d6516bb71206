"""Roll-outs: which stood when, who made them, and how each version does now. Made on their own page (order_view)."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from pools.dashboard.labels import ROLLOUT_COLOURS
from pools.dashboard.steered import SteeredAdmin
from pools.dashboard.versions import versions
from pools.models import Rollout
from pools.operators.rollout import standing


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
