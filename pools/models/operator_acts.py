"""OperatorAct: what an operator did to the pools, from wherever: the admin, a terminal, the API."""

from django.db import models
from django.db.models.functions import Now


class OperatorAct(models.Model):
    """Written in the transaction of what it tells, and never changed."""

    at = models.DateTimeField(db_default=Now())
    by = models.CharField(max_length=200, help_text="A user of the admin, NAME@HOST of a terminal, or an API token.")
    what = models.CharField(max_length=300)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "operators' act"

    def __str__(self) -> str:
        return f"{self.what} by {self.by}"

    @classmethod
    def note(cls, by: str, what: str, reason: str = "") -> None:
        cls.objects.create(by=by[:200], what=what[:300], reason=reason[:300])
