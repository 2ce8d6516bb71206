"""What Daily's webhooks tell of telephones: answered is not the same as present."""

from datetime import UTC, datetime
from typing import Any

import pytest

from leads.models import ExecutionMode
from pools.daily.webhooks import DailyEvent
from pools.models import VoiceSession
from pools.sessions.daily_events import receive
from tests.support.make import make_lead, make_session

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


def tell(session: VoiceSession, type: str, **payload: Any) -> VoiceSession:
    receive(DailyEvent(type, f"{type}-1", {"room": session.room.name, **payload}, NOW))
    session.refresh_from_db()
    return session


def test_a_telephone_that_rings_is_present_and_has_come_when_it_is_answered():
    session = make_session(outbound=True)
    tell(session, "participant.joined", user_id="phone", joined_at=NOW.timestamp())
    assert session.caller_joined_at is None and session.caller_present_since is not None
    assert tell(session, "dialout.answered", session_id="phone").caller_joined_at == NOW


@pytest.mark.parametrize(
    ("type", "words", "reason"),
    [
        ("dialout.error", "486 Busy Here", "phone_busy"),
        ("dialout.error", "", "phone_failed"),
        ("dialout.stopped", "", "phone_no_answer"),
    ],
)
def test_a_session_whose_telephone_was_not_answered_is_told_to_end(type, words, reason):
    session = make_session(outbound=True)
    assert tell(session, type, error_msg=words).stop_reason == reason


def test_the_end_of_a_call_that_was_answered_is_the_bots_business():
    session = make_session(outbound=True, caller_joined_at=NOW)
    assert tell(session, "dialout.stopped").stop_reason == ""


def test_telephones_that_a_web_sessions_bot_dials_are_its_own_business():
    session = make_session()
    make_lead("PROCESSING", voice_session=session, execution_mode=ExecutionMode.DAILY)
    tell(session, "dialout.answered")
    assert tell(session, "dialout.error").stop_reason == "" and session.caller_joined_at is None
