"""POST .../connect: how what happens in leads.connect reaches the caller. The claim itself has its own tests."""

import uuid

import jwt
import pytest

from leads.models import ExecutionMode, LeadStatus
from pools.daily.account import daily_client, fingerprint
from pools.models import DailyAccount, StockStatus, VoiceSession
from tests.support.api import CONNECT, check_problem, post, rows
from tests.support.make import bearer, make_agent_process, make_daily_account, make_lead, make_room

KEY = "a-daily-api-key-of-the-test-long-enough-for-hs256"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def account(settings):
    settings.DAILY_API_KEY = KEY
    settings.DAILY_API_URL = "http://127.0.0.1:9"  # nobody listens: whatever is not in stock cannot be had
    return make_daily_account()


def test_a_lead_gets_a_room_a_token_and_its_session():
    room, process, lead = make_room(), make_agent_process(), make_lead()
    response = post(CONNECT, {"lead_id": str(lead.uuid)}, bearer())
    assert response.status_code == 200
    answer = response.json()
    lead.refresh_from_db()
    assert lead.status == LeadStatus.PROCESSING
    assert set(answer) == {"room_url", "token", "session_id", "lead_id"}
    assert answer["room_url"] == room.url
    assert (answer["session_id"], answer["lead_id"]) == (str(VoiceSession.objects.get().uuid), str(lead.uuid))
    claims = jwt.decode(answer["token"], KEY, algorithms=["HS256"])
    assert claims["r"] == room.name and not claims.get("o")
    process.refresh_from_db()
    assert process.status == StockStatus.IN_USE


@pytest.mark.parametrize("mode", [ExecutionMode.DAILY, ExecutionMode.DAILY_TEST, ExecutionMode.DAILY_STREAM])
def test_all_web_modes_connect(mode):
    make_room(), make_agent_process()
    lead = make_lead(execution_mode=mode)
    assert post(CONNECT, {"lead_id": str(lead.uuid)}, bearer()).status_code == 200


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"execution_mode": "TELEPHONY"}, "Lead is not a Daily lead. execution_mode: TELEPHONY"),
        ({"execution_mode": "TELEPHONY_TEST"}, "Lead is not a Daily lead. execution_mode: TELEPHONY_TEST"),
        ({"status": "PROCESSING"}, "Lead already processed. status: PROCESSING"),
        ({"status": "FINISHED"}, "Lead already processed. status: FINISHED"),
    ],
)
def test_a_lead_that_cannot_connect_is_a_state_error_and_takes_nothing(values, text):
    make_room(), make_agent_process()
    lead = make_lead(**values)
    headers = bearer()
    before = rows()
    assert check_problem(post(CONNECT, {"lead_id": str(lead.uuid)}, headers), 400) == text
    assert rows() == before


def test_an_unknown_lead_is_not_found():
    unknown = uuid.uuid4()
    detail = check_problem(post(CONNECT, {"lead_id": str(unknown)}, bearer()), 404)
    assert detail == f"Lead not found with id: {unknown}"


def test_without_capacity_the_caller_is_told_when_to_come_back_and_the_lead_stays(caplog):
    make_room()
    lead = make_lead()
    response = post(CONNECT, {"lead_id": str(lead.uuid)}, bearer())
    detail = check_problem(response, 503)
    assert [entry.getMessage() for entry in caplog.records if entry.levelname in ("WARNING", "ERROR")] == [
        f"event=connect_refused reason={detail!r} retry_after={response['Retry-After']}"
    ], "the reason, and no bare ERROR beside it"
    assert int(response["Retry-After"]) > 0
    lead.refresh_from_db()
    assert lead.status == LeadStatus.BACKLOG


def test_without_a_room_and_without_daily_the_caller_is_told_when_to_come_back_and_the_lead_stays():
    process, lead = make_agent_process(), make_lead()
    response = post(CONNECT, {"lead_id": str(lead.uuid)}, bearer())
    check_problem(response, 503)
    assert int(response["Retry-After"]) > 0
    lead.refresh_from_db()
    process.refresh_from_db()
    assert (lead.status, process.status) == (LeadStatus.BACKLOG, StockStatus.AVAILABLE)


def test_a_retry_with_the_same_key_gets_the_same_session():
    make_room(), make_room(), make_agent_process()
    lead, headers = make_lead(), bearer() | {"Idempotency-Key": "try-1"}
    first, second = (post(CONNECT, {"lead_id": str(lead.uuid)}, headers) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.json()["session_id"] == second.json()["session_id"]


def test_a_start_that_missed_is_told_once_however_often_it_is_asked_for(sandbox, settings, caplog):
    settings.DAILY_API_URL, settings.DAILY_API_KEY = sandbox.api_url, sandbox.api_key
    DailyAccount.objects.update(key_fingerprint=fingerprint(sandbox.api_key))
    daily_client.cache_clear()
    make_agent_process()  # and no room
    lead, headers = make_lead(), bearer() | {"Idempotency-Key": "try-1"}
    with caplog.at_level("INFO", logger="pools.events"):
        for _ in range(3):
            assert post(CONNECT, {"lead_id": str(lead.uuid)}, headers).status_code == 200
    assert caplog.text.count("event=start_missed") == 1
    daily_client.cache_clear()


def test_a_retry_gets_a_token_that_admits_even_if_tokens_are_not_signed_here_any_more(sandbox, settings):
    settings.DAILY_API_URL, settings.DAILY_API_KEY = sandbox.api_url, sandbox.api_key
    daily_client.cache_clear()
    room = make_room(name=sandbox.create_room(privacy="private")["name"])
    DailyAccount.objects.update(key_fingerprint=fingerprint(sandbox.api_key))
    make_agent_process()
    lead, headers = make_lead(), bearer() | {"Idempotency-Key": "try-1"}
    assert post(CONNECT, {"lead_id": str(lead.uuid)}, headers).status_code == 200
    DailyAccount.objects.update(key_fingerprint="of another key")
    again = post(CONNECT, {"lead_id": str(lead.uuid)}, headers)
    assert again.status_code == 200
    assert sandbox.join(room.name, again.json()["token"])
    daily_client.cache_clear()


def test_a_retry_for_which_daily_makes_no_token_is_told_when_to_come_back():
    make_room(), make_agent_process()
    lead, headers = make_lead(), bearer() | {"Idempotency-Key": "try-1"}
    assert post(CONNECT, {"lead_id": str(lead.uuid)}, headers).status_code == 200
    DailyAccount.objects.update(key_fingerprint="of another key")
    again = post(CONNECT, {"lead_id": str(lead.uuid)}, headers)
    assert again.status_code == 503 and int(again["Retry-After"]) > 0


def test_a_key_that_was_used_for_another_lead_is_a_conflict():
    pair = [(make_room(), make_agent_process()) for _ in range(2)]
    assert pair
    headers = bearer() | {"Idempotency-Key": "try-1"}
    assert post(CONNECT, {"lead_id": str(make_lead().uuid)}, headers).status_code == 200
    other = make_lead()
    check_problem(post(CONNECT, {"lead_id": str(other.uuid)}, headers), 409)
    other.refresh_from_db()
    assert other.status == LeadStatus.BACKLOG


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x00", "ü", "a\tb"])
def test_a_key_of_the_wrong_shape_is_refused(key):
    lead = make_lead()
    response = post(CONNECT, {"lead_id": str(lead.uuid)}, bearer() | {"Idempotency-Key": key})
    (problem,) = check_problem(response, 422)
    assert problem["loc"] == ["header", "Idempotency-Key"]
