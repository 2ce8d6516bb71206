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
    never_spoke = models.BigIntegerField(default=0, db_default=0, help_text="Whose caller heard nothing of the bot.")
    never_heard = models.BigIntegerField(default=0, db_default=0, help_text="Whose bot heard nothing of the caller.")

    class Meta:
        verbose_name_plural = "session tallies"
        constraints = [
            models.UniqueConstraint(
                fields=["start_kind", "agent_miss", "room_miss", "end_reason", "shard"], name="session_tally"
            )
        ]

    def __str__(self) -> str:
        return f"{self.start_kind} {self.end_reason}: {self.sessions}"


class VersionTally(models.Model):
    """What became of the sessions of each version of the bot; counted with the session, spread over `shard`s too."""

    version = models.CharField(max_length=100, blank=True, help_text="Of the process that had the session last.")
    start_kind = models.CharField(max_length=10, choices=StartKind)
    shard = models.PositiveSmallIntegerField()
    sessions = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0, help_text="Those that ended by a fault of ours.")
    failed_handoffs = models.BigIntegerField(default=0, help_text="Attempts that went elsewhere afterwards.")
    joined = models.BigIntegerField(default=0, help_text="Whose bot came into the room.")
    joined_s = models.FloatField(default=0, help_text="From the request; all together.")
    spoke = models.BigIntegerField(default=0, help_text="Whose bot said something.")
    spoke_s = models.FloatField(default=0, help_text="From the caller's coming; all together.")

    class Meta:
        verbose_name_plural = "version tallies"
        constraints = [models.UniqueConstraint(fields=["version", "start_kind", "shard"], name="version_tally")]

    def __str__(self) -> str:
        return f"{self.version} {self.start_kind}: {self.sessions}"


class EventTally(models.Model):
    """How often something rare has happened (a reaped row, a leak that was found), counted with the change itself."""

    event = models.CharField(max_length=50, unique=True)
    number = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "event tallies"

    def __str__(self) -> str:
        return f"{self.event}: {self.number}"
