"""From facts about a call to the published words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leads.models import PlatformStatus, ProviderReason, ProviderStatus
from leads.telephony.phone_calls import Call, facts_of
from pools.phone import is_phone_number

DIALLED: dict[str, Any] = {"dialled": True, "accepted": True}
flags = st.booleans()
ENDS = [
    "bot_ended",
    "caller_left",
    "caller_never_joined",
    "phone_busy",
    "phone_no_answer",
    "phone_failed",
    "agent_lost",
    "supervisor_lost",
    "ended_by_operator",
    "number_refused",
    "dial_refused",
    "not_started",
    "session_limit",
]
calls = st.builds(Call, st.sampled_from(ENDS), flags, flags, flags, flags, st.sampled_from(["", "SOLD"]))


@pytest.mark.parametrize(
    ("call", "outcome", "provider", "repeated"),
    [
        (
            Call("caller_left", **DIALLED, answered=True, spoke=True, outcome="SOLD"),
            "SOLD",
            "ANSWERED COMPLETED",
            False,
        ),
        (Call("bot_ended", **DIALLED, answered=True, spoke=True), "UNKNOWN", "ANSWERED COMPLETED", False),
        (Call("caller_left", **DIALLED, answered=True), "EARLY_HANGUP", "ANSWERED COMPLETED", False),
        (
            Call("caller_left", **DIALLED, answered=True, outcome="completed"),
            "EARLY_HANGUP",
            "ANSWERED COMPLETED",
            False,
        ),
        (Call("caller_left", **DIALLED, answered=True, outcome="SOLD"), "SOLD", "ANSWERED COMPLETED", False),
        (Call("phone_busy", **DIALLED), "BUSY", "NOT_ANSWERED BUSY", True),
        (Call("phone_no_answer", **DIALLED), "NO_ANSWER", "NOT_ANSWERED NO_ANSWER", True),
        (Call("phone_failed", **DIALLED), "NO_ANSWER", "NOT_ANSWERED FAILED", True),
        (Call("caller_never_joined", **DIALLED), "NO_ANSWER", "NOT_ANSWERED TIMEOUT", True),
        (Call("ended_by_operator", **DIALLED), "ABORTED", "NOT_ANSWERED CANCELED", False),
        (Call("agent_lost", **DIALLED), "UNKNOWN", "UNKNOWN ", False),
        (Call("caller_never_joined", dialled=True, outcome="completed"), "UNKNOWN", "UNKNOWN ", False),
        (Call("phone_busy", dialled=True), "BUSY", "NOT_ANSWERED BUSY", True),
    ],
)
def test_a_call_that_was_made(call, outcome, provider, repeated):
    facts = facts_of(call)
    assert facts is not None
    assert (facts.outcome, f"{facts.provider_status} {facts.provider_reason}") == (outcome, provider)
    assert (facts.platform_status, facts.platform_reason) == ("INITIATED", "DIALED")
    assert facts.may_be_repeated is repeated


@pytest.mark.parametrize(
    ("end_reason", "outcome"),
    [("number_refused", "INVALID_PHONE"), ("dial_refused", "PRECHECK_FAILED"), ("ended_by_operator", "ABORTED")],
)
def test_a_call_that_was_not_made(end_reason, outcome):
    facts = facts_of(Call(end_reason, dialled=end_reason != "ended_by_operator"))
    assert facts is not None
    assert (facts.outcome, facts.platform_status, facts.platform_reason) == (outcome, "NOT_INITIATED", outcome)
    assert facts.provider_status == "" and not facts.may_be_repeated


@given(calls)
def test_only_what_was_never_dialled_goes_back_and_only_what_nobody_answered_is_repeated(call):
    facts = facts_of(call)
    if facts is None:
        assert not call.dialled
        return
    assert facts.outcome and len(facts.outcome) <= 50
    if facts.may_be_repeated:
        assert not call.answered and facts.provider_reason != ProviderReason.CANCELED
        assert call.accepted or call.end_reason.startswith("phone_"), "an unknown dial is never repeated"
    if facts.platform_status == PlatformStatus.NOT_INITIATED:
        assert facts.provider_status == ""
    elif call.answered:
        assert facts.provider_status == ProviderStatus.ANSWERED


@pytest.mark.parametrize("number", ["+919876543210", "+14155550100", "+4930123456"])
def test_numbers_that_can_be_dialled(number):
    assert is_phone_number(number)


@pytest.mark.parametrize(
    "number",
    [
        None,
        "",
        "9876543210",
        "+0123456789",
        "+91 98765 43210",
        "+91",
        919876543210,
        "+9198765432101234",
        "+91" + "\u0969" * 10,
        "+14155550100\n",
        ["+1"],
    ],
)
def test_numbers_that_cannot(number):
    assert not is_phone_number(number)
