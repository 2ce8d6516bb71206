"""What operators have told the pools to do, and the record of what they did.

An override is never changed, only cancelled: its row stays and names who set it. What follows from those in force is
decided in `pools/decisions/targets.py`; they are set and cancelled in `pools/operators/overrides.py`.
"""

import uuid
from datetime import timedelta
from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.display import counted
from pools.decisions.targets import Action, Pool
from pools.shares import Shares, in_words

IN_VIEW = timedelta(minutes=15)  # how early supervisors read an override; reservations begin early


class PoolOverrideQuerySet(models.QuerySet["PoolOverride"]):
    def standing(self) -> Self:
        """Overrides that are neither cancelled nor expired: in force now or later."""
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=Now()), cancelled_at=None)

    def in_force(self) -> Self:
        return self.standing().filter(starts_at__lte=Now())

    def in_view(self) -> Self:
        """Overrides in force now or within `IN_VIEW`: what the supervisors read."""
        return self.standing().filter(starts_at__lte=Now() + IN_VIEW)

    def pauses(self) -> Self:
        return self.filter(action=Action.PAUSE)

    def sizes(self) -> Self:
        return self.filter(action=Action.SIZE)

    def reservations(self) -> Self:
        return self.filter(action=Action.RESERVE)


class PoolOverride(models.Model):
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    action = models.CharField(max_length=10, choices=[(action.value, action.value) for action in Action])
    pool = models.CharField(
        max_length=10,
        blank=True,
        choices=[(pool.value, pool.value) for pool in Pool],
        help_text="Empty: pairs of both (reservations).",
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

    objects = PoolOverrideQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(action="pause", size=None) | Q(action__in=["size", "reserve"], size__isnull=False),
                name="override_size_unless_pause",
            ),
            models.CheckConstraint(
                condition=Q(action__in=["pause", "size"], pool__in=["agents", "rooms"])
                | Q(action="reserve", pool="", pod_name="", size__gt=0, ends_at__isnull=False),
                name="override_reservation_is_of_pairs_and_ends",
            ),
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")), name="override_ends_after_it_starts"
            ),
            models.CheckConstraint(
                condition=Q(cancelled_at=None, cancelled_by="") | Q(cancelled_at__isnull=False, cancelled_by__gt=""),
                name="override_cancelled_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["ends_at"], condition=Q(cancelled_at=None), name="override_standing")]

    def __str__(self) -> str:
        if self.action == Action.RESERVE:
            return f"reserve {counted(self.size or 0, 'pair')}"
        what = f"{self.action} {self.pool_word}" + ("" if self.size is None else f" {self.size}")
        return f"{what} on {self.pod_name or 'all pods'}"

    @property
    def pool_word(self) -> str:
        """The name of the pool on the command line."""
        return "processes" if self.pool == Pool.AGENTS else self.pool

    @property
    def words(self) -> str:
        """Who set the override, until when and why, as text for people."""
        until = f" until {self.ends_at:%Y-%m-%d %H:%M:%S} UTC" if self.ends_at else ""
        return f"by {self.ordered_by}{until}" + (f" ({self.reason})" if self.reason else "")

    def sets_size_of(self, pool: Pool, pod: str) -> bool:
        """Whether this override, once it is in force, sets the size of this pool of this pod."""
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
        """Cancel the override. Returns False if it had expired or was cancelled already."""
        return PoolOverride.objects.standing().filter(pk=self.pk).update(cancelled_at=Now(), cancelled_by=by[:200]) == 1


class RolloutQuerySet(models.QuerySet["Rollout"]):
    def standing(self) -> Self:
        """Roll-outs that nobody has taken back, latest first.

        The first is in force; the others are what rolling back returns to.
        """
        return self.filter(taken_back_at=None).order_by("-id")


class Rollout(models.Model):
    """Which share of the calls each version of the bot should get. Rows are never changed, only taken back.

    The shares in force are copied to the rows of the pods (`draws_from`, `draws_until`), where the claim reads them.
    """

    pairs = models.JSONField(
        "versions and percent",
        default=list,
        blank=True,
        help_text="A list of pairs, because JSON objects keep no order.",
    )
    reason = models.CharField(max_length=300, blank=True)
    set_by = models.CharField(max_length=200)
    set_at = models.DateTimeField(db_default=Now())
    taken_back_by = models.CharField(max_length=200, blank=True)
    taken_back_at = models.DateTimeField(null=True, blank=True)

    objects = RolloutQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "roll-out"

    def __str__(self) -> str:
        return in_words(self.shares)

    @property
    def shares(self) -> Shares:
        return {str(version): float(percent) for version, percent in self.pairs}

    def report(self) -> dict[str, Any]:
        return {
            "shares": self.shares,
            "words": str(self),
            "set_by": self.set_by,
            "set_at": self.set_at,
            "reason": self.reason,
        }


class OperatorAction(models.Model):
    """Audit record of something that an operator did, in the admin, on a terminal or through the API.

    It is written in the transaction of the change itself, and never changed.
    """

    at = models.DateTimeField(db_default=Now())
    by = models.CharField(max_length=200, help_text="A user of the admin, NAME@HOST of a terminal, or an API token.")
    what = models.CharField(max_length=300)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "operators' action"

    def __str__(self) -> str:
        return f"{self.what} by {self.by}"

    @classmethod
    def note(cls, by: str, what: str, reason: str = "") -> None:
        cls.objects.create(by=by[:200], what=what[:300], reason=reason[:300])
