"""Issues JWTs to users who log in, and verifies those and the JWTs that other services sign.

Our own are signed with HS256, with JWT_SECRET_KEY or, if it is unset, with a key derived from SECRET_KEY. Others are
verified with JWT_SECRET_KEY or JWT_PUBLIC_KEY, by JWT_ALGORITHM only. Each issuer has one key and one algorithm: the
key of our own log-ins verifies only tokens with our `iss`, and the algorithm in a token's header is not trusted.
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
CLOCKS_DIFFER_S = 10  # how much the clock of another issuer may be off


class BadToken(Exception):
    """The token cannot be accepted. The text is shown to the caller."""


def lifetime() -> timedelta:
    return timedelta(minutes=settings.JWT_ACCESS_TOKEN_EXPIRE_MINUTES)


def issue(user: User, scope: Scope) -> str:
    """Return a signed JWT for a user who has logged in."""
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
    """Return a short digest that changes with the password, so that tokens end when it is changed."""
    return str(user.get_session_auth_hash())[:16]


def verified(token: str) -> dict[str, Any]:
    """Return the claims of a token if its signature is right and it has not expired. Raises BadToken."""
    try:
        unverified = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
        key, algorithm = _key_of(unverified.get("iss"))
        claims = jwt.decode(token, key, algorithms=[algorithm], options={"require": ["exp"]}, leeway=CLOCKS_DIFFER_S)
        refuse_unstorable(claims)
    except jwt.ExpiredSignatureError:
        raise BadToken("Token has expired") from None
    except (jwt.PyJWTError, ShapeError, ValueError, RecursionError):
        raise BadToken("Could not validate credentials") from None
    if "aud" in claims:  # the token is meant for another service; PyJWT itself would accept an empty `aud`
        raise BadToken("Could not validate credentials")
    return claims


def scope_of_claims(claims: dict[str, Any]) -> Scope:
    """Return the scope that a token of another service claims for its holder. Raises BadToken."""
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
    """Return a name that is unique per holder. Role and ids are part of it, because a service may sign for many tenants
    with the same subject, or with none."""
    issuer, subject = str(claims.get("iss", "")), str(claims.get("sub", ""))
    whole = json.dumps([issuer, subject, role, *map(sorted, ids)])
    return f"jwt {issuer} {subject} {hashlib.sha256(whole.encode()).hexdigest()[:16]}"


def _ids(claims: dict[str, Any], *names: str) -> frozenset[str]:
    """Return the ids of the first of these claims that is present; it holds a list or a single id."""
    for name in names:
        value = claims.get(name)
        if value is None:
            continue
        ids = value if isinstance(value, list) else [value]
        return frozenset(one for one in ids if isinstance(one, str) and one.strip())
    return frozenset()


def _key_of(issuer: object) -> tuple[str | bytes, str]:
    """Return key and algorithm for this issuer. Raises BadToken if no key for other issuers is configured."""
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
