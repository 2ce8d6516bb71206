"""Webhooks, their subscriptions and their waiting events. State only: `webhook_sender` does the HTTP.

As documented: `circuit-breaker` (the default) tries each message once, and three failures in a row stop the webhook
until it is updated; `exponential` tries each message up to five times and never stops. The body is signed with the
webhook's `hmac` key. Each webhook gets its messages one after the other, in the order in which they came.
"""

import base64
import hashlib
import hmac
import json
import secrets
import uuid
from binascii import Error as BadBase64
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from devtools.sandbox.errors import DailyError, invalid_request, quoted

EVENT_TYPES = frozenset(
    f"{subject}.{event}"
    for subject, events in {
        "participant": ("joined", "left"),
        "waiting-participant": ("joined", "left"),
        "meeting": ("started", "ended"),
        "recording": ("started", "ready-to-download", "error"),
        "dialout": ("connected", "answered", "stopped", "warning", "error"),
        "dialin": ("ready", "connected", "stopped", "warning", "error"),
    }.items()
    for event in events
)
RETRY_TYPES = ("circuit-breaker", "exponential")
FAILURES_IN_A_ROW = 3
RETRY_SECONDS = (1.0, 10.0, 100.0, 900.0)
"""After the first, second ... failure of a message; what follows the last is the end of it."""
MAX_WEBHOOKS = 10
MAX_WAITING = 10_000
PARAMETERS = ("url", "eventTypes", "retryType", "hmac", "basicAuth")


@dataclass(eq=False)
class Webhook:
    url: str
    event_types: list[str]
    retry_type: str
    hmac: str = field(repr=False)
    basic_auth: str | None = field(default=None, repr=False)
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "ACTIVE"
    failed_count: int = 0
    last_pushed: str | None = None
    created_at: str = field(default_factory=lambda: _iso_now())
    updated_at: str = field(default_factory=lambda: _iso_now())
    waiting: deque[bytes] = field(default_factory=lambda: deque(maxlen=MAX_WAITING), repr=False)
    tries: int = 0  # of the first one that waits
    delivered: int = 0
    dropped: int = 0

    def as_json(self, domain_id: str) -> dict[str, Any]:
        return {
            "uuid": self.uuid,
            "url": self.url,
            "hmac": self.hmac,
            "basicAuth": self.basic_auth,
            "retryType": self.retry_type,
            "eventTypes": self.event_types,
            "state": self.state,
            "failedCount": self.failed_count,
            "lastMomentPushed": self.last_pushed,
            "domainId": domain_id,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }

    def headers(self, body: bytes, now: float) -> dict[str, str]:
        """Return the headers of one delivery of this body. Each attempt has a new signature."""
        timestamp = str(int(now))
        headers = {
            "Content-Type": "application/json",
            "X-Webhook-Timestamp": timestamp,
            "X-Webhook-Signature": signature(self.hmac, timestamp, body),
        }
        return headers | ({"Authorization": f"Basic {self.basic_auth}"} if self.basic_auth else {})

    def succeeded(self) -> None:
        self.waiting.popleft()
        self.tries, self.failed_count, self.last_pushed = 0, 0, _iso_now()
        self.delivered += 1

    def failed(self) -> float:
        """Count a failed delivery. Returns the seconds to wait before the next one."""
        self.tries += 1
        if self.retry_type == "exponential" and self.tries <= len(RETRY_SECONDS):
            return RETRY_SECONDS[self.tries - 1]
        self.waiting.popleft()
        self.tries = 0
        self.dropped += 1
        if self.retry_type == "circuit-breaker":
            self.failed_count += 1
            if self.failed_count >= FAILURES_IN_A_ROW:
                self.state = "FAILED"
                self.dropped += len(self.waiting)
                self.waiting.clear()
        return 0.0


