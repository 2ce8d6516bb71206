"""Leads, the templates that they are made from, and the tokens that callers of the API hold."""

import hashlib
import secrets
import uuid
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Template(models.Model):
    """What a bot is told: found by its name within a reseller (and merchant), or by its UUID."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    reseller_id = models.CharField(max_length=100)
    merchant_id = models.CharField(max_length=100, blank=True, help_text="Empty: for all merchants of the reseller.")
    configurations = models.JSONField(default=dict, blank=True, help_text="Given to the bot with the payload.")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["reseller_id", "merchant_id", "name"]
        constraints = [
            models.UniqueConstraint(fields=["reseller_id", "merchant_id", "name"], name="template_name_in_scope")
        ]

    def __str__(self) -> str:
        return self.name


class ExecutionMode(models.TextChoices):
    TELEPHONY = "TELEPHONY"
    TELEPHONY_TEST = "TELEPHONY_TEST"
    DAILY = "DAILY"
    DAILY_TEST = "DAILY_TEST"
    DAILY_STREAM = "DAILY_STREAM"


WEB_MODES = (ExecutionMode.DAILY, ExecutionMode.DAILY_TEST, ExecutionMode.DAILY_STREAM)


class LeadStatus(models.TextChoices):
    BACKLOG = "BACKLOG"
    PROCESSING = "PROCESSING"
    FINISHED = "FINISHED"


class Lead(models.Model):
    """One call to be made: pushed (BACKLOG), connected (PROCESSING), over (FINISHED)."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    request_id = models.CharField(max_length=200, help_text="The caller's tag, their order id; not unique.")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="leads")
    reseller_id = models.CharField(max_length=100)
    merchant_id = models.CharField(max_length=100, blank=True)
    execution_mode = models.CharField(max_length=20, choices=ExecutionMode, default=ExecutionMode.TELEPHONY)
    payload = models.JSONField(default=dict)
    is_playground = models.BooleanField(default=False)
    configurations_override = models.JSONField(null=True, blank=True)
    status = models.CharField(max_length=12, choices=LeadStatus, default=LeadStatus.BACKLOG)
    outcome = models.CharField(max_length=50, blank=True)
    attempt_count = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    voice_session = models.OneToOneField(
        "pools.VoiceSession", null=True, blank=True, on_delete=models.SET_NULL, related_name="lead"
    )
    call_initiated_time = models.DateTimeField(null=True, blank=True)
    call_end_time = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

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
        ]
        indexes = [
            models.Index(fields=["reseller_id", "merchant_id", "-id"], name="lead_scope"),
            models.Index(fields=["next_attempt_at"], condition=Q(status="BACKLOG"), name="lead_backlog"),
        ]

    def __str__(self) -> str:
        return f"{self.uuid}"


class Role(models.TextChoices):
    ADMIN = "admin"  # everything
    RESELLER = "reseller"  # its own resellers and all their merchants
    MERCHANT = "merchant"  # its own merchants
    USER = "user"  # reads what its scope shows, changes nothing


def _scope_problem(role: str, resellers: list[str], merchants: list[str]) -> str:
    match role:
        case Role.ADMIN if resellers or merchants:
            return "An admin sees everything: name no reseller and no merchant."
        case Role.RESELLER if merchants:
            return "A reseller has all of its merchants: name none."
        case Role.RESELLER if not resellers:
            return "A reseller needs at least one reseller id."
        case Role.MERCHANT if not merchants:
            return "A merchant needs at least one merchant id."
        case Role.USER if not resellers and not merchants:
            return "A user needs at least one reseller or merchant id."
    return ""


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self) -> Self:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)

    def revoke(self) -> int:
        """For good; returns how many were not revoked before."""
        return self.filter(revoked_at=None).update(revoked_at=Now())


class ApiToken(models.Model):
    """An opaque bearer token: shown once when made, kept as its SHA-256."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, help_text="Who holds it.")
    role = models.CharField(max_length=10, choices=Role)
    reseller_ids = models.JSONField(default=list, blank=True)
    merchant_ids = models.JSONField(default=list, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="How the token begins.")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = "API token"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """A role has the ids that it needs and no others. Raises ValidationError."""
        for name in ("reseller_ids", "merchant_ids"):
            ids = getattr(self, name)
            if not isinstance(ids, list) or not all(isinstance(one, str) and one.strip() for one in ids):
                raise ValidationError({name: "A list of ids."})
        if problem := _scope_problem(self.role, self.reseller_ids, self.merchant_ids):
            raise ValidationError(problem)

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()

    @classmethod
    def issue(cls, **values: Any) -> tuple[Self, str]:
        """A new row and its secret, which is nowhere kept."""
        token = cls(**values)
        secret = token.make_secret()
        token.save()
        return token, secret

    def make_secret(self) -> str:
        """Give a token that is not saved yet its secret, and return that."""
        secret = f"bb_{secrets.token_urlsafe(32)}"
        self.digest, self.hint = self.digest_of(secret), secret[:7]
        return secret
