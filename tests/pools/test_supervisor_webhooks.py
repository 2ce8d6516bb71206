"""A supervisor with a webhook at Daily: registered by it, and its calls end when their callers have gone."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from pools.models import DailyAccount
from tests.support.http_receiver import Answer, Receiver, running_receiver
from tests.support.service import call_in_progress, run_until

STAYS = "import asyncio\nasync def bot(args):\n    await asyncio.Event().wait()\n"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


def pass_on(receiver: Receiver) -> None:
    """What Daily has sent so far goes to our own endpoint, as it came."""
    while receiver.received:
        one = receiver.received.pop(0)
        headers = {name: one.headers[name] for name in ("x-webhook-timestamp", "x-webhook-signature")}
        response = Client().post("/webhooks/daily", one.body, content_type="application/json", headers=headers)
        assert response.status_code == 200, response.content


def account() -> Any:
    return DailyAccount.objects.filter(pk=1).first()


def test_a_bot_that_stays_after_its_caller_is_ended_by_what_daily_tells(pods, sandbox, receiver, tmp_path):
    (tmp_path / "stays.py").write_text(STAYS)
    pod = pods.start_full(
        bot="stays", bot_dir=tmp_path, idle_timeout=60, caller_return_timeout=0.3, webhook_url=receiver.url
    )
    run_until(pod, lambda: account() and account().webhook_active_at)
    call = call_in_progress(pod, sandbox)
    call.hang_up()

    def is_over() -> bool:
        pass_on(receiver)
        return call.is_over()

    run_until(pod, is_over)
    assert (call.session.end_reason, call.lead.status) == ("caller_left", "FINISHED")


def test_a_webhook_that_cannot_be_had_is_said_and_stops_nothing(pods, sandbox, receiver):
    receiver.answer = lambda received: Answer(404)
    pod = pods.start_full(webhook_url=receiver.url)
    run_until(pod, lambda: account() and account().webhook_trouble)
    assert "POST /webhooks" in account().webhook_trouble and account().webhook_active_at is None
    call = call_in_progress(pod, sandbox)
    call.hang_up()
    run_until(pod, call.is_over)
