"""POST /agent/voice/automatic: a session without a lead, whose bot gets the body."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import jwt
import pytest

from access.scope import Scope
from leads import bot_body
from leads.models import Lead
from pools.metrics.claims import CONNECTS_REFUSED
from pools.models import VoiceSession
from pools.sessions.automatic import start_automatic
from pools.sessions.bot_body import OURS
from pools.sessions.claims import SessionRequest, claim
from pools.sessions.start import Started, request_key
from tests.pools.test_lifecycle_races import in_the_background, is_blocked, uncommitted
from tests.support.api import AUTOMATIC, check_problem, post, rows
from tests.support.make import bearer, make_agent_process, make_daily_account, make_lead, make_room, make_token
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def account(settings):
    settings.DAILY_API_KEY = "a-daily-api-key-of-the-test-long-enough-for-hs256"
    settings.DAILY_API_URL = "http://127.0.0.1:9"
    make_daily_account()


@pytest.fixture
def pair():
    return make_room(), make_agent_process()


def test_the_answer_is_the_published_one_and_the_bot_gets_the_whole_body(pair):
    body = {
        "sessionId": "tab-7",
        "mode": "live",
        "userName": "Zoë",
        "ttsService": {"ttsProvider": "GOOGLE", "voiceName": "MIA"},
        "platformIntegrations": ["shopify"],
        "somethingNew": {"a": [1]},
        "shopId": None,
    }
    answer = post(AUTOMATIC, body, bearer())
    assert answer.status_code == 200
    assert set(answer.json()) == {"room_url", "token", "session_id"}
    session = VoiceSession.objects.get()
    assert answer.json()["session_id"] == str(session.uuid) != "tab-7"
    assert answer.json()["room_url"] == pair[0].url
    assert session.body == body | {"mode": "LIVE"}
    assert session.reference is None and not Lead.objects.exists()


def test_a_caller_cannot_say_to_the_bot_what_only_we_say(pair):
    body = {"lead_id": "of another", "reseller_id": "other", "template": "x", "payload": {"a": 1}, "resellerId": "acme"}
    holder = bearer("reseller", reseller_ids=["acme"])
    assert post(AUTOMATIC, body, holder).status_code == 200
    assert VoiceSession.objects.get().body == {"resellerId": "acme", "reseller_id": "acme"}


def test_what_bots_are_told_of_a_lead_has_names_of_our_own():
    assert bot_body.of_lead(make_lead(flow_override={})).keys() == OURS


def test_an_empty_body_will_do(pair):
    assert post(AUTOMATIC, {}, bearer()).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"mode": "FAST"},
        {"mode": 1},
        {"ttsService": {"ttsProvider": "GOOGLE"}},
        {"ttsService": {"ttsProvider": "GOOGLE", "voiceName": "BOB"}},
        {"platformIntegrations": "shopify"},
        {"userName": {"first": "x"}},
        {"sessionId": "x" * 201},
    ],
)
def test_a_body_of_another_shape_is_refused_and_takes_nothing(pair, body):
    headers = bearer()
    before = rows()
    check_problem(post(AUTOMATIC, body, headers), 422)
    assert rows() == before


@pytest.mark.parametrize(
    ("holder", "body", "status"),
    [
        ({"role": "reseller", "reseller_ids": ["acme"]}, {}, 200),
        ({"role": "reseller", "reseller_ids": ["acme"]}, {"resellerId": "acme", "merchantId": "m1"}, 200),
        ({"role": "reseller", "reseller_ids": ["acme"]}, {"resellerId": "other"}, 403),
        ({"role": "reseller", "reseller_ids": ["acme"]}, {"merchantId": "m1"}, 403),
        ({"role": "reseller", "reseller_ids": ["*"]}, {"merchantId": "m1"}, 200),
        ({"role": "merchant", "merchant_ids": ["m1"]}, {"merchantId": "m1"}, 200),
        ({"role": "merchant", "merchant_ids": ["m1"]}, {"merchantId": "m2"}, 403),
        ({"role": "merchant", "reseller_ids": ["acme"], "merchant_ids": ["m1"]}, {"resellerId": "acme"}, 200),
        ({"role": "user", "reseller_ids": ["acme"]}, {}, 403),
    ],
)
def test_whom_it_is_for_must_be_the_callers(pair, holder, body, status):
    assert post(AUTOMATIC, body, bearer(**holder)).status_code == status


def test_test_mode_needs_a_token_like_any_other(pair):
    check_problem(post(AUTOMATIC, {"mode": "TEST"}), 401)


def test_a_retry_with_the_same_key_gets_the_same_session(pair):
    make_room(), make_agent_process()
    headers = bearer() | {"Idempotency-Key": "tab-7"}
    first, second = (post(AUTOMATIC, {}, headers).json() for _ in range(2))
    assert first["session_id"] == second["session_id"]
    assert VoiceSession.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_retry_that_overtakes_its_request_gets_the_same_session(pair):
    make_room(), make_agent_process()
    scope = Scope.of_token(make_token()[0])
    key = request_key(scope.holder, "tab-7")
    first = SessionRequest(body={}, life=timedelta(minutes=30), request_key=key)
    with uncommitted(lambda: claim(first)) as commit, ThreadPoolExecutor(1) as pool:
        retry = in_the_background(pool, lambda: start_automatic(scope, {}, idempotency_key="tab-7", arrived=None))
        wait_until(is_blocked)
        commit.set()
        started = retry.result(20)
    assert isinstance(started, Started) and started.session_id == VoiceSession.objects.get().uuid


def test_tenants_of_one_service_do_not_get_each_others_sessions(pair, settings):
    """It signs for all of them in one name, and they count their keys alike."""
    settings.JWT_SECRET_KEY = "the key that we share with other services"
    make_room(), make_agent_process()
    claims = {"sub": "checkout", "role": "merchant", "exp": time.time() + 600}
    tokens = [jwt.encode({**claims, "merchant_ids": [one]}, settings.JWT_SECRET_KEY) for one in ("m1", "m2")]
    answers = [
        post(AUTOMATIC, {}, {"Authorization": f"Bearer {token}", "Idempotency-Key": "1"}).json() for token in tokens
    ]
    assert answers[0]["session_id"] != answers[1]["session_id"]


def test_without_capacity_the_caller_is_told_when_to_come_back():
    answer = post(AUTOMATIC, {}, bearer())
    check_problem(answer, 503)
    assert int(answer["Retry-After"]) > 0


def test_a_refusal_is_counted_as_that_of_a_connect_is():
    def refused() -> float:
        return sum(sample.value for metric in CONNECTS_REFUSED.collect() for sample in metric.samples)

    before = refused()
    check_problem(post(AUTOMATIC, {}, bearer()), 503)
    assert refused() == before + 1
