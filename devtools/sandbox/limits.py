"""Daily's rate limits as sliding windows: so many calls of an endpoint group in any span of so many seconds.

Documented: 100 per 5 s for most endpoints, 50 per 30 s for `DELETE /rooms/:name` and `GET /recordings`, 5 per 5 s for
starting a recording and for dialling out. For the batch endpoints nothing is documented; 10 per 30 s is the strictest
claim that is known. Every call is also recorded while limits are off, so that peaks can be read after a load run.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

DEFAULT_LIMITS = {
    "default": (100, 5.0),
    "delete-room": (50, 30.0),
    "list-recordings": (50, 30.0),
    "batch": (10, 30.0),
    "start": (5, 5.0),
}
"""Group -> (calls, seconds)."""
RECORDED_CALLS = 100_000


class SlidingWindow:
    """At most `limit` accepted calls in any `seconds`. Refused calls do not count against it."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.refused = self.peak_offered = self.peak_accepted = 0
        self._offered: deque[float] = deque(maxlen=RECORDED_CALLS)
        self._accepted: deque[float] = deque(maxlen=RECORDED_CALLS)

    def call(self, now: float, *, enforced: bool = True) -> float | None:
        """Count one call; None if it is accepted, else the seconds until one would be."""
        for times in (self._offered, self._accepted):
            while times and times[0] <= now - self.seconds:
                times.popleft()
            while times and times[-1] > now:  # the clock was moved back
                times.pop()
        self._offered.append(now)
        self.peak_offered = max(self.peak_offered, len(self._offered))
        if enforced and len(self._accepted) >= self.limit:
            self.refused += 1
            oldest = self._accepted[len(self._accepted) - self.limit] if self.limit else now
            return oldest + self.seconds - now
        self._accepted.append(now)
        self.peak_accepted = max(self.peak_accepted, len(self._accepted))
        return None


@dataclass
class LimitSettings:
    """`per_route`: a window for each route instead of one shared by its group (which of them Daily does is
    unknown). `retry_after`: send that header with a 429 (Daily documents none)."""

    enabled: bool = True
    per_route: bool = False
    retry_after: bool = False


class RateLimits:
    """All windows: the sandbox has one API key."""

    def __init__(self, settings: LimitSettings) -> None:
        self.settings = settings
        self.groups = dict(DEFAULT_LIMITS)
        self._windows: dict[tuple[str, str], SlidingWindow] = {}

    def call(self, group: str, route: str, now: float) -> float | None:
        """Count one call; None if it is accepted, else the seconds until one would be."""
        key = (group, route if self.settings.per_route else "*")
        if key not in self._windows:
            self._windows[key] = SlidingWindow(*self.groups[group])
        return self._windows[key].call(now, enforced=self.settings.enabled)

    def change(self, group: str, limit: int, seconds: float) -> None:
        """Set a new limit for a group. Its counted calls and its counters start from zero."""
        self.groups[group] = (limit, seconds)
        self._windows = {key: window for key, window in self._windows.items() if key[0] != group}

    def counts(self) -> list[dict[str, Any]]:
        """Return an entry per window: its limit, refused calls, and the most calls offered and accepted in any span."""
        return [
            {
                "group": group,
                "route": route,
                "limit": window.limit,
                "seconds": window.seconds,
                "refused": window.refused,
                "peak_offered": window.peak_offered,
                "peak_accepted": window.peak_accepted,
            }
            for (group, route), window in sorted(self._windows.items())
        ]
