from django.db import models
from django.db.models.functions import Now


class RateAllowance(models.Model):
    """How far a caller has used up a rate. All processes share the row (access.throttles).

    The table is UNLOGGED (migration 0001): counting costs no disk flush, and a crash of PostgreSQL forgets it all.
    """

    key = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of the rate's name and of the caller.")
    used_up_to = models.DateTimeField(
        db_default=Now(),
        help_text="Each call moves it forward, to at most one period ahead of now.",
    )

    class Meta:
        db_table = "leads_rateallowance"

    def __str__(self) -> str:
        return self.key[:8]
