"""PoolOrder: what an operator has told the pools to do, who it was, why, and from when until when.

An order is never changed, only cancelled; the row stays and says who gave it. What follows from all that are in force
is for `targets.py` to say; the verbs are in `orders.py`.
"""

import uuid
from datetime import timedelta
from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.display import counted
from pools.decisions.targets import Action, Pool

IN_VIEW = timedelta(minutes=15)  # before its time an order is read by nobody; reservations begin early


class PoolOrderQuerySet(models.QuerySet["PoolOrder"]):
    def standing(self) -> Self:
        """Neither cancelled nor expired: in force now or later."""
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=Now()), cancelled_at=None)

    def in_force(self) -> Self:
        return self.standing().filter(starts_at__lte=Now())

    def in_view(self) -> Self:
        """In force now or soon: what the supervisors look at."""
        return self.standing().filter(starts_at__lte=Now() + IN_VIEW)

    def pauses(self) -> Self:
        return self.filter(action=Action.PAUSE)

    def sizes(self) -> Self:
        return self.filter(action=Action.SIZE)

    def reservations(self) -> Self:
        return self.filter(action=Action.RESERVE)


class PoolOrder(models.Model):
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    action = models.CharField(max_length=10, choices=[(action.value, action.value) for action in Action])
    pool = models.CharField(
        max_length=10,
        blank=True,
        choices=[(pool.value, pool.value) for pool in Pool],
        help_text="Empty: both, as pairs (reservations).",
    )
    pod_name = models.CharField(max_length=200, blank=True, help_text="Empty: all pods.")
    size = models.PositiveIntegerField(
        null=True, blank=True, help_text="Per pod; of a reservation: pairs of all pods together."
    )
    starts_at = models.DateTimeField(db_default=Now())
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: until it is cancelled.")
    reason = models.CharField(max_length=300, blank=True)
    ordered_by = models.CharField(max_length=200)
    ordered_at = models.DateTimeField(db_default=Now())
    cancelled_by = models.CharField(max_length=200, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    objects = PoolOrderQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(action="pause", size=None) | Q(action__in=["size", "reserve"], size__isnull=False),
                name="order_size_unless_pause",
            ),
            models.CheckConstraint(
                condition=Q(action__in=["pause", "size"], pool__in=["agents", "rooms"])
                | Q(action="reserve", pool="", pod_name="", size__gt=0, ends_at__isnull=False),
                name="order_reservation_is_of_pairs_and_ends",
            ),
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")), name="order_ends_after_it_starts"
            ),
            models.CheckConstraint(
                condition=Q(cancelled_at=None, cancelled_by="") | Q(cancelled_at__isnull=False, cancelled_by__gt=""),
                name="order_cancelled_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["ends_at"], condition=Q(cancelled_at=None), name="order_standing")]

    def __str__(self) -> str:
        if self.action == Action.RESERVE:
            return f"reserve {counted(self.size or 0, 'pair')}"
        what = f"{self.action} {self.pool_word}" + ("" if self.size is None else f" {self.size}")
        return f"{what} on {self.pod_name or 'all pods'}"

    @property
    def pool_word(self) -> str:
        """As operators name it on the command line."""
        return "processes" if self.pool == Pool.AGENTS else self.pool

    @property
    def words(self) -> str:
        """Who and why, until when, for people."""
        until = f" until {self.ends_at:%Y-%m-%d %H:%M:%S} UTC" if self.ends_at else ""
        return f"by {self.ordered_by}{until}" + (f" ({self.reason})" if self.reason else "")

    def sets_size_of(self, pool: Pool, pod: str) -> bool:
        """Of an order that stands: whether it says what this pod keeps, when its time has come."""
        return self.action == Action.SIZE and self.pool == pool and self.pod_name in ("", pod)

    def report(self) -> dict[str, Any]:
        return {
            "order_id": self.uuid,
            "action": self.action,
            "pool": self.pool or "pairs",
            "pod": self.pod_name or None,
            "size": self.size,
            "starts_at": self.starts_at,
            "ends_at": self.ends_at,
            "reason": self.reason,
            "ordered_by": self.ordered_by,
            "ordered_at": self.ordered_at,
        }

    def cancel(self, by: str) -> bool:
        """False: it was over already."""
        return PoolOrder.objects.standing().filter(pk=self.pk).update(cancelled_at=Now(), cancelled_by=by[:200]) == 1
