"""Rooms and agent processes: the two kinds of items that the pools keep ready.

A row is written before Daily is asked or a process is forked, so that a crash leaves something to look for, and it is
ended when the room is given up or the death of the process is proved.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from pools.models.pods import Pod


class StockStatus(models.TextChoices):
    """Status of a room or an agent process. It only moves to the right; steps may be left out."""

    WARMING = "warming"
    AVAILABLE = "available"
    IN_USE = "in_use"
    ENDED = "ended"


ENDED_IFF_ENDED_AT = Q(status="ended", ended_at__isnull=False) | (~Q(status="ended") & Q(ended_at=None))


def present(field: str) -> Q:
    """Condition: the text field is not empty."""
    return ~Q(**{field: ""})


class RoomQuerySet(models.QuerySet["Room"]):
    def warming(self) -> Self:
        return self.filter(status=StockStatus.WARMING)

    def available(self) -> Self:
        return self.filter(status=StockStatus.AVAILABLE)

    def in_use(self) -> Self:
        return self.filter(status=StockStatus.IN_USE)

    def stock(self) -> Self:
        """Warming and available rooms, except those made for one request."""
        return self.filter(status__in=[StockStatus.WARMING, StockStatus.AVAILABLE], reserved=False)

    def lasting(self, life: timedelta) -> Self:
        """Rooms that live for at least this much longer."""
        return self.filter(expires_at__gt=Now() + life)

    def with_fresh_tokens(self, life: timedelta) -> Self:
        """Rooms whose stored meeting tokens stay valid for at least this long (used while we cannot sign tokens)."""
        return self.filter(tokens_expire_at__gt=Now() + life)

    def undeleted(self) -> Self:
        """Rooms that have ended here and may still exist at Daily."""
        return self.filter(status=StockStatus.ENDED, deleted_at=None)


class Room(models.Model):
    """A Daily room. The row is written before Daily is asked, so that a crash leaves a name to look for."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=128, unique=True)
    url = models.URLField(max_length=500, blank=True)
    pod = models.ForeignKey(
        Pod,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="rooms",
        help_text="The pod whose pool it belongs to.",
    )
    status = models.CharField(max_length=10, choices=StockStatus, default=StockStatus.WARMING)
    reserved = models.BooleanField(
        default=False, help_text="Made on demand for one request; not part of the pool and its cap."
    )
    retiring = models.BooleanField(
        default=False,
        db_default=False,
        help_text="An operator has asked to replace it; it can be given out until then.",
    )
    recorded = models.BooleanField(default=False, db_default=False, help_text="Daily records what is said in it.")
    expires_at = models.DateTimeField("expires at Daily")
    created_at = models.DateTimeField(db_default=Now())
    available_at = models.DateTimeField(null=True, blank=True)
    in_use_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=100, blank=True)
    deleted_at = models.DateTimeField("deleted at Daily", null=True, blank=True)
    owner_token = models.TextField(blank=True, editable=False)
    guest_token = models.TextField(blank=True, editable=False)
    tokens_expire_at = models.DateTimeField(null=True, blank=True)

    objects = RoomQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=ENDED_IFF_ENDED_AT, name="room_ended_iff_ended_at"),
            models.CheckConstraint(
                condition=~Q(status__in=["available", "in_use"]) | present("url"), name="room_usable_has_url"
            ),
            models.CheckConstraint(
                condition=~Q(status="available") | Q(reserved=False), name="room_reserved_is_never_available"
            ),
            models.CheckConstraint(
                condition=Q(status="ended") | Q(deleted_at=None), name="room_deleted_only_when_ended"
            ),
        ]
        indexes = [
            # The claim: newest first, so that it never walks over the dead entries of older rooms.
            models.Index(fields=["-id"], condition=Q(status="available"), name="room_claim"),
            models.Index(fields=["status"], condition=~Q(status="ended"), name="room_current"),
            models.Index(fields=["id"], condition=Q(status="ended", deleted_at=None), name="room_undeleted"),
        ]

    def __str__(self) -> str:
        return self.name

    def become_available(self, *, url: str, expires_at: datetime, tokens: "StoredTokens | None" = None) -> bool:
        """Record that Daily has made the room: warming -> available. A reserved room stays warming and gets its URL.

        Returns False if the row was no longer warming.
        """
        values: dict[str, Any] = {"url": url, "expires_at": expires_at, **(tokens.fields() if tokens else {})}
        if not self.reserved:
            values |= {"status": StockStatus.AVAILABLE, "available_at": Now()}
        return Room.objects.warming().filter(pk=self.pk).update(**values) == 1

    def exists_after_all(self) -> None:
        """Mark an ended room for deletion (again): Daily made it after we had given it up."""
        Room.objects.filter(pk=self.pk, status=StockStatus.ENDED).update(deleted_at=None)

    def end(self, reason: str) -> bool:
        """End the room. It is deleted at Daily later, in a batch. Returns False if it had ended already."""
        return (
            Room.objects.filter(pk=self.pk)
            .exclude(status=StockStatus.ENDED)
            .update(status=StockStatus.ENDED, ended_at=Now(), end_reason=reason, owner_token="", guest_token="")
            == 1
        )


