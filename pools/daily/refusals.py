"""Counts how often Daily has answered 429 to any process of the fleet in the last hour.

`note` counts in memory and may be called in any thread. `write` saves the count where the ORM may be used: in the loop
of `runpools`, and in the API when it gives up. Without a refusal nothing is written.
"""

import threading
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Q, Sum
from django.db.models.functions import Now

from pools.models import DailyRefusals

HOUR = timedelta(hours=1)
LATELY = timedelta(minutes=5)
TOO_MANY_REQUESTS = 429

_ADD = f"""
INSERT INTO {DailyRefusals._meta.db_table} AS minutes (minute, number) VALUES (date_trunc('minute', now()), %s)
ON CONFLICT (minute) DO UPDATE SET number = minutes.number + excluded.number"""  # noqa: S608 (a name of ours)

_lock = threading.Lock()
_unwritten = 0


def note(status: int | None) -> None:
    """Note the HTTP status of an answer of Daily; None: no answer. Only 429 is counted."""
    global _unwritten
    if status == TOO_MANY_REQUESTS:
        with _lock:
            _unwritten += 1


def write() -> None:
    """Save what this process has noted since the last call. If the database fails, the count is kept."""
    global _unwritten
    if not _unwritten:
        return
    with _lock:
        number, _unwritten = _unwritten, 0
    try:
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [number])
    except Exception:
        with _lock:
            _unwritten += number
        raise


@dataclass(frozen=True)
class Refusals:
    """Answers 429 to all processes: in the last hour, and in the last five minutes."""

    hour: int = 0
    lately: int = 0

    @classmethod
    def read(cls) -> "Refusals":
        counts = DailyRefusals.objects.filter(minute__gt=Now() - HOUR).aggregate(
            hour=Sum("number"), lately=Sum("number", filter=Q(minute__gt=Now() - LATELY))
        )
        return cls(counts["hour"] or 0, counts["lately"] or 0)

    @property
    def reason(self) -> str:
        """Why the pools are degraded; empty if the last refusal is more than five minutes old."""
        calls = "a call" if self.hour == 1 else f"{self.hour} calls"
        return f"Daily refused {calls} with 429 in the last hour" if self.lately else ""


def forget_old() -> None:
    DailyRefusals.objects.filter(minute__lt=Now() - HOUR).delete()
