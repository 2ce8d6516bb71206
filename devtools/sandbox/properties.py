"""Room properties: which values Daily accepts, and which of them a room's `config` shows (non-defaults only).

Properties that are not in the tables below are kept and shown as they are: Daily has more of them than any
list of ours, and Pipecat passes on what its user sets.
"""

import json
from typing import Any, TypeGuard

from devtools.sandbox.errors import invalid_request, quoted

FLAGS: dict[str, bool | None] = {
    # name -> default; None: the default is the domain's, so that any value given differs from it
    "eject_at_room_exp": False,
    "start_video_off": False,
    "start_audio_off": False,
    "enable_chat": False,
    "enable_dialout": False,
    "enforce_unique_user_ids": False,
    "owner_only_broadcast": False,
    "enable_screenshare": True,
    "enable_hidden_participants": False,
    "enable_adaptive_simulcast": True,
    "enable_prejoin_ui": None,
    "enable_emoji_reactions": None,
    "enable_people_ui": None,
    "enable_network_ui": None,
    "enable_knocking": None,
    "enable_terse_logging": None,
    "enable_transcription_storage": None,
}
MAX_PARTICIPANTS = 200
COUNTS: dict[str, int | None] = {"max_participants": MAX_PARTICIPANTS, "eject_after_elapsed": None}
RECORDINGS = ("cloud", "cloud-audio-only", "local", "raw-tracks")
MEETING_JOIN_HOOK_CHARS = 255
MAX_CONFIG_CHARS = 8192
MAX_NUMBER = 2**53
"""Beyond it JSON numbers are no longer exact for everybody."""


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is a JSON number of sane size (not NaN, not infinite); `true` is not one.

    Daily takes floats where it documents whole seconds.
    """
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) and abs(value) < MAX_NUMBER


def check_unix_seconds(name: str, value: object, now: float) -> None:
    """Raise DailyError for an `exp` or `nbf` that is no number, or a past `exp`. The texts are Daily's."""
    if not is_number(value):
        raise invalid_request(f"{name} was {quoted(value)} but should be a number of seconds since the unix epoch")
    if name == "exp" and value <= now:
        raise invalid_request(f"exp was {quoted(value)}, which is in the past rather than in the future")


def merged(config: dict[str, Any], changes: object, now: float) -> dict[str, Any]:
    """Return `config` with `changes`. `null` and defaults remove a property. Raises DailyError for a wrong value."""
    if changes is None:
        return config
    if not isinstance(changes, dict):
        raise invalid_request("properties should be an object")
    result = dict(config)
    for name, value in changes.items():
        result.pop(name, None)
        if value is not None:
            _check(name, value, now)
            if value != FLAGS.get(name, COUNTS.get(name)):
                result[name] = value
    try:
        size = len(json.dumps(result))
    except RecursionError:
        raise invalid_request("properties are nested too deeply") from None
    if size > MAX_CONFIG_CHARS:
        raise invalid_request(f"properties should have at most {MAX_CONFIG_CHARS} characters as JSON")
    return result


def _check(name: str, value: object, now: float) -> None:
    if name in ("exp", "nbf"):
        check_unix_seconds(name, value, now)
    elif name in FLAGS and not isinstance(value, bool):
        raise invalid_request(f"{name} was {quoted(value)} but should be a boolean")
    elif name in COUNTS and not (is_number(value) and isinstance(value, int) and value >= 1):
        raise invalid_request(f"{name} was {quoted(value)} but should be a positive integer")
    elif name == "enable_recording" and value not in RECORDINGS:
        raise invalid_request(f"enable_recording was {quoted(value)} but should be one of {', '.join(RECORDINGS)}")
    elif name == "geo" and not isinstance(value, str):
        raise invalid_request(f"geo was {quoted(value)} but should be a string")
    elif name == "meeting_join_hook" and (not isinstance(value, str) or len(value) > MEETING_JOIN_HOOK_CHARS):
        raise invalid_request(f"meeting_join_hook should be a string of at most {MEETING_JOIN_HOOK_CHARS} characters")
