"""Daily's webhooks: who is believed, what each event changes, and that ours is at Daily."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from pools.chores.daily_webhook import Wanted, mend
from pools.daily.client import DailyClient
from pools.daily.errors import DailyRejected
from pools.daily.webhooks import EVENT_TYPES, WINDOW_S, NotFromDaily, check_signature, read_event, sign, webhook_key
from pools.models import SeenDailyEvent, SessionStatus, VoiceSession
from pools.sessions.daily_events import end_left_alone, forget_old
from tests.support.http_receiver import Answer, running_receiver
from tests.support.make import make_lead, make_pod, make_session

API_KEY = "a-daily-api-key-of-this-test"
PATH = "/webhooks/daily"
T0 = 1_790_000_000.0

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _account(settings: Any) -> None:
    settings.DAILY_API_KEY, settings.DAILY_ROOM_PREFIX = API_KEY, "bb"


def send(body: bytes, *, key: str | None = None, timestamp: str | None = None, signature: str | None = None) -> Any:
    timestamp = timestamp or str(int(time.time()))
    signature = signature or sign(key or webhook_key(API_KEY, "bb"), timestamp, body)
    headers = {"X-Webhook-Timestamp": timestamp, "X-Webhook-Signature": signature}
    return Client().post(PATH, body, content_type="application/json", headers=headers)


def tell(type: str, session: VoiceSession, *, id: str = "", at: float = T0, **payload: Any) -> dict[str, Any]:
    """A signed event about the session's room; the answer."""
    event = {
        "version": "1.0.0",
        "type": type,
        "id": id or f"{type}-{at}-{payload}"[:200],
        "payload": {"room": session.room.name, **payload},
        "event_ts": at,
    }
    response = send(json.dumps(event).encode())
    assert response.status_code == 200, response.content
    session.refresh_from_db()
    return response.json()


def caller(session: VoiceSession, since: float = T0) -> dict[str, Any]:
    return {"user_id": f"c{session.uuid.hex}", "session_id": "p1", "joined_at": since, "owner": False}


def bot(session: VoiceSession) -> dict[str, Any]:
    return {"user_id": str(session.uuid), "session_id": "p0", "joined_at": T0, "owner": True}


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# --- who is believed ---------------------------------------------------------------------------------------


def test_the_signature_is_the_documented_one():
    body = (
        b'{"version":"1.0.0","type":"meeting.ended","id":"met-end-1","payload":{"room":"r1"},"event_ts":1708526125.197}'
    )
    key = "NQrSA5z0FkJ44QPrFerW7uCc5kdNLv3l2FDEKDanL1U="
    assert sign(key, "1708526125", body) == "hqhobk4sh0YmT84+hCqD8kAPMUBrlkFWvlD+Iy9uLcg="
    check_signature(key, "1708526125", "hqhobk4sh0YmT84+hCqD8kAPMUBrlkFWvlD+Iy9uLcg=", body, 1708526126.0)


@pytest.mark.parametrize(
    ("timestamp", "signature", "problem"),
    [
        ("", "YWJj", "are needed"),
        ("1708526125", "", "are needed"),
        ("1708526125", "not base64", "malformed"),
        ("yesterday", "YWJj", "malformed"),
        ("nan", None, "too old"),
        ("1708526125", "YWJj", "wrong"),
        (str(1708526125 - WINDOW_S - 1), None, "too old"),
        (str(1708526125 + WINDOW_S + 1), None, "too old or in the future"),
    ],
)
def test_what_is_not_signed_by_daily_now_is_refused(timestamp, signature, problem):
    key = webhook_key(API_KEY, "bb")
    signature = sign(key, timestamp, b"{}") if signature is None else signature
    with pytest.raises(NotFromDaily, match=problem):
        check_signature(key, timestamp, signature, b"{}", 1708526125.0)


def test_environments_that_share_an_account_have_keys_of_their_own():
    assert webhook_key(API_KEY, "bb") != webhook_key(API_KEY, "staging") != webhook_key("other", "staging")


def test_a_refused_event_is_403_and_changes_nothing():
    session = make_session()
    body = json.dumps(
        {
            "type": "participant.left",
            "id": "1",
            "payload": {"room": session.room.name} | caller(session),
            "event_ts": T0,
        }
    ).encode()
    for response in (
        send(body, key=webhook_key("another key", "bb")),
        send(body, timestamp=str(int(time.time() - WINDOW_S - 60))),
        Client().post(PATH, body, content_type="application/json"),
    ):
        assert response.status_code == 403 and "detail" in response.json()
    session.refresh_from_db()
    assert session.caller_left_at is None and not SeenDailyEvent.objects.exists()


