"""The sandbox's webhooks: signed as Daily documents, in order, with its circuit breaker; and recordings."""

import base64
import hashlib
import hmac
import io
import json
from collections.abc import Iterator
from typing import Any

import av
import pytest

from devtools.sandbox.webhooks import RETRY_SECONDS, Webhook, signature
from tests.support.daily_sandbox import Sandbox, running_sandbox
from tests.support.http_receiver import Answer, Received, Receiver, running_receiver
from tests.support.waiting import wait_until

KEY = base64.b64encode(b"a key of the test").decode()
PEOPLE = ["participant.joined", "participant.left", "meeting.started", "meeting.ended"]


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Sandbox:
    served.reset()
    return served


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


def subscribe(sandbox: Sandbox, receiver: Receiver, **values: Any) -> dict[str, Any]:
    wanted = {"url": f"{receiver.url}/daily", "eventTypes": PEOPLE, "hmac": KEY, **values}
    answer = sandbox.call("POST", "/webhooks", wanted)
    assert answer.status_code == 200, answer.text
    return answer.json()


def events(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in receiver.received if one.body != b'{"test":"test"}']


def types(receiver: Receiver) -> list[str]:
    return [event["type"] for event in events(receiver)]


def test_the_signature_is_the_documented_one():
    """Vector of the facts, computed independently."""
    body = (
        b'{"version":"1.0.0","type":"meeting.ended","id":"met-end-1","payload":{"room":"r1"},"event_ts":1708526125.197}'
    )
    key = "NQrSA5z0FkJ44QPrFerW7uCc5kdNLv3l2FDEKDanL1U="
    assert signature(key, "1708526125", body) == "hqhobk4sh0YmT84+hCqD8kAPMUBrlkFWvlD+Iy9uLcg="


def test_a_webhook_is_made_listed_updated_and_deleted(sandbox, receiver):
    made = subscribe(sandbox, receiver)
    assert made["state"] == "ACTIVE" and made["failedCount"] == 0 and made["hmac"] == KEY
    assert [one.body for one in receiver.received] == [b'{"test":"test"}']
    assert sandbox.call("GET", "/webhooks").json() == [made]
    updated = sandbox.call("POST", f"/webhooks/{made['uuid']}", {"eventTypes": ["meeting.ended"]}).json()
    assert updated["eventTypes"] == ["meeting.ended"]
    assert sandbox.call("GET", f"/webhooks/{made['uuid']}").json() == updated
    assert sandbox.call("DELETE", f"/webhooks/{made['uuid']}").status_code == 200
    assert sandbox.call("GET", f"/webhooks/{made['uuid']}").status_code == 404


def test_an_address_that_does_not_answer_the_test_makes_no_webhook(sandbox, receiver):
    receiver.answer = lambda received: Answer(500)
    answer = sandbox.call("POST", "/webhooks", {"url": receiver.url})
    assert answer.status_code == 400 and answer.json()["error"] == "invalid-request-error"
    assert sandbox.call("GET", "/webhooks").json() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"url": "ftp://host"},
        {"url": "http://host", "eventTypes": ["participant.danced"]},
        {"url": "http://host", "eventTypes": "meeting.ended"},
        {"url": "http://host", "hmac": "no base64!"},
        {"url": "http://host", "retryType": "never"},
        {"url": "http://host", "colour": "red"},
    ],
)
def test_wrong_webhooks_are_refused(sandbox, wrong):
    assert sandbox.call("POST", "/webhooks", wrong).status_code == 400


def test_people_and_meetings_are_told_of_in_order_and_signed(sandbox, receiver):
    subscribe(sandbox, receiver)
    sandbox.create_room("r1")
    bot = sandbox.join("r1", sandbox.token("r1", user_id="bot", is_owner=True))
    caller = sandbox.join("r1", sandbox.token("r1", user_id="caller"))
    sandbox.leave("r1", caller)
    sandbox.leave("r1", bot)
    wait_until(lambda: len(events(receiver)) == 6)
    assert types(receiver) == [
        "meeting.started",
        "participant.joined",
        "participant.joined",
        "participant.left",
        "participant.left",
        "meeting.ended",
    ]
    joined, left, ended = (events(receiver)[index] for index in (2, 3, 5))
    assert joined["payload"]["room"] == "r1" and joined["payload"]["user_id"] == "caller"
    assert joined["payload"]["session_id"] == left["payload"]["session_id"] == caller
    assert left["payload"]["duration"] >= 0 and joined["id"].startswith("ptcpt-join-caller-")
    assert ended["payload"]["room"] == "r1" and ended["payload"]["end_ts"] >= ended["payload"]["start_ts"]
    assert len({event["id"] for event in events(receiver)}) == 6
    for one in receiver.received:
        assert one.headers["x-webhook-signature"] == expected_signature(one)


