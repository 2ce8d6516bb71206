"""The model of a webhook delivery: an event about the end of a lead, which `runpools` sends until it is accepted."""

import uuid
from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from leads.models.lead import Lead

PATIENCE = timedelta(days=1)  # for retries, from the end of the lead or from the last request to send it again
SENDING_LEASE = timedelta(seconds=60)  # longer than a try takes: if it runs out, the pod died before the outcome


class DeliveryStatus(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    def pending(self) -> Self:
        return self.filter(status=DeliveryStatus.PENDING)

    def due(self) -> Self:
        return self.pending().filter(next_attempt_at__lte=Now())

    def untried(self) -> Self:
        return self.pending().filter(attempts=0)

    def resend(self) -> int:
        """Send ended deliveries again, with the same id, from now and for another day. Returns how many."""
        return self.exclude(status=DeliveryStatus.PENDING).update(
            status=DeliveryStatus.PENDING, ended_at=None, next_attempt_at=Now(), give_up_at=Now() + PATIENCE
        )


class WebhookDelivery(models.Model):
    event_id = models.UUIDField(
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="The same for each try, so that receivers recognise repeats.",
    )
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="webhook_deliveries")
    url = models.CharField(max_length=2000)
    host = models.CharField(max_length=255, help_text="The host of the URL; a slow host delays only its own events.")
    body = models.TextField(help_text="As it is sent; the same for each try.")
    status = models.CharField(max_length=10, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    give_up_at = models.DateTimeField()
    last_attempt_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="HTTP status of the last answer.")
    last_problem = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="pending", ended_at=None) | (~Q(status="pending") & Q(ended_at__isnull=False)),
                name="delivery_pending_iff_not_ended",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(status="pending"), name="delivery_due"),
            models.Index(fields=["ended_at"], condition=~Q(status="pending"), name="delivery_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id}"

    def begin(self) -> None:
        """Count a try before it is made, so that one whose outcome gets lost is counted too."""
        WebhookDelivery.objects.filter(pk=self.pk).update(
            attempts=F("attempts") + 1, last_attempt_at=Now(), next_attempt_at=Now() + SENDING_LEASE
        )
        self.attempts += 1

    def delivered(self, status: int) -> bool:
        return (
            self._after_try().update(
                status=DeliveryStatus.DELIVERED, ended_at=Now(), last_status=status, last_problem=""
            )
            == 1
        )

    def give_up(self, status: int | None, problem: str) -> bool:
        return (
            self._after_try().update(
                status=DeliveryStatus.GIVEN_UP, ended_at=Now(), last_status=status, last_problem=problem[:200]
            )
            == 1
        )

    def try_again_in(self, seconds: float, status: int | None, problem: str) -> bool:
        """Schedule the next try. Returns False if it would be later than `give_up_at`."""
        again = Now() + timedelta(seconds=seconds)
        return (
            self._after_try()
            .filter(give_up_at__gt=again)
            .update(next_attempt_at=again, last_status=status, last_problem=problem[:200])
            == 1
        )

    def _after_try(self) -> models.QuerySet["WebhookDelivery"]:
        """Return this row, if no later try has begun."""
        return WebhookDelivery.objects.pending().filter(pk=self.pk, attempts=self.attempts)
