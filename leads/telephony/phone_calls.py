"""Derives the published outcome of a phone call from the facts that are known about it. Pure.

    dialled   Daily was asked to call, or may have been
    accepted  Daily confirmed the call
    answered  the callee picked up

If nobody knows what came of a dial, it is UNKNOWN and not repeated. A dial that Daily refused was never made.
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
COMPLETED = "completed"  # the default bot's outcome of a call, unless its model has chosen another

NUMBER_REFUSED = "number_refused"  # end reasons of sessions whose dial Daily refused
DIAL_REFUSED = "dial_refused"
NUMBER_KEY = "customer_mobile_number"

_NEVER_DIALLED = {
    NUMBER_REFUSED: INVALID_PHONE,
    DIAL_REFUSED: PRECHECK_FAILED,
    BODY_TOO_LARGE: PRECHECK_FAILED,  # it would be too large for any other bot too
}
_NOT_ANSWERED = {
    phone.BUSY: (ProviderReason.BUSY, BUSY),
    phone.NO_ANSWER: (ProviderReason.NO_ANSWER, NO_ANSWER),
    phone.FAILED: (ProviderReason.FAILED, NO_ANSWER),
    "caller_never_joined": (ProviderReason.TIMEOUT, NO_ANSWER),
    "ended_by_operator": (ProviderReason.CANCELED, ABORTED),
}


def is_missing(value: object) -> bool:
    """Return whether there is no number at all. Such a lead waits, while a wrong number finishes the lead."""
    return value is None or value == ""


@dataclass(frozen=True)
class Call:
    """What is known of a call when its session is over. `outcome`: what the bot reported; `spoke`: it was heard."""

    end_reason: str
    dialled: bool
    accepted: bool = False
    answered: bool = False
    spoke: bool = False
    outcome: str = ""


@dataclass(frozen=True)
class Facts:
    """What is recorded of a call, in the published words."""

    outcome: str
    platform_status: PlatformStatus = PlatformStatus.INITIATED
    platform_reason: str = DIALED
    provider_status: str = ""
    provider_reason: str = ""

    @property
    def may_be_repeated(self) -> bool:
        """Whether a retry is allowed: certainly nobody answered, and no operator cancelled the call."""
        return self.provider_status == ProviderStatus.NOT_ANSWERED and self.provider_reason != ProviderReason.CANCELED


def facts_of(call: Call) -> Facts | None:
    """Return what to record; None if this session never dialled, so that the lead waits for another session."""
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
    return _dialled(UNKNOWN, ProviderStatus.UNKNOWN)  # whatever the bot reports, it has seen nobody pick up


def never_dialled(word: str) -> Facts:
    return Facts(word, PlatformStatus.NOT_INITIATED, word)


def _dialled(outcome: str, status: ProviderStatus, reason: str = "") -> Facts:
    return Facts(outcome, provider_status=status, provider_reason=reason)
