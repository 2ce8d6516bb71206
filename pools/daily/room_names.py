"""Names of rooms: ours, unique, recognisable (`<prefix>-<ulid>`), so that a crash leaves a name to look for."""

from ulid import ULID


def room_name(prefix: str) -> str:
    return f"{prefix}-{str(ULID()).lower()}"


def is_ours(name: str, prefix: str) -> bool:
    """The prefix alone is not enough: `bb-ulid` is ours, somebody's `bb-lunch` is not."""
    head, dash, ulid = name.rpartition("-")
    if head != prefix or not dash:
        return False
    try:
        ULID.from_str(ulid.upper())
    except ValueError:
        return False
    return True
