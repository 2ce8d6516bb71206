"""JWTs: those that users get when they log in, and those that other services sign with the configured key.

Ours are signed with HS256, by JWT_SECRET_KEY if there is one, else by a key made from SECRET_KEY. Others are checked
with JWT_SECRET_KEY or JWT_PUBLIC_KEY, by JWT_ALGORITHM alone. Each issuer has one key and one algorithm: the key of our
own log-ins checks only tokens that carry our own `iss`, and what a token's header says decides nothing.
"""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth.models import User

from access.models import Role
from access.scope import Scope, claims_of
from common.errors import ShapeError
from common.strict_json import refuse_unstorable

ISSUER = "breeze-buddy-pools"
LEGACY_ROLES = {"shop": Role.USER}
CLOCKS_DIFFER_S = 10


class BadToken(Exception):
    """The text is for the caller."""


def lifetime() -> timedelta:
    return timedelta(minutes=settings.JWT_ACCESS_TOKEN_EXPIRE_MINUTES)


def issue(user: User, scope: Scope) -> str:
    """For a user who has logged in."""
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "sub": str(user.pk),
        "username": user.get_username(),
        "email": user.email,
        **claims_of(scope),
        "pwd": password_mark(user),
        "iat": now,
        "exp": now + lifetime(),
    }
    return jwt.encode(claims, _login_key(), algorithm="HS256")


def password_mark(user: User) -> str:
    """Changes with the password, so that a token does not outlive it."""
    return str(user.get_session_auth_hash())[:16]


def verified(token: str) -> dict[str, Any]:
    """The claims of a token that one of our keys has signed and that is not over. Raises BadToken."""
    try:
        unverified = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
        key, algorithm = _key_of(unverified.get("iss"))
        claims = jwt.decode(token, key, algorithms=[algorithm], options={"require": ["exp"]}, leeway=CLOCKS_DIFFER_S)
        refuse_unstorable(claims)
    except jwt.ExpiredSignatureError:
        raise BadToken("Token has expired") from None
    except (jwt.PyJWTError, ShapeError, ValueError, RecursionError):
        raise BadToken("Could not validate credentials") from None
    if "aud" in claims:  # for somebody else, whoever that is: an empty one too, which PyJWT takes
        raise BadToken("Could not validate credentials")
    return claims


def scope_of_claims(claims: dict[str, Any]) -> Scope:
    """Of a token that another service has issued: it says itself what its holder may do. Raises BadToken."""
    if claims.get("typ") == "widget" or claims.get("demo") or claims.get("sub") == "legacy_admin":
        raise BadToken("Could not validate credentials")
    role = str(claims.get("role"))
    try:
        known = LEGACY_ROLES.get(role) or Role(role)
    except ValueError:
        raise BadToken("Could not validate credentials") from None
    reseller_ids = _ids(claims, "reseller_ids", "reseller_id")
    merchant_ids = _ids(claims, "merchant_ids", "merchant_identifiers", "merchant_id")
    return Scope(
        role=known,
        reseller_ids=reseller_ids,
        merchant_ids=merchant_ids,
        holder=_holder(claims, known, reseller_ids, merchant_ids),
        name=str(claims.get("username") or claims.get("sub") or "")[:150],
        email=str(claims.get("email") or "")[:254],
    )


def _holder(claims: dict[str, Any], role: str, *ids: frozenset[str]) -> str:
    """A service may sign for many tenants in one name, or in none: what they may do tells them apart too."""
    issuer, subject = str(claims.get("iss", "")), str(claims.get("sub", ""))
    whole = json.dumps([issuer, subject, role, *map(sorted, ids)])
    return f"jwt {issuer} {subject} {hashlib.sha256(whole.encode()).hexdigest()[:16]}"


def _ids(claims: dict[str, Any], *names: str) -> frozenset[str]:
    """Of the first of the names that is there: a list, or a single id."""
    for name in names:
        value = claims.get(name)
        if value is None:
            continue
        ids = value if isinstance(value, list) else [value]
        return frozenset(one for one in ids if isinstance(one, str) and one.strip())
    return frozenset()


def _key_of(issuer: object) -> tuple[str | bytes, str]:
    """The one key and algorithm of this issuer. Raises BadToken where no key for other issuers is configured."""
    if issuer == ISSUER:
        return _login_key(), "HS256"
    if settings.JWT_ALGORITHM == "RS256":
        return settings.JWT_PUBLIC_KEY, "RS256"
    if settings.JWT_SECRET_KEY:
        return settings.JWT_SECRET_KEY.encode(), "HS256"
    raise BadToken("Could not validate credentials")


def _login_key() -> bytes:
    if settings.JWT_SECRET_KEY:
        return settings.JWT_SECRET_KEY.encode()
    return hmac.digest(settings.SECRET_KEY.encode(), b"breeze-buddy-pools login", hashlib.sha256)
