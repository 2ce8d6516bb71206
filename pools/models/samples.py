"""What the pools looked like every few seconds: the history behind the operators' charts."""

from django.db import models
from django.db.models.functions import Now


class PoolSample(models.Model):
    """All pods together, at one moment; starts are those of the interval before (see pools.status.sampling)."""

    at = models.DateTimeField(db_default=Now(), db_index=True)
    pods = models.PositiveIntegerField(help_text="That took sessions.")
    agents_available = models.PositiveIntegerField()
    agents_warming = models.PositiveIntegerField()
    agents_in_use = models.PositiveIntegerField()
    agents_target = models.PositiveIntegerField()
    rooms_available = models.PositiveIntegerField()
    rooms_warming = models.PositiveIntegerField()
    rooms_in_use = models.PositiveIntegerField()
    rooms_target = models.PositiveIntegerField()
    waiting = models.PositiveIntegerField(help_text="Sessions without a process.")
    last_session = models.BigIntegerField(help_text="The latest session's key: finds those of a time without an index.")
    warm = models.PositiveIntegerField(default=0)
    partial = models.PositiveIntegerField(default=0)
    cold = models.PositiveIntegerField(default=0)
    acknowledged = models.PositiveIntegerField(default=0)
    connect_p50_ms = models.FloatField(null=True, blank=True)
    connect_p99_ms = models.FloatField(null=True, blank=True)
    daily_left = models.FloatField(default=1.0, help_text="Of the budget of Daily calls, in the tightest group: 0..1.")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"
