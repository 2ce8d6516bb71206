"""One budget of Daily calls for all pods: sliding windows over rows in PostgreSQL.

Daily limits a domain to so many calls in a window, per group of endpoints. We spend at most 90 % of each: a
token bucket of the same rate would exceed the window by its burst. Calls are counted in slices of a twentieth
of the window, and a slice that the window cuts counts whole, so that the sum is never too small. Nine tenths of
five dials would be four: there the window is longer instead. The least urgent stop first: on-demand creation may
use all of it, replenishing stops at 75 %, clean-up at 50 %. Of batches it is the other way round: rooms can be made
one by one from the general budget, but nothing else deletes rooms as fast as a busy fleet uses them up.
Limits: https://docs.daily.co/docs/rest-api/authentication (the one for batches is not published; assumed).
"""

from dataclasses import dataclass
from enum import Enum

from django.conf import settings
from django.db import connection, transaction

from common.postgresql import advisory_locks
from common.postgresql.advisory_locks import Lock
from pools.models import DailyBudgetSlot

SHARE = 0.9
SLICES = 20


@dataclass(frozen=True)
class Limit:
    """What we allow ourselves: at most `calls` in any `window` seconds."""

    name: str
    calls: int
    window: float


class Group(Enum):
    GENERAL = Limit("general", int(100 * SHARE), 5.0)
    DELETE = Limit("delete", int(50 * SHARE), 30.0)
    BATCH = Limit("batch", int(10 * SHARE), 30.0)
    DIAL = Limit("dial", settings.DAILY_DIAL_LIMIT, 5.0 / SHARE)


def limit_named(group: str) -> Limit | None:
    """The limit with this name; None for a group of another version."""
    return next((each.value for each in Group if each.value.name == group), None)


class Priority(Enum):
    """Share of the budget up to which calls of this priority are made."""

    ON_DEMAND = 1.0
    REPLENISH = 0.75
    CLEAN_UP = 0.5


OF_BATCHES = {Priority.ON_DEMAND: 1.0, Priority.REPLENISH: 0.5, Priority.CLEAN_UP: 1.0}


def allowance(group: Group, priority: Priority) -> int:
    """Number of calls in a window up to which this priority may call."""
    share = OF_BATCHES[priority] if group is Group.BATCH else priority.value
    return int(group.value.calls * share)


def take(group: Group, priority: Priority, calls: int = 1) -> bool:
    """Take `calls` calls from the budget. Returns False, and takes none, if not all may be made now.

    Short transaction of its own; pods take their turns under an advisory lock.
    """
    length = group.value.window / SLICES
    with transaction.atomic(), connection.cursor() as cursor:
        advisory_locks.wait_for(Lock.DAILY_BUDGET, group.value.name)
        cursor.execute(
            "SELECT now.slot, coalesce(sum(budget.used), 0)"
            " FROM (SELECT floor(extract(epoch FROM clock_timestamp()) / %s)::bigint AS slot) AS now"
            " LEFT JOIN pools_dailybudgetslot AS budget"
            ' ON budget."group" = %s AND budget.slot >= now.slot - %s GROUP BY now.slot',
            [length, group.value.name, SLICES],
        )
        slot, used = cursor.fetchone()
        granted = int(used) + calls <= allowance(group, priority)
        if granted:
            cursor.execute(
                'INSERT INTO pools_dailybudgetslot AS budget ("group", slot, used) VALUES (%s, %s, %s)'
                ' ON CONFLICT ("group", slot) DO UPDATE SET used = budget.used + excluded.used',
                [group.value.name, slot, calls],
            )
    return granted


def left() -> dict[Group, float]:
    """Share of each group's budget that is left now: 1 for all of it, 0 for nothing."""
    result = {}
    with connection.cursor() as cursor:
        for group in Group:
            cursor.execute(
                'SELECT coalesce(sum(used), 0) FROM pools_dailybudgetslot WHERE "group" = %s'
                " AND slot >= floor(extract(epoch FROM clock_timestamp()) / %s)::bigint - %s",
                [group.value.name, group.value.window / SLICES, SLICES],
            )
            (used,) = cursor.fetchone()
            result[group] = max(0.0, 1 - int(used) / group.value.calls) if group.value.calls else 0.0
    return result


def forget_old_slots() -> None:
    """Delete slices that are older than every window."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        now = float(cursor.fetchone()[0])
    for group in Group:
        oldest = int(now / (group.value.window / SLICES)) - 10 * SLICES
        DailyBudgetSlot.objects.filter(group=group.value.name, slot__lt=oldest).delete()
