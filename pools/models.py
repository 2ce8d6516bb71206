"""What the pools know: pods, rooms, agent processes, voice sessions. PostgreSQL is the truth.

Statuses only move right (a voice session may go back from assigned to waiting: a hand-off that failed).
Every change of a status is a guarded update: it names the status that it leaves, and not one row changed
means that somebody else was faster, which is normal. Constraints make double use and impossible states
impossible, whoever writes. Leases and expiries are judged by PostgreSQL's clock (`Now()`).
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

HANDOFF_LEASE = timedelta(seconds=3)
REAP_LEASE = timedelta(seconds=10)


def present(field: str) -> Q:
    """The text field is not empty."""
    return ~Q(**{field: ""})


class PodQuerySet(models.QuerySet["Pod"]):
    def current(self) -> Self:
        """Not ended: running, or dead and not yet reaped."""
        return self.filter(ended_at=None)

    def live(self) -> Self:
        """With a heartbeat within the lease for hand-offs."""
        return self.current().filter(heartbeat_at__gt=Now() - HANDOFF_LEASE)

    def taking(self) -> Self:
        """Live and not draining: may be given new sessions."""
        return self.live().filter(draining=False)

    def lost(self) -> Self:
        """Silent for longer than the lease for reaping."""
        return self.current().filter(heartbeat_at__lte=Now() - REAP_LEASE)


class Pod(models.Model):
    """One incarnation of a running `runpools`; a restart under the same name is a new row."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    host = models.CharField(max_length=200, blank=True)
    os_pid = models.PositiveIntegerField("PID")
    version = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    draining = models.BooleanField(default=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=100, blank=True)

    agent_target = models.PositiveIntegerField()
    agent_cap = models.PositiveIntegerField()
    room_target = models.PositiveIntegerField()
    room_cap = models.PositiveIntegerField()
    max_processes = models.PositiveIntegerField()
    free_slots = models.PositiveIntegerField(
        default=0, help_text="Processes that this pod could still start; calls are spread by it."
    )
    start_method = models.CharField(max_length=20, blank=True)
    agent_trouble = models.TextField(blank=True, help_text="Why agent processes do not become ready, if they don't.")

    objects = PodQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(ended_at=None), name="pod_one_current_a_name"),
            models.CheckConstraint(
                condition=Q(agent_target__lte=F("agent_cap"), room_target__lte=F("room_cap")),
                name="pod_target_within_cap",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def beat(self, *, free_slots: int, start_method: str, agent_trouble: str) -> bool:
        """Prove life. False: this incarnation has been reaped and owns nothing any more."""
        changed = (
            Pod.objects.current()
            .filter(pk=self.pk)
            .update(heartbeat_at=Now(), free_slots=free_slots, start_method=start_method, agent_trouble=agent_trouble)
        )
        return changed == 1

    def drain(self) -> bool:
        return Pod.objects.current().filter(pk=self.pk, draining=False).update(draining=True) == 1

    def end(self, reason: str) -> bool:
        return Pod.objects.current().filter(pk=self.pk).update(ended_at=Now(), end_reason=reason) == 1


class StockStatus(models.TextChoices):
    """Status of what a pool holds; only moves right."""

    WARMING = "warming"
    AVAILABLE = "available"
    IN_USE = "in_use"
    ENDED = "ended"


ENDED_IFF_ENDED_AT = Q(status="ended", ended_at__isnull=False) | (~Q(status="ended") & Q(ended_at=None))


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
    on_demand = models.BooleanField(default=False, help_text="Made for a waiting session: never stock.")
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
        return (
            AgentProcess.objects.warming().filter(pk=self.pk).update(status=StockStatus.AVAILABLE, available_at=Now())
            == 1
        )

    def end(self, reason: str, *, was: StockStatus | None = None) -> bool:
        """End it from any status, or only from the given one."""
        rows = AgentProcess.objects.filter(pk=self.pk).exclude(status=StockStatus.ENDED)
        if was:
            rows = rows.filter(status=was)
        return rows.update(status=StockStatus.ENDED, ended_at=Now(), end_reason=reason) == 1


class SessionStatus(models.TextChoices):
    WAITING = "waiting"  # no process yet
    ASSIGNED = "assigned"  # handed to a process
    ACTIVE = "active"  # acknowledged
    ENDED = "ended"


class StartKind(models.TextChoices):
    WARM = "warm"  # room and process from stock
    PARTIAL = "partial"  # one of them
    COLD = "cold"  # none


class VoiceSessionQuerySet(models.QuerySet["VoiceSession"]):
    def waiting(self) -> Self:
        return self.filter(status=SessionStatus.WAITING)

    def assigned(self) -> Self:
        return self.filter(status=SessionStatus.ASSIGNED)

    def active(self) -> Self:
        return self.filter(status=SessionStatus.ACTIVE)

    def current(self) -> Self:
        return self.exclude(status=SessionStatus.ENDED)

    def to_be_stopped(self) -> Self:
        return self.active().exclude(stop_reason="")


class VoiceSession(models.Model):
    """One room, one agent process, one caller."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    room = models.OneToOneField(Room, on_delete=models.PROTECT, related_name="voice_session")
    agent_process = models.OneToOneField(
        AgentProcess, null=True, blank=True, on_delete=models.PROTECT, related_name="voice_session"
    )
    status = models.CharField(max_length=10, choices=SessionStatus)
    start_kind = models.CharField(max_length=10, choices=StartKind)
    start_reason = models.CharField(max_length=200, blank=True, help_text="Why the start was not warm.")
    attempt = models.PositiveSmallIntegerField(default=1, help_text="Number of the hand-off.")
    reference = models.UUIDField(null=True, blank=True, db_index=True, help_text="The caller's own id: the lead's.")
    request_key = models.CharField(max_length=64, null=True, blank=True, unique=True, editable=False)
    body = models.JSONField(default=dict, blank=True, help_text="What the bot is given.")
    stop_reason = models.CharField(max_length=100, blank=True, help_text="Somebody has asked to end it, and why.")

    created_at = models.DateTimeField("claimed at", db_default=Now())
    assigned_at = models.DateTimeField(null=True, blank=True)
    active_at = models.DateTimeField("acknowledged at", null=True, blank=True)
    bot_joined_at = models.DateTimeField(null=True, blank=True)
    caller_joined_at = models.DateTimeField(null=True, blank=True)
    first_audio_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=100, blank=True)
    outcome = models.CharField(max_length=50, blank=True)
    transcript = models.JSONField(default=list, blank=True)
    detail = models.JSONField(default=dict, blank=True, help_text="What else the bot reported.")

    objects = VoiceSessionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=ENDED_IFF_ENDED_AT, name="session_ended_iff_ended_at"),
            models.CheckConstraint(
                condition=~Q(status="waiting") | Q(agent_process=None), name="session_waiting_has_no_process"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["assigned", "active"]) | Q(agent_process__isnull=False),
                name="session_handed_out_has_process",
            ),
            models.CheckConstraint(
                condition=~Q(status="active") | Q(active_at__isnull=False), name="session_active_was_acknowledged"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status="waiting"), name="session_waiting"),
            models.Index(fields=["status"], condition=~Q(status="ended"), name="session_current"),
        ]

    def __str__(self) -> str:
        return f"{self.uuid}"


class DailyAccount(models.Model):
    """What `runpools` has learned about the Daily domain behind the API key; one row (pk 1).

    The API reads it: how to make tokens, and whether Daily can be asked at all.
    """

    key_fingerprint = models.CharField(max_length=16, blank=True, help_text="Start of the key's SHA-256.")
    domain_id = models.CharField(max_length=64, blank=True)
    domain_name = models.CharField(max_length=128, blank=True)
    self_signed_tokens = models.BooleanField(default=False, help_text="Daily has accepted a token that we signed.")
    verified_at = models.DateTimeField(null=True, blank=True)
    trouble = models.TextField(blank=True, help_text="Why Daily cannot be used now, if it can't.")

    class Meta:
        verbose_name = "Daily account"
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="daily_account_is_one_row")]

    def __str__(self) -> str:
        return self.domain_name or "Daily account"


class DailyBudgetSlot(models.Model):
    """Calls made to one group of Daily's endpoints in one slice of time; all pods count in the same rows."""

    group = models.CharField(max_length=20)
    slot = models.BigIntegerField(help_text="Number of the slice since the epoch.")
    used = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "slot"], name="daily_budget_slot")]

    def __str__(self) -> str:
        return f"{self.group} {self.slot}"
