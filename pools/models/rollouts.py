"""A roll-out: which share of the calls which version of the bot is to have. An operator's; none is ever changed."""

from typing import Any, Self

from django.db import models
from django.db.models.functions import Now

from pools.shares import Shares, in_words


class RolloutQuerySet(models.QuerySet["Rollout"]):
    def standing(self) -> Self:
        """Not taken back: the latest of them is in force, those before it are what rolling back goes to."""
        return self.filter(taken_back_at=None).order_by("-id")


class Rollout(models.Model):
    """The pods carry what follows from the one in force (`draws_from`, `draws_until`), for the claim to read there."""

    pairs = models.JSONField(
        "versions and percent", default=list, blank=True, help_text="In their order, which JSON objects do not keep."
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
