"""Rates of requests, in one row for each caller that all processes share: one statement a request.

A rate of N in a period is a bucket of N calls that refills evenly (the generic cell rate algorithm): a call moves the
row's time on by period/N, from now or from where it was, and is refused where that would be more than a period ahead.
A refused call moves nothing, so that who hammers on still gets its rate.
"""

import hashlib
import math

from django.conf import settings
from django.db import connection
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from access.rate import Rate
from access.scope import scope_of

TAKE = """
INSERT INTO leads_rateallowance AS row (key, used_up_to)
VALUES (%(key)s, clock_timestamp() + %(share)s * interval '1 s')
ON CONFLICT (key) DO UPDATE SET used_up_to = greatest(row.used_up_to, clock_timestamp()) + %(share)s * interval '1 s'
WHERE row.used_up_to + %(share)s * interval '1 s' <= clock_timestamp() + %(period)s * interval '1 s'
RETURNING xmax = 0"""
WAIT = """
SELECT extract(epoch FROM used_up_to - clock_timestamp()) + %(share)s - %(period)s
FROM leads_rateallowance WHERE key = %(key)s"""
FORGET = "DELETE FROM leads_rateallowance WHERE used_up_to < clock_timestamp() - interval '1 min'"


def seconds_to_wait(name: str, whom: str, rate: Rate | None) -> float:
    """Count one call; 0 if it is within the rate."""
    if rate is None:
        return 0
    key = hashlib.sha256(f"{name} {whom}".encode()).hexdigest()
    values: dict[str, str | float] = {"key": key, "share": rate.seconds / rate.calls, "period": rate.seconds}
    with connection.cursor() as cursor:
        cursor.execute(TAKE, values)
        taken = cursor.fetchone()
        if taken is None:
            cursor.execute(WAIT, values)
            row = cursor.fetchone()
            return max(1.0, float(row[0])) if row else 1.0
        if taken[0]:  # a new row, which is rare: the moment to forget those that limit nobody any more
            cursor.execute(FORGET)
    return 0


class SharedThrottle(BaseThrottle):
    """A rate of the settings for whoever `whom` says."""

    setting: str
    _wait = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        self._wait = seconds_to_wait(self.setting, self.whom(request), getattr(settings, self.setting))
        return not self._wait

    def whom(self, request: Request) -> str:
        return scope_of(request).holder

    def wait(self) -> float:
        return math.ceil(self._wait)


class PushThrottle(SharedThrottle):
    setting = "PUSH_RATE"


class BulkPushThrottle(SharedThrottle):
    setting = "BULK_PUSH_RATE"
