"""The Daily client against the sandbox: what it asks, what it makes of the answers, what it never tells."""

import json
import logging
import os
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from pools.daily.account import verify
from pools.daily.client import PAGE_PAUSE_S, DailyClient, NewRoom, PhoneCall, normalise_url
from pools.daily.errors import (
    DailyKeyRefused,
    DailyRateLimited,
    DailyRejected,
    DailyUnavailable,
    DailyUnreachable,
    RoomNotFound,
)
from pools.daily.tokens import TokenRequest, TokenSigner, fingerprint
from tests.support.daily_sandbox import Sandbox
from tests.support.http_receiver import Answer, running_receiver


@pytest.fixture
def client(sandbox):
    return DailyClient(sandbox.api_url, sandbox.api_key)


def new(name: str, minutes: int = 90) -> NewRoom:
    return NewRoom(name, datetime.now(UTC) + timedelta(minutes=minutes), geo="eu-central-1")


@pytest.mark.parametrize("url", ["https://a.b", "https://a.b/", "https://a.b/v1", "https://a.b/v1/"])
def test_the_base_is_accepted_with_and_without_v1(url):
    assert normalise_url(url) == "https://a.b/v1"


def test_makes_a_private_room_that_ends_by_itself(client, sandbox):
    wanted = new("bb-1")
    room = client.create_room(wanted)
    assert (room.name, room.url) == ("bb-1", f"{sandbox.url}/bb-1")
    stored = sandbox.call("GET", "/rooms/bb-1").json()
    assert stored["privacy"] == "private"
    assert stored["config"] == {
        "exp": int(wanted.expires_at.timestamp()),
        "eject_at_room_exp": True,
        "enforce_unique_user_ids": True,
        "geo": "eu-central-1",
    }
    assert room.expires_at == wanted.expires_at.replace(microsecond=0)


def test_making_a_room_twice_finds_the_first_one(client):
    assert client.create_room(new("bb-1")) == client.create_room(new("bb-1", minutes=200))


def test_makes_many_rooms_in_one_call_and_finds_them_again(client, sandbox):
    rooms = [new(f"bb-{i}") for i in range(150)]
    made = client.create_rooms(rooms)
    again = client.create_rooms(rooms)
    assert {room.name for room in made} == {room.name for room in again} == {room.name for room in rooms}
    assert len(sandbox.rooms()) == 150
    began = time.monotonic()
    assert {room.name for room in client.rooms()} == {room.name for room in rooms}
    assert time.monotonic() - began >= PAGE_PAUSE_S, "a domain with many rooms would use up Daily's limit"


def test_a_room_that_was_made_before_the_connection_broke_is_found_by_the_retry(client, sandbox):
    sandbox.fault("reset", "POST", "/rooms", times=1)
    with pytest.raises(DailyUnavailable):
        client.create_room(new("bb-1"))
    assert client.create_room(new("bb-1")).name == "bb-1"
    assert sandbox.rooms() == ["bb-1"]


def test_deleting_is_done_when_the_room_is_gone(client, sandbox):
    client.create_rooms([new(f"bb-{i}") for i in range(5)])
    client.delete_room("bb-0")
    client.delete_room("bb-0")
    client.delete_rooms([f"bb-{i}" for i in range(1, 5)])
    assert sandbox.rooms() == []


def test_an_unknown_room_is_not_found(client):
    with pytest.raises(RoomNotFound):
        client.get_room("bb-none")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("500", DailyUnavailable),
        ("503", DailyUnavailable),
        ("disconnect", DailyUnavailable),
        ("429", DailyRateLimited),
        ("wrong_key", DailyKeyRefused),
    ],
)
def test_trouble_has_a_type(client, sandbox, kind, error):
    sandbox.fault(kind, times=1)
    with pytest.raises(error):
        client.domain()


def test_a_429_is_a_warning_with_the_route_and_says_how_long_to_wait(client, sandbox, caplog):
    sandbox.fault("429", times=1, retry_after=7)
    with pytest.raises(DailyRateLimited) as limited, caplog.at_level(logging.WARNING):
        client.create_room(new("bb-1"))
    assert limited.value.retry_after == 7
    assert "POST /rooms" in caplog.text


