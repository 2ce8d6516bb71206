"""Counters that outlive the rows that they count, and samples of the pools for the charts."""

from django.db import models
from django.db.models.functions import Now

from pools.models.voice_sessions import StartKind


class SessionCounter(models.Model):
    """Number of ended sessions, by how they started and ended.

    It is incremented in the transaction that ends a session: no crash, restart or second report makes it wrong. Each
    counter is spread over a few rows (`shard`), so that sessions that end at the same time do not wait for each other.
    """

    start_kind = models.CharField(max_length=10, choices=StartKind)
    agent_miss = models.CharField(max_length=20, blank=True)
    room_miss = models.CharField(max_length=20, blank=True)
    end_reason = models.CharField(max_length=100)
    shard = models.PositiveSmallIntegerField()
    sessions = models.BigIntegerField(default=0)
    handed_off_again = models.BigIntegerField(default=0, help_text="Hand-offs beyond the first of each session.")
    never_spoke = models.BigIntegerField(
        default=0, db_default=0, help_text="Sessions whose caller heard nothing of the bot."
    )
    never_heard = models.BigIntegerField(
        default=0, db_default=0, help_text="Sessions whose bot heard nothing of the caller."
    )

    class Meta:
        verbose_name_plural = "session counters"
        constraints = [
            models.UniqueConstraint(
                fields=["start_kind", "agent_miss", "room_miss", "end_reason", "shard"], name="session_counter"
            )
        ]

    def __str__(self) -> str:
        return f"{self.start_kind} {self.end_reason}: {self.sessions}"


class VersionCounter(models.Model):
    """Results of ended sessions by version of the bot; incremented and spread over shards like `SessionCounter`."""

    version = models.CharField(
        max_length=100, blank=True, help_text="Version of the process that had the session last."
    )
    start_kind = models.CharField(max_length=10, choices=StartKind)
    shard = models.PositiveSmallIntegerField()
    sessions = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0, help_text="Sessions that ended by an error of the service.")
    failed_handoffs = models.BigIntegerField(default=0, help_text="Hand-offs that failed.")
    joined = models.BigIntegerField(default=0, help_text="Sessions whose bot joined the room.")
    joined_s = models.FloatField(default=0, help_text="Seconds from the request until the bot joined, summed up.")
    spoke = models.BigIntegerField(default=0, help_text="Sessions whose bot said something.")
    spoke_s = models.FloatField(
        default=0, help_text="Seconds from the caller's arrival until the bot spoke, summed up."
    )

    class Meta:
        verbose_name_plural = "version counters"
        constraints = [models.UniqueConstraint(fields=["version", "start_kind", "shard"], name="version_counter")]

    def __str__(self) -> str:
        return f"{self.version} {self.start_kind}: {self.sessions}"


class EventCounter(models.Model):
    """Number of rare events (a reaped row, a leak that was found), incremented with the change itself."""

    event = models.CharField(max_length=50, unique=True)
    number = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "event counters"

    def __str__(self) -> str:
        return f"{self.event}: {self.number}"


class PoolSample(models.Model):
    """The pools of all pods at one moment; starts are those of the interval before (pools/status/sampling.py)."""

    at = models.DateTimeField(db_default=Now(), db_index=True)
    pods = models.PositiveIntegerField(help_text="Pods that took sessions.")
    agents_available = models.PositiveIntegerField()
    agents_warming = models.PositiveIntegerField()
    agents_in_use = models.PositiveIntegerField()
    agents_target = models.PositiveIntegerField()
    rooms_available = models.PositiveIntegerField()
    rooms_warming = models.PositiveIntegerField()
    rooms_in_use = models.PositiveIntegerField()
    rooms_target = models.PositiveIntegerField()
    waiting = models.PositiveIntegerField(help_text="Sessions without a process.")
    last_session = models.BigIntegerField(
        help_text="Primary key of the latest session, to find later ones without another index."
    )
    warm = models.PositiveIntegerField(default=0)
    partial = models.PositiveIntegerField(default=0)
    cold = models.PositiveIntegerField(default=0)
    acknowledged = models.PositiveIntegerField(default=0)
    connect_p50_ms = models.FloatField(null=True, blank=True)
    connect_p99_ms = models.FloatField(null=True, blank=True)
    daily_left = models.FloatField(
        default=1.0, help_text="Share of the budget of Daily calls left, in the tightest group: 0..1."
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"
