"""The models of API tokens and of users' profiles. access.scope decides what their holders may do."""

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
    """Base model: a role, and the resellers and merchants that it applies to; `*` stands for all of them."""

    role = models.CharField(max_length=10, choices=Role)
    reseller_ids = models.JSONField(default=list, blank=True)
    merchant_ids = models.JSONField(default=list, blank=True)

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Check that the role has the ids that it needs and no others. Raises ValidationError."""
        for name in ("reseller_ids", "merchant_ids"):
            ids = getattr(self, name)
            if not isinstance(ids, list) or not all(isinstance(one, str) and one.strip() for one in ids):
                raise ValidationError({name: "A list of ids."})
        if problem := _scope_problem(self.role, self.reseller_ids, self.merchant_ids):
            raise ValidationError(problem)


class Profile(Holder):
    """The role of a user who logs in to the API. A superuser without a profile is an admin."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="profile")

    class Meta:
        db_table = "leads_profile"

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self) -> Self:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)

    def revoke(self) -> int:
        """Revoke tokens permanently; return how many were not revoked before."""
        return self.filter(revoked_at=None).update(revoked_at=Now())


class ApiToken(Holder):
    """An opaque bearer token. It is shown once, when it is made; only its SHA-256 is stored."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, help_text="Who holds the token.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="The first characters of the token.")
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
        """Return the token with this secret, if it is neither revoked nor expired."""
        return _usable().first(digest=cls.digest_of(secret))

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()

    @classmethod
    def issue(cls, **values: Any) -> tuple[Self, str]:
        """Make a token; return its row and its secret, which is not stored anywhere."""
        token = cls(**values)
        secret = token.make_secret()
        token.save()
        return token, secret

    def make_secret(self) -> str:
        """Set the secret of a token that is not saved yet, and return the secret."""
        secret = f"bb_{secrets.token_urlsafe(32)}"
        self.digest, self.hint = self.digest_of(secret), secret[:7]
        return secret


@functools.cache
def _usable() -> Select[ApiToken]:
    """The statement that looks up the token of every request."""
    return Select(ApiToken.objects.usable().filter(digest=Parameter("digest", models.CharField())))
