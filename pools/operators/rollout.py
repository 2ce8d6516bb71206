"""Roll-outs: an operator says which version of the bot is to have which share of the calls.

What stands is the latest one that nobody has taken back. What follows from it is written into the rows of the pods, in
the same transaction, and into that of a pod that starts: so the claim needs no other row to know it, and pays nothing
while there is none. `pools.shares` is the arithmetic.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import connection, transaction
from django.db.models import Count
from django.db.models.functions import Now

from pools import shares
from pools.models import OperatorAct, Pod, Rollout
from pools.notifications import announce_orders
from pools.shares import Shares

P = ParamSpec("P")
T = TypeVar("T")


class RolloutRefused(Exception):
    """It cannot be done so; the message says what can."""


def _in_turn(act: Callable[P, T]) -> Callable[P, T]:
    """One at a time, pods that start included: none may carry what followed from an earlier one."""

    def acted(*args: P.args, **kwargs: P.kwargs) -> T:
        with transaction.atomic():
            take_turn()
            result = act(*args, **kwargs)
            transaction.on_commit(announce_orders)
        return result

    return acted


def take_turn() -> None:
    """Until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('roll-out'))")


def standing() -> Rollout | None:
    return Rollout.objects.standing().first()


def live_versions() -> dict[str, int]:
    """How many live pods run each version."""
    rows = Pod.objects.live().order_by("version").values("version").annotate(n=Count("pk"))
    return {row["version"]: row["n"] for row in rows}


@_in_turn
def roll_out(wanted: Shares, *, by: str, why: str = "", ahead: bool = False, how_ahead: str = "add --ahead") -> Rollout:
    """From now on calls go to the versions by these shares. `ahead`: of versions that no pod runs yet, too;
    `how_ahead`: how that is said where the order comes from."""
    live = live_versions()
    if not ahead and (unknown := [version for version in wanted if version not in live]):
        running = ", ".join(version or "(pods without a version)" for version in live) or "none"
        raise RolloutRefused(
            f"no live pod runs version {', '.join(unknown)}; live: {running}. "
            f"To say it before its pods start: {how_ahead}"
        )
    made = Rollout.objects.create(pairs=[list(pair) for pair in wanted.items()], set_by=by[:200], reason=why[:300])
    made.refresh_from_db()
    _tell_pods(wanted)
    OperatorAct.note(by, f"roll-out: {made}", why)
    return made


@_in_turn
def roll_back(*, by: str, why: str = "", only: Rollout | None = None) -> Rollout | None:
    """To what stood before: take back the latest; None: nothing stands. `only`: not if another one stands meanwhile."""
    latest = standing()
    if latest is None or (only is not None and only.pk != latest.pk):
        return None
    Rollout.objects.filter(pk=latest.pk).update(taken_back_by=by[:200], taken_back_at=Now())
    before = standing()
    _tell_pods(before.shares if before else {})
    OperatorAct.note(by, f"roll back: {latest}; now {before or shares.in_words({})}", why)
    return latest


def _tell_pods(wanted: Shares) -> None:
    for version in Pod.objects.current().order_by().values_list("version", flat=True).distinct():
        Pod.objects.current().filter(version=version).update(**_columns(version, wanted))


def draws_of(version: str) -> dict[str, float | None]:
    """The columns of a pod of this version that starts. In its transaction, after `take_turn`."""
    latest = standing()
    return _columns(version, latest.shares if latest else {})


def _columns(version: str, wanted: Shares) -> dict[str, float | None]:
    low, high = shares.interval(version, wanted) or (None, None)
    return {"draws_from": low, "draws_until": high}
