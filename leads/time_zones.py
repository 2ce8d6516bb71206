"""Time zones by their names: those of the pinned `tzdata`, which are the same on every host and in every image."""

from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo


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