def signature(key: str, timestamp: str, body: bytes) -> str:
    """Base64 of HMAC-SHA256, as is the key, over the timestamp, a dot and the body."""
    digest = hmac.new(base64.b64decode(key), timestamp.encode() + b"." + body, hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()


class Webhooks:
    """All webhooks of the domain. Refusals are DailyErrors."""

    def __init__(self) -> None:
        self._webhooks: dict[str, Webhook] = {}

    def all(self) -> list[Webhook]:
        return list(self._webhooks.values())

    def get(self, uuid: str) -> Webhook:
        if uuid not in self._webhooks:
            raise DailyError(404, "not-found", f"webhook {uuid} not found")
        return self._webhooks[uuid]

    def new(self, wanted: dict[str, Any]) -> Webhook:
        """Check and return a webhook. `add` stores it, after its address has answered."""
        _check(wanted)
        if not wanted.get("url"):
            raise invalid_request("url should be given")
        if len(self._webhooks) >= MAX_WEBHOOKS:
            raise invalid_request(f"there are {MAX_WEBHOOKS} webhooks already")
        return Webhook(
            url=wanted["url"],
            event_types=wanted.get("eventTypes") or sorted(EVENT_TYPES),
            retry_type=wanted.get("retryType") or RETRY_TYPES[0],
            hmac=wanted.get("hmac") or base64.b64encode(secrets.token_bytes(32)).decode(),
            basic_auth=wanted.get("basicAuth"),
        )

    def add(self, webhook: Webhook) -> None:
        self._webhooks[webhook.uuid] = webhook

    def update(self, webhook: Webhook, wanted: dict[str, Any]) -> None:
        """Change what is given and activate the webhook, after its address has answered."""
        webhook.url = wanted.get("url") or webhook.url
        webhook.event_types = wanted.get("eventTypes") or webhook.event_types
        webhook.retry_type = wanted.get("retryType") or webhook.retry_type
        webhook.hmac = wanted.get("hmac") or webhook.hmac
        webhook.basic_auth = wanted.get("basicAuth", webhook.basic_auth)
        webhook.state, webhook.failed_count, webhook.updated_at = "ACTIVE", 0, _iso_now()

    def check(self, wanted: dict[str, Any]) -> None:
        _check(wanted)

    def remove(self, uuid: str) -> None:
        del self._webhooks[self.get(uuid).uuid]

    def tell(self, type: str, payload: dict[str, Any], id: str, now: float) -> None:
        """Queue an event for every webhook that subscribes to it."""
        event = {"version": "1.0.0", "type": type, "id": id, "payload": payload, "event_ts": now}
        body = json.dumps(event).encode()
        for webhook in self._webhooks.values():
            if webhook.state == "ACTIVE" and type in webhook.event_types:
                webhook.waiting.append(body)

    def counts(self) -> list[dict[str, Any]]:
        return [
            {
                "url": webhook.url,
                "state": webhook.state,
                "waiting": len(webhook.waiting),
                "delivered": webhook.delivered,
                "dropped": webhook.dropped,
            }
            for webhook in self._webhooks.values()
        ]


def _check(wanted: dict[str, Any]) -> None:
    for name in wanted:
        if name not in PARAMETERS:
            raise invalid_request(f"unknown parameter {quoted(name)}")
    url, types, retry, key = (wanted.get(name) for name in PARAMETERS[:4])
    if url is not None and not (isinstance(url, str) and _is_address(url)):
        raise invalid_request(f"url was {quoted(url)} but should be an address")
    if types is not None and not (isinstance(types, list) and all(isinstance(one, str) for one in types)):
        raise invalid_request("eventTypes should be a list of strings")
    for type in types or []:
        if type not in EVENT_TYPES:
            raise invalid_request(f"eventTypes has {quoted(type)}, which is no type of event")
    if retry is not None and retry not in RETRY_TYPES:
        raise invalid_request(f"retryType was {quoted(retry)} but should be one of {', '.join(RETRY_TYPES)}")
    if key is not None and not (isinstance(key, str) and _is_base64(key)):
        raise invalid_request("hmac should be base64")
    if not isinstance(wanted.get("basicAuth"), str | None):
        raise invalid_request("basicAuth should be a string")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_base64(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) > 0
    except (BadBase64, ValueError):
        return False


def _iso_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
