"""Authenticates callers by `Authorization: Bearer`, with one of our opaque tokens or with a JWT."""

from django.contrib.auth import get_user_model
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from access import jwts
from access.models import ApiToken
from access.scope import Scope

MAX_TOKEN_LENGTH = 200  # our tokens have 46 characters; what is much longer is not hashed
MAX_JWT_LENGTH = 8000  # about what a header may hold
BAD_CREDENTIALS = "Could not validate credentials"


class BearerTokenAuthentication(BaseAuthentication):
    """Returns (Scope, ApiToken or None). Without the header a caller is anonymous; a bad header gives 401."""

    def authenticate(self, request: Request) -> tuple[Scope, ApiToken | None] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        kind, _, secret = header.partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer":
            raise AuthenticationFailed("Use 'Authorization: Bearer <token>'")
        if not secret or not secret.isascii():
            raise AuthenticationFailed(BAD_CREDENTIALS)
        if secret.count(".") == 2 and len(secret) <= MAX_JWT_LENGTH:
            return _scope_of_jwt(secret), None
        if len(secret) > MAX_TOKEN_LENGTH:
            raise AuthenticationFailed(BAD_CREDENTIALS)
        token = ApiToken.usable_by(secret)
        if token is None:
            raise AuthenticationFailed(BAD_CREDENTIALS)
        return Scope.of_token(token), token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _scope_of_jwt(secret: str) -> Scope:
    """Return the scope of a JWT. Raises AuthenticationFailed (401).

    For our own users it is read from the database, because it may have changed since the log-in. JWTs of other issuers
    say themselves what their holder may do.
    """
    try:
        claims = jwts.verified(secret)
        if claims.get("iss") != jwts.ISSUER:
            return jwts.scope_of_claims(claims)
    except jwts.BadToken as problem:
        raise AuthenticationFailed(str(problem)) from None
    pk = str(claims.get("sub"))
    user = (
        get_user_model().objects.select_related("profile").filter(pk=pk, is_active=True).first()
        if pk.isdecimal() and len(pk) < 19
        else None
    )
    scope = Scope.of_user(user) if user and claims.get("pwd") == jwts.password_mark(user) else None
    if scope is None:
        raise AuthenticationFailed(BAD_CREDENTIALS)
    return scope
