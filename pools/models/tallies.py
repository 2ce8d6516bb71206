"""Counts of what has happened that outlive the rows of those to whom it happened."""

from django.db import models

from pools.models.voice_sessions import StartKind


class SessionTally(models.Model):
    """How many sessions have ended, by how they began and ended: counted in the transaction that ends them, so that
    the count outlives their rows and no crash, restart or second reporter can make it wrong.

    Spread over a few `shard`s, so that sessions that end at once do not wait for each other.
    """

    start_kind = models.CharField(max_length=10, choices=StartKind)
    agent_miss = models.CharField(max_length=20, blank=True)
    room_miss = models.CharField(max_length=20, blank=True)
    end_reason = models.CharField(max_length=100)
    shard = models.PositiveSmallIntegerField()
    sessions = models.BigIntegerField(default=0)
    handed_off_again = models.BigIntegerField(default=0, help_text="Hand-offs beyond the first of each session.")

    class Meta:
        verbose_name_plural = "session tallies"
        constraints = [
            models.UniqueConstraint(
                fields=["start_kind", "agent_miss", "room_miss", "end_reason", "shard"], name="session_tally"
            )
        ]

    def __str__(self) -> str:
        return f"{self.start_kind} {self.end_reason}: {self.sessions}"


class EventTally(models.Model):
    """How often something rare has happened (a reaped row, a leak that was found), counted with the change itself."""

    event = models.CharField(max_length=50, unique=True)
    number = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "event tallies"

    def __str__(self) -> str:
        return f"{self.event}: {self.number}"
