"""Data of the dashboard as one JSON object, read when the page is made and again every few seconds.

It takes a handful of short queries over current rows, samples and ranges of the primary key, so that ended sessions
cost nothing.
"""

from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from pools.daily import budget
from pools.dashboard.charts import Span, history
from pools.dashboard.starts import causes, last_day, last_hour
from pools.dashboard.verbs import VERBS
from pools.dashboard.verdict import Aim, daily_level, pod_level, verdict
from pools.decisions.targets import Pool
from pools.models import PoolOverride, PoolSample, Rollout, StartKind, VoiceSession
from pools.operators import version_numbers
from pools.sessions.end_reasons import OUR_FAULT
from pools.status.sampling import Mark
from pools.status.state import PodState, PoolState, Stock, read_state

OPEN_TALK_PAGE = (
    "TALK_PAGE is on: anybody who reaches /talk can start calls without a token. Use it for development only."
)


def live(user: Any, span: Span, known_sample: str = "") -> dict[str, Any]:
    """The data for a user, with the actions that the user may use.

    `known_sample`: the sample that the page shows already; if it is the latest, the charts are left out.
    """
    state = read_state()
    hour = last_hour()
    sample = f"{span.name}:{PoolSample.objects.order_by('-id').values_list('pk', flat=True).first() or 0}"
    answer = {
        "at": timezone.now(),
        "sample": sample,
        "span": span.name,
        "warning": OPEN_TALK_PAGE if settings.TALK_PAGE and settings.DATABASE_URL else "",
        "verdict": _verdict(state),
        "agents": _tile(state, Pool.AGENTS),
        "rooms": _tile(state, Pool.ROOMS),
        "waiting": state.waiting_sessions,
        "hour": hour.as_json() | _silent_sessions(hour.mark),
        "day": last_day().as_json(),
        "daily": _daily(state, hour.daily_spent_s),
        "pods": _pods(state, hour.mark, user),
        "causes": causes(),
        "overrides": [_override(override, user) for override in state.overrides],
        "rollout": standing(state.rollout, user),
        "versions": versions(),
    }
    if sample != known_sample:
        answer["history"] = history(span)
    return answer


def _verdict(state: PoolState) -> dict[str, Any]:
    found = verdict(state)
    return {
        "level": found.level,
        "word": found.word,
        "sentence": found.sentence,
        "reasons": list(found.reasons),
    }


def _stock(stock: Stock) -> dict[str, Any]:
    return {**stock.published(), "cap": stock.cap}


def _tile(state: PoolState, pool: Pool) -> dict[str, Any]:
    stock = state.agents if pool is Pool.AGENTS else state.rooms
    aim = Aim.of(state, pool)
    return {**_stock(stock), "aim": aim.size, "held": aim.held, "level": aim.level(stock.available)}


def _daily(state: PoolState, spent_s: float) -> dict[str, Any]:
    left = budget.left()
    least = min(left.values())
    return {
        "level": daily_level(state.daily_trouble, least, limited=spent_s > 0 or state.daily_refusals.lately > 0),
        "trouble": state.daily_trouble,
        "left": {group.value.name: round(100 * share) for group, share in left.items()},
        "least": round(100 * least),
        "spent_s": spent_s,
        "refused": state.daily_refusals.hour,
    }


def _pods(state: PoolState, since: Mark, user: Any) -> list[dict[str, Any]]:
    """The pods, worst first."""
    failed = _failed_sessions(since)
    pods = [_pod(pod, failed.get(pod.pod.pk, 0), user) for pod in state.pods]
    ranking = ["bad", "warn", "quiet", "good"]
    return sorted(pods, key=lambda pod: (ranking.index(pod["level"]), pod["name"]))


def _pod(state: PodState, failed: int, user: Any) -> dict[str, Any]:
    pod = state.pod
    offered = [VERBS[name] for name in ("drain", "uncordon")]
    return {
        "name": pod.name,
        "url": reverse("admin:pools_pod_change", args=[pod.pk]),
        "level": pod_level(state, failed),
        "state": "in trouble" if state.live and pod.agent_trouble else state.word,
        "drained_by": pod.drained_by,
        "heartbeat_s": round(state.heartbeat_age, 1),
        "up_s": (timezone.now() - pod.started_at).total_seconds(),
        "version": pod.version,
        "agents": _stock(state.agents),
        "rooms": _stock(state.rooms),
        "free_slots": pod.free_slots,
        "max_processes": pod.max_processes,
        "failed": failed,
        "trouble": pod.agent_trouble[:300],
        "verbs": [
            {"label": verb.label, "url": verb.url([pod.pk], back="admin:index")}
            for verb in offered
            if verb.may(user) and verb.applies(pod)
        ],
    }


def _override(override: PoolOverride, user: Any) -> dict[str, Any]:
    cancel = VERBS["cancel"]
    return {
        "what": str(override),
        "begun": override.starts_at <= timezone.now(),
        "starts_at": override.starts_at,
        "ends_at": override.ends_at,
        "by": override.ordered_by,
        "reason": override.reason,
        "url": reverse("admin:pools_pooloverride_change", args=[override.pk]),
        "cancel_url": cancel.url([override.pk], back="admin:index") if cancel.may(user) else None,
    }


def _silent_sessions(since: Mark) -> dict[str, int]:
    """Number of calls in which the caller heard nothing, and in which the bot heard nothing."""
    return VoiceSession.objects.filter(_began(since)).aggregate(
        never_spoke=Count("pk", filter=Q(never_spoke=True)), never_heard=Count("pk", filter=Q(never_heard=True))
    )


def _began(since: Mark) -> Q:
    return Q(pk__gt=since.session) | Q(start_kind=StartKind.PREJOINED, created_at__gt=since.at)


def _failed_sessions(since: Mark) -> dict[int, int]:
    rows = (
        VoiceSession.objects.filter(_began(since), end_reason__in=OUR_FAULT, agent_process__isnull=False)
        .order_by()
        .values("agent_process__pod_id")
        .annotate(n=Count("pk"))
    )
    return {row["agent_process__pod_id"]: row["n"] for row in rows}


MINUTES = 60


def versions() -> list[dict[str, Any]]:
    """Each version of the bot with its figures of the last hour, for the dashboard and the list of roll-outs."""
    numbers = version_numbers.read(MINUTES)
    total = sum(version.starts for version in numbers)
    return [
        version.as_json() | {"had_percent": round(100 * version.starts / total, 1) if total else None}
        for version in numbers
    ]


def standing(made: Rollout | None, user: Any) -> dict[str, Any] | None:
    """The roll-out in force, with the address to roll it back if the user may."""
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
