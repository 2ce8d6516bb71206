"""Roll-outs: an operator sets which version of the bot gets which share of the calls.

The latest roll-out that nobody has taken back is in force. Its shares are written into the rows of the pods in the same
transaction, and into the row of a pod that starts. So the claim reads no other row, and costs nothing more while there
is no roll-out. `pools.shares` does the arithmetic.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import transaction
from django.db.models import Count
from django.db.models.functions import Now

from common.postgresql import advisory_locks
from common.postgresql.advisory_locks import Lock
from pools import shares
from pools.models import OperatorAction, Pod, Rollout
from pools.notifications import announce_overrides
from pools.shares import Shares

P = ParamSpec("P")
T = TypeVar("T")


class RolloutRefused(Exception):
    """The roll-out cannot be made; the message says why and what is possible."""


def _in_turn(change: Callable[P, T]) -> Callable[P, T]:
    """Run one change at a time, starting pods included, so that no pod keeps the shares of an earlier roll-out."""

    def acted(*args: P.args, **kwargs: P.kwargs) -> T:
        with transaction.atomic():
            take_turn()
            result = change(*args, **kwargs)
            transaction.on_commit(announce_overrides)
        return result

    return acted


def take_turn() -> None:
    """Wait for the turn, and keep it until the end of the transaction."""
    advisory_locks.wait_for(Lock.ROLL_OUT)


def standing() -> Rollout | None:
    """The roll-out in force, if there is one."""
    return Rollout.objects.standing().first()


def live_versions() -> dict[str, int]:
    """How many live pods run each version."""
    rows = Pod.objects.live().order_by("version").values("version").annotate(n=Count("pk"))
    return {row["version"]: row["n"] for row in rows}


@_in_turn
def roll_out(wanted: Shares, *, by: str, why: str = "", ahead: bool = False, how_ahead: str = "add --ahead") -> Rollout:
    """Give the versions these shares of the calls from now on.

    Raises RolloutRefused for a version that no live pod runs, unless `ahead`. `how_ahead`: what the message tells the
    operator to do in that case.
    """
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
    OperatorAction.note(by, f"roll-out: {made}", why)
    return made


@_in_turn
def roll_back(*, by: str, why: str = "", only: Rollout | None = None) -> Rollout | None:
    """Take back the roll-out in force, so that the one before it applies. Returns it; None if there is none.

    `only`: do nothing if another roll-out than this one is in force.
    """
    latest = standing()
    if latest is None or (only is not None and only.pk != latest.pk):
        return None
    Rollout.objects.filter(pk=latest.pk).update(taken_back_by=by[:200], taken_back_at=Now())
    before = standing()
    _tell_pods(before.shares if before else {})
    OperatorAction.note(by, f"roll back: {latest}; now {before or shares.in_words({})}", why)
    return latest


def _tell_pods(wanted: Shares) -> None:
    for version in Pod.objects.current().order_by().values_list("version", flat=True).distinct():
        Pod.objects.current().filter(version=version).update(**_columns(version, wanted))


def draws_of(version: str) -> dict[str, float | None]:
    """Columns for the row of a pod of this version that starts. Call it in that transaction, after `take_turn`."""
    latest = standing()
    return _columns(version, latest.shares if latest else {})


def _columns(version: str, wanted: Shares) -> dict[str, float | None]:
    low, high = shares.interval(version, wanted) or (None, None)
    return {"draws_from": low, "draws_until": high}
