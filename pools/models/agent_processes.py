"""An agent process: from the row that is written before the fork to the proof of its death."""

import uuid
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from pools.models.pods import Pod
from pools.models.stock import ENDED_IFF_ENDED_AT, StockStatus


class AgentProcessQuerySet(models.QuerySet["AgentProcess"]):
    def warming(self) -> Self:
        return self.filter(status=StockStatus.WARMING)

    def available(self) -> Self:
        return self.filter(status=StockStatus.AVAILABLE)

    def in_use(self) -> Self:
        return self.filter(status=StockStatus.IN_USE)

    def current(self) -> Self:
        return self.exclude(status=StockStatus.ENDED)


class AgentProcess(models.Model):
    """A child process of a pod that hosts one bot for one session, then exits."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    pod = models.ForeignKey(Pod, on_delete=models.CASCADE, related_name="agent_processes")
    status = models.CharField(max_length=10, choices=StockStatus, default=StockStatus.WARMING)
    on_demand = models.BooleanField(default=False, help_text="Made for a waiting session: never stock.")
    retiring = models.BooleanField(
        default=False, db_default=False, help_text="An operator wants it replaced; given out until it is."
    )
    os_pid = models.PositiveIntegerField("PID", null=True, blank=True)
    start_method = models.CharField(max_length=20, blank=True)
    version = models.CharField(max_length=100, blank=True)
    warmup_ms = models.FloatField("warm-up (ms)", null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    available_at = models.DateTimeField(null=True, blank=True)
    in_use_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=100, blank=True)

    objects = AgentProcessQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "agent processes"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=ENDED_IFF_ENDED_AT, name="agent_ended_iff_ended_at"),
            models.CheckConstraint(
                condition=~Q(status="available") | Q(on_demand=False, os_pid__isnull=False),
                name="agent_available_runs_and_is_stock",
            ),
        ]
        indexes = [
            # The claim: newest first within the pod with the most free slots.
            models.Index(fields=["pod", "-id"], condition=Q(status="available"), name="agent_claim"),
            models.Index(fields=["pod", "status"], condition=~Q(status="ended"), name="agent_current"),
        ]

    def __str__(self) -> str:
        return f"{self.uuid}"

    def become_available(self) -> bool:
        return (
            AgentProcess.objects.warming().filter(pk=self.pk).update(status=StockStatus.AVAILABLE, available_at=Now())
            == 1
        )

    def end(self, reason: str, *, was: StockStatus | None = None) -> bool:
        """End it from any status, or only from the given one."""
        rows = AgentProcess.objects.filter(pk=self.pk).exclude(status=StockStatus.ENDED)
        if was:
            rows = rows.filter(status=was)
        return rows.update(status=StockStatus.ENDED, ended_at=Now(), end_reason=reason) == 1