class StoredTokens:
    """Meeting tokens that Daily made over REST, stored with the room until it is given out."""

    def __init__(self, owner: str, guest: str, expire_at: datetime) -> None:
        self.owner, self.guest, self.expire_at = owner, guest, expire_at

    def fields(self) -> dict[str, Any]:
        return {"owner_token": self.owner, "guest_token": self.guest, "tokens_expire_at": self.expire_at}


class AgentProcessQuerySet(models.QuerySet["AgentProcess"]):
    def warming(self) -> Self:
        return self.filter(status=StockStatus.WARMING)

    def available(self) -> Self:
        return self.filter(status=StockStatus.AVAILABLE)

    def in_use(self) -> Self:
        return self.filter(status=StockStatus.IN_USE)

    def current(self) -> Self:
        return self.exclude(status=StockStatus.ENDED)


class AgentProcess(models.Model):
    """A child process of a pod that hosts one bot for one session, then exits."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    pod = models.ForeignKey(Pod, on_delete=models.CASCADE, related_name="agent_processes")
    status = models.CharField(max_length=10, choices=StockStatus, default=StockStatus.WARMING)
    on_demand = models.BooleanField(default=False, help_text="Made for one waiting session; never part of the pool.")
    retiring = models.BooleanField(
        default=False,
        db_default=False,
        help_text="An operator has asked to replace it; it can be given out until then.",
    )
    os_pid = models.PositiveIntegerField("PID", null=True, blank=True)
    start_method = models.CharField(max_length=20, blank=True)
    version = models.CharField(max_length=100, blank=True)
    warmup_ms = models.FloatField("warm-up (ms)", null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    available_at = models.DateTimeField(null=True, blank=True)
    in_use_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=100, blank=True)

    objects = AgentProcessQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "agent processes"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=ENDED_IFF_ENDED_AT, name="agent_ended_iff_ended_at"),
            models.CheckConstraint(
                condition=~Q(status="available") | Q(on_demand=False, os_pid__isnull=False),
                name="agent_available_runs_and_is_stock",
            ),
        ]
        indexes = [
            # The claim: newest first within the pod with the most free slots.
            models.Index(fields=["pod", "-id"], condition=Q(status="available"), name="agent_claim"),
            models.Index(fields=["pod", "status"], condition=~Q(status="ended"), name="agent_current"),
        ]

    def __str__(self) -> str:
        return f"{self.uuid}"

    def become_available(self) -> bool:
        """Record that the process is ready: warming -> available. Returns whether the row changed."""
        return (
            AgentProcess.objects.warming().filter(pk=self.pk).update(status=StockStatus.AVAILABLE, available_at=Now())
            == 1
        )

    def end(self, reason: str, *, was: StockStatus | None = None) -> bool:
        """End the process, from any status or only from the status `was`. Returns whether the row changed."""
        rows = AgentProcess.objects.filter(pk=self.pk).exclude(status=StockStatus.ENDED)
        if was:
            rows = rows.filter(status=was)
        return rows.update(status=StockStatus.ENDED, ended_at=Now(), end_reason=reason) == 1
