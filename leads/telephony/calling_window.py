"""Decides when the callees of a template may be called, by the local time of its zone, summer time included. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class CallingWindow:
    """From `start` until before `end` in the local time of `zone`; over midnight if `end` is earlier than `start`.

    When clocks are put back, an hour occurs twice, and both count. When they are put forward, an hour is skipped: a
    window that would open in it opens right after it.
    """

    start: time
    end: time
    zone: ZoneInfo

    def is_open(self, now: datetime) -> bool:
        shown = now.astimezone(self.zone).time().replace(tzinfo=None, fold=0)
        if self.start < self.end:
            return self.start <= shown < self.end
        return shown >= self.start or shown < self.end

    def opens_at(self, now: datetime) -> datetime:
        """Return `now` if the window is open, else the next time at which it opens."""
        if self.is_open(now):
            return now
        today = now.astimezone(self.zone).date()
        moments = [
            datetime.combine(today + timedelta(days=days), self.start, self.zone).replace(fold=fold).astimezone(UTC)
            for days in range(3)
            for fold in (0, 1)
        ]
        return min(moment for moment in moments if moment > now and self.is_open(moment))


class UnknownTimeZone(LookupError):
    """The name is not in the IANA database, or its meaning depends on the host, like that of `localtime`."""


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone of this name, if the pinned `tzdata` has it: then it is the same on every host. Raises
    UnknownTimeZone."""
    if name not in _names():
        raise UnknownTimeZone
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())
