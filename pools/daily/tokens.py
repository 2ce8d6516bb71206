"""Signs meeting tokens ourselves: no call to Daily, never stale, no secret stored.

A meeting token is a JWT (HS256) signed with the domain's API key; claims by their short names. Source:
https://docs.daily.co/docs/guides/privacy-and-security/self-signing-tokens
"""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

import jwt

SKEW_S = 30  # our clock may be ahead of Daily's


@dataclass(frozen=True)
class TokenRequest:
    """Who may enter which room until when. `lifetime`: seconds from now.

    `user_id` (at most 36 characters) of the bot is the session's id: with `enforce_unique_user_ids` on the room a
    second bot of a session would put the first one out, never stand beside it.
    """

    room_name: str
    user_id: str
    user_name: str
    owner: bool
    lifetime: int
    recording: bool = False  # Daily records from the moment at which this one joins

    def claims(self, domain_id: str, now: float) -> dict[str, Any]:
        """Claims for signing. False ones are left out: an explicit `ejt` overrides the ejection of the room."""
        claims = {
            "r": self.room_name,
            "d": domain_id,
            "iat": int(now) - SKEW_S,
            "exp": int(now) + self.lifetime,
            "u": self.user_name,
            "ud": self.user_id,
            "ejt": True,
        }
        return claims | ({"o": True} if self.owner else {}) | ({"sr": True} if self.recording else {})

    def properties(self, now: float) -> dict[str, Any]:
        """The same as properties for Daily's REST API."""
        return {
            "room_name": self.room_name,
            "exp": int(now) + self.lifetime,
            "user_name": self.user_name,
            "user_id": self.user_id,
            "is_owner": self.owner,
            "eject_at_token_exp": True,
            **({"start_cloud_recording": True} if self.recording else {}),
        }


@dataclass(frozen=True)
class TokenSigner:
    api_key: str = field(repr=False)
    domain_id: str

    def sign(self, request: TokenRequest, now: float | None = None) -> str:
        return jwt.encode(
            request.claims(self.domain_id, time.time() if now is None else now), self.api_key, algorithm="HS256"
        )


def fingerprint(api_key: str) -> str:
    """16 hexadecimal digits of the key's SHA-256, to recognise a key without storing it."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]
