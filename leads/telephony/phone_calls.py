"""What became of a call to a telephone: facts first, the published words from them. Pure.

    dialled   Daily has been asked to call, or may have been
    accepted  it has said that it does
    answered  somebody has picked up

A dial whose outcome nobody knows is UNKNOWN and is not repeated; one that Daily has refused was never made.
"""

from dataclasses import dataclass

from leads.models import PlatformStatus, ProviderReason, ProviderStatus
from pools import phone
from pools.sessions.end_reasons import BODY_TOO_LARGE

DIALED = "DIALED"
INVALID_PHONE = "INVALID_PHONE"
PRECHECK_FAILED = "PRECHECK_FAILED"
ABORTED = "ABORTED"
NO_ANSWER = "NO_ANSWER"
BUSY = "BUSY"
EARLY_HANGUP = "EARLY_HANGUP"
UNKNOWN = "UNKNOWN"
COMPLETED = "completed"  # the default bot's word for a call that took place, unless its model has a better one

NUMBER_REFUSED = "number_refused"  # end reasons of a session whose dial Daily has refused
DIAL_REFUSED = "dial_refused"
NUMBER_KEY = "customer_mobile_number"

_NEVER_DIALLED = {
    NUMBER_REFUSED: INVALID_PHONE,
    DIAL_REFUSED: PRECHECK_FAILED,
    BODY_TOO_LARGE: PRECHECK_FAILED,  # nor would another bot be given it
}
_NOT_ANSWERED = {
    phone.BUSY: (ProviderReason.BUSY, BUSY),
    phone.NO_ANSWER: (ProviderReason.NO_ANSWER, NO_ANSWER),
    phone.FAILED: (ProviderReason.FAILED, NO_ANSWER),
    "caller_never_joined": (ProviderReason.TIMEOUT, NO_ANSWER),
    "ended_by_operator": (ProviderReason.CANCELED, ABORTED),
}


def is_missing(value: object) -> bool:
    """No number at all: such a lead waits. Anything else that is no number is a wrong one, which ends it."""
    return value is None or value == ""


@dataclass(frozen=True)
class Call:
    """What is known of a call when its session is over. `outcome`: the bot's own word; `spoke`: it has been heard."""

    end_reason: str
    dialled: bool
    accepted: bool = False
    answered: bool = False
    spoke: bool = False
    outcome: str = ""


@dataclass(frozen=True)
class Facts:
    """What is recorded of it; `outcome` is the word that is published."""

    outcome: str
    platform_status: PlatformStatus = PlatformStatus.INITIATED
    platform_reason: str = DIALED
    provider_status: str = ""
    provider_reason: str = ""

    @property
    def may_be_repeated(self) -> bool:
        """Nobody has been spoken with, that is certain, and nobody has said that it should be so."""
        return self.provider_status == ProviderStatus.NOT_ANSWERED and self.provider_reason != ProviderReason.CANCELED


def facts_of(call: Call) -> Facts | None:
    """None: no telephone has been dialled, and none will be with this session: the lead waits for another."""
    if word := _NEVER_DIALLED.get(call.end_reason):
        return never_dialled(word)
    if not call.dialled:
        return never_dialled(ABORTED) if call.end_reason == "ended_by_operator" else None
    if call.answered:
        hung_up = call.end_reason == "caller_left" and not call.spoke
        outcome = EARLY_HANGUP if hung_up and call.outcome in ("", COMPLETED) else call.outcome or UNKNOWN
        return _dialled(outcome, ProviderStatus.ANSWERED, ProviderReason.COMPLETED)
    certain = call.accepted or call.end_reason in phone.NOT_ANSWERED
    if certain and call.end_reason in _NOT_ANSWERED:
        reason, outcome = _NOT_ANSWERED[call.end_reason]
        return _dialled(outcome, ProviderStatus.NOT_ANSWERED, reason)
    return _dialled(UNKNOWN, ProviderStatus.UNKNOWN)  # whatever the bot says: it has seen nobody pick up


def never_dialled(word: str) -> Facts:
    return Facts(word, PlatformStatus.NOT_INITIATED, word)


def _dialled(outcome: str, status: ProviderStatus, reason: str = "") -> Facts:
    return Facts(outcome, provider_status=status, provider_reason=reason)
