"""What a pool holds, rooms or agent processes: its statuses, and what holds for both."""

from django.db import models
from django.db.models import Q


class StockStatus(models.TextChoices):
    """Status of what a pool holds; only moves right."""

    WARMING = "warming"
    AVAILABLE = "available"
    IN_USE = "in_use"
    ENDED = "ended"


ENDED_IFF_ENDED_AT = Q(status="ended", ended_at__isnull=False) | (~Q(status="ended") & Q(ended_at=None))


def present(field: str) -> Q:
    """The text field is not empty."""
    return ~Q(**{field: ""})
