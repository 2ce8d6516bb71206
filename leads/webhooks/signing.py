"""Signatures of what we send, by an open standard that has libraries in most languages: https://www.standardwebhooks.com

Every reseller has a secret of its own, derived from a key of ours: nothing is stored, and nobody who knows one secret
can sign for another reseller. Two keys at once sign twice, so that receivers can change over one by one.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from django.conf import settings
from standardwebhooks import Webhook

SECRET_PREFIX = "whsec_"  # noqa: S105 (the prefix of secrets, not one)


def keys() -> tuple[str, ...]:
    """What secrets are derived from, the newest first."""
    return tuple(settings.REPORTING_WEBHOOK_KEYS) or (settings.SECRET_KEY,)


def secret_of(reseller_id: str, key: str) -> str:
    """What a reseller verifies with, in the standard's form."""
    derived = hmac.new(key.encode(), f"reporting webhooks of {reseller_id}".encode(), hashlib.sha256)
    return SECRET_PREFIX + base64.b64encode(derived.digest()).decode()


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    return Webhook(secret).sign(event_id, datetime.fromtimestamp(timestamp, UTC), body.decode())


def headers(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """For one try at `timestamp`; the id stays the same at every try."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, event_id, timestamp, body) for secret in secrets),
    }
