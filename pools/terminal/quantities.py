"""Parses rates, durations, shares and moments on the command line. Each function raises ArgumentTypeError."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
LONGEST_S = 366 * UNITS["d"]
NUMBER = r"(\d+(?:\.\d+)?)"
DURATION = re.compile(rf"{NUMBER}\s*(ms|s|min|m|h|d)")
RATE = re.compile(rf"{NUMBER}\s*/\s*(s|min|m|h|d)")
CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


def duration(text: str) -> float:
    """Seconds of a duration such as 300ms, 2s, 20m, 1h or 7d; at most a year."""
    if not (found := DURATION.fullmatch(text.strip().lower())):
        raise ArgumentTypeError(f"{text!r} is not a duration such as 300ms, 2s, 20m, 1h or 7d")
    return _bounded(text, float(found[1]) * UNITS[found[2]])


def minutes(text: str) -> float:
    """A number of minutes such as 30 or 0.5; at most a year."""
    if not re.fullmatch(NUMBER, text.strip()) or not float(text):
        raise ArgumentTypeError(f"{text!r} is not a number of minutes such as 30")
    return _bounded(f"{text} minutes", 60 * float(text)) / 60


def _bounded(text: str, seconds: float) -> float:
    if seconds > LONGEST_S:
        raise ArgumentTypeError(f"{text} is too long: at most a year (366d)")
    return seconds


def rate(text: str) -> float:
    """Events a second of a rate such as 2/s, 120/min or 5000/h."""
    if not (found := RATE.fullmatch(text.strip().lower())) or not float(found[1]):
        raise ArgumentTypeError(f"{text!r} is not a rate such as 2/s, 120/min or 5000/h")
    return float(found[1]) / UNITS[found[2]]


def share(text: str) -> float:
    """A share from 0.5 to below 1, written as 99%, 99.9% or 0.999."""
    number = text.strip().removesuffix("%")
    try:
        value = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0.5 <= value < 1:
        raise ArgumentTypeError(f"{text!r} is not a share from 50% to below 100%, such as 99.9%")
    return value


def moment(text: str, now: datetime) -> datetime:
    """A moment: 10:00 (the next one, UTC), +20m (from now), 2026-11-24T10:00 (UTC without an offset), or now."""
    text = text.strip()
    if text == "now":
        return now
    if text.startswith("+"):
        return now + timedelta(seconds=duration(text[1:]))
    if found := CLOCK.fullmatch(text):
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        if hour < 24 and minute < 60 and second < 60:
            today = now.astimezone(UTC).replace(hour=hour, minute=minute, second=second, microsecond=0)
            return today if today >= now else today + timedelta(days=1)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not a moment such as 10:00 (UTC), +20m or 2026-11-24T10:00+05:30"
        ) from None
    parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    if abs(parsed - now) > timedelta(seconds=LONGEST_S):
        raise ArgumentTypeError(f"{text} is too far away: at most a year (366 days)")
    return parsed
