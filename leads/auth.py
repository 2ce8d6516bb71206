"""Who calls, and what they may see and change: bearer tokens, roles, scopes. Nothing else decides this."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, cast

from django.db.models import Q, QuerySet
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request

from leads.models import ApiToken, Lead, Role, Template

if TYPE_CHECKING:  # REST framework's views import this module
    from rest_framework.views import APIView

READ_ONLY = "Access denied: this token is read-only"
MAX_TOKEN_LENGTH = 200  # ours have 46 characters; nothing longer is worth hashing


@dataclass(frozen=True)
class Scope:
    """What the holder of a token may see and change; Without ids it sees nothing.

    admin everything; reseller all of its resellers; merchant its merchants (of its resellers, if it names any);
    user reads what its resellers or merchants show.
    """

    role: Role
    reseller_ids: frozenset[str]
    merchant_ids: frozenset[str]
    holder: str  # tells the holders of tokens apart
    is_authenticated = True  # what REST framework asks of a user

    @classmethod
    def of(cls, token: ApiToken) -> Self:
        return cls(Role(token.role), frozenset(token.reseller_ids), frozenset(token.merchant_ids), f"token {token.pk}")

    @property
    def may_change(self) -> bool:
        return self.role != Role.USER

    @property
    def is_operator(self) -> bool:
        """May see what concerns the service as a whole."""
        return self.role == Role.ADMIN

    def leads(self) -> QuerySet[Lead]:
        """All others do not exist for this caller: 404."""
        return Lead.objects.filter(self._visible(shared=False))

    def templates(self) -> QuerySet[Template]:
        """Those that a lead may be made from. Templates for all merchants of a reseller belong to who names it."""
        return Template.objects.filter(self._visible(shared=True), active=True)

    def check_push(self, reseller_id: str, merchant_id: str | None) -> None:
        """May a lead be made for this reseller and merchant? `""`: for none in particular; None: not yet known.

        Raises PermissionDenied (403).
        """
        if not self.may_change:
            raise PermissionDenied(READ_ONLY)
        if self.role == Role.ADMIN:
            return
        if reseller_id not in self.reseller_ids and (self.role == Role.RESELLER or self.reseller_ids):
            raise PermissionDenied(f"Access denied to reseller {reseller_id}")
        if self.role == Role.RESELLER or merchant_id is None:
            return
        if not merchant_id:
            raise PermissionDenied("Access denied to reseller-scoped lead")
        if merchant_id not in self.merchant_ids:
            raise PermissionDenied(f"Access denied to merchant {merchant_id}")

    def _visible(self, *, shared: bool) -> Q:
        """Rows by their reseller_id and merchant_id; `shared`: with those of no merchant in particular."""
        everything, nothing = Q(), Q(pk__in=[])
        if self.role == Role.ADMIN:
            return everything
        of_resellers = Q(reseller_id__in=self.reseller_ids) if self.reseller_ids else None
        if self.role == Role.RESELLER or (self.role == Role.USER and not self.merchant_ids):
            return of_resellers or nothing
        of_merchants = Q(merchant_id__in=self.merchant_ids - {""})
        if of_resellers is None:
            return of_merchants
        return of_resellers & (of_merchants | Q(merchant_id="") if shared else of_merchants)


def scope_of(request: Request) -> Scope:
    """What BearerTokenAuthentication has put there."""
    return cast(Scope, request.user)


class BearerTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`; gives (Scope, ApiToken). No header: not authenticated; a bad one: 401."""

    def authenticate(self, request: Request) -> tuple[Scope, ApiToken] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        kind, _, secret = header.partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer":
            raise AuthenticationFailed("Use 'Authorization: Bearer <token>'")
        if not secret or not secret.isascii() or len(secret) > MAX_TOKEN_LENGTH:
            raise AuthenticationFailed("Could not validate credentials")
        token = ApiToken.objects.usable().filter(digest=ApiToken.digest_of(secret)).first()
        if token is None:
            raise AuthenticationFailed("Could not validate credentials")
        return Scope.of(token), token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class MayChange(IsAuthenticated):
    """With a usable token; what changes something not with a read-only one."""

    message = READ_ONLY

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not super().has_permission(request, view):
            return False
        return request.method in SAFE_METHODS or scope_of(request).may_change
