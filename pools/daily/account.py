"""Access of this process to Daily: the client, and the signer if Daily accepts tokens that we sign.

`runpools` verifies the key and a self-signed token at its start (`verify`) and records the result in the one
DailyAccount row; everybody else reads that row.
"""

import functools
import time
from dataclasses import dataclass

from django.conf import settings
from django.db.models.functions import Now
from prometheus_client import Counter, Histogram

from common.postgresql.statements import Select
from pools.daily import refusals
from pools.daily.client import DailyClient
from pools.daily.errors import DailyRejected
from pools.daily.tokens import TokenRequest, TokenSigner, fingerprint
from pools.models import DailyAccount

CALLS = Counter(
    "breeze_buddy_daily_calls",
    "Calls to Daily by endpoint and HTTP status; `none`: no answer.",
    ["route", "status"],
)
SECONDS = Histogram(
    "breeze_buddy_daily_call_seconds",
    "How long Daily took to answer.",
    ["route"],
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 10.0),
)
LIMITED_ROUTES = (
    "GET /",
    "POST /rooms",
    "POST /batch/rooms",
    "DELETE /rooms/:name",
    "DELETE /batch/rooms",
    "GET /rooms",
    "GET /presence",
    "POST /meeting-tokens",
)
for limited in LIMITED_ROUTES:  # shown as 0 from the start, so that the first 429 is an increase
    CALLS.labels(limited, "429")


@functools.cache
def daily_client() -> DailyClient:
    """The client of this process. It is shared, so that connections stay open."""
    return DailyClient(settings.DAILY_API_URL, settings.DAILY_API_KEY, on_call=_called)


def count_call(route: str, status: int | None, seconds: float) -> None:
    """Count a call to Daily for Prometheus. `route`: the pattern of the endpoint, never an address."""
    CALLS.labels(route, status or "none").inc()
    if status is not None:
        SECONDS.labels(route).observe(seconds)


def _called(route: str, status: int | None, seconds: float) -> None:
    count_call(route, status, seconds)
    refusals.note(status)


@dataclass(frozen=True)
class DailyAccess:
    client: DailyClient
    signer: TokenSigner | None

    @classmethod
    def read(cls) -> "DailyAccess":
        """Read the access from the row. Without a row for this key, there is no signer."""
        return cls(daily_client(), _signer(_account().first()))


@functools.cache
def _account() -> Select[DailyAccount]:
    """Asked by every start."""
    return Select(DailyAccount.objects.filter(pk=1))


def _signer(account: DailyAccount | None) -> TokenSigner | None:
    if account is None or not account.self_signed_tokens:
        return None
    if account.key_fingerprint != fingerprint(settings.DAILY_API_KEY):
        return None
    return TokenSigner(settings.DAILY_API_KEY, account.domain_id)


@dataclass(frozen=True)
class Verification:
    domain_id: str
    domain_name: str
    self_signed_tokens: bool
    problem: str = ""


def verify(client: DailyClient, *, prefix: str, allow_self_signing: bool) -> Verification:
    """Ask Daily who we are, and whether it accepts a token that we sign: signed here, read back there, compared.

    Network only, no database. Raises DailyError when Daily cannot be asked or the key is refused.
    """
    domain = client.domain()
    if not allow_self_signing:
        return Verification(domain.id, domain.name, False, "switched off (DAILY_SELF_SIGNED_TOKENS)")
    if not domain.id:
        return Verification(domain.id, domain.name, False, "Daily does not say its domain_id")
    request = TokenRequest(f"{prefix}-self-test", "self-test", "self-test", owner=True, lifetime=60)
    try:
        read = client.validate_token(TokenSigner(client.api_key, domain.id).sign(request, time.time()))
    except DailyRejected:
        return Verification(domain.id, domain.name, False, "Daily refused a token that we signed")
    understood = read.get("room_name") == request.room_name and read.get("is_owner") is True
    problem = "" if understood else "Daily read another room or role in a token that we signed"
    return Verification(domain.id, domain.name, understood, problem)


def recorded(api_key: str) -> Verification | None:
    """What a pod has last recorded about this key."""
    account = DailyAccount.objects.filter(pk=1, key_fingerprint=fingerprint(api_key)).first()
    return Verification(account.domain_id, account.domain_name, account.self_signed_tokens) if account else None


def record(verification: Verification, api_key: str) -> None:
    DailyAccount.objects.update_or_create(
        pk=1,
        defaults={
            "key_fingerprint": fingerprint(api_key),
            "domain_id": verification.domain_id,
            "domain_name": verification.domain_name,
            "self_signed_tokens": verification.self_signed_tokens,
            "verified_at": Now(),
            "trouble": "",
        },
    )