def test_without_a_key_nobody_is_believed(settings):
    settings.DAILY_API_KEY = ""
    assert send(b"{}", key=webhook_key("", "bb")).status_code == 403


def test_dailys_question_whether_anybody_is_there_is_answered_without_a_signature():
    assert Client().post(PATH, b'{"test":"test"}', content_type="application/json").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"not json",
        b"{}",
        b'{"type": "x", "id": "", "payload": {}, "event_ts": 1}',
        b'{"type": "x", "id": "1", "payload": [], "event_ts": 1}',
        b'{"type": "x", "id": "1", "payload": {}, "event_ts": 1e400}',
        b'{"type": "x", "id": "1", "payload": {}, "event_ts": true}',
        b'{"type": ' * 50_000,
    ],
)
def test_what_is_signed_but_no_event_is_ignored_with_a_200(body):
    assert read_event(body) is None
    response = send(body)
    assert (response.status_code, response.json()) == (200, {"status": "ignored"})


def test_an_unknown_room_and_an_unknown_type_are_no_problem():
    session = make_session(SessionStatus.ENDED)
    assert tell("participant.left", session, **caller(session)) == {"status": "ok"}
    assert tell("participant.danced", session) == {"status": "ok"}


# --- what changes ------------------------------------------------------------------------------------------


def test_an_event_is_taken_once():
    session = make_session()
    assert tell("participant.joined", session, id="1", **caller(session)) == {"status": "ok"}
    assert tell("participant.left", session, id="2", at=T0 + 9, **caller(session)) == {"status": "ok"}
    assert tell("participant.joined", session, id="1", **caller(session)) == {"status": "duplicate"}
    assert session.caller_left_at == moment(T0 + 9)


def test_seen_events_are_forgotten_only_when_their_signatures_are_too_old():
    assert timedelta(seconds=WINDOW_S) < timedelta(hours=20)
    now = datetime.now(UTC)
    SeenDailyEvent.objects.create(event_id="old", type="x", received_at=now - timedelta(hours=25))
    SeenDailyEvent.objects.create(event_id="new", type="x", received_at=now - timedelta(hours=20))
    forget_old()
    assert list(SeenDailyEvent.objects.values_list("event_id", flat=True)) == ["new"]


def test_the_callers_coming_and_going_is_written():
    session = make_session()
    tell("participant.joined", session, **caller(session))
    assert (session.caller_joined_at, session.caller_left_at) == (moment(T0), None)
    tell("participant.left", session, at=T0 + 30, **caller(session))
    assert session.caller_left_at == moment(T0 + 30)
    tell("participant.joined", session, at=T0 + 40, **caller(session, T0 + 40))
    assert (session.caller_joined_at, session.caller_left_at) == (moment(T0), None)


def test_out_of_order_the_newest_presence_counts():
    """The broken connection is found dead only after the caller has come back; and a join may come last of all."""
    session = make_session()
    tell("participant.joined", session, at=T0 + 40, **caller(session, T0 + 40))
    tell("participant.left", session, at=T0 + 45, **caller(session, T0))
    assert session.caller_left_at is None
    tell("participant.left", session, at=T0 + 90, **caller(session, T0 + 60))
    tell("participant.joined", session, at=T0 + 60, **caller(session, T0 + 60))
    assert session.caller_left_at == moment(T0 + 90)


def test_bots_and_operators_are_not_callers():
    session = make_session()
    tell("participant.joined", session, **bot(session))
    tell("participant.joined", session, **caller(session) | {"user_id": "operator", "owner": True})
    tell("participant.left", session, at=T0 + 5, **bot(session))
    assert session.caller_joined_at is None and session.caller_left_at is None
    assert session.status == SessionStatus.ACTIVE


def test_the_end_of_a_meeting_is_the_callers_leaving_unless_the_caller_came_later():
    over, again = make_session(caller_joined_at=moment(T0)), make_session(caller_joined_at=moment(T0))
    for session in (over, again):
        tell("participant.joined", session, **caller(session))
    tell("participant.joined", again, at=T0 + 20, **caller(again, T0 + 20))
    for session in (over, again):
        tell("meeting.ended", session, at=T0 + 25, start_ts=T0, end_ts=T0 + 10, meeting_id="m")
    assert over.caller_left_at == moment(T0 + 10)
    assert again.caller_left_at is None


