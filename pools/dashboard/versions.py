"""The versions of the bot side by side, as the dashboard and the list of roll-outs show them."""

from typing import Any

from django.urls import reverse

from pools.dashboard.verbs import VERBS
from pools.models import Rollout
from pools.operators import version_numbers

MINUTES = 60


def versions() -> list[dict[str, Any]]:
    """Of the last hour."""
    numbers = version_numbers.read(MINUTES)
    total = sum(version.starts for version in numbers)
    return [
        version.as_json() | {"had_percent": round(100 * version.starts / total, 1) if total else None}
        for version in numbers
    ]


def standing(made: Rollout | None, user: Any) -> dict[str, Any] | None:
    """What stands, with the way to take it back for those who may."""
    if made is None:
        return None
    back = VERBS["roll-back"]
    return {
        "words": str(made),
        "by": made.set_by,
        "at": made.set_at,
        "reason": made.reason,
        "url": reverse("admin:pools_rollout_change", args=[made.pk]),
        "back_url": back.url([made.pk], back="admin:index") if back.may(user) else None,
    }
