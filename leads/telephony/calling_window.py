"""When a template's telephones may be called: the clock on a wall somewhere, summer time included. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class CallingWindow:
    """From `start` until before `end` on the clocks of `zone`; over midnight if the end is the earlier.

    A clock that is put back shows some hour twice, and both are as they are shown. An hour that is left out is not
    shown at all: a window that would begin in it is open from the next time that is shown.
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
        """`now` if it is open, else the next time at which it opens."""
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
    """No name of the IANA database; or one that depends on the host, such as `localtime`."""


def time_zone(name: str) -> ZoneInfo:
    """Raises UnknownTimeZone."""
    if name not in _names():
        raise UnknownTimeZone
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())
