"""What all pods know about the Daily account, and how much of its budget they have used."""

from django.db import models
from django.db.models import Q


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
