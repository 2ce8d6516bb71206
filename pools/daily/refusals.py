"""How often Daily has answered 429 of late, to whichever process of the fleet.

Whoever calls Daily notes it in memory, in whatever thread; it is written where the ORM may be used: by `runpools` in
its loop, by the API where it gives up. Without a refusal nothing is written.
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
    """Daily has answered with this status."""
    global _unwritten
    if status == TOO_MANY_REQUESTS:
        with _lock:
            _unwritten += 1


def write() -> None:
    """What this process has noted since. Should the database fail, it is written another time."""
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
    """Of all processes: in the last hour, and in the last five minutes of it."""

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
        """Why the pools are degraded: for as long as it goes on."""
        calls = "a call" if self.hour == 1 else f"{self.hour} calls"
        return f"Daily refused {calls} with 429 in the last hour" if self.lately else ""


def forget_old() -> None:
    DailyRefusals.objects.filter(minute__lt=Now() - HOUR).delete()
