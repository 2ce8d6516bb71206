"""Checks and reads events of Daily's webhooks: the signature, its age, and the content.

No Django, no database. Daily signs the timestamp, a dot and the raw body with HMAC-SHA256; key and signature are
base64. Source: https://docs.daily.co/reference/rest-api/webhooks
"""

import base64
import hashlib
import hmac
import json
import math
from binascii import Error as BadBase64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

PRESENCE_EVENTS = frozenset({"participant.joined", "participant.left", "meeting.ended"})
RECORDING_EVENTS = frozenset({"recording.ready-to-download"})
DIALOUT_EVENTS = frozenset({"dialout.answered", "dialout.stopped", "dialout.error"})
EVENT_TYPES = PRESENCE_EVENTS | RECORDING_EVENTS | DIALOUT_EVENTS

# Daily tries again for up to a quarter of an hour, and does not say whether it signs anew then. A replay within the
# window is refused by the event's id, which is remembered for longer than that.
WINDOW_S = 1800.0
MAX_ID = 200


class NotFromDaily(Exception):
    """The signature is missing, wrong or too old. The message goes to the sender."""


@dataclass(frozen=True)
class DailyEvent:
    """One event. `room` is the name of its room, empty if it has none."""

    type: str
    id: str
    payload: dict[str, Any] = field(repr=False)
    at: datetime

    @property
    def room(self) -> str:
        return self.text("room") or self.text("room_name")

    def text(self, name: str) -> str:
        value = self.payload.get(name)
        return value if isinstance(value, str) else ""

    def moment(self, name: str) -> datetime | None:
        return _moment(self.payload.get(name))


def webhook_key(api_key: str, room_prefix: str) -> str:
    """The key that Daily signs with. All our processes compute the same; each environment has its own."""
    derived = hmac.new(api_key.encode(), f"webhooks of {room_prefix}".encode(), hashlib.sha256)
    return base64.b64encode(derived.digest()).decode()


def sign(key: str, timestamp: str, body: bytes) -> str:
    digest = hmac.new(base64.b64decode(key), timestamp.encode() + b"." + body, hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()


def check_signature(key: str, timestamp: str, signature: str, body: bytes, now: float) -> None:
    """Check that Daily has signed the body recently. Raises NotFromDaily."""
    if not timestamp or not signature:
        raise NotFromDaily("X-Webhook-Timestamp and X-Webhook-Signature are needed")
    try:
        given = base64.b64decode(signature, validate=True)
        sent_at = float(timestamp)
    except (BadBase64, ValueError):
        raise NotFromDaily("the signature or its timestamp is malformed") from None
    if not hmac.compare_digest(base64.b64decode(sign(key, timestamp, body)), given):
        raise NotFromDaily("the signature is wrong")
    if not abs(now - sent_at) <= WINDOW_S:  # also refuses NaN
        raise NotFromDaily("the timestamp is too old or in the future")


def is_test(body: bytes) -> bool:
    """Whether this is the test request that Daily sends before it creates a webhook."""
    return _object(body) == {"test": "test"}


def read_event(body: bytes) -> DailyEvent | None:
    """The event in the body; None if it has no known form."""
    event = _object(body)
    kind, id, payload, at = (event.get(name) for name in ("type", "id", "payload", "event_ts"))
    if not (isinstance(kind, str) and isinstance(id, str) and 0 < len(id) <= MAX_ID and isinstance(payload, dict)):
        return None
    moment = _moment(at)
    return DailyEvent(kind, id, payload, moment) if moment else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _moment(seconds: object) -> datetime | None:
    """The moment of Unix seconds, whole or not; None for anything else."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
