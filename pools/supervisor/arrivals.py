"""When callers have come lately, to any pod: read from the voice sessions, a few rows at a time.

Each pod reads them for itself, so that all know the same. Sessions are found by their ids, which have an index; rows
that were committed out of turn are met by looking a little further back than the last one seen. A pre-joined pair
counts when it is made, not when it is claimed: that is when it takes a process and a room from the stock.
"""

import time
from bisect import insort
from collections.abc import Sequence

from django.db import connection

from pools.decisions.demand import MEMORY_S, MOST

LATE_S = 5.0  # no claim takes longer than this from its insert to its commit
SINCE = """
SELECT id, extract(epoch FROM clock_timestamp() - created_at)::float8 FROM pools_voicesession
WHERE id > %s AND created_at > clock_timestamp() - make_interval(secs => %s) ORDER BY id"""
LATEST = "SELECT coalesce(max(id), 0) FROM pools_voicesession"


class Arrivals:
    """`moments`: on the monotonic clock, in order."""

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._late: dict[int, float] = {}  # those that one which came before them may still follow
        self._settled: int | None = None  # up to here all are known

    @property
    def moments(self) -> Sequence[float]:
        return self._moments

    def poll(self) -> None:
        """Take what is new."""
        now = time.monotonic()
        with connection.cursor() as cursor:
            if self._settled is None:
                cursor.execute(LATEST)
                self._settled = max(0, int(cursor.fetchone()[0]) - MOST)
            cursor.execute(SINCE, [self._settled, MEMORY_S])
            rows = cursor.fetchall()
        for number, age in rows:
            if number not in self._late:
                self._late[number] = now - age
                insort(self._moments, now - age)
        settled = [number for number, moment in self._late.items() if moment < now - LATE_S]
        self._settled = max([self._settled, *settled])
        self._late = {number: moment for number, moment in self._late.items() if number > self._settled}
        self._forget(now)

    def _forget(self, now: float) -> None:
        kept = [moment for moment in self._moments[-MOST:] if moment > now - MEMORY_S]
        if len(kept) < len(self._moments):
            self._moments = kept
