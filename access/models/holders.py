"""Who may call the API: holders of opaque tokens, and users who log in. What they may do is decided in access.scope."""

import functools
import hashlib
import secrets
import uuid
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from common.postgresql.statements import Parameter, Select

MAX_TOKEN_DAYS = 36_500


class Role(models.TextChoices):
    ADMIN = "admin"  # everything
    RESELLER = "reseller"  # its own resellers and all their merchants
    MERCHANT = "merchant"  # its own merchants
    USER = "user"  # reads what its scope shows, changes nothing


def _scope_problem(role: str, resellers: list[str], merchants: list[str]) -> str:
    match role:
        case Role.ADMIN if resellers or merchants:
            return "An admin sees everything: name no reseller and no merchant."
        case Role.RESELLER if merchants:
            return "A reseller has all of its merchants: name none."
        case Role.RESELLER if not resellers:
            return "A reseller needs at least one reseller id."
        case Role.MERCHANT if not merchants:
            return "A merchant needs at least one merchant id."
        case Role.USER if not resellers and not merchants:
            return "A user needs at least one reseller or merchant id."
    return ""


class Holder(models.Model):
    """A role, and the resellers and merchants that it holds for; `*` stands for all of them."""

    role = models.CharField(max_length=10, choices=Role)
    reseller_ids = models.JSONField(default=list, blank=True)
    merchant_ids = models.JSONField(default=list, blank=True)

    class Meta:
        abstract = True

    def clean(self) -> None:
        """A role has the ids that it needs and no others. Raises ValidationError."""
        for name in ("reseller_ids", "merchant_ids"):
            ids = getattr(self, name)
            if not isinstance(ids, list) or not all(isinstance(one, str) and one.strip() for one in ids):
                raise ValidationError({name: "A list of ids."})
        if problem := _scope_problem(self.role, self.reseller_ids, self.merchant_ids):
            raise ValidationError(problem)


class Profile(Holder):
    """What a user who logs in may do. A superuser needs none: an admin."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="profile")

    class Meta:
        db_table = "leads_profile"

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self) -> Self:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)

    def revoke(self) -> int:
        """For good; returns how many were not revoked before."""
        return self.filter(revoked_at=None).update(revoked_at=Now())


class ApiToken(Holder):
    """An opaque bearer token: shown once when made, kept as its SHA-256."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, help_text="Who holds it.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="How the token begins.")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        db_table = "leads_apitoken"
        verbose_name = "API token"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def usable_by(cls, secret: str) -> "ApiToken | None":
        """The token with this secret, if it may be used."""
        return _usable().first(digest=cls.digest_of(secret))

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()

    @classmethod
    def issue(cls, **values: Any) -> tuple[Self, str]:
        """A new row and its secret, which is nowhere kept."""
        token = cls(**values)
        secret = token.make_secret()
        token.save()
        return token, secret

    def make_secret(self) -> str:
        """Give a token that is not saved yet its secret, and return that."""
        secret = f"bb_{secrets.token_urlsafe(32)}"
        self.digest, self.hint = self.digest_of(secret), secret[:7]
        return secret


@functools.cache
def _usable() -> Select[ApiToken]:
    """Asked by every request."""
    return Select(ApiToken.objects.usable().filter(digest=Parameter("digest", models.CharField())))