def test_a_refused_request_says_why(client):
    with pytest.raises(DailyRejected, match="invalid-request-error"):
        client.create_room(NewRoom("no spaces allowed", datetime.now(UTC) + timedelta(minutes=1)))


class TestDialOut:
    """A telephone is dialled once or not at all, so that errors have to say which it was."""

    CALL = PhoneCall("+919876543210", "phone-1")

    def room(self, sandbox: Sandbox, client: DailyClient) -> str:
        client.create_room(NewRoom("bb-dial", datetime.now(UTC) + timedelta(hours=1), dialout=True))
        sandbox.join("bb-dial", sandbox.token("bb-dial", is_owner=True))
        return "bb-dial"

    def test_a_phone_is_dialled_and_hung_up(self, client, sandbox):
        room = self.room(sandbox, client)
        sandbox.set_phone(after_s=0, talk_s=None)
        id = client.start_dialout(room, self.CALL)
        (dial,) = sandbox.dials()
        assert (dial["sessionId"], dial["destination"], dial["userId"]) == (id, self.CALL.number, "phone-1")
        client.stop_dialout(room, id)
        assert sandbox.dials()[0]["over"]
        client.stop_dialout(room, id)

    def test_the_number_that_is_seen_can_be_chosen(self):
        assert PhoneCall("+14155550100", "phone", caller_id="number-7").body()["callerId"] == "number-7"

    def test_a_lost_answer_is_unknown_and_a_limit_or_no_connection_is_not(self, client, sandbox):
        room = self.room(sandbox, client)
        sandbox.fault("429", "POST", "/rooms/*/dialOut/start", times=1)
        with pytest.raises(DailyRateLimited):
            client.start_dialout(room, self.CALL)
        with pytest.raises(DailyUnreachable):
            DailyClient("http://127.0.0.1:9", "key").start_dialout(room, self.CALL)
        assert sandbox.dials() == []
        sandbox.fault("reset", "POST", "/rooms/*/dialOut/start", times=1)
        with pytest.raises(DailyUnavailable) as unknown:
            client.start_dialout(room, self.CALL)
        assert type(unknown.value) is DailyUnavailable
        assert len(sandbox.dials()) == 1

    def test_a_refused_number_is_in_no_error(self, client, sandbox):
        room = self.room(sandbox, client)
        with pytest.raises(DailyRejected) as refused:
            client.start_dialout(room, PhoneCall("0987654321", "phone-1"))
        assert "phoneNumber" in str(refused.value) and "0987654321" not in str(refused.value)
        assert "0987654321" not in repr(PhoneCall("0987654321", "phone-1"))


def test_nobody_listening_is_unavailable():
    with pytest.raises(DailyUnreachable, match="no connection"):
        DailyClient("http://127.0.0.1:9", "key").domain()


