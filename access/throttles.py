"""Limits the rate of requests per caller, over all processes: one row per caller, one statement per request.

This is the generic cell rate algorithm. A rate of N per period is a bucket of N calls that refills evenly: each call
moves the time in the row forward by period/N, starting from now or from that time, whichever is later. A call that
would move it more than a period ahead of now is refused and moves nothing, so that a caller who keeps trying still
gets its rate.
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
    """Count one call. Return 0 if it is within the rate, otherwise the seconds to wait (at least 1).

    `name`: the setting; `whom`: the caller, who has a bucket of its own for each name.
    """
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
        if taken[0]:  # new rows are rare: on that occasion delete the rows that limit nobody any more
            cursor.execute(FORGET)
    return 0


class SharedThrottle(BaseThrottle):
    """Base of throttles: applies the rate of `setting` to each caller."""

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
