"""The model of a lead: a call to be made, and its outcome."""

import uuid
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from leads.models.template import Template
from pools.models import SessionStatus


class ExecutionMode(models.TextChoices):
    TELEPHONY = "TELEPHONY"
    TELEPHONY_TEST = "TELEPHONY_TEST"
    DAILY = "DAILY"
    DAILY_TEST = "DAILY_TEST"
    DAILY_STREAM = "DAILY_STREAM"


WEB_MODES = (ExecutionMode.DAILY, ExecutionMode.DAILY_TEST, ExecutionMode.DAILY_STREAM)
TELEPHONY_MODES = (ExecutionMode.TELEPHONY, ExecutionMode.TELEPHONY_TEST)


class LeadStatus(models.TextChoices):
    BACKLOG = "BACKLOG"
    PROCESSING = "PROCESSING"
    FINISHED = "FINISHED"


class PlatformStatus(models.TextChoices):
    """Whether the service has begun a call."""

    INITIATED = "INITIATED"
    NOT_INITIATED = "NOT_INITIATED"


class ProviderStatus(models.TextChoices):
    """Whether a dialled call was answered."""

    ANSWERED = "ANSWERED"
    NOT_ANSWERED = "NOT_ANSWERED"
    UNKNOWN = "UNKNOWN"


class ProviderReason(models.TextChoices):
    """How a dialled call ended, in carriers' terms."""

    COMPLETED = "COMPLETED"
    NO_ANSWER = "NO_ANSWER"
    BUSY = "BUSY"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    TIMEOUT = "TIMEOUT"


class LeadQuerySet(models.QuerySet["Lead"]):
    def to_dial(self) -> Self:
        """Return the telephony leads that wait to be dialled, without those that have no number."""
        return self.filter(status=LeadStatus.BACKLOG, execution_mode__in=TELEPHONY_MODES, platform_status="")

    def to_be_dialled(self) -> Self:
        """Return the telephony leads whose bot is in its room and stays there, so that the phone can be dialled now."""
        return self.filter(
            status=LeadStatus.PROCESSING,
            execution_mode__in=TELEPHONY_MODES,
            platform_status="",
            voice_session__status=SessionStatus.ACTIVE,
            voice_session__bot_joined_at__isnull=False,
            voice_session__stop_reason="",
        ).select_related("voice_session__room")


class Lead(models.Model):
    """One call to be made: pushed (BACKLOG), connected or dialled (PROCESSING), ended (FINISHED).

    A retry is a row of its own, which points to the attempt before it and counts one more. The results of a call
    (outcome, end reason, transcription) are kept here, because sessions are deleted after a while.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    request_id = models.CharField(max_length=200, help_text="The integrator's own id, such as an order id; not unique.")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="leads")
    reseller_id = models.CharField(max_length=100)
    merchant_id = models.CharField(max_length=100, blank=True)
    execution_mode = models.CharField(max_length=20, choices=ExecutionMode, default=ExecutionMode.TELEPHONY)
    payload = models.JSONField(default=dict)
    is_playground = models.BooleanField(default=False)
    configurations_override = models.JSONField(null=True, blank=True)
    flow_override = models.JSONField(null=True, blank=True)
    reporting_webhook_url = models.URLField(
        max_length=2000, blank=True, db_default="", help_text="The end of the lead is reported to this URL."
    )
    push_key = models.CharField(
        max_length=64, null=True, blank=True, editable=False, help_text="SHA-256 of the caller and its Idempotency-Key."
    )
    push_digest = models.CharField(
        max_length=64, blank=True, db_default="", editable=False, help_text="SHA-256 of what was pushed."
    )
    status = models.CharField(max_length=12, choices=LeadStatus, default=LeadStatus.BACKLOG)
    outcome = models.CharField(max_length=50, blank=True)
    end_reason = models.CharField(max_length=100, blank=True, db_default="", help_text="How its session ended.")
    abort_reason = models.CharField(
        max_length=500, blank=True, db_default="", help_text="Why it was cancelled, as given in the request."
    )
    attempt_count = models.PositiveIntegerField(default=0, help_text="Attempts before this one.")
    previous_attempt = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="next_attempts", db_index=False
    )
    next_attempt_at = models.DateTimeField(db_default=Now())
    voice_session = models.OneToOneField(
        "pools.VoiceSession", null=True, blank=True, on_delete=models.SET_NULL, related_name="lead"
    )
    call_id = models.CharField(max_length=128, blank=True, db_default="", help_text="Name of the room.")
    platform_status = models.CharField(max_length=20, choices=PlatformStatus, blank=True, db_default="")
    platform_reason = models.CharField(
        max_length=50, blank=True, db_default="", help_text="DIALED, WEB_SESSION, or why no call was begun."
    )
    phone_session = models.CharField(
        max_length=64, blank=True, db_default="", help_text="Daily's id of the phone call."
    )
    provider_status = models.CharField(max_length=20, choices=ProviderStatus, blank=True, db_default="")
    provider_reason = models.CharField(max_length=20, choices=ProviderReason, blank=True, db_default="")
    provider_hangup_cause = models.CharField(max_length=100, blank=True, db_default="")
    transcription = models.JSONField(default=list, db_default=[], blank=True)
    call_initiated_time = models.DateTimeField(null=True, blank=True)
    call_end_time = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    objects = LeadQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status="PROCESSING") | Q(voice_session__isnull=False),
                name="lead_processing_has_session",
            ),
            models.CheckConstraint(
                condition=~Q(status="BACKLOG") | Q(voice_session=None), name="lead_backlog_has_no_session"
            ),
            models.CheckConstraint(
                condition=Q(status="FINISHED", call_end_time__isnull=False)
                | (~Q(status="FINISHED") & Q(call_end_time=None)),
                name="lead_finished_iff_call_end_time",
            ),
            models.CheckConstraint(
                condition=Q(previous_attempt=None) | Q(attempt_count__gt=0), name="lead_retry_counts_its_attempts"
            ),
            models.CheckConstraint(
                condition=Q(provider_status="", provider_reason="") | Q(platform_status="INITIATED"),
                name="lead_provider_speaks_of_calls_made",
            ),
            models.UniqueConstraint(
                fields=["previous_attempt"],
                condition=Q(previous_attempt__isnull=False),
                name="lead_retried_once_an_attempt",
            ),
            models.UniqueConstraint(
                fields=["push_key"], condition=Q(push_key__isnull=False), name="lead_pushed_once_a_key"
            ),
        ]
        indexes = [
            models.Index(fields=["reseller_id", "merchant_id", "-id"], name="lead_scope"),
            models.Index(fields=["request_id"], name="lead_request"),
            models.Index(fields=["next_attempt_at"], condition=Q(status="BACKLOG"), name="lead_backlog"),
            # For the dialler, which goes template by template. Web leads and leads without a number, which it must not
            # dial, are not in this index.
            models.Index(
                fields=["template", "next_attempt_at"],
                condition=Q(status="BACKLOG", execution_mode__in=TELEPHONY_MODES, platform_status=""),
                name="lead_to_dial",
            ),
            models.Index(
                fields=["template"],
                condition=Q(status="PROCESSING", execution_mode__in=TELEPHONY_MODES),
                name="lead_in_call",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.uuid}"
