"""Sets and cancels what operators override: pauses, sizes and reservations of pools.

Each is checked, written and announced. The pods obey at once (NOTIFY) or within a second (the poll). An override that
is accepted has not been carried out yet: the status shows when it has.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from common.display import counted
from common.postgresql import advisory_locks
from common.postgresql.advisory_locks import Lock
from pools.decisions.targets import Action, Pool, most_reserved
from pools.models import OperatorAction, Pod, PoolOverride
from pools.notifications import announce_overrides

P = ParamSpec("P")
T = TypeVar("T")
CAPS = {Pool.AGENTS: "VOICE_AGENT_MAX_POOL_SIZE", Pool.ROOMS: "DAILY_ROOM_MAX_POOL_SIZE"}
WORDS = {Pool.AGENTS: "agent processes", Pool.ROOMS: "rooms"}
FARTHEST = timedelta(days=366)  # anything farther away is a typing error
TOUCH_S = 1e-3  # a reservation that begins when another ends does not overlap with it


class OverrideRefused(Exception):
    """The override cannot be carried out; the message says why and what is possible."""


def _in_turn(override: Callable[P, T]) -> Callable[P, T]:
    """Run one override at a time, so that two reservations do not share capacity; announce it after the commit."""

    def ordered(*args: P.args, **kwargs: P.kwargs) -> T:
        with transaction.atomic():
            advisory_locks.wait_for(Lock.OVERRIDES)
            result = override(*args, **kwargs)
            transaction.on_commit(announce_overrides)
        return result

    return ordered


@_in_turn
def pause(pool: Pool, *, pod: str = "", until: datetime | None = None, by: str, why: str = "") -> PoolOverride:
    """Stop filling a pool. Its ready items are still given out, and items on demand are still made."""
    _check_pod(pod)
    return _override(Action.PAUSE, pool=pool, pod_name=pod, ends_at=until, by=by, why=why)


@_in_turn
def resume(pool: Pool, *, pod: str = "", by: str) -> int:
    """Cancel the pauses of a pool, on one pod or on all. Returns how many.

    Raises OverrideRefused for one pod if the pool is paused on all pods.
    """
    pauses = PoolOverride.objects.standing().pauses().filter(pool=pool)
    if pod and (general := pauses.filter(pod_name="").first()):
        raise OverrideRefused(f"the pool of {WORDS[pool]} is paused on all pods {general.words}: resume it on all pods")
    return _cancel_all(list(pauses.filter(pod_name=pod) if pod else pauses), by)


@_in_turn
def resize(
    pool: Pool, size: int, *, pod: str = "", until: datetime | None = None, by: str, why: str = ""
) -> PoolOverride:
    """Set how many ready items each pod keeps, instead of the configured size and of demand.

    The latest such override applies; when it ends, the one before it applies again.
    """
    _check_pod(pod)
    for each in Pod.objects.taking().filter(**({"name": pod} if pod else {})):
        most = capacity(each, pool)
        if size > most:
            raise OverrideRefused(
                f"pod {each.name} can hold {most} {WORDS[pool]}, not {size}: {sizes([each], pool)}; "
                f"lower the size, or raise {_what_to_raise(each, pool, size)}"
            )
    return _override(Action.SIZE, pool=pool, pod_name=pod, size=size, ends_at=until, by=by, why=why)


@_in_turn
def unsize(pool: Pool, *, pod: str = "", by: str) -> int:
    """Return to the configured size: cancel the size overrides of a pool, on one pod or on all. Returns how many."""
    sizes = PoolOverride.objects.standing().sizes().filter(pool=pool)
    return _cancel_all(list(sizes.filter(pod_name=pod) if pod else sizes), by)


@_in_turn
def reserve(
    pairs: int, *, starts_at: datetime, ends_at: datetime, allow_short: bool = False, by: str, why: str = ""
) -> PoolOverride:
    """Keep a number of warm pairs ready from `starts_at` to `ends_at`, by all pods together.

    Reservations for the same time add up. Raises OverrideRefused if the live pods cannot hold them all; with
    `allow_short` it is accepted, for pods that start later, and the status says how many are missing.
    """
    if pairs < 1:
        raise OverrideRefused("reserve at least one pair")
    if starts_at >= ends_at or ends_at <= timezone.now():
        raise OverrideRefused("a reservation ends after it begins, and in the future")
    if starts_at - timezone.now() > FARTHEST or ends_at - starts_at > FARTHEST:
        raise OverrideRefused(
            f"a reservation begins within a year ({FARTHEST.days} days), and lasts no longer than that"
        )
    if not allow_short and (short := shortage(pairs, starts_at, ends_at)):
        raise OverrideRefused(short)
    return _override(Action.RESERVE, size=pairs, starts_at=starts_at, ends_at=ends_at, by=by, why=why)


def cancel(override: UUID, *, by: str) -> bool:
    """Cancel an override of any kind. Returns False if it has ended or does not exist."""
    return _in_turn(_cancel_all)(list(PoolOverride.objects.standing().filter(uuid=override)), by) == 1


def shortage(pairs: int, starts_at: datetime, ends_at: datetime, *, beside: PoolOverride | None = None) -> str:
    """Why the live pods cannot hold so many more pairs in that time, as text. Empty if they can.

    `beside`: the reservation itself, if its row has been written already, so that it does not count twice.
    """
    standing = PoolOverride.objects.standing().reservations()
    if beside:
        standing = standing.exclude(pk=beside.pk)
    moments = [
        (override.starts_at.timestamp(), override.ends_at.timestamp(), override.size or 0)
        for override in standing
        if override.ends_at
    ]
    wanted = pairs + most_reserved(moments, starts_at.timestamp(), ends_at.timestamp() - TOUCH_S)
    pods = list(Pod.objects.taking())
    for pool in Pool:
        most = sum(capacity(pod, pool) for pod in pods)
        if wanted > most:
            earlier = f" ({wanted - pairs} of them reserved already)" if wanted > pairs else ""
            return (
                f"{counted(wanted, 'pair')} at one time{earlier}, but {_fleet(len(pods))} can hold {most} "
                f"{WORDS[pool]}: short by {wanted - most} ({sizes(pods, pool)}). "
                f"Reserve less, start more pods, or raise {CAPS[pool]}."
            )
    return ""


def _fleet(pods: int) -> str:
    return "the only live pod" if pods == 1 else f"the {pods} live pods"


def capacity(pod: Pod, pool: Pool) -> int:
    """How many ready items a pod without calls may hold."""
    return min(pod.agent_cap, pod.max_processes) if pool is Pool.AGENTS else pod.room_cap


def sizes(pods: Sequence[Pod], pool: Pool) -> str:
    """Sizes, targets and caps of the pods, summed up, as text: "size 3, target 3, cap 6"."""
    names = (
        ("agent_size", "agent_target", "agent_cap") if pool is Pool.AGENTS else ("room_size", "room_target", "room_cap")
    )
    size, target, cap = (sum(getattr(pod, name) for pod in pods) for name in names)
    return f"size {size}, target {target}, cap {cap}"


def _what_to_raise(pod: Pod, pool: Pool, size: int) -> str:
    if pool is Pool.ROOMS or size <= pod.max_processes:
        return CAPS[pool]
    return "VOICE_AGENT_MAX_PROCESSES" if size <= pod.agent_cap else f"{CAPS[pool]} and VOICE_AGENT_MAX_PROCESSES"


def _check_pod(name: str) -> None:
    if name and not Pod.objects.current().filter(name=name).exists():
        running = ", ".join(Pod.objects.current().order_by("name").values_list("name", flat=True)[:20]) or "none"
        raise OverrideRefused(f"no pod is named {name[:100]}; running: {running}")


def _override(action: Action, *, by: str, why: str, ends_at: datetime | None, **values: object) -> PoolOverride:
    if ends_at and ends_at <= timezone.now():
        raise OverrideRefused("it would be over already: the end is in the past")
    override = PoolOverride.objects.create(
        action=action, ends_at=ends_at, ordered_by=by[:200], reason=why[:300], **values
    )
    override.refresh_from_db()
    OperatorAction.note(by, f"override: {override}", why)
    return override


def _cancel_all(overrides: list[PoolOverride], by: str) -> int:
    cancelled = [override for override in overrides if override.cancel(by)]
    for override in cancelled:
        OperatorAction.note(by, f"cancel: {override}")
    return len(cancelled)
