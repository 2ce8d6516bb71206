"""Makes and recognises names of our rooms, `<prefix>-<ulid>`, so that a crash leaves a name to look for."""

from ulid import ULID


def room_name(prefix: str) -> str:
    return f"{prefix}-{str(ULID()).lower()}"


def is_ours(name: str, prefix: str) -> bool:
    """Whether we made the room. The prefix alone is not enough: `bb-<ulid>` is ours, `bb-lunch` is not."""
    head, dash, ulid = name.rpartition("-")
    if head != prefix or not dash:
        return False
    try:
        ULID.from_str(ulid.upper())
    except ValueError:
        return False
    return True
