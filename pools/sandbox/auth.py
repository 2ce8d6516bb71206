"""Daily's Bearer check, with its two different refusals."""

import hmac

from pools.sandbox.errors import DailyError


def bearer(authorization: str) -> str:
    """What follows "Bearer "; a missing or malformed header is a 400 at Daily, not a 401."""
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key or key != key.strip() or " " in key:
        raise DailyError(400, "authorization-header-error", "bad Authorization header format")
    return key


def same(secret: str, given: str) -> bool:
    return hmac.compare_digest(secret.encode(), given.encode(errors="surrogateescape"))


def check_key(authorization: str, api_key: str) -> None:
    if not same(api_key, bearer(authorization)):
        raise DailyError(401, "authentication-error")
