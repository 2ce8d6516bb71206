"""Recordings: made where rooms and tokens say so, streamed to those who may see the call, never anything else."""

from collections.abc import Iterator
from typing import Any

import pytest

from access.models import Role
from leads.models import Lead
from pools.daily.account import daily_client
from pools.daily.client import NewRoom
from pools.models import Room, VoiceSession
from tests.support.api import LEADS, check_problem, get
from tests.support.daily_sandbox import Sandbox
from tests.support.make import bearer, make_lead, make_room, make_session
from tests.support.service import call_in_progress, run_until

PATH = f"{LEADS}/recording"


def fetch(name: str, headers: dict[str, str] | None = None, **more: str) -> Any:
    """The answer, read to its end (as a server does), with its content as `whole`."""
    response = get(f"{PATH}/{name}", headers=(bearer() if headers is None else headers) | more)
    response.whole = b"".join(response.streaming_content) if response.streaming else response.content
    return response


@pytest.fixture
def daily(sandbox: Sandbox, settings: Any) -> Iterator[Sandbox]:
    settings.DAILY_API_URL, settings.DAILY_API_KEY = sandbox.api_url, sandbox.api_key
    daily_client.cache_clear()
    yield sandbox
    daily_client.cache_clear()


def recorded_call(sandbox: Sandbox, seconds: float = 2, name: str = "bb-recorded") -> Lead:
    """A lead whose call is over and recorded at Daily."""
    room = make_room("ended", name=name, recorded=True)
    daily_client().create_room(NewRoom(name, room.expires_at, recorded=True))
    bot = sandbox.join(name, sandbox.token(name, start_cloud_recording=True))
    sandbox.advance_clock(seconds)
    sandbox.leave(name, bot)
    session = make_session("ended", room=room)
    return make_lead("FINISHED", voice_session=session, call_id=name)


@pytest.mark.django_db
def test_the_recording_of_a_call_is_streamed(daily):
    recorded_call(daily)
    response = fetch("bb-recorded")
    content = response.whole
    assert response.status_code == 200
    assert response["Content-Type"] == "audio/mp4"
    assert response["Content-Disposition"] == 'inline; filename="recording_bb-recorded.mp4"'
    assert content[4:8] == b"ftyp" and int(response["Content-Length"]) == len(content)


@pytest.mark.django_db
def test_one_range_of_it_may_be_asked_for(daily):
    recorded_call(daily)
    response = fetch("bb-recorded", Range="bytes=4-7")
    assert (response.status_code, response.whole) == (206, b"ftyp")
    assert response["Content-Range"].startswith("bytes 4-7/")


@pytest.mark.django_db
def test_a_range_that_it_does_not_have_is_refused_in_our_words(daily):
    lead = recorded_call(daily)
    known = daily.call("GET", "/recordings").json()["data"][0]["id"]
    VoiceSession.objects.filter(lead=lead).update(recording_id=known)
    for _ in range(5):  # one more than are sent at once: each gives its place back
        response = fetch("bb-recorded", Range="bytes=9999999-")
        assert check_problem(response, 416) == "The recording has no such range of bytes."
        assert response["Content-Range"].startswith("bytes */")


@pytest.mark.django_db
def test_a_recording_that_is_known_is_not_looked_for(daily):
    lead = recorded_call(daily)
    found = daily.call("GET", "/recordings").json()["data"][0]["id"]
    VoiceSession.objects.filter(lead=lead).update(recording_id=found)
    before = daily.calls("GET /recordings")
    assert fetch("bb-recorded").status_code == 200
    assert daily.calls("GET /recordings") == before


@pytest.mark.django_db
def test_what_is_not_recorded_not_finished_or_not_a_call_is_404(daily):
    make_lead("FINISHED", voice_session=make_session("ended", room=make_room("ended", name="bb-silent")))
    make_room("ended", name="bb-no-lead")
    for name in ("bb-silent", "bb-no-lead", "bb-unknown", "%00", "a b", "x" * 3000):
        detail = check_problem(fetch(name), 404)
        assert detail.startswith("Recording not found for call_sid: ")
    room = make_room("in_use", name="bb-running", recorded=True)
    daily_client().create_room(NewRoom("bb-running", room.expires_at, recorded=True))
    daily.join("bb-running", daily.token("bb-running", start_cloud_recording=True))
    make_lead("PROCESSING", voice_session=make_session(room=room))
    check_problem(fetch("bb-running"), 404)


@pytest.mark.django_db
def test_calls_of_others_have_no_recording(daily):
    lead = recorded_call(daily)
    assert lead.reseller_id == "acme"
    check_problem(fetch("bb-recorded", bearer(Role.RESELLER, reseller_ids=["other"])), 404)
    assert fetch("bb-recorded", bearer(Role.RESELLER, reseller_ids=["acme"])).status_code == 200
    check_problem(fetch("bb-recorded", {}), 401)
    assert daily.calls("GET /recordings") == {"200": 1}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/recordings", "/recordings/*"])
def test_when_daily_fails_it_is_502(daily, path):
    recorded_call(daily)
    daily.fault("500", "GET", path)
    detail = check_problem(fetch("bb-recorded"), 502)
    assert detail == "Failed to download recording from Daily"


@pytest.mark.django_db
def test_slow_listeners_do_not_take_all_threads(daily):
    recorded_call(daily)
    listeners = [get(f"{PATH}/bb-recorded", headers=bearer()) for _ in range(4)]
    refused = fetch("bb-recorded")
    assert check_problem(refused, 503) and refused["Retry-After"] == "5"
    for listener in listeners:
        assert b"".join(listener.streaming_content)
    assert fetch("bb-recorded").status_code == 200


def test_with_recording_on_every_call_is_recorded_from_its_bots_joining(pods, sandbox):
    pod = pods.start_full(room_recording=True)
    assert Room.objects.available().filter(recorded=True).count() == 2
    call = call_in_progress(pod, sandbox)
    call.hang_up()
    run_until(pod, call.is_over)
    (recording,) = sandbox.call("GET", f"/recordings?room_name={call.room_name}").json()["data"]
    assert recording["status"] == "finished"
    response = fetch(call.room_name)
    assert response.status_code == 200 and response.whole[4:8] == b"ftyp"
    lead = get(f"{LEADS}/{call.lead.uuid}", headers=bearer()).json()
    assert lead["recording_url"] == f"{PATH}/{call.room_name}"
