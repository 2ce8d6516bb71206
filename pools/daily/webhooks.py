"""Daily's webhooks as they arrive: is it Daily that speaks, is it news, and what does it say.

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
    """The signature is missing or wrong, or too old; the text is for whoever sent it."""


@dataclass(frozen=True)
class DailyEvent:
    """One event. `room` is the name of its room, empty where the event has none."""

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
    """What we give Daily to sign with: known to all our processes and to nobody else, one per environment."""
    derived = hmac.new(api_key.encode(), f"webhooks of {room_prefix}".encode(), hashlib.sha256)
    return base64.b64encode(derived.digest()).decode()


def sign(key: str, timestamp: str, body: bytes) -> str:
    digest = hmac.new(base64.b64decode(key), timestamp.encode() + b"." + body, hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()


def check_signature(key: str, timestamp: str, signature: str, body: bytes, now: float) -> None:
    """Raises NotFromDaily."""
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
    """Daily's question whether anybody is there, which comes before there is a webhook."""
    return _object(body) == {"test": "test"}


def read_event(body: bytes) -> DailyEvent | None:
    """None if it is no event of a form that we know."""
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
    """Of Unix seconds, whole or not."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