def test_a_bot_whose_caller_has_been_gone_for_long_enough_is_told_to_end():
    now = datetime.now(UTC)
    sessions = [make_session(caller_joined_at=now, caller_left_at=now - timedelta(seconds=ago)) for ago in (30, 5)]
    stays = make_session(caller_joined_at=now)
    assert end_left_alone(20) == 1
    assert end_left_alone(20) == 0
    reasons = [VoiceSession.objects.get(pk=session.pk).stop_reason for session in (*sessions, stays)]
    assert reasons == ["caller_left", "", ""]


@pytest.mark.parametrize("event", ["participant.left", "meeting.ended"])
def test_a_call_that_has_lost_its_pod_ends_with_its_bot(event):
    pod = make_pod(ended_at=datetime.now(UTC))
    session = make_session(pod=pod, bot_joined_at=moment(T0), caller_joined_at=moment(T0))
    lead = make_lead("PROCESSING", voice_session=session)
    said = bot(session) if event == "participant.left" else {"start_ts": T0, "end_ts": T0 + 9, "meeting_id": "m"}
    tell(event, session, at=T0 + 10, **said)
    lead.refresh_from_db()
    assert (session.status, session.end_reason, lead.status) == ("ended", "supervisor_lost", "FINISHED")


def test_a_bot_that_has_not_joined_yet_has_not_left():
    session = make_session(pod=make_pod(ended_at=datetime.now(UTC)))
    tell("meeting.ended", session, at=T0 + 10, start_ts=T0, end_ts=T0 + 9, meeting_id="m")
    assert session.status == SessionStatus.ACTIVE


def test_a_telephone_is_there_when_it_rings_but_a_caller_only_when_it_is_answered():
    session = make_session(outbound=True)
    tell("participant.joined", session, **caller(session))
    assert session.caller_joined_at is None
    tell("participant.left", session, at=T0 + 5, **caller(session))
    assert session.caller_joined_at is None and session.caller_left_at is None
    tell("participant.joined", session, at=T0 + 60, **caller(session, T0 + 60))
    tell("dialout.answered", session, at=T0 + 70, session_id="p1", destination="+919876501234")
    assert session.caller_joined_at == moment(T0 + 70)
    tell("participant.left", session, at=T0 + 90, **caller(session, T0 + 60))
    assert (session.caller_joined_at, session.caller_left_at) == (moment(T0 + 70), moment(T0 + 90))


def test_a_recording_that_is_ready_is_known_by_its_room():
    session = make_session(SessionStatus.ENDED)
    payload = {"room_name": session.room.name, "recording_id": "rec-1", "status": "finished"}
    event = {"type": "recording.ready-to-download", "id": "rec-rtd-1", "payload": payload, "event_ts": T0}
    assert send(json.dumps(event).encode()).status_code == 200
    session.refresh_from_db()
    assert session.recording_id == "rec-1"


# --- our webhook at Daily ----------------------------------------------------------------------------------


def test_our_webhook_is_made_once_and_mended_and_follows_us(sandbox):
    client, key = DailyClient(sandbox.api_url, sandbox.api_key), webhook_key(sandbox.api_key, "bb")
    with running_receiver() as receiver:
        wanted = Wanted(f"{receiver.url}/webhooks/daily", key)
        stranger = client.create_webhook(f"{receiver.url}/not-ours", {"meeting.ended"}, "aGVsbG8=")
        assert [mend(client, wanted) for _ in range(2)] == ["created", ""]
        ours = next(webhook for webhook in client.webhooks() if webhook.url == wanted.url)
        assert ours.event_types == EVENT_TYPES and ours.active
        client.update_webhook(ours, {"meeting.ended"}, key)
        assert [mend(client, wanted) for _ in range(2)] == ["updated", ""]
        moved = Wanted(f"{receiver.url}/elsewhere", key)
        assert mend(client, moved) == "created"
        assert {webhook.url for webhook in client.webhooks()} == {stranger.url, moved.url}
        receiver.answer = lambda received: Answer(503)
        with pytest.raises(DailyRejected):
            mend(client, wanted)


def test_what_daily_could_not_deliver_it_tries_again(sandbox):
    with running_receiver() as receiver:
        mend(DailyClient(sandbox.api_url, sandbox.api_key), Wanted(receiver.url, webhook_key(sandbox.api_key, "bb")))
    assert [one["retryType"] for one in sandbox.call("GET", "/webhooks").json()] == ["exponential"]
