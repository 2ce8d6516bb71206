from django.db import models


class ThrottleCount(models.Model):
    """Requests counted against a rate, in one window of time; all processes count in the same rows.

    The table is UNLOGGED (migration 0004): a count costs no disk flush, and a crash of PostgreSQL forgets them all.
    """

    key = models.CharField(max_length=64, help_text="SHA-256 of the rate's name and of whom it limits.")
    window = models.BigIntegerField(help_text="Number of the window since the epoch.")
    used = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "window"], name="throttle_count")]
        indexes = [models.Index(fields=["window"], name="throttle_window")]

    def __str__(self) -> str:
        return f"{self.key[:8]} {self.window}"
