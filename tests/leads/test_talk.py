"""The development page with one button, which starts a call."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from leads.models import Lead
from pools.models import VoiceSession
from tests.support.make import make_agent_process, make_daily_account, make_pod, make_room, make_template

pytestmark = pytest.mark.django_db
KEY = "a-daily-key-of-at-least-thirty-two-bytes"


@pytest.fixture
def talk_page(settings) -> None:
    settings.TALK_PAGE = True
    settings.DAILY_API_KEY, settings.DAILY_API_URL = KEY, "http://127.0.0.1:9"  # nobody listens
    make_daily_account()


def test_without_the_setting_there_is_no_such_page(client: Client):
    assert client.get("/talk").status_code == 404
    assert client.post("/talk").status_code == 404


def test_the_button_claims_a_warm_pair_and_leads_into_its_room(client: Client, talk_page):
    make_template("demo", reseller_id="demo", merchant_id="demo")
    make_agent_process(make_pod()), make_room()
    answer = client.post("/talk", {"name": " Asha "})
    session = VoiceSession.objects.get()
    address = urlsplit(answer["Location"])
    assert (answer.status_code, session.start_kind) == (302, "warm")
    assert answer["Location"].startswith(session.room.url + "?")
    assert set(parse_qs(address.query)) == {"t", "autojoin"}
    assert Lead.objects.get().payload == {"customer_name": "Asha"}


def test_with_nothing_to_be_had_the_page_says_so(client: Client, talk_page):
    make_template("demo", reseller_id="demo", merchant_id="demo")
    answer = client.post("/talk")
    assert answer.status_code == 503
    assert "no live pod" in answer.content.decode()


def test_a_button_on_somebody_elses_page_starts_nothing(talk_page):
    assert Client(enforce_csrf_checks=True).post("/talk").status_code == 403
    assert not Lead.objects.exists()
