"""Signs reporting webhooks by the open standard https://www.standardwebhooks.com, with libraries in most languages.

Every reseller has a secret of its own, derived from a key of the service. Nothing is stored, and a reseller that knows
its secret cannot sign for another one. With two keys, each event gets two signatures, so that receivers can change to
the new secret one by one.
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
    """Return the keys that secrets are derived from, the newest first."""
    return tuple(settings.REPORTING_WEBHOOK_KEYS) or (settings.SECRET_KEY,)


def secret_of(reseller_id: str, key: str) -> str:
    """Return the secret with which a reseller verifies signatures, in the standard's form."""
    derived = hmac.new(key.encode(), f"reporting webhooks of {reseller_id}".encode(), hashlib.sha256)
    return SECRET_PREFIX + base64.b64encode(derived.digest()).decode()


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    return Webhook(secret).sign(event_id, datetime.fromtimestamp(timestamp, UTC), body.decode())


def headers(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers for one try at `timestamp` (Unix seconds); the id is the same for every try."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, event_id, timestamp, body) for secret in secrets),
    }
