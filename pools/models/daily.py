"""The Daily account, the calls that all pods have made to it, and its webhook events."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class DailyAccount(models.Model):
    """What `runpools` has learned about the Daily domain behind the API key; one row (pk 1).

    The API reads it: how to make tokens, and whether Daily can be asked at all.
    """

    key_fingerprint = models.CharField(max_length=16, blank=True, help_text="Start of the key's SHA-256.")
    domain_id = models.CharField(max_length=64, blank=True)
    domain_name = models.CharField(max_length=128, blank=True)
    self_signed_tokens = models.BooleanField(default=False, help_text="Daily has accepted a token that we signed.")
    verified_at = models.DateTimeField(null=True, blank=True)
    trouble = models.TextField(blank=True, help_text="Why Daily cannot be used now. Empty if it can.")
    webhook_active_at = models.DateTimeField(
        null=True, blank=True, help_text="When Daily was last seen to have our webhook, active."
    )
    webhook_trouble = models.TextField(
        blank=True,
        default="",
        db_default="",
        help_text="Why Daily does not send events. Empty if it does, or should not.",
    )

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


class DailyRefusals(models.Model):
    """Number of calls of all processes that Daily answered with 429 in one minute."""

    minute = models.DateTimeField(unique=True)
    number = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = verbose_name_plural = "Daily refusals"

    def __str__(self) -> str:
        return f"{self.minute:%H:%M}: {self.number}"


class SeenDailyEvent(models.Model):
    """A webhook event of Daily that has been processed, so that it is not processed twice."""

    event_id = models.CharField(max_length=200, unique=True)
    type = models.CharField(max_length=100)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "seen Daily event"
        indexes = [models.Index(fields=["received_at"], name="seen_daily_event_age")]

    def __str__(self) -> str:
        return self.event_id
