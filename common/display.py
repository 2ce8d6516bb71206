"""Formats numbers and times for people: in the admin and on terminals."""

from datetime import datetime

from django.utils import timezone

NONE = "-"


def duration(seconds: float) -> str:
    """Format a length of time in the unit that people would use: 240 ms, 12.0 s, 5 min, 3 h, 2 d."""
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, size, unit, digits in ((120, 1, "s", 1), (7200, 60, "min", 0), (172_800, 3600, "h", 0)):
        if abs(seconds) < limit:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def since(moment: datetime | None) -> str:
    """Format how long ago a moment was; "-" if there is none."""
    return NONE if moment is None else duration((timezone.now() - moment).total_seconds())


def ago(moment: datetime | None, what: str = "") -> str:
    """Format a moment as a column shows it: "5 min ago", or with `what="ended "` "ended 5 min ago"."""
    return NONE if moment is None else f"{what}{since(moment)} ago"


def between(start: datetime | None, end: datetime | None) -> str:
    """Format the time from start to end; "-" if one of them is missing."""
    return NONE if start is None or end is None else duration((end - start).total_seconds())


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 pod", "2 pods", "0 processes". `many` is the plural if it is not `one` + s."""
    return f"{number} {one if number == 1 else many or one + 's'}"
