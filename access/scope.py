"""Decides what the holder of a token may see and change. Nothing else decides this.

| role | sees | pushes, connects, aborts, edits templates | issues and revokes tokens | runs the service |
|---|---|---|---|---|
| admin | everything | everything | of every role but admin | yes |
| reseller | its resellers | its resellers | for its resellers | no |
| merchant | its merchants | its merchants | no | no |
| user | its resellers or merchants | nothing | no | no |

Rows that a caller may not see answer 404, like rows that do not exist. A view names one of the permissions below, and
takes its rows from `scope_of(request)`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request

from access.models import ApiToken, Holder, Profile, Role

if TYPE_CHECKING:  # REST framework's views import this module
    from rest_framework.views import APIView

READ_ONLY = "Access denied: this token is read-only"
ALL = "*"


@dataclass(frozen=True)
class Scope:
    """The role of a caller and the ids that it is limited to. Without ids it sees nothing; `*` stands for all.

    An admin sees everything; a reseller all of its resellers; a merchant its merchants (within its resellers, if it
    names any); a user reads what its resellers or merchants have.
    """

    role: Role
    reseller_ids: frozenset[str]
    merchant_ids: frozenset[str]
    holder: str  # unique per holder of a token
    name: str = ""  # shown to people
    email: str = ""
    is_authenticated = True  # what REST framework asks of a user

    @classmethod
    def of(cls, row: Holder, holder: str, name: str, email: str = "") -> Self:
        return cls(Role(row.role), frozenset(row.reseller_ids), frozenset(row.merchant_ids), holder, name, email)

    @classmethod
    def of_token(cls, token: ApiToken) -> Self:
        return cls.of(token, f"token {token.pk}", token.name)

    @classmethod
    def of_user(cls, user: User) -> Self | None:
        """Return the scope of a user; None if the user has no role and may do nothing."""
        holder, name = f"user {user.pk}", user.get_username()
        try:
            return cls.of(user.profile, holder, name, user.email)
        except Profile.DoesNotExist:
            if not user.is_superuser:
                return None
            return cls(Role.ADMIN, frozenset(), frozenset(), holder, name, user.email)

    @property
    def may_change(self) -> bool:
        return self.role != Role.USER

    @property
    def may_grant(self) -> bool:
        """Whether the caller may make and revoke tokens for others."""
        return self.role in (Role.ADMIN, Role.RESELLER)

    @property
    def is_operator(self) -> bool:
        """Whether the caller may see and do what concerns the service as a whole."""
        return self.role == Role.ADMIN

    def tokens(self) -> QuerySet[ApiToken]:
        """Return the tokens that the caller may see and revoke."""
        if not self.may_grant:
            return ApiToken.objects.none()
        if self.role == Role.ADMIN or ALL in self.reseller_ids:
            return ApiToken.objects.all() if self.role == Role.ADMIN else ApiToken.objects.exclude(role=Role.ADMIN)
        within = Q(reseller_ids__contained_by=sorted(self.reseller_ids))
        return ApiToken.objects.filter(within).exclude(reseller_ids=[]).exclude(role=Role.ADMIN)

    def check_change(self, reseller_id: str, merchant_id: str | None) -> None:
        """Check that something may be made or changed for this reseller and merchant. Raises PermissionDenied (403).

        `merchant_id`: "" for no particular merchant, None if it is not known yet.
        """
        if not self.may_change:
            raise PermissionDenied(READ_ONLY)
        if self.role == Role.ADMIN:
            return
        if not self._holds(reseller_id, self.reseller_ids) and (self.role == Role.RESELLER or self.reseller_ids):
            raise PermissionDenied(f"Access denied to reseller {reseller_id}")
        if self.role == Role.RESELLER or merchant_id is None:
            return
        if not merchant_id:
            raise PermissionDenied("Access denied to reseller-scoped lead")
        if not self._holds(merchant_id, self.merchant_ids):
            raise PermissionDenied(f"Access denied to merchant {merchant_id}")

    def check_merchant(self, merchant_id: str) -> None:
        """Check that something may be made for a merchant where no reseller is named. Raises PermissionDenied (403)."""
        if self.role == Role.RESELLER and ALL not in self.reseller_ids:
            raise PermissionDenied(f"Access denied to merchant {merchant_id} without its reseller")
        if self.role == Role.MERCHANT and not self._holds(merchant_id, self.merchant_ids):
            raise PermissionDenied(f"Access denied to merchant {merchant_id}")

    def check_grant(self, reseller_ids: Iterable[str]) -> None:
        """Check that a token for these resellers may be issued. Raises PermissionDenied (403)."""
        if self.role == Role.ADMIN:
            return
        for reseller_id in reseller_ids:
            if not self._holds(reseller_id, self.reseller_ids):
                raise PermissionDenied(f"Access denied to reseller {reseller_id}")

    @staticmethod
    def _holds(wanted: str, ids: Collection[str]) -> bool:
        return wanted in ids or (ALL in ids and wanted != "")

    def visible(self, *, shared: bool) -> Q:
        """Return the filter for rows with reseller_id and merchant_id that the caller sees.

        `shared`: include the rows of a reseller that belong to no particular merchant.
        """
        if self.role == Role.ADMIN:
            return Q()
        nothing = Q(pk__in=[])
        of_resellers = _among("reseller_id", self.reseller_ids)
        if self.role == Role.RESELLER or (self.role == Role.USER and not self.merchant_ids):
            return nothing if of_resellers is None else of_resellers
        of_merchants = _among("merchant_id", self.merchant_ids - {""})
        if of_merchants is None:
            of_merchants = nothing
        if of_resellers is None:
            return of_merchants & ~Q(merchant_id="")
        return of_resellers & (of_merchants | Q(merchant_id="") if shared else of_merchants & ~Q(merchant_id=""))


def _among(field: str, ids: Collection[str]) -> Q | None:
    """Return the filter for one field; None if the caller has no id of that kind."""
    if ALL in ids:
        return Q()
    return Q(**{f"{field}__in": ids}) if ids else None


def claims_of(scope: Scope) -> Mapping[str, Any]:
    """Return role and ids in the form that JWTs and `GET /auth/me` have."""
    return {
        "role": scope.role.value,
        "reseller_ids": sorted(scope.reseller_ids) if scope.role != Role.ADMIN else [ALL],
        "merchant_ids": sorted(scope.merchant_ids) if scope.role not in (Role.ADMIN, Role.RESELLER) else [ALL],
    }


def scope_of(request: Request) -> Scope:
    """Return the scope that BearerTokenAuthentication has put into the request."""
    return cast(Scope, request.user)


class MayRead(IsAuthenticated):
    """Allows every caller with a usable token."""


class MayChange(IsAuthenticated):
    """Allows callers with a usable token; those of the role `user` may only read."""

    message = READ_ONLY

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not super().has_permission(request, view):
            return False
        return request.method in SAFE_METHODS or scope_of(request).may_change


class MayGrant(IsAuthenticated):
    """Allows callers that may make and revoke tokens for others: admins and resellers."""

    message = "Access denied: admins and resellers only"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return super().has_permission(request, view) and scope_of(request).may_grant


class OperatorsOnly(IsAuthenticated):
    """Allows callers that run the service: admins."""

    message = "Access denied: admins only"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return super().has_permission(request, view) and scope_of(request).is_operator
