"""The model of a template: the schema of payloads, the bot's configurations, and when leads are dialled."""

import uuid

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from leads.telephony.calling_window import UnknownTimeZone, time_zone

WEEK_S = 7 * 86_400


def check_time_zone(name: str) -> None:
    """Raise ValidationError if a name is not one of the IANA database, such as Asia/Kolkata."""
    try:
        time_zone(name)
    except UnknownTimeZone:
        raise ValidationError("must be a time zone of the IANA database, such as Asia/Kolkata") from None


class Template(models.Model):
    """What leads are made from. Found by its name within a reseller (and merchant), or by its UUID.

    The call execution config is for telephony: the first call comes `initial_offset` seconds after the push, at most
    `max_attempts` calls are made, `retry_offset` seconds apart, each within the calling window (from start to end in
    the local time of `time_zone`, over midnight if the end is earlier), at most `max_concurrent_calls` at a time.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    reseller_id = models.CharField(max_length=100)
    merchant_id = models.CharField(max_length=100, blank=True, help_text="Empty: for all merchants of the reseller.")
    expected_payload_schema = models.JSONField(
        null=True, blank=True, help_text="JSON Schema that payloads must satisfy. Empty: any object is accepted."
    )
    configurations = models.JSONField(default=dict, blank=True, help_text="Given to the bot with the payload.")
    active = models.BooleanField(default=True)

    initial_offset = models.PositiveIntegerField(
        "initial offset (s)", default=0, db_default=0, validators=[MaxValueValidator(4 * WEEK_S)]
    )
    max_attempts = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text="Calls in total; 1: no retry.",
    )
    retry_offset = models.PositiveIntegerField(
        "retry offset (s)", default=900, db_default=900, validators=[MaxValueValidator(4 * WEEK_S)]
    )
    calling_window_start = models.TimeField(
        null=True, blank=True, help_text="Leave start and end empty to call at any time."
    )
    calling_window_end = models.TimeField(null=True, blank=True)
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        db_default="UTC",
        validators=[check_time_zone],
        help_text="The time zone of the calling window.",
    )
    max_concurrent_calls = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty: limited only by capacity."
    )

    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["reseller_id", "merchant_id", "name"]
        constraints = [
            models.UniqueConstraint(fields=["reseller_id", "merchant_id", "name"], name="template_name_in_scope"),
            models.CheckConstraint(condition=Q(max_attempts__gte=1), name="template_is_tried_once"),
            models.CheckConstraint(
                condition=Q(calling_window_start=None, calling_window_end=None)
                | (
                    Q(calling_window_start__isnull=False, calling_window_end__isnull=False)
                    & ~Q(calling_window_start=F("calling_window_end"))
                ),
                name="template_window_has_start_and_end",
            ),
            models.CheckConstraint(
                condition=Q(max_concurrent_calls=None) | Q(max_concurrent_calls__gte=1),
                name="template_allows_a_call",
            ),
        ]

    def __str__(self) -> str:
        return self.name
