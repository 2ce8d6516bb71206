"""Pods: each row is one life of a running `runpools`, with its heartbeat and the sizes of its pools."""

import uuid
from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from pools.decisions.targets import Target
from pools.shares import Interval

HANDOFF_LEASE = timedelta(seconds=3)
REAP_LEASE = timedelta(seconds=10)


class PodQuerySet(models.QuerySet["Pod"]):
    def current(self) -> Self:
        """Pods that have not ended: running, or dead and not yet reaped."""
        return self.filter(ended_at=None)

    def live(self) -> Self:
        """Pods with a heartbeat within the lease for hand-offs."""
        return self.current().filter(heartbeat_at__gt=Now() - HANDOFF_LEASE)

    def taking(self) -> Self:
        """Pods that may get new sessions: live and not draining."""
        return self.live().filter(draining=False)

    def drained_by_operator(self) -> Self:
        """Pods that are out of service until an operator brings them back."""
        return self.filter(draining=True).exclude(drained_by="")

    def ended(self) -> Self:
        return self.exclude(ended_at=None)

    def silent(self) -> Self:
        """Pods without a heartbeat within the lease for hand-offs."""
        return self.current().filter(heartbeat_at__lte=Now() - HANDOFF_LEASE)

    def lost(self) -> Self:
        """Pods that are silent for longer than the lease for reaping."""
        return self.current().filter(heartbeat_at__lte=Now() - REAP_LEASE)


class Pod(models.Model):
    """One incarnation of a running `runpools`; a restart under the same name is a new row."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    host = models.CharField(max_length=200, blank=True)
    os_pid = models.PositiveIntegerField("PID")
    version = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    draining = models.BooleanField(default=False)
    drained_by = models.CharField(
        max_length=200, blank=True, db_default="", default="", help_text="The operator who drained it."
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=100, blank=True)

    agent_size = models.PositiveIntegerField(db_default=0, help_text="The configured size.")
    agent_target = models.PositiveIntegerField(help_text="How many ready items it keeps now.")
    agent_target_why = models.CharField(max_length=300, db_default="configured")
    agent_paused = models.BooleanField(db_default=False)
    agent_cap = models.PositiveIntegerField()
    room_size = models.PositiveIntegerField(db_default=0, help_text="The configured size.")
    room_target = models.PositiveIntegerField(help_text="How many ready items it keeps now.")
    room_target_why = models.CharField(max_length=300, db_default="configured")
    room_paused = models.BooleanField(db_default=False)
    room_cap = models.PositiveIntegerField()
    max_processes = models.PositiveIntegerField()
    free_slots = models.PositiveIntegerField(
        default=0, help_text="Processes that this pod can still start. Claims prefer the pod with most."
    )
    draws_from = models.FloatField(
        null=True, blank=True, help_text="Set by a roll-out: calls whose draw is at least this prefer the pod."
    )
    draws_until = models.FloatField(null=True, blank=True, help_text="Set by a roll-out: upper end of these draws.")
    start_method = models.CharField(max_length=20, blank=True)
    agent_trouble = models.TextField(blank=True, help_text="Why agent processes do not become ready. Empty if they do.")
    can_do_chores = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Its loop is on time and it can use Daily: it may do the chores of the fleet.",
    )

    task_trouble = models.TextField(
        blank=True, default="", db_default="", help_text="Which of its background tasks fail, and why."
    )

    objects = PodQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        # Those that run: asked for by every pod at every poll.
        indexes = [models.Index(fields=["id"], condition=Q(ended_at=None), name="pod_current")]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(ended_at=None), name="pod_one_current_a_name"),
            models.CheckConstraint(
                condition=Q(agent_target__lte=F("agent_cap"), room_target__lte=F("room_cap")),
                name="pod_target_within_cap",
            ),
            models.CheckConstraint(condition=Q(draining=True) | Q(drained_by=""), name="pod_drained_by_drains"),
            models.CheckConstraint(
                condition=Q(draws_from=None, draws_until=None)
                | Q(draws_from__isnull=False, draws_from__gte=0, draws_until__gte=F("draws_from"), draws_until__lte=1),
                name="pod_draws_within_one",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def draws(self) -> Interval | None:
        return None if self.draws_from is None or self.draws_until is None else (self.draws_from, self.draws_until)

    def beat(self, *, free_slots: int, start_method: str, agent_trouble: str = "", can_do_chores: bool = False) -> bool:
        """Write a heartbeat. Returns False if this pod has been reaped: it owns nothing any more."""
        values = {
            "free_slots": free_slots,
            "start_method": start_method,
            "agent_trouble": agent_trouble,
            "can_do_chores": can_do_chores,
        }
        return Pod.objects.current().filter(pk=self.pk).update(heartbeat_at=Now(), **values) == 1

    def tell_task_trouble(self, trouble: str) -> None:
        """Save why a task of the pod fails, if that has changed."""
        if trouble != self.task_trouble and Pod.objects.filter(pk=self.pk).update(task_trouble=trouble):
            self.task_trouble = trouble

    def aim(self, agents: Target, rooms: Target) -> bool:
        """Save the targets of both pools and their reasons. Returns False if the pod has ended."""
        values = {
            "agent_target": agents.size,
            "agent_target_why": agents.why[:300],
            "agent_paused": agents.paused,
            "room_target": rooms.size,
            "room_target_why": rooms.why[:300],
            "room_paused": rooms.paused,
        }
        return Pod.objects.current().filter(pk=self.pk).update(**values) == 1

    def drain(self) -> None:
        """Drain the pod because it is about to end. No operator can undo this."""
        Pod.objects.current().filter(pk=self.pk).update(draining=True, drained_by="")

    def take_out_of_service(self, by: str) -> bool:
        """Drain the pod for an operator. Returns False if it is draining already or has ended."""
        rows = Pod.objects.current().filter(pk=self.pk, draining=False)
        return rows.update(draining=True, drained_by=by[:200]) == 1

    def bring_back(self) -> bool:
        """Undo an operator's drain. Returns False if no operator has drained the pod, or it is about to end."""
        rows = Pod.objects.current().drained_by_operator().filter(pk=self.pk)
        return rows.update(draining=False, drained_by="") == 1

    def end(self, reason: str) -> bool:
        return Pod.objects.current().filter(pk=self.pk).update(ended_at=Now(), end_reason=reason) == 1