def expected_signature(received: Received) -> str:
    message = received.headers["x-webhook-timestamp"].encode() + b"." + received.body
    return base64.b64encode(hmac.new(base64.b64decode(KEY), message, hashlib.sha256).digest()).decode()


def test_three_failures_in_a_row_stop_a_webhook_until_it_is_updated(sandbox, receiver):
    made = subscribe(sandbox, receiver, eventTypes=["participant.joined"])
    receiver.answer = lambda received: Answer(500)
    sandbox.create_room("r1")
    for number in range(5):
        sandbox.join("r1", sandbox.token("r1", user_id=f"u{number}"))
    wait_until(lambda: sandbox.call("GET", f"/webhooks/{made['uuid']}").json()["state"] == "FAILED")
    assert len(events(receiver)) == 3
    receiver.answer = lambda received: Answer()
    sandbox.call("POST", f"/webhooks/{made['uuid']}", {})
    sandbox.join("r1", sandbox.token("r1", user_id="u6"))
    wait_until(lambda: len(events(receiver)) == 4)
    state = sandbox.call("GET", f"/webhooks/{made['uuid']}").json()
    assert (state["state"], state["failedCount"]) == ("ACTIVE", 0)


def test_an_exponential_webhook_tries_each_message_five_times_and_never_stops():
    webhook = Webhook("http://host", [], "exponential", KEY)
    webhook.waiting.extend([b"1", b"2"])
    assert [webhook.failed() for _ in range(5)] == [*RETRY_SECONDS, 0.0]
    assert list(webhook.waiting) == [b"2"] and webhook.state == "ACTIVE"


def test_a_meeting_is_recorded_where_room_and_token_say_so_and_the_file_is_a_real_one(sandbox, receiver):
    subscribe(sandbox, receiver, eventTypes=["recording.started", "recording.ready-to-download"])
    sandbox.create_room("r1", enable_recording="cloud")
    bot = sandbox.join("r1", sandbox.token("r1", user_id="bot", is_owner=True, start_cloud_recording=True))
    (recording,) = sandbox.call("GET", "/recordings?room_name=r1").json()["data"]
    assert recording["status"] == "in-progress"
    assert sandbox.call("GET", f"/recordings/{recording['id']}/access-link").status_code == 400
    sandbox.advance_clock(3)
    sandbox.leave("r1", bot)
    wait_until(lambda: types(receiver) == ["recording.started", "recording.ready-to-download"])
    assert events(receiver)[1]["payload"]["recording_id"] == recording["id"]
    link = sandbox.call("GET", f"/recordings/{recording['id']}/access-link").json()["download_link"]
    file = sandbox._http.get(link, timeout=10)
    assert file.status_code == 200 and seconds_of(file.content) == pytest.approx(10, abs=0.1)
    part = sandbox._http.get(link, headers={"Range": "bytes=4-7"}, timeout=10)
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert sandbox._http.get(link + "x", timeout=10).status_code == 403


def seconds_of(mp4: bytes) -> float:
    """By decoding all of it."""
    with av.open(io.BytesIO(mp4), "r") as container:
        track = container.streams.audio[0]
        samples: int = sum(frame.samples for frame in container.decode(track))
        return samples / track.codec_context.sample_rate


def test_a_room_without_recording_is_not_recorded(sandbox):
    sandbox.create_room("r1")
    sandbox.join("r1", sandbox.token("r1", start_cloud_recording=True))
    assert sandbox.call("GET", "/recordings").json() == {"total_count": 0, "data": []}
    assert sandbox.call("POST", "/rooms/r1/recordings/start").status_code == 400
