"""Checks requests: Daily's Bearer check with its two different errors, and the host names that the sandbox accepts."""

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from devtools.sandbox.errors import DailyError


def bearer(authorization: str) -> str:
    """Return what follows "Bearer ". A missing or malformed header is a 400 at Daily, not a 401."""
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key or key != key.strip() or " " in key:
        raise DailyError(400, "authorization-header-error", "bad Authorization header format")
    return key


def same(secret: str, given: str) -> bool:
    return hmac.compare_digest(secret.encode(), given.encode(errors="surrogateescape"))


def check_key(authorization: str, api_key: str) -> None:
    if not same(api_key, bearer(authorization)):
        raise DailyError(401, "authentication-error")


def check_host(host: str) -> None:
    """Raises DailyError unless it is an address or a name of this network, such as `localhost` or that of a container.

    The page of a site whose name leads here would otherwise be one of ours to a browser, and the key is published.
    """
    name = urlsplit(f"//{host}").hostname or ""
    try:
        ip_address(name)
    except ValueError:
        if "." in name.removesuffix(".localhost"):
            raise DailyError(403, "invalid-request-error", f"the sandbox has no such name: {name:.100}") from None