def test_no_error_and_no_log_line_tells_a_key_or_a_token(sandbox, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    key, token = "k" * 40, "eyJtoken.secret.value"
    client = DailyClient(sandbox.api_url, key)
    told = [repr(client)]
    for ask in (client.domain, lambda: client.validate_token(token), lambda: client.get_room("bb-1")):
        with pytest.raises(DailyKeyRefused) as refused:
            ask()
        told.append(repr(refused.value))
    with pytest.raises(DailyUnavailable) as unavailable:
        DailyClient("http://127.0.0.1:9", key).validate_token(token)
    told += [repr(unavailable.value), repr(unavailable.value.__cause__), caplog.text]
    assert not any(secret in text for text in told for secret in (key, token))


class TestTokens:
    def test_claims_bind_room_role_person_and_time(self):
        request = TokenRequest("bb-1", "session-1", "Bot", owner=True, lifetime=1800)
        token = TokenSigner("k" * 40, "domain").sign(request, now=1_000_000.0)
        claims = jwt.decode(token, "k" * 40, algorithms=["HS256"], options={"verify_exp": False})
        assert claims == {
            "r": "bb-1",
            "d": "domain",
            "iat": 999_970,
            "exp": 1_001_800,
            "u": "Bot",
            "ud": "session-1",
            "ejt": True,
            "o": True,
        }

    def test_a_guest_is_not_said_to_be_an_owner_at_all(self):
        assert "o" not in TokenRequest("r", "u", "Caller", owner=False, lifetime=1).claims("d", 0.0)

    def test_self_signed_and_minted_tokens_read_alike(self, client):
        request = TokenRequest("bb-1", "session-1", "Bot", owner=True, lifetime=1800)
        now = datetime.now(UTC).timestamp()
        signed = client.validate_token(TokenSigner(client.api_key, client.domain().id).sign(request, now))
        minted = client.validate_token(client.mint_token(request.properties(now)))
        assert signed == minted
        assert (signed["room_name"], signed["is_owner"], signed["user_id"]) == ("bb-1", True, "session-1")

    def test_a_fingerprint_tells_keys_apart_without_holding_them(self):
        assert fingerprint("a") != fingerprint("b")
        assert "secret" not in fingerprint("secret")

    def test_the_signer_does_not_show_its_key(self):
        assert "hush" not in repr(TokenSigner("hush", "d"))


class TestVerification:
    def test_daily_accepts_a_token_that_we_sign(self, client):
        result = verify(client, prefix="bb", allow_self_signing=True)
        assert (result.self_signed_tokens, result.problem) == (True, "")
        assert result.domain_id == client.domain().id

    def test_a_refused_self_signed_token_is_a_result_not_an_error(self, client, sandbox):
        sandbox.advance_clock(3600)  # to Daily, everything that we sign has expired
        result = verify(client, prefix="bb", allow_self_signing=True)
        assert (result.self_signed_tokens, result.problem) == (False, "Daily refused a token that we signed")

    def test_it_can_be_switched_off(self, client):
        assert not verify(client, prefix="bb", allow_self_signing=False).self_signed_tokens

    def test_a_wrong_key_is_an_error(self, sandbox):
        with pytest.raises(DailyKeyRefused):
            verify(DailyClient(sandbox.api_url, "wrong"), prefix="bb", allow_self_signing=True)


@pytest.mark.skipif(
    not os.environ.get("CONTRACT_DAILY_API_KEY"), reason="needs a Daily account: CONTRACT_DAILY_API_KEY"
)
def test_daily_itself_keeps_the_same_contract():
    """The one test that talks to Daily, for those who have an account: what the sandbox imitates is still so."""
    client = DailyClient("https://api.daily.co", os.environ["CONTRACT_DAILY_API_KEY"])
    room = NewRoom("bb-contract-test", datetime.now(UTC) + timedelta(minutes=5))
    made = client.create_room(room)
    assert client.create_room(room) == made
    assert verify(client, prefix="bb", allow_self_signing=True).self_signed_tokens
    assert json.dumps(client.presence()) is not None
    client.delete_room(room.name)
    with pytest.raises(RoomNotFound):
        client.get_room(room.name)


def test_finds_the_recordings_of_a_room_and_where_they_can_be_fetched(client, sandbox):
    client.create_room(NewRoom("bb-1", datetime.now(UTC) + timedelta(hours=1), recorded=True))
    bot = sandbox.join("bb-1", sandbox.token("bb-1", start_cloud_recording=True))
    (recording,) = client.recordings("bb-1")
    assert not recording.finished
    with pytest.raises(DailyRejected):
        client.recording_link(recording.id)
    sandbox.leave("bb-1", bot)
    assert [one.finished for one in client.recordings("bb-1")] == [True]
    assert client.recording_link(recording.id).startswith(f"{sandbox.url}/sandbox/recordings/")
    assert client.recordings("bb-2") == []


def test_makes_updates_and_deletes_a_webhook(client, sandbox):
    with running_receiver() as receiver:
        made = client.create_webhook(f"{receiver.url}/hook", {"meeting.ended"}, "aGVsbG8=")
        assert client.webhooks() == [made]
        assert (made.url, made.event_types, made.active) == (f"{receiver.url}/hook", {"meeting.ended"}, True)
        assert "aGVsbG8=" not in repr(made)
        updated = client.update_webhook(made, {"meeting.ended", "participant.left"}, "aGVsbG8=")
        assert updated.event_types == {"meeting.ended", "participant.left"}
        client.delete_webhook(updated)
        assert client.webhooks() == []
        receiver.answer = lambda received: Answer(404)
        with pytest.raises(DailyRejected):
            client.create_webhook(receiver.url, {"meeting.ended"}, "aGVsbG8=")
