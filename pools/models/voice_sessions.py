"""Voice sessions: one room, one agent process, one caller each, from the claim to the end."""

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from pools.logs.redaction import process_redactor
from pools.models.stock import ENDED_IFF_ENDED_AT, AgentProcess, Room


class SessionStatus(models.TextChoices):
    WAITING = "waiting"  # no process yet
    ASSIGNED = "assigned"  # handed to a process
    ACTIVE = "active"  # acknowledged
    ENDED = "ended"


class StartKind(models.TextChoices):
    PREJOINED = "prejoined", "Pre-joined"  # both from stock, and the bot was in the room already
    WARM = "warm"  # room and process from stock
    PARTIAL = "partial"  # one of them
    COLD = "cold"  # none


IN_STOCK = (StartKind.PREJOINED, StartKind.WARM)  # nothing was missing
MISSED = (StartKind.PARTIAL, StartKind.COLD)


class VoiceSessionQuerySet(models.QuerySet["VoiceSession"]):
    def waiting(self) -> Self:
        return self.filter(status=SessionStatus.WAITING)

    def assigned(self) -> Self:
        return self.filter(status=SessionStatus.ASSIGNED)

    def active(self) -> Self:
        return self.filter(status=SessionStatus.ACTIVE)

    def current(self) -> Self:
        return self.exclude(status=SessionStatus.ENDED)

    def unclaimed(self) -> Self:
        """Pre-joined pairs in stock: no calls."""
        return self.filter(unclaimed=True)

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
    start_reason = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="Why the start was not warm."
    )
    unclaimed = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A pre-joined pair that nobody has claimed yet: its bot is in the room.",
    )
    outbound = models.BooleanField(
        default=False, db_default=False, help_text="Its caller is a phone, which is dialled when the bot has joined."
    )
    agent_miss = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="Why no agent process was ready."
    )
    room_miss = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="Why no room was ready."
    )
    circumstances = models.JSONField(
        null=True, blank=True, help_text="State of the pools when the start missed. Null if it was warm."
    )
    attempt = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="Number of the hand-off.")
    failed_handoffs = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text="The earlier hand-offs: process, pod, when, and what went wrong.",
    )
    reference = models.UUIDField(null=True, blank=True, db_index=True, help_text="Id of the lead.")
    request_key = models.CharField(max_length=64, null=True, blank=True, unique=True, editable=False)
    body = models.JSONField(default=dict, blank=True, help_text="What the bot is given.")
    stop_reason = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="Why it was asked to end."
    )

    before_claim_ms = models.FloatField(
        "before the claim (ms)", null=True, blank=True, help_text="From the request's arrival to the claim."
    )
    created_at = models.DateTimeField("claimed at", db_default=Now())
    assigned_at = models.DateTimeField(null=True, blank=True)
    handed_off_at = models.DateTimeField(
        null=True, blank=True, help_text="When the process that acknowledged was told of the session."
    )
    active_at = models.DateTimeField("acknowledged at", null=True, blank=True)
    bot_joined_at = models.DateTimeField(null=True, blank=True)
    caller_joined_at = models.DateTimeField(null=True, blank=True)
    caller_present_since = models.DateTimeField(
        null=True, blank=True, help_text="When the caller last came, as Daily's webhooks tell it."
    )
    caller_left_at = models.DateTimeField(null=True, blank=True, help_text="When the caller left. Empty while there.")
    first_audio_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=100, blank=True, default="", db_default="")
    outcome = models.CharField(max_length=50, blank=True, default="", db_default="")
    transcript = models.JSONField(default=list, db_default=[], blank=True)
    detail = models.JSONField(default=dict, db_default={}, blank=True, help_text="What else the bot reported.")
    never_spoke = models.BooleanField(
        default=False, db_default=False, help_text="The caller was there, and the bot never said anything."
    )
    never_heard = models.BooleanField(
        default=False, db_default=False, help_text="The caller was there, and the bot never heard anything of them."
    )
    recording_id = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="Id of the recording at Daily, when it is ready.",
    )

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
                condition=Q(unclaimed=False) | Q(status__in=["assigned", "active"]), name="session_unclaimed_is_there"
            ),
            models.CheckConstraint(
                condition=~Q(status="active") | Q(active_at__isnull=False), name="session_active_was_acknowledged"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status="waiting"), name="session_waiting"),
            models.Index(fields=["status"], condition=~Q(status="ended"), name="session_current"),
            # Why was something missing? Only the starts that missed pay for it.
            models.Index(fields=["-created_at"], condition=Q(start_kind__in=MISSED), name="session_missed"),
            # The key of a pre-joined pair is as old as the pair: the time of its claim tells when it became a start.
            models.Index(fields=["created_at"], condition=Q(start_kind="prejoined"), name="session_prejoined"),
            models.Index(fields=["id"], condition=Q(unclaimed=True), name="session_unclaimed"),
        ]

    def __str__(self) -> str:
        return f"{self.uuid}"

    @property
    def error(self) -> str:
        """The first error that the bot, its transport or a provider reported; without secrets."""
        return process_redactor().text(str(self.detail.get("error", "")))

    @property
    def requested_at(self) -> datetime:
        """When the request of the caller arrived. Waiting times count from here."""
        return self.created_at - timedelta(milliseconds=self.before_claim_ms or 0)
