"""A Daily room, from the row that is written before Daily is asked to its deletion there."""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from pools.models.pods import Pod
from pools.models.stock import ENDED_IFF_ENDED_AT, StockStatus, present


class RoomQuerySet(models.QuerySet["Room"]):
    def warming(self) -> Self:
        return self.filter(status=StockStatus.WARMING)

    def available(self) -> Self:
        return self.filter(status=StockStatus.AVAILABLE)

    def in_use(self) -> Self:
        return self.filter(status=StockStatus.IN_USE)

    def stock(self) -> Self:
        """Warming and available, without what is bound to a request."""
        return self.filter(status__in=[StockStatus.WARMING, StockStatus.AVAILABLE], reserved=False)

    def lasting(self, life: timedelta) -> Self:
        """With at least this much life left."""
        return self.filter(expires_at__gt=Now() + life)

    def with_fresh_tokens(self, life: timedelta) -> Self:
        """With stored meeting tokens of at least this much life left (used while tokens cannot be self-signed)."""
        return self.filter(tokens_expire_at__gt=Now() + life)

    def undeleted(self) -> Self:
        """Ended here, but not yet known to be gone at Daily."""
        return self.filter(status=StockStatus.ENDED, deleted_at=None)


class Room(models.Model):
    """A Daily room. The row is written before Daily is asked, so that a crash leaves a name to look for."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=128, unique=True)
    url = models.URLField(max_length=500, blank=True)
    pod = models.ForeignKey(
        Pod, null=True, blank=True, on_delete=models.SET_NULL, related_name="rooms", help_text="Counts it as its stock."
    )
    status = models.CharField(max_length=10, choices=StockStatus, default=StockStatus.WARMING)
    reserved = models.BooleanField(
        default=False, help_text="Made on demand for one request: outside the stock and its cap."
    )
    retiring = models.BooleanField(
        default=False, db_default=False, help_text="An operator wants it replaced; given out until it is."
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
        """Daily has made it: warming -> available; a reserved one stays warming, with its url."""
        values: dict[str, Any] = {"url": url, "expires_at": expires_at, **(tokens.fields() if tokens else {})}
        if not self.reserved:
            values |= {"status": StockStatus.AVAILABLE, "available_at": Now()}
        return Room.objects.warming().filter(pk=self.pk).update(**values) == 1

    def exists_after_all(self) -> None:
        """Daily has made it although it was given up, and perhaps deleted, before: it is to be deleted (again)."""
        Room.objects.filter(pk=self.pk, status=StockStatus.ENDED).update(deleted_at=None)

    def end(self, reason: str) -> bool:
        """Over for us; it is deleted at Daily afterwards, in a batch."""
        return (
            Room.objects.filter(pk=self.pk)
            .exclude(status=StockStatus.ENDED)
            .update(status=StockStatus.ENDED, ended_at=Now(), end_reason=reason, owner_token="", guest_token="")
            == 1
        )


class StoredTokens:
    """Meeting tokens minted over REST, kept with the room until the hand-out."""

    def __init__(self, owner: str, guest: str, expire_at: datetime) -> None:
        self.owner, self.guest, self.expire_at = owner, guest, expire_at

    def fields(self) -> dict[str, Any]:
        return {"owner_token": self.owner, "guest_token": self.guest, "tokens_expire_at": self.expire_at}
